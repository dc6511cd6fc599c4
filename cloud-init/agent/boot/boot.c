/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `ingot-agent boot`: firewall first, then kernel settings. It runs before the network is up, so it
 * needs nothing but the image.
 */
#include "agent/agent.h"
#include "agent/boot/machine.h"
#include "agent/report.h"
#include "agent/boot/tune.h"
#include "agent/verbs.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

/* What stands in for rules that cannot be loaded: nothing gets in, but the machine can still get an
 * address and be looked at from its console. */
static const char emergency_rules[] =
	"table inet ingot_emergency {\n"
	"	chain input {\n"
	"		type filter hook input priority -5; policy drop;\n"
	"		ct state established,related accept\n"
	"		iif lo accept\n"
	"		udp sport 67 udp dport 68 accept\n"
	"		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept\n"
	"	}\n"
	"}\n";

static int run_nft(const char *rules, struct err *err)
{
	const char *argv[] = {"nft", "-f", rules, NULL};
	struct proc proc = {.argv = argv};

	return proc_run(&proc, err);
}

static int close_all(const struct agent *agent, const struct report *report, struct err *err)
{
	CLEANUP_FREE char *file = agent_path(agent, AGENT_RUN "/emergency.nft");
	CLEANUP_FREE char *folder = path_parent(file);

	if (path_make_dirs(folder, err) < 0 ||
	    outfile_write(file, emergency_rules, strlen(emergency_rules), false, err) < 0 ||
	    run_nft(file, err) < 0)
		return -1;
	report_log(report, LOG_CRIT, "FIREWALL", NULL,
		   "nothing may come in until this is repaired");
	return 0;
}

/* *ret_state becomes "none", "loaded", "closed" (with an error: all is shut) or "failed". */
static int load_firewall(const struct agent *agent, struct report *report, const char **ret_state,
			 struct err *err)
{
	CLEANUP_FREE char *rules = agent_path(agent, AGENT_FIREWALL);
	struct err worse = {0};

	if (!agent->has_firewall && access(rules, F_OK) < 0 && errno == ENOENT) {
		*ret_state = "none";
		report_log(report, LOG_NOTICE, "FIREWALL", NULL,
			   "this image has no firewall: its profile switched it off");
		return 0;
	}
	report_status(report, "loading the firewall");
	if (run_nft(rules, err) < 0) {
		err_wrap(err, "cannot load the firewall '%s'", rules);
		*ret_state = close_all(agent, report, &worse) < 0 ? "failed" : "closed";
		if (worse.code)
			report_log(report, LOG_ALERT, "FIREWALL", &worse,
				   "the machine is open: cannot even shut everything");
		return -1;
	}
	*ret_state = "loaded";
	report_log(report, LOG_INFO, "FIREWALL", NULL, "firewall loaded");
	return agent_mark(agent, "firewall", err);
}

static json_t *describe_machine(const struct machine *machine)
{
	json_t *value = json_object();

	json_object_set_new(value, "memory", json_integer((json_int_t)machine->memory));
	json_object_set_new(value, "cpus", json_integer(machine->cpus));
	return value;
}

static void log_tuning(const struct report *report, const json_t *results)
{
	size_t i, set = 0;
	const json_t *row;

	json_array_foreach(results, i, row)
	{
		const char *state = json_member_string(row, "state");
		const char *key = json_member_string(row, "key");
		const char *detail = json_member_string(row, "detail");

		set += strcmp(state, "set") == 0;
		if (strcmp(state, "absent") == 0)
			report_log(report, LOG_NOTICE, "TUNE", NULL, "%s not set: %s", key,
				   detail ? detail : "absent");
		else if (strcmp(state, "failed") == 0)
			report_log(report, LOG_ERR, "TUNE", NULL, "%s not set: %s", key,
				   detail ? detail : "failed");
	}
	report_log(report, LOG_INFO, "TUNE", NULL, "%zu of %zu kernel settings changed", set,
		   json_array_size(results));
}

static int tune(const struct agent *agent, struct report *report, struct err *err)
{
	struct tune_setting settings[TUNE_MAX];
	CLEANUP_JSON json_t *record = json_object();
	json_t *results = json_array();
	struct machine machine;
	int r;

	json_object_set_new(record, "v", json_integer(1));
	json_object_set_new(record, "settings", results);
	report_status(report, "tuning the kernel");
	if (machine_detect(agent, &machine, err) < 0)
		return -1;
	json_object_set_new(record, "machine", describe_machine(&machine));
	r = tune_apply(agent, settings, tune_compute(&machine, agent->kind, agent->role, settings),
		       results, err);
	log_tuning(report, results);
	if (agent_write_json(agent, AGENT_RUN "/tuning.json", record, false, r < 0 ? NULL : err) <
	    0)
		r = -1;
	return r < 0 ? r : agent_mark(agent, "tuned", err);
}

int verb_boot(const struct verb_options *options, struct err *err)
{
	CLEANUP(agent_close) struct agent agent;
	CLEANUP_JSON json_t *record = json_object();
	struct err image_err = {0}, tune_err = {0};
	const char *firewall = "failed";
	struct report report = {0};
	int opened = agent_open(&agent, options->root, &image_err), walled, tuned;

	report.kind = agent.kind;
	report.role = agent.role;
	proc_fix_path();
	/* First of all, and even if the image cannot say what it is: a machine without a role must
	 * not be an open one. */
	walled = load_firewall(&agent, &report, &firewall, err);
	tuned = tune(&agent, &report, &tune_err);
	json_object_set_new(record, "v", json_integer(1));
	json_object_set_new(record, "firewall", json_string(firewall));
	if (walled < 0)
		json_object_set_new(record, "error", json_string(err->msg));
	if (agent_write_json(&agent, AGENT_RUN "/boot.json", record, false,
			     walled < 0 ? NULL : err) < 0)
		return -1;
	if (walled < 0)
		return -1;
	if (opened < 0 || tuned < 0) {
		*err = opened < 0 ? image_err : tune_err;
		return -1;
	}
	report_status(&report, "firewall %s, kernel tuned", firewall);
	return 0;
}
