/* Bytes, durations, times and foreign text for a terminal. */
#include "cli/human.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "common/timefmt.h"
#include "common/xmem.h"

const char *human_bytes(int64_t bytes, char *buf)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 0)
		return "";
	if (bytes < 1024) {
		snprintf(buf, HUMAN_SIZE, "%" PRId64 " B", bytes);
		return buf;
	}
	/* What would be rounded up to 1024.0 belongs to the next unit. */
	for (; value >= 1023.95 && unit + 1 < ARRAY_SIZE(units); unit++)
		value /= 1024;
	snprintf(buf, HUMAN_SIZE, "%.1f %s", value, units[unit]);
	return buf;
}

const char *human_duration(int64_t ms, char *buf)
{
	/* Below this size of the whole, the part after it is not worth a look. */
	static const struct {
		int64_t from_ms, part_ms;
	} steps[] = {{86400000, 3600000}, {3600000, 60000}, {1000, 1000}};

	if (ms < 0)
		return "";
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (ms >= steps[i].from_ms)
			return duration_format(ms - ms % steps[i].part_ms, buf);
	}
	return duration_format(ms, buf);
}

const char *human_time(int64_t ms, char *buf)
{
	char text[TIMEFMT_SIZE];

	if (ms <= 0)
		return "";
	timefmt_rfc3339(ms, text);
	snprintf(buf, HUMAN_SIZE, "%.*sZ", (int)strcspn(text, ".Z"), text);
	return buf;
}

char *human_text(const char *text, size_t *columns)
{
	size_t left = strlen(text), used = 0, width = 0;
	/* Each byte becomes at most four. */
	char *out = xmalloc(left * 4 + 1);
	mbstate_t state = {0};

	while (left > 0) {
		wchar_t c = 0;
		size_t len = mbrtowc(&c, text, left, &state);
		int room = len <= left ? wcwidth(c) : 0;

		if (room > 0) {
			memcpy(out + used, text, len);
			used += len;
			width += (size_t)room;
		} else {
			/* A broken sequence may begin with a byte that is none of it. */
			if (len > left) {
				memset(&state, 0, sizeof(state));
				len = 1;
			}
			for (size_t i = 0; i < len; i++, used += 4, width += 4)
				snprintf(out + used, 5, "\\x%02x", (unsigned char)text[i]);
		}
		text += len;
		left -= len;
	}
	out[used] = '\0';
	if (columns != NULL)
		*columns = width;
	return out;
}
