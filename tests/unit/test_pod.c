/*
 * What pods say of models. The objects have the fields of core/v1 Pod as the Kubernetes API
 * reference describes them; arguments and variables are those of the engines' own images.
 */
#include "agent/pod.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/kit.h"

#define COMMIT "0e9e39f249a16976918f6564b8830bc894c89659"

static struct pod read(const char *spec, const char *annotations, const char *phase)
{
	char text[4096];
	struct pod pod;
	cJSON *object;

	snprintf(text, sizeof(text),
		 "{\"metadata\":{\"uid\":\"u-1\",\"namespace\":\"default\",\"name\":\"llm-0\","
		 "\"annotations\":%s},\"spec\":%s,"
		 "\"status\":{\"phase\":\"%s\",\"podIP\":\"10.0.0.7\"}}",
		 annotations, spec, phase);
	object = cJSON_Parse(text);
	if (object == NULL)
		fail_msg("not JSON: %s", text);
	assert_true(pod_read(&pod, object));
	cJSON_Delete(object);
	return pod;
}

/* "repo gpt2@abc; path /x" */
static const char *refs_of(const struct pod *pod, char *buf, size_t size)
{
	static const char *const kinds[] = {"name", "repo", "folder", "path"};
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < pod->ref_count; i++) {
		const struct model_ref *ref = &pod->refs[i];

		used += (size_t)snprintf(buf + used, size - used, "%s%s %s%s%s", i > 0 ? "; " : "",
					 kinds[ref->kind], ref->text,
					 ref->revision != NULL ? "@" : "",
					 ref->revision != NULL ? ref->revision : "");
	}
	return buf;
}

static void expect(const char *spec, const char *want)
{
	struct pod pod = read(spec, "{}", "Running");
	char buf[2000];

	if (strcmp(refs_of(&pod, buf, sizeof(buf)), want) != 0)
		fail_msg("%s\ngave \"%s\"\nnot  \"%s\"", spec, buf, want);
	pod_free(&pod);
}

#define ARGS(list)    "{\"containers\":[{\"args\":[" list "]}]}"
#define COMMAND(list) "{\"containers\":[{\"command\":[" list "]}]}"
#define ENV(name, value) \
	"{\"containers\":[{\"env\":[{\"name\":\"" name "\",\"value\":\"" value "\"}]}]}"

static void test_arguments(void **state)
{
	(void)state;
	expect("{}", "");
	expect(ARGS("\"--model\",\"meta-llama/Llama-3.1-8B\",\"--port\",\"8000\""),
	       "repo meta-llama/Llama-3.1-8B");
	expect(ARGS("\"--model=gpt2\""), "repo gpt2");
	expect(ARGS("\"--model\",\"gpt2\",\"--revision\",\"" COMMIT "\""), "repo gpt2@" COMMIT);
	expect(ARGS("\"--revision=" COMMIT "\",\"--model=gpt2\",\"--tokenizer=bert\""),
	       "repo gpt2@" COMMIT "; repo bert");
	expect(ARGS("\"--model\",\"gpt2\",\"--revision\",\"main\""), "repo gpt2");
	/* of several revisions it may be any */
	expect(ARGS("\"--model=gpt2\",\"--revision=" COMMIT "\",\"--revision\",\"" COMMIT "\""),
	       "repo gpt2@" COMMIT);
	expect(ARGS("\"--model=gpt2\",\"--revision=" COMMIT "\",\"--revision=0123456789\""),
	       "repo gpt2");
	expect(ARGS("\"--model=gpt2\",\"--revision=" COMMIT "\",\"--revision\",\"main\""),
	       "repo gpt2");
	expect(COMMAND("\"vllm\",\"serve\",\"Qwen/Qwen3-8B\",\"--max-model-len\",\"4096\""),
	       "repo Qwen/Qwen3-8B");
	expect(COMMAND("\"sh\",\"-c\",\"exec vllm serve 'Qwen/Qwen3-8B' --dtype auto\""),
	       "repo Qwen/Qwen3-8B");
	expect(COMMAND("\"python3\",\"-m\",\"sglang.launch_server\",\"--model-path\",\"org/m\""),
	       "repo sglang.launch_server; repo org/m");
	expect(ARGS("\"--model-id\",\"org/m\""), "repo org/m");
	/* words without a slash are nothing unless something says so */
	expect(ARGS("\"gpt2\",\"bert\",\"--served-model-name\",\"llama\""), "");
	/* addresses are no models */
	expect(ARGS("\"--endpoint\",\"http://a/b\",\"https://a/b\""), "");
	expect(ARGS("1,null,{\"a\":1},[\"x/y\"]"), "");
}

static void test_variables(void **state)
{
	(void)state;
	expect(ENV("MODEL_ID", "gpt2"), "repo gpt2");
	expect(ENV("HF_MODEL_ID", "org/m"), "repo org/m");
	expect(ENV("NIM_MODEL_NAME", "nim/meta"), "repo nim/meta");
	expect(ENV("ANYTHING", "org/m"), "repo org/m");
	expect(ENV("ANYTHING", "gpt2"), "");
	expect(ENV("STORAGE_URI", "hf://org/m"), "repo org/m");
	expect(ENV("STORAGE_URI", "s3://bucket/m"), "");
	expect(ENV("EXTRA", "--model org/m --x y"), "repo org/m");
	expect("{\"containers\":[{\"env\":[{\"name\":\"MODEL\",\"valueFrom\":{}}]}]}", "");
}

