/* A made-up cluster. */
#include "tests/bench/fleet.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/attributes.h"
#include "tests/bench/bench.h"

#define NAME_MIN  44
#define NAME_MAX_ 67

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

int64_t fleet_bytes(size_t node, size_t model)
{
	return INT64_C(4096) * (1000000 + (int64_t)(chance(node, model, 3) % 34000000));
}

uint64_t fleet_generation(size_t node, size_t model)
{
	return chance(node, model, 4) >> 32;
}
