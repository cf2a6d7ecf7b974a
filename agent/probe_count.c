/* An engine's counters. (pure) */
#include "agent/probe_count.h"

/* An engine's process start is rounded differently from time to time. */
#define SAME_START_S 2.0
/* Beyond any clock; a double that large is no longer a number of ms. */
#define WALL_MAX_S 1e11

static void used(struct probe_count *count, struct mono at)
{
	if (!count->known || at.ms > count->last.ms) {
		count->known = true;
		count->last = at;
	}
}

/* A time by a wall clock, which may be wrong: never in the future. */
static struct mono wall_to_mono(int64_t at_ms, struct mono now, int64_t wall_ms)
{
	int64_t age = at_ms < wall_ms ? wall_ms - at_ms : 0;

	return (struct mono){now.ms - age};
}

static bool restarted(const struct probe_count *count, const struct engine_view *view)
{
	double moved = view->process_start_s - count->process_start_s;

	if (count->process_start_s != 0 && view->process_start_s != 0 &&
	    (moved > SAME_START_S || moved < -SAME_START_S))
		return true;
	return count->counted && view->work < count->work;
}

static void take_work(struct probe_count *count, const struct engine_view *view, struct mono now,
		      int64_t wall_ms)
{
	if (restarted(count, view)) {
		count->restarts++;
		if (view->work > 0)
			used(count, now);
	} else if (count->counted) {
		if (view->work > count->work)
			used(count, now);
	} else if (view->work > 0 && view->process_start_s > 0 &&
		   view->process_start_s < WALL_MAX_S) {
		/* Some time since its start. */
		used(count, wall_to_mono((int64_t)(view->process_start_s * 1000), now, wall_ms));
	}
	count->counted = true;
	count->work = view->work;
	if (view->process_start_s != 0)
		count->process_start_s = view->process_start_s;
}

void probe_count_take(struct probe_count *count, const struct engine_view *view, struct mono now,
		      int64_t wall_ms)
{
	if (view->counted)
		take_work(count, view, now, wall_ms);
	if (view->running > 0)
		used(count, now);
	if (view->last_use_wall_ms > 0)
		used(count, wall_to_mono(view->last_use_wall_ms, now, wall_ms));
}
