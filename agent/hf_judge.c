/* Tells complete, downloading and broken revisions apart. (pure) */
#include "agent/hf_judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

enum hf_verdict hf_judge(const struct hf_evidence *ev, char *why, size_t size)
{
	if (ev->downloading) {
		snprintf(why, size, "a download is under way");
		return HF_DOWNLOADING;
	}
	if (ev->quiet_ms < ev->settle_ms) {
		snprintf(why, size, "changed a moment ago");
		return HF_DOWNLOADING;
	}
	if (ev->odd != NULL)
		snprintf(why, size, "%s", ev->odd);
	else if (ev->missing != NULL)
		snprintf(why, size, "incomplete: %.60s is missing", ev->missing);
	else if (ev->empty != NULL)
		snprintf(why, size, "broken: %.60s is empty", ev->empty);
	else if (ev->files == 0)
		snprintf(why, size, "it has no files");
	else
		return HF_COMPLETE;
	return HF_BROKEN;
}

bool hf_judge_is_weight(const char *path)
{
	static const char *const ends[] = {".safetensors", ".gguf", ".bin",  ".pt",
					   ".pth",	   ".h5",   ".onnx", ".msgpack"};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (ends_with(path, ends[i]))
			return true;
	}
	return false;
}

bool hf_judge_is_index(const char *path)
{
	return ends_with(path, ".safetensors.index.json") || ends_with(path, ".bin.index.json");
}

/* The string that starts at `*p` (a quote), or NULL; `*p` then stands behind it. */
static const char *next_string(const char **p, const char *end, size_t *len)
{
	const char *start, *q;

	if (*p >= end || **p != '"')
		return NULL;
	start = *p + 1;
	for (q = start; q < end && *q != '"'; q++) {
		/* No file of weights needs an escape, and JSON allows no control character. */
		if (*q == '\\' || (unsigned char)*q < ' ')
			return NULL;
	}
	if (q >= end)
		return NULL;
	*p = q + 1;
	*len = (size_t)(q - start);
	return start;
}

static void skip(const char **p, const char *end, const char *set)
{
	while (*p < end && **p != '\0' && strchr(set, **p) != NULL)
		(*p)++;
}

void hf_judge_index(const char *text, size_t len, bool (*file)(const char *name, void *arg),
		    void *arg)
{
	static const char space[] = " \t\r\n";
	const char *end = text + len;
	const char *p = memmem(text, len, "\"weight_map\"", 12);
	char last[256] = "", name[256];

	if (p == NULL)
		return;
	p += 12;
	skip(&p, end, " \t\r\n:{");
	for (;;) {
		const char *start;
		size_t size;

		skip(&p, end, " \t\r\n,");
		if (next_string(&p, end, &size) == NULL)
			return; /* '}' or something that is not understood */
		skip(&p, end, space);
		if (p >= end || *p++ != ':')
			return;
		skip(&p, end, space);
		start = next_string(&p, end, &size);
		if (start == NULL || size >= sizeof(name))
			return;
		memcpy(name, start, size);
		name[size] = '\0';
		if (strcmp(name, last) == 0)
			continue;
		memcpy(last, name, size + 1);
		if (!file(name, arg))
			return;
	}
}

unsigned hf_judge_gguf_part(const char *path, unsigned part, char *buf, size_t size)
{
	size_t len = strlen(path);
	const char *tail; /* "-00002-of-00005.gguf" */
	unsigned parts;

	if (len < 20)
		return 0;
	tail = path + len - 20;
	if (tail[0] != '-' || strspn(tail + 1, "0123456789") != 5 ||
	    strncmp(tail + 6, "-of-", 4) != 0 || strspn(tail + 10, "0123456789") != 5 ||
	    strcmp(tail + 15, ".gguf") != 0)
		return 0;
	parts = (unsigned)strtoul(tail + 10, NULL, 10);
	snprintf(buf, size, "%.*s-%05u-of-%05u.gguf", (int)(len - 20), path, part, parts);
	return parts;
}
