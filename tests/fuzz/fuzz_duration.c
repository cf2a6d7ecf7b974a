/* Durations: what is accepted is not negative, and formatted it reads back as the same time. */
#include <stdlib.h>
#include <string.h>

#include "common/duration.h"
#include "tests/fuzz/fuzz.h"

#define NANOS_PER_MS 1000000
#define DAY_MS	     86400000
#define DAYS_MAX     7304484 /* of unit_facts in common/duration.c */

static void check_ms(struct duration d)
{
	int64_t ms = duration_ms(d);

	REQUIRE(ms >= 0);
	REQUIRE((ms == 0) == (d.seconds == 0 && d.nanos == 0));
	if (ms == INT64_MAX)
		return;
	/* Rounded up, by less than one. */
	REQUIRE(ms / 1000 == d.seconds || (ms / 1000 == d.seconds + 1 && ms % 1000 == 0));
	REQUIRE(ms - d.seconds * 1000 == (d.nanos + NANOS_PER_MS - 1) / NANOS_PER_MS);
}

static void check_format(int64_t ms)
{
	char buf[DURATION_TEXT_SIZE];
	const char *text = duration_format(ms, buf);
	struct duration again;

	REQUIRE(strlen(text) < sizeof(buf));
	/* Hours and minutes can add up to more days than may be written; no setting is that long.
	 */
	if (ms / DAY_MS > DAYS_MAX)
		return;
	REQUIRE(duration_parse(text, &again, NULL) == 0);
	REQUIRE(duration_ms(again) == ms);
}

/* The text with `before` in front of it and `after` behind it. */
static bool accepted(const char *before, const char *text, const char *after, struct duration *out)
{
	size_t size = strlen(before) + strlen(text) + strlen(after) + 1;
	char *whole = calloc(1, size);
	bool good;

	if (whole == NULL)
		abort();
	strcat(strcat(strcpy(whole, before), text), after); /* NOLINT: it is that long */
	good = duration_parse(whole, out, NULL) == 0;
	free(whole);
	return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct duration d, other;
	struct err err = {""};

	if (duration_parse(text, &d, &err) != 0) {
		REQUIRE(err.text[0] != '\0');
	} else {
		bool iso = strpbrk(text, "Pp") == text + strspn(text, "+-");

		REQUIRE(d.seconds >= 0 && d.nanos >= 0 && d.nanos < 1000000000);
		REQUIRE(strspn(text, "0123456789") != strlen(text));
		REQUIRE(text[0] != '-' || (d.seconds == 0 && d.nanos == 0));
		check_ms(d);
		check_format(duration_ms(d));
		/* A sign in front of an unsigned one: plus changes nothing, minus is refused. */
		if (text[0] != '+' && text[0] != '-' && strstr(text, "ago") == NULL) {
			REQUIRE(accepted("+", text, "", &other));
			REQUIRE(other.seconds == d.seconds && other.nanos == d.nanos);
			REQUIRE(accepted("-", text, "", &other) ==
				(d.seconds == 0 && d.nanos == 0));
		}
		/* White space: behind friendly ones only, never in front. */
		REQUIRE(accepted("", text, " ", &other) == !iso);
		REQUIRE(!accepted(" ", text, "", &other));
	}
	free(text);
	return 0;
}
