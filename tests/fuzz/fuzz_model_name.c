/*
 * Names of models: one model has one spelling. What is accepted is put together from its parts
 * again, and unescaped and built anew it is the same text; what is built from any bytes is
 * accepted, and unescapes to these bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/glob.h"
#include "common/model_name.h"
#include "tests/fuzz/fuzz.h"

/* The bytes that an accepted name stands for. */
static void unescape(char *buf, const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (name[i] == '%') {
			char digits[3] = {name[i + 1], name[i + 2], '\0'};

			*buf++ = (char)strtoul(digits, NULL, 16);
			i += 2;
		} else {
			*buf++ = name[i];
		}
	}
	*buf = '\0';
}

/* No accepted name could be taken for a way out of a folder, a glob, or two words. */
static void check_harmless(const char *text, const struct model_name *parts)
{
	REQUIRE(strpbrk(text, " *?[]{}\\\"'\t\r\n") == NULL);
	for (const char *p = text; *p != '\0'; p++)
		REQUIRE(*p > ' ' && *p < 0x7f);
	REQUIRE(parts->name[0] != '/' && parts->name[parts->name_len - 1] != '/');
	REQUIRE(strstr(text, "/../") == NULL && strstr(text, "/./") == NULL);
	REQUIRE(strncmp(parts->name, "../", 3) != 0 && strstr(text, "/..@") == NULL);
	REQUIRE(strstr(text, "//") == NULL);
}

static void check_identity(const char *text, const struct model_name *parts)
{
	char identity[MODEL_NAME_SIZE], root[MODEL_ROOT_MAX + 1], again[MODEL_NAME_SIZE];
	struct model_name other;

	model_name_identity(identity, text);
	REQUIRE(model_name_parse(identity, &other, NULL) == 0);
	REQUIRE(other.root == NULL);
	model_name_root(root, text);
	REQUIRE(model_name_root_valid(root));
	REQUIRE((strcmp(root, MODEL_ROOT_DEFAULT) == 0) == (parts->root == NULL));
	snprintf(again, sizeof(again), "%.*s%s%s%s", (int)other.layout_len, other.layout,
		 parts->root != NULL ? "+" : "", parts->root != NULL ? root : "", other.name - 1);
	REQUIRE(strcmp(again, text) == 0);
}

static void check_rebuilt(const char *text, const struct model_name *parts)
{
	char layout[MODEL_NAME_SIZE], root[MODEL_ROOT_MAX + 1], raw[MODEL_NAME_SIZE];
	char revision[MODEL_NAME_SIZE], again[MODEL_NAME_SIZE];
	int rc;

	snprintf(layout, sizeof(layout), "%.*s", (int)parts->layout_len, parts->layout);
	snprintf(revision, sizeof(revision), "%.*s", (int)parts->revision_len, parts->revision);
	model_name_root(root, text);
	unescape(raw, parts->name, parts->name_len);
	if (raw[0] == '~')
		rc = model_name_build_digest(again, layout, root, raw + 1, revision);
	else
		rc = model_name_build(again, layout, root, raw, revision);
	REQUIRE(rc == 0 && strcmp(again, text) == 0);
}

static void check_built(const char *raw)
{
	char built[MODEL_NAME_SIZE], back[MODEL_NAME_SIZE];
	struct model_name parts;

	if (model_name_build(built, "hf", "nvme", raw, "0e9e39f249a1") != 0)
		return;
	REQUIRE(model_name_parse(built, &parts, NULL) == 0);
	check_harmless(built, &parts);
	unescape(back, parts.name, parts.name_len);
	REQUIRE(strcmp(back, raw) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct model_name parts;
	struct err err = {""};

	if (model_name_parse(text, &parts, &err) != 0) {
		REQUIRE(err.text[0] != '\0');
		REQUIRE(!model_name_valid(text));
	} else {
		REQUIRE(strlen(text) <= MODEL_NAME_MAX);
		check_harmless(text, &parts);
		check_identity(text, &parts);
		check_rebuilt(text, &parts);
	}
	check_built(text);
	if (model_name_node_valid(text))
		REQUIRE(strpbrk(text, "/:{}*? ") == NULL && strlen(text) <= NODE_NAME_MAX);
	free(text);
	return 0;
}
