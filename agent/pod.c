/* Models that a pod mentions: in its arguments, environment, volumes and annotations. (pure) */
#include "agent/pod.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/model_name.h"
#include "common/xmem.h"

#define WORD_MAX 4096

/* After these a word without a slash is a model too. */
static const char *const model_flags[] = {
	"serve",
	"-m",
	"--model",
	"--model-path",
	"--model-id",
	"--model-name",
	"--model_path",
	"--model_name",
	"--tokenizer",
	"--hf-repo",
	"-hf",
	"-hfr",
	"--speculative-model",
	"--draft-model",
};

/* Their values are models: vLLM, SGLang, TGI, NIM and KServe images, and common charts. */
static const char *const model_variables[] = {
	"MODEL",	  "MODEL_ID",	 "MODEL_NAME",	 "MODEL_PATH",
	"HF_MODEL_ID",	  "VLLM_MODEL",	 "SGLANG_MODEL", "NIM_MODEL_NAME",
	"NIM_MODEL_PATH", "STORAGE_URI", "DRAFT_MODEL",	 "TOKENIZER",
};

static const cJSON *member(const cJSON *object, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(object, key);
}

static const char *text_of(const cJSON *object, const char *key)
{
	const char *text = cJSON_GetStringValue(member(object, key));

	return text != NULL ? text : "";
}

static bool is_one_of(const char *word, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(list[i], word) == 0)
			return true;
	}
	return false;
}

/* ---- references ---- */

static void add(struct pod *pod, struct model_ref *ref)
{
	for (size_t i = 0; i < pod->ref_count; i++) {
		if (model_ref_equal(&pod->refs[i], ref)) {
			model_ref_free(ref);
			return;
		}
	}
	pod->refs = xgrow(pod->refs, pod->ref_count, &pod->ref_capacity, sizeof(*pod->refs));
	pod->refs[pod->ref_count++] = *ref;
}

static void add_path(struct pod *pod, const char *path)
{
	struct model_ref ref;

	if (model_ref_guess(&ref, path, NULL))
		add(pod, &ref);
}

/* A word that may be a model. `named`: something says that it is one, so it needs no slash. */
static void mention(struct pod *pod, const char *word, const char *revision, bool named)
{
	const char *scheme = strstr(word, "://");
	struct model_ref ref;
	char *host;

	if (scheme != NULL && strncmp(word, "hf://", 5) != 0 && strncmp(word, "file://", 7) != 0 &&
	    strncmp(word, "pvc://", 6) != 0)
		return; /* an address */
	if (scheme != NULL)
		word = scheme + 3;
	if (strlen(word) > WORD_MAX || (!named && strchr(word, '/') == NULL))
		return;
	if (model_name_valid(word)) {
		model_ref_make(&ref, MODEL_REF_NAME, word, NULL);
		add(pod, &ref);
		return;
	}
	if (!model_ref_guess(&ref, word, revision))
		return;
	add(pod, &ref);
	if (*word != '/')
		return;
	host = pod_host_path(pod, word);
	if (host != NULL)
		add_path(pod, host);
	free(host);
}

/* ---- volumes ---- */

static char *join(const char *path, const char *below)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	while (*below == '/')
		below++;
	return *below == '\0' ? xstrndup(path, len) : xasprintf("%.*s/%s", (int)len, path, below);
}

static const char *volume_path(const cJSON *spec, const char *name)
{
	const cJSON *volume;

	cJSON_ArrayForEach (volume, member(spec, "volumes")) {
		if (strcmp(text_of(volume, "name"), name) == 0)
			return text_of(member(volume, "hostPath"), "path");
	}
	return "";
}

/* subPathExpr is filled in by the kubelet: what is below the volume is not known then. */
static void read_mounts(struct pod *pod, const cJSON *spec, const cJSON *container)
{
	const cJSON *mount;

	cJSON_ArrayForEach (mount, member(container, "volumeMounts")) {
		const char *host = volume_path(spec, text_of(mount, "name"));
		const char *path = text_of(mount, "mountPath");
		struct pod_mount *m;

		if (*host != '/' || *path != '/' || member(mount, "subPathExpr") != NULL)
			continue;
		pod->mounts = xgrow(pod->mounts, pod->mount_count, &pod->mount_capacity,
				    sizeof(*pod->mounts));
		m = &pod->mounts[pod->mount_count++];
		m->container_path = join(path, "");
		m->host_path = join(host, text_of(mount, "subPath"));
		/* A volume that is one model, or lies in one. */
		add_path(pod, m->host_path);
	}
}

char *pod_host_path(const struct pod *pod, const char *path)
{
	const struct pod_mount *best = NULL;
	size_t best_len = 0;

	for (size_t i = 0; i < pod->mount_count; i++) {
		const struct pod_mount *m = &pod->mounts[i];
		size_t len = strcmp(m->container_path, "/") == 0 ? 0 : strlen(m->container_path);

		if (strncmp(path, m->container_path, len) == 0 &&
		    (path[len] == '/' || path[len] == '\0') && (best == NULL || len > best_len)) {
			best = m;
			best_len = len;
		}
	}
	return best != NULL ? join(best->host_path, path + best_len) : NULL;
}

/* ---- arguments ---- */

/* The words of a container's command and arguments, also of a shell's one string. */
struct words {
	char **list;
	size_t count, capacity;
};

static void split(struct words *words, const char *text)
{
	static const char ends[] = " \t\r\n\"'`;,()[]{}|&<>";

	while (*text != '\0') {
		size_t len;

		text += strspn(text, ends);
		len = strcspn(text, ends);
		if (len == 0)
			break;
		words->list =
			xgrow(words->list, words->count, &words->capacity, sizeof(*words->list));
		words->list[words->count++] = xstrndup(text, len);
		text += len;
	}
}

