/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kind swarm: is the role well on this machine, and what does its engine say? Somebody else who is missing is never
 * this machine's fault.
 */
#include "agent/join/dial.h"
#include "agent/join/engine.h"
#include "agent/join/join.h"
#include "agent/join/record.h"
#include "agent/userdata/settings.h"

#include "base/mem.h"

#include <string.h>

#define PROBE_TIME 1.0 /* seconds for a manager to answer */

/* The settings' role counts, then the image's. */
static bool is_manager(const struct agent *agent)
{
	CLEANUP_JSON json_t *settings = settings_load(agent, NULL);
	const char *role = json_member_string(json_object_get(settings, "cluster"), "role");

	return strcmp(role ? role : agent->role, "manager") == 0;
}

/* A worker is of use only while a manager can be reached; that none can is not its own fault. */
static void judge_worker(const struct engine_swarm *swarm, struct health *health)
{
	CLEANUP(strv_free) struct strv managers = {0};
	size_t found;

	for (size_t i = 0; i < swarm->remote_count; i++)
		strv_add(&managers, swarm->remotes[i]);
	if (managers.count == 0)
		health_lower(health, HEALTH_REMOTE, "the engine knows no manager of its swarm");
	else if (!dial_first(&managers, NULL, PROBE_TIME, &found))
		health_lower(health, HEALTH_REMOTE,
			     "none of the swarm's %zu managers can be reached", managers.count);
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

	if (!is_manager(agent)) {
		judge_worker(swarm, health);
		return;
	}
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
