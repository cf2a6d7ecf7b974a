/* A made-up cluster in Redis. */
#include "tests/bench/fleet.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/keys.h"
#include "common/redis_script.h"
#include "tests/bench/bench.h"

#define PREFIX	    "larder:"
#define WINDOW	    64 /* nodes that are being registered at once */
#define NAME_MIN    44
#define NAME_MAX_   67
#define INCARNATION "0a1b2c3d"

static const char *const owners[] = {
	"meta-llama", "mistralai",   "Qwen",	"deepseek-ai", "google",
	"microsoft",  "nvidia",	     "unsloth", "neuralmagic", "RedHatAI",
	"bartowski",  "ibm-granite", "openai",	"CohereForAI", "stabilityai",
};

static const char *const families[] = {
	"Llama-3.1-8B-Instruct",  "Llama-3.1-70B-Instruct",  "Llama-3.3-70B-Instruct",
	"Mixtral-8x22B-Instruct", "Mistral-Large-Instruct",  "Qwen2.5-72B-Instruct",
	"Qwen2.5-Coder-32B",	  "DeepSeek-R1-Distill-70B", "gemma-2-27b-it",
	"Phi-3.5-MoE-instruct",	  "Nemotron-4-340B-Base",    "granite-3.1-8b-instruct",
	"gpt-oss-120b",		  "c4ai-command-r-plus",     "stable-diffusion-3.5",
};

static const char *const variants[] = {
	"", "-FP8", "-AWQ-INT4", "-GPTQ-Int8", "-bnb-4bit", "-quantized.w4a16", "-hf", "-GGUF",
};

static uint64_t chance(size_t node, size_t model, uint64_t purpose)
{
	uint64_t state = (uint64_t)node * 1000003 + model * 7919 + purpose;

	bench_random(&state);
	return bench_random(&state);
}

void fleet_node(size_t node, char *buf)
{
	snprintf(buf, FLEET_NODE_SIZE, "gpu-node-%05zu", node);
}

void fleet_model(size_t node, size_t model, char *buf)
{
	uint64_t r = chance(node, model, 1);
	int len;

	do {
		len = snprintf(buf, FLEET_MODEL_SIZE, "hf:%s/%s%s@%05zx%07" PRIx64,
			       owners[r % ARRAY_SIZE(owners)],
			       families[(r >> 8) % ARRAY_SIZE(families)],
			       variants[(r >> 16) % ARRAY_SIZE(variants)], model & 0xfffff,
			       (r >> 24) & 0xfffffff);
		bench_random(&r);
	} while (len < NAME_MIN || len > NAME_MAX_);
}

int64_t fleet_age_ms(const struct fleet *fleet, size_t node, size_t model)
{
	uint64_t r = chance(node, model, 2);
	bool expired = r % 1000 < fleet->expired_permille;
	int64_t within = (int64_t)((r >> 16) % (uint64_t)(FLEET_THRESHOLD_MS - 7200000));

	/* Never within an hour of the threshold: the time that a run takes changes nothing. */
	return within + 3600000 + (expired ? FLEET_THRESHOLD_MS : 0);
}

size_t fleet_expired(const struct fleet *fleet)
{
	size_t count = 0;

	for (size_t i = 0; i < fleet->nodes; i++) {
		for (size_t j = 0; j < fleet->models; j++)
			count += fleet_age_ms(fleet, i, j) > FLEET_THRESHOLD_MS;
	}
	return count;
}

void fleet_size(size_t node, size_t model, char *buf, size_t size)
{
	uint64_t r = chance(node, model, 3);

	snprintf(buf, size, "%" PRIu64 " %" PRIx64, UINT64_C(4096) * (1000000 + r % 34000000),
		 chance(node, model, 4) >> 32);
}

const char *fleet_incarnation(void)
{
	return INCARNATION;
}

/* ---- what the agents say (agent/message.c) ---- */

static void add_keys(struct redis_args *args, const char *node, const enum node_key *keys,
		     size_t count)
{
	char key[KEY_SIZE];

	for (size_t i = 0; i < count; i++)
		redis_args_add(args, key_node(key, PREFIX, node, keys[i]));
}

