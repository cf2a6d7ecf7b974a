/* What the commands share: asking, saying what went wrong, printing. */
#include "cli/cmd.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/field.h"
#include "cli/human.h"
#include "cli/table.h"

/* Formats, so that it is safe to print. The caller frees it. */
PRINTF_LIKE(1, 0) static char *make_safe(const char *fmt, va_list ap)
{
	char *text, *safe;

	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	safe = human_text(text, NULL);
	free(text);
	return safe;
}

void cmd_note(const char *fmt, ...)
{
	char *safe;
	va_list ap;

	va_start(ap, fmt);
	safe = make_safe(fmt, ap);
	va_end(ap);
	fflush(stdout);
	fprintf(stderr, "larderctl: %s\n", safe);
	free(safe);
}

int cmd_fail(int code, const struct err *err)
{
	cmd_note("%s", err->text);
	return code;
}

int cmd_ask(const struct client *client, const struct client_request *request,
	    struct client_answer *answer)
{
	struct err err;
	int code = client_ask(client, request, answer, &err);

	return code == 0 ? 0 : cmd_fail(code, &err);
}

void cmd_print_json(const struct client_answer *answer)
{
	size_t len = strlen(answer->text);

	printf("%s%s", answer->text, len > 0 && answer->text[len - 1] == '\n' ? "" : "\n");
}

int cmd_show(const struct cli *cli, const struct client_request *request,
	     int (*show)(const cJSON *answer))
{
	struct client_answer answer;
	int code = cmd_ask(&cli->client, request, &answer);

	if (code == 0 && cli->json)
		cmd_print_json(&answer);
	else if (code == 0)
		code = show(answer.tree);
	client_answer_free(&answer);
	return code;
}

/* Says that an answer is not as it should be. */
static void complain(const char *key, const char *what)
{
	char text[80];
	struct err err;

	snprintf(text, sizeof(text), "%s is no %s", key, what);
	cmd_fail(client_not_understood(text, &err), &err);
}

const cJSON *cmd_list(const cJSON *answer, const char *key)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(answer, key);

	if (cJSON_IsArray(list))
		return list;
	complain(key, "list");
	return NULL;
}

void cmd_print_line(const char *fmt, ...)
{
	char *safe;
	va_list ap;

	va_start(ap, fmt);
	safe = make_safe(fmt, ap);
	va_end(ap);
	printf("%s\n", safe);
	free(safe);
}

int cmd_print_done(const char *what, const cJSON *answer, const char *key)
{
	const char *text = field_text(answer, key);

	if (*text == '\0') {
		complain(key, "text");
		return EX_SOFTWARE;
	}
	cmd_print_line("%s %s", what, text);
	return EX_OK;
}

void cmd_print_table(struct table *table, const char *what)
{
	if (table_rows(table) > 0)
		table_print(table, stdout);
	else
		cmd_note("no %s", what);
	table_free(table);
}

const char *cmd_operand(const cJSON *operands, int index)
{
	return cJSON_GetArrayItem(operands, index)->valuestring;
}