static void free_words(struct words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->list[i]);
	free(words->list);
}

/* The value of "--revision X" or "--revision=X" at word `i`, or NULL. */
static const char *revision_at(const struct words *words, size_t i)
{
	static const char flag[] = "--revision";
	const char *word = words->list[i];
	size_t len = strlen(flag);

	if (strncmp(word, flag, len) != 0)
		return NULL;
	if (word[len] == '=')
		return word + len + 1;
	return word[len] == '\0' && i + 1 < words->count ? words->list[i + 1] : NULL;
}

/* NULL when none is said, or several: which of them counts, and for what, is not known. */
static const char *find_revision(const struct words *words)
{
	const char *found = NULL;

	for (size_t i = 0; i < words->count; i++) {
		const char *revision = revision_at(words, i);

		if (revision != NULL && found != NULL && strcmp(found, revision) != 0)
			return NULL;
		if (revision != NULL)
			found = revision;
	}
	return found;
}

static void mention_words(struct pod *pod, const struct words *words)
{
	const char *revision = find_revision(words);
	bool named = false;

	for (size_t i = 0; i < words->count; i++) {
		char *word = words->list[i];
		char *value = word[0] == '-' ? strchr(word, '=') : NULL;

		if (value != NULL) {
			*value++ = '\0';
			named = is_one_of(word, model_flags, ARRAY_SIZE(model_flags));
			/* The revision is that of the model, not of its tokenizer. */
			mention(pod, value,
				named && strncmp(word, "--model", 7) == 0 ? revision : NULL, named);
			named = false;
			continue;
		}
		if (word[0] != '-') {
			const char *flag = i > 0 ? words->list[i - 1] : "";
			bool model = named && (strncmp(flag, "--model", 7) == 0 ||
					       strcmp(flag, "serve") == 0);

			mention(pod, word, model ? revision : NULL, named);
		}
		named = is_one_of(word, model_flags, ARRAY_SIZE(model_flags));
	}
}

static void read_container(struct pod *pod, const cJSON *container)
{
	struct words words = {0};
	const cJSON *item;

	cJSON_ArrayForEach (item, member(container, "command"))
		split(&words, cJSON_IsString(item) ? item->valuestring : "");
	cJSON_ArrayForEach (item, member(container, "args"))
		split(&words, cJSON_IsString(item) ? item->valuestring : "");
	mention_words(pod, &words);
	free_words(&words);
	cJSON_ArrayForEach (item, member(container, "env")) {
		bool named = is_one_of(text_of(item, "name"), model_variables,
				       ARRAY_SIZE(model_variables));

		words = (struct words){0};
		split(&words, text_of(item, "value"));
		for (size_t i = 0; i < words.count; i++)
			mention(pod, words.list[i], NULL, named && words.count == 1);
		free_words(&words);
	}
}

/* ---- the pod ---- */

static void read_annotations(struct pod *pod, const cJSON *annotations)
{
	const char *engine = text_of(annotations, POD_ENGINE_ANNOTATION);
	const char *port = text_of(annotations, POD_PORT_ANNOTATION);
	struct words words = {0};

	split(&words, text_of(annotations, POD_MODELS_ANNOTATION));
	for (size_t i = 0; i < words.count; i++)
		mention(pod, words.list[i], NULL, true);
	free_words(&words);
	if (*engine == '\0')
		return;
	if (*port != '\0') {
		char *end;
		long number = strtol(port, &end, 10);

		if (*end != '\0' || number < 1 || number > 65535) {
			snprintf(pod->problem, sizeof(pod->problem),
				 POD_PORT_ANNOTATION ": found \"%.40s\"; allowed is 1 to 65535",
				 port);
			return;
		}
		pod->port = (int)number;
	}
	pod->engine = xstrdup(engine);
}

static void each_container(struct pod *pod, const cJSON *spec,
			   void (*read)(struct pod *pod, const cJSON *spec, const cJSON *container))
{
	static const char *const lists[] = {"initContainers", "containers", "ephemeralContainers"};
	const cJSON *container;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		cJSON_ArrayForEach (container, member(spec, lists[i]))
			read(pod, spec, container);
	}
}

static void read_words(struct pod *pod, const cJSON *spec, const cJSON *container)
{
	(void)spec;
	read_container(pod, container);
}

bool pod_read(struct pod *pod, const cJSON *object)
{
	const cJSON *metadata = member(object, "metadata"), *spec = member(object, "spec");
	const cJSON *status = member(object, "status");
	const char *phase = text_of(status, "phase");

	*pod = (struct pod){0};
	if (*text_of(metadata, "uid") == '\0' || *text_of(metadata, "name") == '\0')
		return false;
	pod->uid = xstrdup(text_of(metadata, "uid"));
	pod->name_space = xstrdup(text_of(metadata, "namespace"));
	pod->name = xstrdup(text_of(metadata, "name"));
	pod->ip = xstrdup(text_of(status, "podIP"));
	pod->ended = strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
	each_container(pod, spec, read_mounts);
	each_container(pod, spec, read_words);
	read_annotations(pod, member(metadata, "annotations"));
	return true;
}

void pod_free(struct pod *pod)
{
	for (size_t i = 0; i < pod->ref_count; i++)
		model_ref_free(&pod->refs[i]);
	for (size_t i = 0; i < pod->mount_count; i++) {
		free(pod->mounts[i].container_path);
		free(pod->mounts[i].host_path);
	}
	free(pod->refs);
	free(pod->mounts);
	free(pod->uid);
	free(pod->name_space);
	free(pod->name);
	free(pod->ip);
	free(pod->engine);
	*pod = (struct pod){0};
}
