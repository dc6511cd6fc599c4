/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `ingot-agent provision`: three stages of one boot. What needs no network comes before it, commands of the user come
 * last. Nothing in user-data keeps the rest of it from being applied, or the machine from coming up.
 */
#include "agent/provision/provision.h"

#include "agent/provision/netconfig.h"
#include "agent/provision/place.h"
#include "agent/join/record.h"
#include "agent/report.h"
#include "agent/provision/script.h"
#include "agent/source/source.h"
#include "agent/verbs.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/proc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define NETWORK_WAIT 60.0 /* seconds for the source to answer; then the unit starts again */
#define REFRESH_WAIT 10.0
#define JOIN_WAIT 120 /* seconds that commands of the user wait for the cluster */
#define REPORT_WAIT 60.0

/* A run of one stage. */
struct provision {
	struct agent agent;
	struct report report;
	struct instance instance;
	struct userdata userdata;
	struct cc cc;
	json_t *keys;
	const char *stage;
	double started;
	bool found;
};

static void provision_close(struct provision *p)
{
	json_decref(p->keys);
	json_decref(p->cc.kept);
	json_decref(p->cc.notes);
	json_decref(p->cc.scripts);
	cc_free(&p->cc);
	userdata_free(&p->userdata);
	instance_free(&p->instance);
	agent_close(&p->agent);
}

static int set_pending(const struct agent *agent, bool pending, struct err *err)
{
	CLEANUP_FREE char *path = agent_path(agent, PROVISION_PENDING);

	if (pending)
		return place_text(agent, PROVISION_PENDING, "", 0644, err);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(err, errno, "cannot remove '%s'", path);
	return 0;
}

/* Every problem is a line of the journal, with its place in user-data. */
static void log_lines(const struct provision *p, const struct str *text)
{
	for (const char *line = text->data; line && *line;) {
		size_t len = strcspn(line, "\n");
		CLEANUP_FREE char *copy = mem_strndup(line, len);

		agent_hide_secrets(copy);
		report_log(&p->report, LOG_WARNING, "PROVISION", NULL, "%s", copy);
		line += len + (line[len] == '\n');
	}
}

static void log_notes(const struct provision *p)
{
	const json_t *note;
	size_t i;

	json_array_foreach(p->cc.notes, i, note)
		report_log(&p->report, LOG_INFO, "PROVISION", NULL, "%s", json_string_value(note));
}

/* Reads user-data and gets cc ready. */
static void prepare(struct provision *p, bool network)
{
	const struct userdata_input input = {.agent = &p->agent,
					     .instance = &p->instance,
					     .include = network ? source_include : NULL};
	const struct doc_place place = {.file = "user-data", .line = 1, .column = 1};
	struct cc *cc = &p->cc;

	userdata_read(&input, &p->userdata);
	cc->agent = &p->agent;
	cc->instance = &p->instance;
	cc->arena = p->userdata.arena;
	cc->config =
		p->userdata.config ? p->userdata.config : doc_node_new(cc->arena, DOC_MAP, place);
	cc->report = &p->report;
	cc->live = *p->agent.root == '\0';
	cc->kept = cc_kept_load(&p->agent, p->instance.id);
	cc->problems.text = &cc->text;
	cc->notes = json_array();
	cc->scripts = json_array();
}

/* Where cloud-init is in the image it reads the same user-data: two must not do the same. */
static bool has_upstream(const struct agent *agent)
{
	CLEANUP_FREE char *path = agent_path(agent, "/usr/bin/cloud-init");

	return access(path, F_OK) == 0;
}

static void restart_units(struct provision *p)
{
	for (size_t i = 0; p->cc.live && i < p->cc.restart.count; i++) {
		const char *argv[] = {"systemctl", "--no-block", "try-reload-or-restart",
				      p->cc.restart.items[i], NULL};
		struct err err = {0};

		if (proc_run(&(struct proc){.argv = argv}, &err) < 0)
			report_log(&p->report, LOG_WARNING, "PROVISION", &err,
				   "cannot tell %s of its new settings", p->cc.restart.items[i]);
	}
}

/* The network first: networkd starts as soon as this stage is over. */
static void apply_network(struct provision *p, bool runs)
{
	struct err err = {0};
	int r = netconfig_apply(&p->cc, &p->instance.network_config, runs, &err);

	if (r < 0) {
		report_log(&p->report, LOG_ERR, "PROVISION", &err, "network-config not applied");
		p->cc.broken = true;
	}
}

