/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `ingot-agent health`: probes once a second until the answer is certain. What the units say and what
 * the role's software says are lowered into one verdict; time turns verdicts into a decision.
 */
#include "agent/boot/health.h"

#include "agent/bus.h"
#include "agent/join/join.h"
#include "agent/report.h"
#include "agent/verbs.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define TIMEOUT_DEFAULT 300
#define REMOTE_GRACE 60.0 /* seconds to give a remote the chance to come up with us */
#define SETTLE_GRACE 60.0 /* seconds to wait for units; one that hangs longer is not our verdict */
#define BAD_IN_A_ROW 2

static const char *const names[] = {"ok", "remote", "starting", "bad"};

const char *health_name(enum health_verdict verdict)
{
	return names[verdict];
}

void health_lower(struct health *health, enum health_verdict verdict, const char *fmt, ...)
{
	va_list ap;

	if (verdict <= health->verdict)
		return;
	health->verdict = verdict;
	va_start(ap, fmt);
	vsnprintf(health->why, sizeof(health->why), fmt, ap);
	va_end(ap);
}

/* Units whose failure is this machine's failure: ours and those that the profile enables. User-data that is wrong and
 * commands of it that fail are no failure of ingot-provision*.service and ingot-final.service (SuccessExitStatus=):
 * another image would be given the same. A crash of the agent in them is. */
static bool is_ours(const struct agent *agent, const char *unit)
{
	if (strcmp(unit, "ingot-health.service") == 0 ||
	    strcmp(unit, "ingot-rollback.service") == 0)
		return false; /* they are what asks */
	return str_has_prefix(unit, "ingot-") || strv_has(&agent->services, unit);
}

/* Jobs that wait for the answer, or that may wait for ever by design. */
static bool may_run(const char *unit)
{
	static const char *const waiting[] = {
		"ingot-health.service",
		"ingot-join.service",
		"ingot-serve.service",
		"boot-complete.target",
		"systemd-bless-boot.service",
		/* The metadata source and the user's commands are not the image. */
		"ingot-provision.service",
		"ingot-final.service",
	};

	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++)
		if (strcmp(unit, waiting[i]) == 0)
			return true;
	return false;
}

static void probe_units(const struct agent *agent, bool settled, struct health *health)
{
	CLEANUP(bus_close) struct sd_bus *bus = NULL;
	CLEANUP(strv_free) struct strv failed = {0}, jobs = {0};
	struct err err = {0};

	if (!bus_has_systemd(agent))
		return; /* a container or a test: there are no units that could fail */
	if (bus_open(agent, &bus, &err) < 0 || bus_failed_units(bus, &failed, &err) < 0 ||
	    (settled && bus_running_jobs(bus, &jobs, &err) < 0)) {
		health_lower(health, HEALTH_STARTING, "%s", err.msg);
		return;
	}
	for (size_t i = 0; i < failed.count; i++)
		if (is_ours(agent, failed.items[i]))
			health_lower(health, HEALTH_BAD, "unit '%s' failed", failed.items[i]);
	for (size_t i = 0; i < jobs.count; i++)
		if (!may_run(jobs.items[i]))
			health_lower(health, HEALTH_STARTING, "unit '%s' is still starting",
				     jobs.items[i]);
}

void health_probe(const struct agent *agent, bool settled, struct health *ret)
{
	const struct joiner *joiner = join_find(agent->kind);

	*ret = (struct health){.verdict = HEALTH_OK};
	probe_units(agent, settled, ret);
	if (!joiner)
		health_lower(ret, HEALTH_BAD, "this agent does not know the role '%s'",
			     agent->kind);
	else if (joiner->health)
		joiner->health(agent, ret);
}

int health_decide(struct health_judge *judge, const struct health *probe, double now)
{
	if (probe->verdict == HEALTH_OK)
		return 1;
	if (probe->verdict == HEALTH_REMOTE) {
		judge->bad = 0;
		if (judge->remote_since == 0)
			judge->remote_since = now;
		return now - judge->remote_since >= REMOTE_GRACE || now >= judge->deadline;
	}
	judge->remote_since = 0;
	if (probe->verdict == HEALTH_STARTING && now < judge->deadline)
		judge->bad = 0;
	else
		judge->bad++;
	return judge->bad >= BAD_IN_A_ROW ? -1 : 0;
}

static int keep(const struct agent *agent, const struct health *health, int decision,
		struct err *err)
{
	CLEANUP_JSON json_t *value = json_object();

	json_object_set_new(value, "v", json_integer(1));
	json_object_set_new(value, "healthy", json_boolean(decision > 0));
	json_object_set_new(value, "verdict", json_string(health_name(health->verdict)));
	json_object_set_new(value, "why", json_string(health->why));
	json_object_set_new(value, "uptime", json_real(agent_uptime(agent)));
	if (agent_write_json(agent, AGENT_RUN "/health.json", value, false, err) < 0)
		return -1;
	return decision > 0 ? agent_mark(agent, "healthy", err) : 0;
}

static int conclude(const struct agent *agent, struct report *report, const struct health *health,
		    int decision, struct err *err)
{
	struct err kept = {0};

	/* Being unable to note the verdict does not change it. */
	if (keep(agent, health, decision, &kept) < 0)
		report_log(report, LOG_WARNING, "HEALTH", &kept, "cannot keep the verdict");
	if (decision < 0)
		return err_set(err, ERR_TEST, "not healthy: %s", health->why);
	if (health->verdict == HEALTH_REMOTE)
		report_log(report, LOG_WARNING, "HEALTH", NULL,
			   "this machine is healthy, but somebody else is missing: %s",
			   health->why);
	else
		report_log(report, LOG_INFO, "HEALTH", NULL, "healthy");
	report_status(report, "healthy%s%s", *health->why ? "; " : "", health->why);
	return 0;
}

int verb_health(const struct verb_options *options, struct err *err)
{
	CLEANUP(agent_close) struct agent agent;
	double started = clock_monotonic();
	struct health_judge judge = {
		.deadline = started + (options->timeout ? options->timeout : TIMEOUT_DEFAULT),
	};
	struct report report = {0};

	if (agent_open(&agent, options->root, err) < 0)
		return -1;
	report.kind = agent.kind;
	report.role = agent.role;
	for (;;) {
		struct health health;
		double now;
		int decision;

		health_probe(&agent, clock_monotonic() - started < SETTLE_GRACE, &health);
		now = clock_monotonic();
		decision = health_decide(&judge, &health, now);
		if (decision)
			return conclude(&agent, &report, &health, decision, err);
		report_status(&report, "%s: %s", health_name(health.verdict), health.why);
		sleep(1);
	}
}