static void say_registration(struct redis_args *args, const struct fleet *fleet, size_t node)
{
	static const enum node_key keys[] = {KEY_STATE,	 KEY_LRU,  KEY_SIZE_GEN,
					     KEY_STATUS, KEY_HOLD, KEY_LRU_BEFORE};
	char name[FLEET_NODE_SIZE], model[FLEET_MODEL_SIZE], size[64];

	fleet_node(node, name);
	redis_script_start(args, &script_register, ARRAY_SIZE(keys));
	add_keys(args, name, keys, ARRAY_SIZE(keys));
	redis_args_add(args, INCARNATION);
	redis_args_add(args, "1");
	redis_args_add(args, "1");
	redis_args_add(args, "1");
	redis_args_add(args, "version");
	redis_args_add(args, "0.1.0");
	redis_args_add_int(args, (int64_t)fleet->models);
	for (size_t i = 0; i < fleet->models; i++) {
		fleet_model(node, i, model);
		fleet_size(node, i, size, sizeof(size));
		redis_args_add(args, model);
		redis_args_add_int(args, fleet_age_ms(fleet, node, i));
		redis_args_add(args, size);
		redis_args_add(args, "");
	}
	redis_args_add(args, "0");
}

static void say_beat(struct redis_args *args, const struct fleet *fleet, size_t node)
{
	static const enum node_key keys[] = {KEY_STATE, KEY_LRU, KEY_SIZE_GEN, KEY_CMD, KEY_HOLD};
	static const char root[] =
		"layout=huggingface disk=10302 total_bytes=30725970923520 "
		"available_bytes=9251134079000 floor_bytes=0 leftover_bytes=0 mode=delete note=";
	static const char *const fields[] = {
		"downloading", "0", "error",	 "0", "bytes",	      "21474836480000",
		"holds",       "0", "attention", "0", "root:default", root,
	};
	char name[FLEET_NODE_SIZE];

	fleet_node(node, name);
	redis_script_start(args, &script_beat, ARRAY_SIZE(keys));
	add_keys(args, name, keys, ARRAY_SIZE(keys));
	redis_args_add(args, INCARNATION);
	redis_args_add(args, name);
	redis_args_add(args, PREFIX "pressure");
	redis_args_add_int(args, (int64_t)fleet->models);
	redis_args_add(args, "0");
	redis_args_add_int(args, (int64_t)ARRAY_SIZE(fields) / 2 + 1);
	redis_args_add(args, "n");
	redis_args_add_int(args, (int64_t)fleet->models);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		redis_args_add(args, fields[i]);
	redis_args_add(args, "0");
	redis_args_add(args, "0");
}

static void say_name(struct redis_args *args, size_t node)
{
	char name[FLEET_NODE_SIZE];

	fleet_node(node, name);
	redis_args_start(args, "SADD");
	redis_args_add(args, PREFIX "nodes");
	redis_args_add(args, name);
}

static void must_say(struct server *server, const char *word)
{
	redisReply *reply = server_answer(server);

	if (reply->type == REDIS_REPLY_ARRAY &&
	    (reply->elements == 0 || reply->element[0]->type != REDIS_REPLY_STRING ||
	     strcmp(reply->element[0]->str, word) != 0))
		bench_fail("a script did not answer %s", word);
	freeReplyObject(reply);
}

static void load(struct server *server, const struct redis_script *script)
{
	freeReplyObject(server_ask(server, "SCRIPT LOAD %s", script->text));
}

void fleet_register(const struct fleet *fleet, struct server *server)
{
	struct redis_args args = {0};
	int64_t began = bench_now_ns();

	load(server, &script_register);
	load(server, &script_beat);
	for (size_t node = 0; node < fleet->nodes + WINDOW; node++) {
		if (node < fleet->nodes) {
			say_name(&args, node);
			server_append(server, &args);
			say_registration(&args, fleet, node);
			server_append(server, &args);
			say_beat(&args, fleet, node);
			server_append(server, &args);
		}
		for (int i = 0; i < 3 && node >= WINDOW && node - WINDOW < fleet->nodes; i++)
			must_say(server, "OK");
	}
	redis_args_free(&args);
	bench_say("registered %zu nodes with %zu models each in %.1f s", fleet->nodes,
		  fleet->models, bench_ms_since(began) / 1000);
}
