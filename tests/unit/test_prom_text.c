/* Prometheus' text format. */
#include "agent/prom_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/xmem.h"
#include "tests/unit/kit.h"

/* Samples as "name{labels}=value;", whatever the pieces that the text comes in. */
struct taken {
	char text[4096];
	size_t len;
};

static void take(const struct prom_sample *sample, void *arg)
{
	struct taken *taken = arg;

	taken->len += (size_t)snprintf(taken->text + taken->len, sizeof(taken->text) - taken->len,
				       "%s{%s}=%g;", sample->name, sample->labels, sample->value);
}

static void read_in_pieces(const char *text, size_t len, size_t piece, struct taken *taken)
{
	struct prom_reader *reader = xcalloc(1, sizeof(*reader));

	*taken = (struct taken){0};
	for (size_t at = 0; at < len; at += piece) {
		size_t part = len - at < piece ? len - at : piece;
		char *copy = xmalloc(part);

		memcpy(copy, text + at, part);
		prom_read(reader, copy, part, take, taken);
		free(copy);
	}
	prom_end(reader, take, taken);
	free(reader);
}

static void test_samples(void **state)
{
	static const struct {
		const char *text, *taken;
	} cases[] = {
		{"", ""},
		{"\n\n", ""},
		{"# HELP a b\n# TYPE a counter\na 1\n", "a{}=1;"},
		{"a 1", "a{}=1;"},
		{"a 1\r\nb 2\r\n", "a{}=1;b{}=2;"},
		{"  a\t1.5e3 1395066363000\n", "a{}=1500;"},
		{"a{x=\"1\",y=\"2\"} -3\n", "a{x=\"1\",y=\"2\"}=-3;"},
		{"a{x=\"}\"} 3\n", "a{x=\"}\"}=3;"},
		{"a{x=\"\\\"}\\\\\"} 4\n", "a{x=\"\\\"}\\\\\"}=4;"},
		{"a{} 5\n", "a{}=5;"},
		{"a{x=\"1\"}6\n", "a{x=\"1\"}=6;"},
		/* Not a number, or none that can be added up. */
		{"a NaN\na +Inf\na -Inf\na\na \na x\na 1x\n{x=\"1\"} 2\n", ""},
		{"a{x=\"1\" 2\na{x=\"1} 2\nb 7\n", "b{}=7;"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (size_t piece = 1; piece < 8; piece++) {
			struct taken taken;

			read_in_pieces(cases[i].text, strlen(cases[i].text), piece, &taken);
			assert_string_equal(taken.text, cases[i].taken);
		}
	}
}

/* A line that is too long is passed over, and nothing behind it. */
static void test_long_line(void **state)
{
	size_t len = 3 * PROM_LINE_MAX;
	char *text = xcalloc(len + 16, 1);
	struct taken taken;

	(void)state;
	memset(text, 'l', len);
	snprintf(text + len, 16, " 1\nb 2\n");
	for (size_t piece = 1000; piece < 5000; piece += 999) {
		read_in_pieces(text, strlen(text), piece, &taken);
		assert_string_equal(taken.text, "b{}=2;");
	}
	/* The longest that is read. */
	memset(text, ' ', PROM_LINE_MAX);
	snprintf(text + PROM_LINE_MAX - 3, 16, "c 3\nd 4");
	read_in_pieces(text, strlen(text), 4096, &taken);
	assert_string_equal(taken.text, "c{}=3;d{}=4;");
	memmove(text + 1, text, strlen(text) + 1);
	read_in_pieces(text, strlen(text), 4096, &taken);
	assert_string_equal(taken.text, "d{}=4;");
	free(text);
}

static void test_labels(void **state)
{
	static const struct {
		const char *labels, *label, *value; /* NULL: not there */
	} cases[] = {
		{"", "a", NULL},
		{"a=\"1\"", "a", "1"},
		{"a=\"1\",b=\"2\"", "b", "2"},
		{"a=\"1\", b=\"2\"", "b", "2"},
		{"ab=\"1\",b=\"2\"", "b", "2"},
		{"a=\"b=\\\"2\\\"\",b=\"3\"", "b", "3"},
		{"a=\"x\\ny\\\\z\"", "a", "x\ny\\z"},
		{"a=\"\"", "a", ""},
		{"a=\"1\"", "b", NULL},
		{"a=1", "a", NULL},
		{"a=\"1", "a", NULL},
		{"a", "a", NULL},
		{"a=\"1\\", "a", NULL},
		{"a=\"0123456789abcdef\"", "a", ""}, /* does not fit */
		{"a=\"0123456789abcde\"", "a", "0123456789abcde"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct prom_sample sample = {.name = "x", .labels = cases[i].labels};
		char buf[16] = "before";

		assert_int_equal(prom_label(&sample, cases[i].label, buf, sizeof(buf)),
				 cases[i].value != NULL);
		assert_string_equal(buf, cases[i].value != NULL ? cases[i].value : "");
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_labels),
	};

	return RUN_TESTS(tests);
}