static void apply_early(struct provision *p, bool network)
{
	struct err err = {0};

	if (provision_settings(&p->cc, &p->userdata, &err) < 0) {
		const struct doc_place place = {.file = "user-data", .line = 1, .column = 1};

		doc_error(&p->cc.problems, &place, "%s", err.msg);
		p->cc.broken = true;
	}
	if (has_upstream(&p->agent)) {
		cc_remark(&p->cc,
			  "cloud-init is in this image: only the key 'ingot' is handled here");
		return;
	}
	apply_network(p, network);
	cc_check(p->cc.config, p->cc.arena, &p->cc.problems, p->cc.notes);
	/* Boothooks come first of all, as bootcmd does among the keys. */
	script_run_all(&p->cc, &p->userdata, CC_EARLY);
	cc_apply(&p->cc, CC_EARLY, p->keys);
	if (network)
		restart_units(p);
}

/* What the stage comes to: 0, or an error whose code says whose fault it is. */
static int conclude(struct provision *p, bool userdata_too, struct err *err)
{
	size_t problems = p->cc.problems.count + (userdata_too ? p->userdata.problem_count : 0);
	const struct str *first =
		userdata_too && p->userdata.problem_count ? &p->userdata.problems : &p->cc.text;
	struct err kept = {0};

	if (userdata_too)
		log_lines(p, &p->userdata.problems);
	log_lines(p, &p->cc.text);
	log_notes(p);
	if (provision_record(&p->agent, p->stage, &p->instance, userdata_too ? &p->userdata : NULL,
			     &p->cc, p->keys, NULL, p->started, &kept) < 0) {
		*err = kept;
		return -1;
	}
	if (!problems && !p->cc.broken)
		return 0;
	return err_set(err, p->cc.broken ? ERR_OTHER : ERR_PROFILE,
		       "%zu problems in provisioning; the first: %.*s", problems,
		       first->data ? (int)strcspn(first->data, "\n") : 0,
		       first->data ? first->data : "");
}

/* The source did not give anything that could be applied. */
static int fail(struct provision *p, struct err *err)
{
	struct err kept = {0};

	if (provision_record(&p->agent, p->stage, NULL, NULL, NULL, NULL, err->msg, p->started,
			     &kept) < 0)
		report_log(&p->report, LOG_WARNING, "PROVISION", &kept, "cannot keep the failure");
	/* Whatever it is, it came from outside: no reason to give this image up. */
	if (err->code != ERR_NETWORK)
		err->code = ERR_PROFILE;
	return -1;
}

static int stage_local(struct provision *p, double timeout, struct err *err)
{
	const struct source *source;

	(void)timeout;
	if (source_load(&p->agent, true, 0, &p->instance, &p->found, err) < 0)
		return fail(p, err);
	if (!p->found) {
		source = source_detect(&p->agent);
		if (!source || !source->network)
			return 0;
		report_log(&p->report, LOG_INFO, "PROVISION", NULL,
			   "the source is %s, which needs the network", source->name);
		return set_pending(&p->agent, true, err);
	}
	prepare(p, false);
	if (p->userdata.missed && set_pending(&p->agent, true, err) < 0)
		return -1;
	apply_early(p, false);
	return conclude(p, true, err);
}

/* The platform waits for a word, and shows its owner why a machine is not what it should be. */
static void tell_platform(const struct provision *p, const char *failure)
{
	struct err err = {0};

	if (source_report(&p->agent, &p->instance, failure, REPORT_WAIT, &err) < 0)
		report_log(&p->report, LOG_WARNING, "PROVISION", &err,
			   "cannot tell the platform how this machine is");
}

static int stage_network(struct provision *p, double timeout, struct err *err)
{
	int r;

	if (source_load(&p->agent, false, timeout, &p->instance, &p->found, err) < 0) {
		(void)fail(p, err);
		if (err->code != ERR_NETWORK)
			tell_platform(p, err->msg);
		return -1;
	}
	if (!p->found)
		return set_pending(&p->agent, false, err);
	prepare(p, true);
	apply_early(p, true);
	r = conclude(p, true, err);
	/* A server that does not give its part now may do so later: the unit starts again. */
	if (p->userdata.missed)
		return err_set(err, ERR_NETWORK, "a part that user-data includes is missing");
	if (set_pending(&p->agent, false, r < 0 ? NULL : err) < 0)
		r = -1;
	return r;
}

