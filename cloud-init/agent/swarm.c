/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kind swarm: the step function over the engine's LocalNodeState. The engine's state is the truth, the
 * record only says what we meant and which swarm is ours. The swarm is left only while its making is
 * our own and unfinished: a manager that waits for its peers is pending, too.
 */
#include "agent/address.h"
#include "agent/engine.h"
#include "agent/join.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

/* An engine that is slow (an emulated machine) must not be interrupted again and again. */
#define PENDING_FIRST 60.0
#define PENDING_MOST 600.0

static bool is_manager(const struct agent *agent)
{
	return strcmp(agent->role, "manager") == 0;
}

/* Puts step and tries on the disk before the side effect that they announce. */
static int intend(struct join *join, enum record_step step, struct err *err)
{
	join->record.step = step;
	if (record_save(join->agent, &join->record, err) < 0)
		return -1;
	report_log(&join->report, LOG_INFO, record_step_name(step), NULL, "step %s",
		   record_step_name(step));
	return 0;
}

static int initialise(struct join *join, struct engine *engine, enum join_next *ret_next,
		      struct err *err)
{
	struct record *record = &join->record;
	char address[INET_ADDRSTRLEN], interface[16];
	const char *why;

	if (!address_find(join->agent, address, interface, &why)) {
		*ret_next = JOIN_POLL;
		join_wait(join, true, "waits for %s", why);
		return 0;
	}
	snprintf(record->address, sizeof(record->address), "%s", address);
	record->tries++;
	if (intend(join, RECORD_INIT, err) < 0)
		return -1;
	join_wait(join, false, "initialises a swarm as %s (%s)", address, interface);
	if (engine_init(engine, address, err) < 0)
		return err_wrap(err, "cannot initialise the swarm");
	*ret_next = JOIN_AGAIN;
	return 0;
}

static int step_inactive(struct join *join, struct engine *engine, enum join_next *ret_next,
			 struct err *err)
{
	const struct record *record = &join->record;

	*ret_next = JOIN_IDLE;
	if (*record->cluster_id) {
		join_wait(
			join, false,
			"was a member of swarm %s, but the engine is in no swarm now; to start over "
			"remove %s",
			record->cluster_id, RECORD_FILE);
		return 0;
	}
	if (!is_manager(join->agent)) {
		join_wait(join, true,
			  "waits for join settings: a %s needs a manager's address and a token",
			  *join->agent->role ? join->agent->role : "node without a role");
		return 0;
	}
	if (join->agent->has_seeds) {
		join_wait(join, true,
			  "waits for join settings: other managers are named, so this one "
			  "does not initialise a swarm of its own");
		return 0;
	}
	return initialise(join, engine, ret_next, err);
}

static double patience(const struct record *record)
{
	double wait = PENDING_FIRST;

	for (unsigned i = 1; i < record->tries && wait < PENDING_MOST; i++)
		wait *= 2;
	return wait < PENDING_MOST ? wait : PENDING_MOST;
}

/* The engine is pending or in error. */
static int step_unfinished(struct join *join, struct engine *engine,
			   const struct engine_swarm *swarm, enum join_next *ret_next,
			   struct err *err)
{
	const struct record *record = &join->record;
	const char *state = engine_state_name(swarm->state);
	const char *colon = *swarm->error ? ": " : "";
	bool ours = !*record->cluster_id &&
		    (record->step == RECORD_INIT || record->step == RECORD_LEAVE);
	double now = clock_monotonic();

