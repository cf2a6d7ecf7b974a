/* The grammar of model names. (pure) */
#include "common/model_name.h"

#include <stdio.h>
#include <string.h>

static const char *const layouts[] = {
	"hf", "hf.d",	"hf.s", "hf.k",	  "hfdir", "nim", "ngc",    "gcs", "s3",
	"ms", "ollama", "gguf", "triton", "trt",   "git", "kserve", "dir",
};

static const char hex_digits[] = "0123456789ABCDEF";

static bool is_alnum(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* The bytes that stand for themselves inside a segment of a name. */
static bool is_plain(unsigned char c)
{
	return is_alnum(c) || (c != '\0' && strchr("._-:=~+", c) != NULL);
}

static bool is_revision_char(unsigned char c)
{
	return is_alnum(c) || (c != '\0' && strchr("._-+=", c) != NULL);
}

static int hex_value(char c)
{
	const char *at = c != '\0' ? strchr(hex_digits, c) : NULL;

	return at != NULL ? (int)(at - hex_digits) : -1;
}

static bool is_dots(const char *seg, size_t len)
{
	return (len == 1 && seg[0] == '.') || (len == 2 && seg[0] == '.' && seg[1] == '.');
}

/* A segment is not empty, not "." or "..", and escapes exactly the bytes that need it. */
static bool segment_valid(const char *seg, size_t len)
{
	if (len == 0 || is_dots(seg, len))
		return false;
	for (size_t i = 0; i < len; i++) {
		int high, low, byte;

		if (is_plain((unsigned char)seg[i]))
			continue;
		if (seg[i] != '%' || len - i < 3)
			return false;
		high = hex_value(seg[i + 1]);
		low = hex_value(seg[i + 2]);
		if (high < 0 || low < 0)
			return false;
		byte = high * 16 + low;
		if (byte == 0 || byte == '/' || is_plain((unsigned char)byte))
			return false;
		i += 2;
	}
	return true;
}

static bool name_valid(const char *name, size_t len)
{
	size_t start = 0;

	for (size_t i = 0; i <= len; i++) {
		if (i < len && name[i] != '/')
			continue;
		if (!segment_valid(name + start, i - start))
			return false;
		start = i + 1;
	}
	/* "~" leads a digest, and nothing else. */
	if (name[0] != '~')
		return true;
	return len == 41 && strspn(name + 1, "0123456789abcdef") >= 40;
}

static bool revision_valid(const char *revision, size_t len)
{
	if (len == 0 || len > MODEL_REVISION_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!is_revision_char((unsigned char)revision[i]))
			return false;
	}
	return true;
}

static bool root_valid(const char *root, size_t len)
{
	if (len == 0 || len > MODEL_ROOT_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = root[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
			return false;
	}
	return true;
}

static bool layout_known(const char *layout, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		if (strlen(layouts[i]) == len && memcmp(layouts[i], layout, len) == 0)
			return true;
	}
	return false;
}

bool model_name_root_valid(const char *root)
{
	return root_valid(root, strlen(root));
}

bool model_name_node_valid(const char *node)
{
	size_t len = strlen(node);

	if (len == 0 || len > NODE_NAME_MAX || is_dots(node, len))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!is_alnum((unsigned char)node[i]) && strchr("._-", node[i]) == NULL)
			return false;
	}
	return true;
}

static void split(const char *text, size_t len, struct model_name *out)
{
	const char *colon = memchr(text, ':', len);
	const char *at = memrchr(text, '@', len);
	const char *plus;

	memset(out, 0, sizeof(*out));
	if (colon == NULL || at == NULL || at < colon)
		return;
	plus = memchr(text, '+', (size_t)(colon - text));
	out->layout = text;
	out->layout_len = (size_t)((plus != NULL ? plus : colon) - text);
	if (plus != NULL) {
		out->root = plus + 1;
		out->root_len = (size_t)(colon - plus - 1);
	}
	out->name = colon + 1;
	out->name_len = (size_t)(at - colon - 1);
	out->revision = at + 1;
	out->revision_len = (size_t)(text + len - at - 1);
}

int model_name_parse(const char *text, struct model_name *out, struct err *err)
{
	size_t len = strnlen(text, MODEL_NAME_MAX + 1);
	const char *why = NULL;

	if (len > MODEL_NAME_MAX)
		return err_set(err, "model name is longer than %d bytes", MODEL_NAME_MAX);
	split(text, len, out);
	if (out->layout == NULL)
		why = "expected layout:name@revision";
	else if (!layout_known(out->layout, out->layout_len))
		why = "unknown layout";
	else if (out->root != NULL && !root_valid(out->root, out->root_len))
		why = "a root is 1 to 16 of a-z, 0-9 and '-'";
	else if (out->root_len == strlen(MODEL_ROOT_DEFAULT) &&
		 memcmp(out->root, MODEL_ROOT_DEFAULT, out->root_len) == 0)
		why = "root \"default\" is left out";
	else if (!name_valid(out->name, out->name_len))
		why = "not a canonical name";
	else if (!revision_valid(out->revision, out->revision_len))
		why = "a revision is 1 to 64 of A-Z, a-z, 0-9 and ._-+=";
	if (why != NULL)
		return err_set(err, "bad model name (%s)", why);
	return 0;
}

bool model_name_valid(const char *text)
{
	struct model_name ignored;

	return model_name_parse(text, &ignored, NULL) == 0;
}

static int finish(char *buf, const char *layout, const char *root, const char *name,
		  const char *revision)
{
	bool with_root = strcmp(root, MODEL_ROOT_DEFAULT) != 0;
	int len = snprintf(buf, MODEL_NAME_SIZE, "%s%s%s:%s@%s", layout, with_root ? "+" : "",
			   with_root ? root : "", name, revision);

	return len > 0 && len <= MODEL_NAME_MAX && model_name_valid(buf) ? 0 : -1;
}

int model_name_build(char *buf, const char *layout, const char *root, const char *raw,
		     const char *revision)
{
	char name[MODEL_NAME_SIZE];
	size_t used = 0;

	if (raw[0] == '~')
		return -1;
	for (const unsigned char *p = (const unsigned char *)raw; *p != '\0'; p++) {
		if (used + 3 >= sizeof(name))
			return -1;
		if (is_plain(*p) || *p == '/') {
			name[used++] = (char)*p;
			continue;
		}
		name[used++] = '%';
		name[used++] = hex_digits[*p >> 4];
		name[used++] = hex_digits[*p & 15];
	}
	name[used] = '\0';
	return finish(buf, layout, root, name, revision);
}

int model_name_build_digest(char *buf, const char *layout, const char *root, const char *hex40,
			    const char *revision)
{
	char name[42];

	snprintf(name, sizeof(name), "~%.40s", hex40);
	return finish(buf, layout, root, name, revision);
}

void model_name_identity(char *buf, const char *text)
{
	struct model_name parts = {0};

	if (model_name_parse(text, &parts, NULL) != 0) {
		buf[0] = '\0';
		return;
	}
	snprintf(buf, MODEL_NAME_SIZE, "%.*s%s", (int)parts.layout_len, parts.layout,
		 parts.name - 1);
}

void model_name_root(char *buf, const char *text)
{
	struct model_name parts = {0};

	if (model_name_parse(text, &parts, NULL) != 0 || parts.root == NULL)
		snprintf(buf, MODEL_ROOT_MAX + 1, "%s", MODEL_ROOT_DEFAULT);
	else
		snprintf(buf, MODEL_ROOT_MAX + 1, "%.*s", (int)parts.root_len, parts.root);
}