/* Commands of the user may expect the cluster, but not for ever. */
static void wait_for_join(struct provision *p)
{
	const struct timespec tick = {.tv_nsec = 500000000};
	struct record record;
	struct err err = {0};

	if (strcmp(p->agent.kind, "none") == 0 || !p->cc.live)
		return;
	for (int i = 0; i < 2 * JOIN_WAIT; i++) {
		if (record_load(&p->agent, &record, &err) < 0 || record.step == RECORD_JOINED)
			return;
		nanosleep(&tick, NULL);
	}
	cc_remark(&p->cc, "commands did not wait any longer for the cluster");
}

static bool has_commands(const struct provision *p)
{
	for (size_t i = 0; i < p->userdata.script_count; i++)
		if (p->userdata.scripts[i].when != USERDATA_BOOTHOOK)
			return true;
	return doc_node_get(p->cc.config, "runcmd") != NULL;
}

/* The kept instance was enough to come up with; what the source says now counts from the next boot on. */
static void refresh(struct provision *p)
{
	CLEANUP(instance_free) struct instance now = {0};
	struct err err = {0};
	bool found = false;

	if (!p->instance.cached)
		return;
	if (source_load(&p->agent, false, REFRESH_WAIT, &now, &found, &err) < 0 || !found)
		return; /* it was logged */
	if (!now.cached &&
	    (now.user_data.len != p->instance.user_data.len ||
	     (now.user_data.len &&
	      memcmp(now.user_data.data, p->instance.user_data.data, now.user_data.len) != 0)))
		cc_remark(&p->cc, "user-data has changed: it is applied at the next boot");
}

static int stage_final(struct provision *p, double timeout, struct err *err)
{
	(void)timeout;
	if (instance_load(&p->agent, &p->instance, &p->found, err) < 0)
		return fail(p, err);
	if (!p->found)
		return 0;
	prepare(p, true);
	refresh(p);
	if (!has_upstream(&p->agent)) {
		cc_apply(&p->cc, CC_FINAL, p->keys);
		if (has_commands(p))
			wait_for_join(p);
		script_run_all(&p->cc, &p->userdata, CC_FINAL);
		restart_units(p);
	}
	tell_platform(p, p->userdata.settings_wrong
				 ? "the key 'ingot' of user-data is wrong: see ingot-agent status"
				 : NULL);
	if (!has_upstream(&p->agent))
		cc_apply(&p->cc, CC_LAST, p->keys);
	/* Its own problems were told by an earlier stage. */
	return conclude(p, false, err);
}

static const struct {
	const char *name, *mark;
	int (*run)(struct provision *p, double timeout, struct err *err);
	double timeout;
} stages[PROVISION_STAGES] = {
	{"local", "provision-local", stage_local, 0},
	{"network", "provision-network", stage_network, NETWORK_WAIT},
	{"final", "provision-final", stage_final, 0},
};

int verb_provision(const struct verb_options *options, struct err *err)
{
	CLEANUP(provision_close) struct provision p = {0};
	struct err none = {0};
	size_t i = 0;
	int r;

	while (i < PROVISION_STAGES && strcmp(options->argument, stages[i].name) != 0)
		i++;
	if (i == PROVISION_STAGES)
		return err_set(err, ERR_USAGE, "unknown stage '%s': it is local, network or final",
			       options->argument);
	/* An image that cannot say what it is can still be given a user who looks why. */
	if (agent_open(&p.agent, options->root, &none) < 0)
		report_log(&p.report, LOG_WARNING, "PROVISION", &none, "%s", "");
	p.report.kind = p.agent.kind;
	p.report.role = p.agent.role;
	p.keys = json_object();
	p.stage = stages[i].name;
	p.started = agent_uptime(&p.agent);
	proc_fix_path();
	r = stages[i].run(&p, options->timeout ? options->timeout : stages[i].timeout, err);
	if (p.found && agent_mark(&p.agent, stages[i].mark, r < 0 ? NULL : err) < 0)
		r = -1;
	return r;
}