	if (join->pending_since == 0)
		join->pending_since = now;
	*ret_next = JOIN_POLL;
	if (!ours) {
		*ret_next = JOIN_IDLE;
		join_wait(join, true,
			  "the engine's swarm is %s%s%s; it needs the other managers, or "
			  "somebody",
			  state, colon, swarm->error);
		return 0;
	}
	if (swarm->state == ENGINE_PENDING && now - join->pending_since < patience(record)) {
		join_wait(join, false, "waits for the engine to finish initialising%s%s", colon,
			  swarm->error);
		return 0;
	}
	join_wait(join, false, "drops its unfinished swarm, which is %s%s%s", state, colon,
		  swarm->error);
	if (intend(join, RECORD_LEAVE, err) < 0 || engine_leave(engine, err) < 0)
		return -1;
	join->pending_since = 0;
	/* What made it fail is likely still there: come back with a pause. */
	return err_set(err, ERR_OTHER, "the swarm did not come up, its state was %s%s%s", state,
		       colon, swarm->error);
}

static int step_active(struct join *join, const struct engine_swarm *swarm,
		       enum join_next *ret_next, struct err *err)
{
	struct record *record = &join->record;

	if (*record->cluster_id && *swarm->cluster_id &&
	    strcmp(record->cluster_id, swarm->cluster_id) != 0) {
		*ret_next = JOIN_IDLE;
		join_wait(join, false, "belongs to swarm %s, but the engine is in swarm %s",
			  record->cluster_id, swarm->cluster_id);
		return 0;
	}
	if (is_manager(join->agent) && (!swarm->control || !*swarm->cluster_id)) {
		*ret_next = JOIN_POLL;
		join_wait(join, true, "is in a swarm, but %s",
			  swarm->control ? "no manager leads it" : "not as a manager");
		return 0;
	}
	if (*swarm->cluster_id)
		memcpy(record->cluster_id, swarm->cluster_id, sizeof(record->cluster_id));
	memcpy(record->node_id, swarm->node_id, sizeof(record->node_id));
	if (intend(join, RECORD_JOINED, err) < 0)
		return -1;
	report_log(&join->report, LOG_NOTICE, "JOINED", NULL, "joined swarm %s as %s, node %s",
		   *record->cluster_id ? record->cluster_id : "(not told to workers)",
		   join->agent->role, record->node_id);
	*ret_next = JOIN_DONE;
	return 0;
}

int swarm_step(struct join *join, enum join_next *ret_next, struct err *err)
{
	CLEANUP(engine_close) struct engine engine = {0};
	struct engine_swarm swarm;

	engine_open(&engine, join->agent);
	if (engine_connect(&engine, err) < 0) {
		if (err->code != ERR_NETWORK)
			return -1;
		/* It is not up yet, or restarting: nothing that went wrong. */
		*ret_next = JOIN_POLL;
		join_wait(join, false, "waits for the engine: %s", err->msg);
		err_clear(err);
		return 0;
	}
	if (engine_swarm(&engine, &swarm, err) < 0)
		return -1;
	if (swarm.state != ENGINE_PENDING && swarm.state != ENGINE_ERROR)
		join->pending_since = 0;
	switch (swarm.state) {
	case ENGINE_INACTIVE:
		return step_inactive(join, &engine, ret_next, err);
	case ENGINE_PENDING:
	case ENGINE_ERROR:
		return step_unfinished(join, &engine, &swarm, ret_next, err);
	case ENGINE_ACTIVE:
		return step_active(join, &swarm, ret_next, err);
	case ENGINE_LOCKED:
		break;
	}
	*ret_next = JOIN_IDLE;
	join_wait(join, true, "the swarm's state is locked: waits for somebody to unlock it");
	return 0;
}

static void judge_inactive(const struct agent *agent, struct health *health)
{
	CLEANUP_JSON json_t *live = agent_read_json(agent, RECORD_LIVE, NULL);
	const char *waits_for = live ? json_member_string(live, "waits_for") : NULL;
	struct record record;
	struct err err = {0};

	if (record_load(agent, &record, &err) < 0)
		health_lower(health, HEALTH_BAD, "%s", err.msg);
	else if (*record.cluster_id)
		health_lower(health, HEALTH_BAD, "the engine lost its swarm %s", record.cluster_id);
	else if (live && json_is_true(json_object_get(live, "remote")) && waits_for)
		health_lower(health, HEALTH_REMOTE, "the join %s", waits_for);
	else
		health_lower(health, HEALTH_STARTING, "the engine is in no swarm%s%s",
			     waits_for ? "; the join " : "", waits_for ? waits_for : "");
}

