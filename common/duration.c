/*
 * Parses and prints durations. (pure)
 *
 *   friendly:  [+|-] item {sep item} [sep h:m:s] [" ago"]      item = number unit
 *   ISO 8601:  [+|-] P [nW] [nD] [T [nH] [nM] [nS]]
 *
 * Units go from large to small, each at most once; only the last item may have a fraction.
 */
#include "common/duration.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NANOS_PER_S INT64_C(1000000000)

enum unit { UNIT_WEEK, UNIT_DAY, UNIT_HOUR, UNIT_MINUTE, UNIT_SECOND, UNIT_MS, UNIT_US, UNIT_NS };

/* Largest counts that a jiff 0.2 span can hold (src/util/t.rs), about 20,000 years each. */
static const struct {
	int64_t nanos;
	int64_t max;
	bool fraction;
} unit_facts[] = {
	[UNIT_WEEK] = {7 * 86400 * NANOS_PER_S, 1043497, false},
	[UNIT_DAY] = {86400 * NANOS_PER_S, 7304484, false},
	[UNIT_HOUR] = {3600 * NANOS_PER_S, 175307616, true},
	[UNIT_MINUTE] = {60 * NANOS_PER_S, INT64_C(10518456960), true},
	[UNIT_SECOND] = {NANOS_PER_S, INT64_C(631107417600), true},
	[UNIT_MS] = {1000000, INT64_C(631107417600000), true},
	[UNIT_US] = {1000, INT64_C(631107417600000000), true},
	[UNIT_NS] = {1, INT64_MAX, false},
};

/* Longest spelling first, so that the first match is the longest. */
static const struct {
	const char *text;
	int unit;
} unit_names[] = {
	{"microseconds", UNIT_US}, {"milliseconds", UNIT_MS}, {"microsecond", UNIT_US},
	{"millisecond", UNIT_MS},  {"nanoseconds", UNIT_NS},  {"nanosecond", UNIT_NS},
	{"minutes", UNIT_MINUTE},  {"seconds", UNIT_SECOND},  {"\xc2\xb5secs", UNIT_US},
	{"minute", UNIT_MINUTE},   {"second", UNIT_SECOND},   {"micros", UNIT_US},
	{"millis", UNIT_MS},	   {"\xc2\xb5sec", UNIT_US},  {"hours", UNIT_HOUR},
	{"micro", UNIT_US},	   {"milli", UNIT_MS},	      {"msecs", UNIT_MS},
	{"nanos", UNIT_NS},	   {"nsecs", UNIT_NS},	      {"usecs", UNIT_US},
	{"weeks", UNIT_WEEK},	   {"days", UNIT_DAY},	      {"hour", UNIT_HOUR},
	{"mins", UNIT_MINUTE},	   {"msec", UNIT_MS},	      {"nano", UNIT_NS},
	{"nsec", UNIT_NS},	   {"secs", UNIT_SECOND},     {"usec", UNIT_US},
	{"week", UNIT_WEEK},	   {"\xc2\xb5s", UNIT_US},    {"day", UNIT_DAY},
	{"hrs", UNIT_HOUR},	   {"min", UNIT_MINUTE},      {"sec", UNIT_SECOND},
	{"wks", UNIT_WEEK},	   {"hr", UNIT_HOUR},	      {"ms", UNIT_MS},
	{"ns", UNIT_NS},	   {"us", UNIT_US},	      {"wk", UNIT_WEEK},
	{"d", UNIT_DAY},	   {"h", UNIT_HOUR},	      {"m", UNIT_MINUTE},
	{"s", UNIT_SECOND},	   {"w", UNIT_WEEK},
};

/* These parse in jiff and then fail: without a date a month has no length. */
static const char *const calendar_names[] = {"months", "month", "years", "year", "mos",
					     "yrs",    "mo",	"yr",	 "y"};