static void test_paths(void **state)
{
	static const char mounted[] =
		"{\"volumes\":[{\"name\":\"hub\",\"hostPath\":{\"path\":\"/nvme/hub/\"}},"
		"{\"name\":\"tmp\",\"emptyDir\":{}},"
		"{\"name\":\"one\",\"hostPath\":{\"path\":\"/nvme/models\"}}],"
		"\"containers\":[{\"volumeMounts\":[{\"name\":\"hub\",\"mountPath\":\"/root/.cache/"
		"hub\"},"
		"{\"name\":\"tmp\",\"mountPath\":\"/tmp\"},"
		"{\"name\":\"one\",\"mountPath\":\"/model\",\"subPath\":\"llama\"}],"
		"\"args\":[\"--model\",\"/model/v2\",\"--cache=/tmp/x\"]}]}";

	(void)state;
	/* the volumes' own paths, and the argument as it is and on the host */
	expect(mounted, "path /nvme/hub; path /nvme/models/llama; path /model/v2; "
			"path /nvme/models/llama/v2; path /tmp/x");
	/* a hub's folder is known wherever it is mounted */
	expect(ARGS("\"--model\",\"/x/models--o--n/snapshots/" COMMIT "\""),
	       "folder models--o--n@" COMMIT);
	expect("{\"volumes\":[{\"name\":\"m\",\"hostPath\":{\"path\":\"/h\"}}],\"initContainers\":"
	       "[{\"volumeMounts\":[{\"name\":\"m\",\"mountPath\":\"/"
	       "m\",\"subPathExpr\":\"$(X)\"}]}]}",
	       "");
}

static void test_host_path(void **state)
{
	static const char spec[] =
		"{\"volumes\":[{\"name\":\"a\",\"hostPath\":{\"path\":\"/host/a\"}},"
		"{\"name\":\"b\",\"hostPath\":{\"path\":\"/host/b\"}}],\"containers\":[{"
		"\"volumeMounts\":[{\"name\":\"a\",\"mountPath\":\"/m\"},"
		"{\"name\":\"b\",\"mountPath\":\"/m/deep/\"}]}]}";
	static const struct {
		const char *path, *want;
	} rows[] = {
		{"/m", "/host/a"},
		{"/m/", "/host/a"},
		{"/m/x", "/host/a/x"},
		{"/m/deep", "/host/b"},
		{"/m/deeper", "/host/a/deeper"},
		{"/m/deep/y", "/host/b/y"},
		{"/mm", NULL},
		{"/", NULL},
		{"", NULL},
	};
	struct pod pod = read(spec, "{}", "Pending");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *got = pod_host_path(&pod, rows[i].path);

		if ((got == NULL) != (rows[i].want == NULL) ||
		    (got != NULL && strcmp(got, rows[i].want) != 0))
			fail_msg("%s became %s", rows[i].path, got != NULL ? got : "nothing");
		free(got);
	}
	pod_free(&pod);
}

static void test_annotations(void **state)
{
	struct pod pod = read("{}",
			      "{\"larder/engine\":\"vllm\",\"larder/port\":\"8001\","
			      "\"larder/models\":\"gpt2, org/m hf:o/n@0e9e39f249a1\"}",
			      "Running");
	char buf[500];

	(void)state;
	assert_string_equal(pod.engine, "vllm");
	assert_int_equal(pod.port, 8001);
	assert_string_equal(pod.ip, "10.0.0.7");
	assert_string_equal(refs_of(&pod, buf, sizeof(buf)),
			    "repo gpt2; repo org/m; name hf:o/n@0e9e39f249a1");
	pod_free(&pod);
	/* a port that is none asks nobody, and says so; the models stay protected */
	pod = read("{}",
		   "{\"larder/engine\":\"vllm\",\"larder/port\":\"http://evil:80\","
		   "\"larder/models\":\"gpt2\"}",
		   "Running");
	assert_null(pod.engine);
	assert_contains(pod.problem, "larder/port");
	assert_int_equal(pod.ref_count, 1);
	pod_free(&pod);
	pod = read("{}", "null", "Running");
	assert_null(pod.engine);
	pod_free(&pod);
}

static void test_phases(void **state)
{
	static const struct {
		const char *phase;
		bool ended;
	} rows[] = {{"Pending", false}, {"Running", false},  {"Unknown", false},
		    {"", false},	{"Succeeded", true}, {"Failed", true}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct pod pod = read("{}", "{}", rows[i].phase);

		assert_int_equal(pod.ended, rows[i].ended);
		pod_free(&pod);
	}
}

static void test_no_pods(void **state)
{
	static const char *const rows[] = {"{}",
					   "[]",
					   "1",
					   "null",
					   "{\"metadata\":{\"name\":\"x\"}}",
					   "{\"metadata\":{\"uid\":1,\"name\":\"x\"}}",
					   "{\"metadata\":[]}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cJSON *object = cJSON_Parse(rows[i]);
		struct pod pod;

		assert_false(pod_read(&pod, object));
		pod_free(&pod);
		cJSON_Delete(object);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments),   cmocka_unit_test(test_variables),
		cmocka_unit_test(test_paths),	    cmocka_unit_test(test_host_path),
		cmocka_unit_test(test_annotations), cmocka_unit_test(test_phases),
		cmocka_unit_test(test_no_pods),
	};

	return RUN_TESTS(tests);
}