static void judge_active(const struct agent *agent, struct engine *engine,
			 const struct engine_swarm *swarm, struct health *health)
{
	struct engine_node node;
	struct err err = {0};

	if (!is_manager(agent))
		return;
	if (!swarm->control) {
		health_lower(health, HEALTH_REMOTE,
			     "the swarm does not have this node as a manager");
		return;
	}
	if (engine_node(engine, swarm->node_id, &node, &err) < 0) {
		/* With peers, no leader means that too many of them are away. */
		health_lower(health, swarm->peers ? HEALTH_REMOTE : HEALTH_STARTING, "%s", err.msg);
		return;
	}
	if (strcmp(node.state, "ready") != 0)
		health_lower(health, HEALTH_STARTING, "the swarm sees this node as '%s'",
			     node.state);
	else if (!node.leader && !node.reachable)
		health_lower(health, HEALTH_STARTING, "the swarm's managers do not reach this one");
}

void swarm_health(const struct agent *agent, struct health *health)
{
	CLEANUP(engine_close) struct engine engine = {0};
	struct engine_swarm swarm;
	struct record record;
	struct err err = {0};

	engine_open(&engine, agent);
	if (engine_connect(&engine, &err) < 0 || engine_swarm(&engine, &swarm, &err) < 0) {
		health_lower(health, HEALTH_STARTING, "%s", err.msg);
		return;
	}
	switch (swarm.state) {
	case ENGINE_INACTIVE:
		judge_inactive(agent, health);
		return;
	case ENGINE_PENDING:
		/* A member that has peers may be waiting for them; a new swarm has none. */
		if (swarm.peers && record_load(agent, &record, NULL) == 0 && *record.cluster_id)
			health_lower(health, HEALTH_REMOTE, "waits for the swarm's other managers");
		else
			health_lower(health, HEALTH_STARTING, "the engine's swarm is pending");
		return;
	case ENGINE_ERROR:
		health_lower(health, HEALTH_STARTING, "the engine's swarm failed: %s", swarm.error);
		return;
	case ENGINE_LOCKED:
		health_lower(health, HEALTH_REMOTE, "the swarm waits to be unlocked");
		return;
	case ENGINE_ACTIVE:
		judge_active(agent, &engine, &swarm, health);
		return;
	}
}

int swarm_describe(const struct agent *agent, json_t *into, struct err *err)
{
	CLEANUP(engine_close) struct engine engine = {0};
	struct engine_swarm swarm;
	json_t *value = json_object();

	engine_open(&engine, agent);
	json_object_set_new(into, "engine", value);
	if (engine_connect(&engine, err) < 0)
		return -1;
	json_object_set_new(value, "version", json_string(engine.version));
	json_object_set_new(value, "api", json_string(engine.api));
	if (engine_swarm(&engine, &swarm, err) < 0)
		return -1;
	json_object_set_new(value, "swarm", json_string(engine_state_name(swarm.state)));
	if (*swarm.node_id)
		json_object_set_new(value, "node_id", json_string(swarm.node_id));
	if (*swarm.cluster_id)
		json_object_set_new(value, "cluster_id", json_string(swarm.cluster_id));
	if (*swarm.address)
		json_object_set_new(value, "address", json_string(swarm.address));
	if (*swarm.error)
		json_object_set_new(value, "error", json_string(swarm.error));
	if (swarm.state == ENGINE_ACTIVE) {
		json_object_set_new(value, "manager", json_boolean(swarm.control));
		json_object_set_new(value, "nodes", json_integer(swarm.nodes));
		json_object_set_new(value, "managers", json_integer(swarm.managers));
	}
	return 0;
}