struct parser {
	const char *p;
	__int128 nanos;
	int last_unit; /* units must come in rising order of the enum */
	bool had_fraction;
	const char *why;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static bool fail(struct parser *ps, const char *why)
{
	ps->why = why;
	return false;
}

static bool parse_digits(struct parser *ps, int64_t *value)
{
	int64_t v = 0;

	if (!is_digit(*ps->p))
		return fail(ps, "a number is missing");
	for (; is_digit(*ps->p); ps->p++) {
		if (v > (INT64_MAX - (*ps->p - '0')) / 10)
			return fail(ps, "a number is too large");
		v = v * 10 + (*ps->p - '0');
	}
	*value = v;
	return true;
}

/* Reads ".5" or ",5" into billionths. A separator that no digit follows is left alone. */
static bool parse_fraction(struct parser *ps, int64_t *billionths, bool *present)
{
	int digits = 0;
	int64_t v = 0;

	*present = false;
	*billionths = 0;
	if ((*ps->p != '.' && *ps->p != ',') || !is_digit(ps->p[1]))
		return true;
	for (ps->p++; is_digit(*ps->p); ps->p++) {
		if (++digits > 9)
			return fail(ps, "a fraction has more than 9 digits");
		v = v * 10 + (*ps->p - '0');
	}
	for (; digits < 9; digits++)
		v *= 10;
	*billionths = v;
	*present = true;
	return true;
}

static bool add_unit(struct parser *ps, int unit, int64_t value, int64_t billionths, bool fraction)
{
	if (unit <= ps->last_unit)
		return fail(ps, "units go from large to small, each at most once");
	if (ps->had_fraction)
		return fail(ps, "only the last number may have a fraction");
	if (fraction && !unit_facts[unit].fraction)
		return fail(ps, "this unit takes no fraction");
	if (value > unit_facts[unit].max)
		return fail(ps, "a number is too large");
	ps->last_unit = unit;
	ps->had_fraction = fraction;
	ps->nanos += (__int128)value * unit_facts[unit].nanos;
	ps->nanos += (__int128)billionths * unit_facts[unit].nanos / NANOS_PER_S;
	return true;
}

static bool parse_unit(struct parser *ps, int *unit)
{
	for (size_t i = 0; i < ARRAY_SIZE(calendar_names); i++) {
		if (strncmp(ps->p, calendar_names[i], strlen(calendar_names[i])) == 0)
			return fail(ps, "years and months have no fixed length");
	}
	for (size_t i = 0; i < ARRAY_SIZE(unit_names); i++) {
		size_t len = strlen(unit_names[i].text);

		if (strncmp(ps->p, unit_names[i].text, len) == 0) {
			ps->p += len;
			*unit = unit_names[i].unit;
			return true;
		}
	}
	return fail(ps, "a unit is missing or unknown");
}

/* The rest of "h:m:s" after its hours; the minutes and seconds may exceed 59, as in jiff. */
static bool parse_clock(struct parser *ps, int64_t hours)
{
	int64_t minutes, seconds, billionths;
	bool fraction;

	if (ps->last_unit >= UNIT_HOUR)
		return fail(ps, "h:m:s may only follow weeks and days");
	ps->p++;
	if (!parse_digits(ps, &minutes))
		return false;
	if (*ps->p++ != ':')
		return fail(ps, "h:m:s needs its seconds");
	if (!parse_digits(ps, &seconds) || !parse_fraction(ps, &billionths, &fraction))
		return false;
	return add_unit(ps, UNIT_HOUR, hours, 0, false) &&
	       add_unit(ps, UNIT_MINUTE, minutes, 0, false) &&
	       add_unit(ps, UNIT_SECOND, seconds, billionths, fraction);
}

/* One "number unit" or one "h:m:s"; `*clock` says which. */
static bool parse_item(struct parser *ps, bool *clock)
{
	int64_t value, billionths;
	bool fraction;
	int unit;

	if (!parse_digits(ps, &value))
		return false;
	*clock = *ps->p == ':';
	if (*clock)
		return parse_clock(ps, value);
	if (!parse_fraction(ps, &billionths, &fraction))
		return false;
	while (is_space(*ps->p))
		ps->p++;
	return parse_unit(ps, &unit) && add_unit(ps, unit, value, billionths, fraction);
}

/* Everything after the sign; `*ago` tells whether " ago" ended it. */
static bool parse_friendly(struct parser *ps, bool *ago)
{
	bool clock;

	*ago = false;
	for (;;) {
		bool comma, space = false;

		if (!parse_item(ps, &clock))
			return false;
		comma = !clock && *ps->p == ',';
		if (comma && !is_space(ps->p[1]))
			return fail(ps, "a comma must be followed by a space");
		ps->p += comma;
		for (; is_space(*ps->p); ps->p++)
			space = true;
		if (space && !comma && strncmp(ps->p, "ago", 3) == 0) {
			ps->p += 3;
			*ago = true;
			while (is_space(*ps->p))
				ps->p++;
		}
		if (*ps->p == '\0' && !comma)
			return true;
		if (*ago || clock)
			return fail(ps, "something follows the end");
	}
}

static bool parse_iso(struct parser *ps)
{
	static const char letters[] = "WDHMS";
	bool time = false, any = false;

	for (ps->p++; *ps->p != '\0';) {
		int64_t value, billionths;
		const char *letter;
		bool fraction;
		char c;

		if ((*ps->p == 'T' || *ps->p == 't') && !time) {
			time = true;
			ps->p++;
		}
		if (!parse_digits(ps, &value) || !parse_fraction(ps, &billionths, &fraction))
			return false;
		c = *ps->p >= 'a' && *ps->p <= 'z' ? (char)(*ps->p - 'a' + 'A') : *ps->p;
		letter = c != '\0' ? strchr(letters, c) : NULL;
		if (!time && (c == 'Y' || c == 'M'))
			return fail(ps, "years and months have no fixed length");
		if (letter == NULL || (letter - letters >= 2) != time)
			return fail(ps, "a unit is missing or unknown");
		if (!add_unit(ps, (int)(letter - letters), value, billionths, fraction))
			return false;
		ps->p++;
		any = true;
	}
	return any ? true : fail(ps, "a number is missing");
}

int duration_parse(const char *text, struct duration *out, struct err *err)
{
	struct parser ps = {.p = text, .last_unit = -1};
	bool sign = *text == '+' || *text == '-';
	bool negative = *text == '-';
	bool ago = false, ok;

	ps.p += sign;
	if (*ps.p == 'P' || *ps.p == 'p')
		ok = parse_iso(&ps);
	else
		ok = parse_friendly(&ps, &ago);
	if (ok && sign && ago)
		ok = fail(&ps, "a sign and \"ago\" exclude each other");
	if (ok && (negative || ago) && ps.nanos != 0)
		ok = fail(&ps, "it is negative");
	if (!ok)
		return err_set(err,
			       "\"%.100s\" is not a duration (%s); allowed is text like '2h', "
			       "'30m', '45s', '7d', '2h30m' or a whole number of seconds",
			       text, ps.why);
	out->seconds = (int64_t)(ps.nanos / NANOS_PER_S);
	out->nanos = (int32_t)(ps.nanos % NANOS_PER_S);
	return 0;
}

int64_t duration_ms(struct duration d)
{
	if (d.seconds > INT64_MAX / 1000 - 1)
		return INT64_MAX;
	return d.seconds * 1000 + (d.nanos + 999999) / 1000000;
}

const char *duration_format(int64_t ms, char *buf)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} parts[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
	size_t used = 0;

	if (ms <= 0)
		return "0s";
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (ms < parts[i].ms)
			continue;
		used += (size_t)snprintf(buf + used, DURATION_TEXT_SIZE - used, "%" PRId64 "%s",
					 ms / parts[i].ms, parts[i].unit);
		ms %= parts[i].ms;
	}
	return buf;
}
