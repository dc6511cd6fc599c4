/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last words of a boot: final_message and power_state.
 */
#include "agent/provision/cloudconfig.h"
#include "agent/provision/script.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/proc.h"

#include <string.h>
#include <syslog.h>
#include <time.h>

#define MESSAGE_MAX 2048

/* Replaces $NAME, as cloud-init's templates have it. */
static void add_value(struct cc *cc, const char **at, struct str *text)
{
	char when[24];
	const struct {
		const char *name;
		const char *value;
	} values[] = {
		{"$UPTIME", mem_arena_printf(cc->arena, "%.2f", agent_uptime(cc->agent))},
		{"$TIMESTAMP", clock_format((int64_t)time(NULL), when)},
		{"$DATASOURCE", cc->instance->source},
		{"$VERSION", INGOT_VERSION},
	};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		if (str_has_prefix(*at, values[i].name)) {
			str_add(text, values[i].value ? values[i].value : "");
			*at += strlen(values[i].name);
			return;
		}
	str_add_bytes(text, *at, 1);
	++*at;
}

int cc_final_message(struct cc *cc, const struct doc_node *value, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};
	char shown[MESSAGE_MAX];
	const char *at = cc_text(cc, value, "final_message");

	(void)err;
	if (!at)
		return 0;
	while (*at && text.len < MESSAGE_MAX)
		if (*at == '$')
			add_value(cc, &at, &text);
		else
			str_add_bytes(&text, at++, 1);
	agent_copy_text(shown, sizeof(shown), text.data ? text.data : "");
	report_log(cc->report, LOG_INFO, "PROVISION", NULL, "%s", shown);
	return 0;
}

static const struct {
	const char *mode, *verb, *flag;
} modes[] = {
	{"poweroff", "poweroff", "-P"},
	{"reboot", "reboot", "-r"},
	{"halt", "halt", "-H"},
};

/* "now" or minutes; *ret is what shutdown(8) takes. */
static bool read_delay(struct cc *cc, const struct doc_node *map, const char **ret)
{
	const struct doc_node *node = doc_node_get(map, "delay");
	const char *text = node ? cc_text(cc, node, "power_state.delay") : "now";
	size_t len = text ? strlen(text) : 0, sign = text && *text == '+';

	*ret = text;
	if (!text)
		return false;
	if (strcmp(text, "now") == 0)
		return true;
	if (len > sign && len < 8 && strspn(text + sign, "0123456789") == len - sign) {
		*ret = mem_arena_printf(cc->arena, "+%s", text + sign);
		return true;
	}
	cc_problem(cc, node, "power_state.delay must be 'now' or minutes such as '+5'");
	return false;
}

/* True unless a condition says no: a boolean, or a command that must succeed. */
static bool condition_holds(struct cc *cc, const struct doc_node *map, struct err *err)
{
	const struct doc_node *node = doc_node_get(map, "condition");
	CLEANUP(str_free) struct str text = {0};
	bool holds = true;
	int code = 1;

	if (!node)
		return true;
	if (node->kind == DOC_SCALAR && node->plain &&
	    (strcasecmp(node->text, "true") == 0 || strcasecmp(node->text, "false") == 0)) {
		cc_bool(cc, node, "power_state.condition", &holds);
		return holds;
	}
	if (node->kind == DOC_MAP) {
		cc_problem(cc, node, "power_state.condition must be true, false or a command");
		return false;
	}
	str_add(&text, "#!/bin/sh\n");
	if (node->kind == DOC_SCALAR)
		str_addf(&text, "%s\n", node->text);
	for (size_t i = 0; node->kind == DOC_LIST && i < node->count; i++) {
		const char *word = cc_text(cc, node->items[i], "power_state.condition");

		if (!word)
			return false;
		str_add(&text, i ? " " : "");
		script_quote(&text, word);
	}
	if (node->kind == DOC_LIST)
		str_add(&text, "\n");
	if (script_run(cc, "power-state-condition", text.data, text.len, &code, err) < 0)
		return false;
	/* "No" is an answer, not a failure. */
	json_array_remove(cc->scripts, json_array_size(cc->scripts) - 1);
	return code == 0;
}

/* Once per instance, noted before: or the machine would never stop going down. */
int cc_power_state(struct cc *cc, const struct doc_node *value, struct err *err)
{
	static const char *const known[] = {"mode", "delay", "message", "timeout", "condition"};
	const char *mode = NULL, *delay, *message;
	size_t i = 0;

	if (!cc_is(cc, value, DOC_MAP, "power_state") || cc_was(cc, "done", "power_state"))
		return 0;
	cc_check_keys(cc, value, "power_state", known, ARRAY_SIZE(known));
	mode = doc_node_string(value, "mode");
	while (i < ARRAY_SIZE(modes) && (!mode || strcmp(modes[i].mode, mode) != 0))
		i++;
	if (i == ARRAY_SIZE(modes)) {
		cc_problem(cc, value, "power_state.mode must be poweroff, reboot or halt");
		return 0;
	}
	if (!read_delay(cc, value, &delay) || !condition_holds(cc, value, err))
		return err->code ? -1 : 0;
	message = doc_node_string(value, "message");
	if (cc_note(cc, "done", "power_state", err) < 0)
		return -1;
	cc_remark(cc, "power_state: %s %s", modes[i].verb, delay);
	if (!cc->live)
		return 0;
	if (strcmp(delay, "now") == 0) {
		const char *argv[] = {"systemctl", "--no-block", modes[i].verb, NULL};

		return proc_run(&(struct proc){.argv = argv}, err);
	}
	{
		const char *argv[] = {"shutdown", modes[i].flag, "--", delay, message, NULL};

		return proc_run(&(struct proc){.argv = argv}, err);
	}
}
