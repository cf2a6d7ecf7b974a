/*
 * May this command be executed? The agent's veto (pure): yes, or the reason why not. What only the
 * disk can tell (open files, a download, other files than before) is asked afterwards, under way.
 */
#ifndef LARDER_GUARD_H
#define LARDER_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/layout.h"
#include "agent/use.h"
#include "common/command.h"

struct guard_facts {
	/* of the command */
	const struct command *command;
	int64_t redis_now_ms;  /* what Redis' clock says now, as well as the agent knows; 0: unknown
				*/
	int64_t highest_epoch; /* that this agent has ever seen */

	/* of the model, from the agent's own inventory; NULL: it has none of that name */
	const struct guard_model *model;

	/* of the agent's view */
	bool pins_known; /* the pins were read after the command was issued */
	bool pinned;
	int64_t min_age_ms;	  /* of the policy; 0: none */
	const char *root_refuses; /* why nothing is deleted in this root, or NULL */
	const char *sources_wait; /* what is in use is not known yet: why, or NULL */
	const char *node_objects; /* why nothing is deleted automatically on this node, or NULL */
	const char *holds_lost;	  /* why a hold may be missing, or NULL; the same then */
};

struct guard_model {
	enum model_status status;
	const char *generation; /* as it was reported to Redis */
	const struct use *use;
	int64_t age_ms;	      /* since its newest file, or since it was last used; the lesser */
	int64_t hold_left_ms; /* for how long it is still held; 0: not held */
	const char *hold_who; /* by whom; NULL: not held */
	bool removing;	      /* already under way */
	bool unseen;	      /* nobody would have seen that it is opened */
};

enum guard_answer {
	GUARD_GO,     /* execute it */
	GUARD_WAIT,   /* not now: something is not known yet, or it is under way already */
	GUARD_GONE,   /* there is no such model */
	GUARD_REFUSE, /* and say so */
};

/* `why` (at least 96 bytes) gets the reason of WAIT and REFUSE, beginning with one stable word. */
enum guard_answer guard_judge(const struct guard_facts *facts, char *why, size_t size);

#endif
