/* A command of larderctl, and what all of them use. */
#ifndef LARDER_CLI_CMD_H
#define LARDER_CLI_CMD_H

#include "cli/client.h"
#include "common/setting.h"

struct table;

struct cli {
	struct client client;
	bool json; /* print the API's JSON instead of tables */
};

struct cmd {
	const char *name;
	const char *operands; /* for the usage: "MODEL...", "" */
	const char *summary;  /* one line */
	int min_operands, max_operands;
	bool offline;		       /* asks no server: needs no token */
	bool diagnoses;		       /* that a server does not answer is a result like others */
	const struct setting *options; /* cli/args.h; describe a struct of `size` bytes */
	size_t size;
	const char *notes;    /* --help: what else is worth knowing, and examples */
	const char *outcomes; /* --help: what the exit codes 0 and 1 mean */
	/* `operands` is a list of texts. Returns the exit code. */
	int (*run)(const struct cli *cli, const void *options, const cJSON *operands);
};

extern const struct cmd cmd_status, cmd_nodes, cmd_models, cmd_plan, cmd_evict, cmd_pin, cmd_unpin,
	cmd_pins, cmd_history, cmd_touch, cmd_hold, cmd_release, cmd_holds, cmd_inuse, cmd_check,
	cmd_doctor;

#define CMD_MANY 10000 /* operands */

/* A sentence on standard error. */
void cmd_note(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Says what went wrong and returns `code`. */
int cmd_fail(int code, const struct err *err);

/* Asks and says what went wrong, if anything. Returns the exit code; the answer is the caller's. */
int cmd_ask(const struct client *client, const struct client_request *request,
	    struct client_answer *answer) MUST_USE;

/* Prints the answer as it came. */
void cmd_print_json(const struct client_answer *answer);

/*
 * All that most commands do: asks, and prints the answer or has `show` print it for people. `show`
 * returns the exit code.
 */
int cmd_show(const struct cli *cli, const struct client_request *request,
	     int (*show)(const cJSON *answer));

/* The list `key` of an answer; NULL after saying that it is not there. */
const cJSON *cmd_list(const cJSON *answer, const char *key);

/* A line on standard output; what a server said in it cannot write to the terminal. */
void cmd_print_line(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Prints what was done to whom: `what` and the text `key` of the answer. Returns the exit code. */
int cmd_print_done(const char *what, const cJSON *answer, const char *key);

/* Prints the table, or says that there are no `what`; frees it. */
void cmd_print_table(struct table *table, const char *what);

/* The text of operand `index`. */
const char *cmd_operand(const cJSON *operands, int index);

#endif
