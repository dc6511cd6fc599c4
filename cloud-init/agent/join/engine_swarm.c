/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The swarm calls of the Docker Engine API: init, join, leave, tokens, nodes. Answers are bounded and checked as in
 * engine.c; what held a token is wiped (json.h and http.h do so for what they free).
 */
#include "agent/join/engine_parts.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define NODES_MAX ((size_t)16 << 20)

static json_t *start_body(const struct engine_start *start)
{
	json_t *body = json_object();

	json_object_set_new(body, "ListenAddr", json_string("0.0.0.0:2377"));
	json_object_set_new(body, "AdvertiseAddr",
			    *start->advertise ? json_sprintf("%s:2377", start->advertise)
					      : json_string(""));
	if (start->availability)
		json_object_set_new(body, "Availability", json_string(start->availability));
	return body;
}

static int post(struct engine *engine, const char *path, const json_t *body, long timeout_ms,
		struct err *err)
{
	char *text = json_line(body);
	int r = engine_call(engine, "POST", path, text, timeout_ms, ENGINE_ANSWER_MAX, NULL, err);

	mem_wipe(text, strlen(text));
	free(text);
	return r;
}

int engine_init(struct engine *engine, const struct engine_start *start, struct err *err)
{
	CLEANUP_JSON json_t *body = start_body(start);

	json_object_set_new(body, "Spec", json_object());
	if (json_array_size(start->address_pools) > 0)
		json_object_set(body, "DefaultAddrPool", (json_t *)start->address_pools);
	if (start->subnet_size)
		json_object_set_new(body, "SubnetSize", json_integer(start->subnet_size));
	if (start->data_path_port)
		json_object_set_new(body, "DataPathPort", json_integer(start->data_path_port));
	if (start->force_new)
		json_object_set_new(body, "ForceNewCluster", json_true());
	return post(engine, "/swarm/init", body, 60000, err);
}

int engine_join(struct engine *engine, const struct engine_start *start, struct err *err)
{
	CLEANUP_JSON json_t *body = start_body(start);
	json_t *remotes = json_array();

	json_array_append_new(remotes, json_string(start->remote));
	json_object_set_new(body, "RemoteAddrs", remotes);
	json_object_set_new(body, "JoinToken", json_string(start->token));
	return post(engine, "/swarm/join", body, 60000, err);
}

int engine_leave(struct engine *engine, struct err *err)
{
	return engine_call(engine, "POST", "/swarm/leave?force=1", "", 60000, ENGINE_ANSWER_MAX,
			   NULL, err);
}

int engine_tokens(struct engine *engine, struct engine_tokens *ret, struct err *err)
{
	CLEANUP_JSON json_t *swarm = NULL;
	const char *worker, *manager;

	*ret = (struct engine_tokens){0};
	if (engine_call(engine, "GET", "/swarm", NULL, 5000, ENGINE_ANSWER_MAX, &swarm, err) < 0)
		return -1;
	worker = json_member_string(json_object_get(swarm, "JoinTokens"), "Worker");
	manager = json_member_string(json_object_get(swarm, "JoinTokens"), "Manager");
	if (!worker || !manager || strlen(worker) >= sizeof(ret->worker) ||
	    strlen(manager) >= sizeof(ret->manager))
		return err_set(err, ERR_OTHER, "the engine's /swarm has no join tokens");
	memcpy(ret->worker, worker, strlen(worker) + 1);
	memcpy(ret->manager, manager, strlen(manager) + 1);
	return 0;
}

int engine_node(struct engine *engine, const char *node_id, struct engine_node *ret,
		struct err *err)
{
	CLEANUP_FREE char *path = mem_printf("/nodes/%s", node_id);
	CLEANUP_JSON json_t *node = NULL;
	const json_t *manager;
	const char *reach;

	*ret = (struct engine_node){0};
	if (engine_call(engine, "GET", path, NULL, 10000, ENGINE_ANSWER_MAX, &node, err) < 0)
		return -1;
	manager = json_object_get(node, "ManagerStatus");
	reach = json_member_string(manager, "Reachability");
	agent_copy_text(ret->state, sizeof(ret->state),
			json_member_string(json_object_get(node, "Status"), "State"));
	agent_copy_text(ret->availability, sizeof(ret->availability),
			json_member_string(json_object_get(node, "Spec"), "Availability"));
	ret->leader = json_is_true(json_object_get(manager, "Leader"));
	ret->reachable = reach && strcmp(reach, "reachable") == 0;
	return 0;
}

void engine_members_free(struct engine_members *members)
{
	for (size_t i = 0; i < members->count; i++) {
		json_decref(members->items[i].spec);
		json_decref(members->items[i].labels);
	}
	free(members->items);
	*members = (struct engine_members){0};
}

static bool parse_member(json_t *node, struct engine_member *ret)
{
	json_t *spec = json_object_get(node, "Spec");
	const json_t *description = json_object_get(node, "Description");
	const json_t *status = json_object_get(node, "Status");
	const json_t *manager = json_object_get(node, "ManagerStatus");
	const char *role = json_member_string(spec, "Role");
	const char *reach = json_member_string(manager, "Reachability");
	json_int_t version =
		json_integer_value(json_object_get(json_object_get(node, "Version"), "Index"));

	if (!engine_copy_id(ret->id, sizeof(ret->id), json_member_string(node, "ID")) ||
	    !*ret->id || !json_is_object(spec) || version < 0)
		return false;
	agent_copy_text(ret->hostname, sizeof(ret->hostname),
			json_member_string(description, "Hostname"));
	agent_copy_text(ret->state, sizeof(ret->state), json_member_string(status, "State"));
	agent_copy_text(ret->address, sizeof(ret->address), json_member_string(status, "Addr"));
	agent_copy_text(ret->manager_address, sizeof(ret->manager_address),
			json_member_string(manager, "Addr"));
	ret->manager = role && strcmp(role, "manager") == 0;
	ret->member = json_is_object(manager);
	ret->leader = json_is_true(json_object_get(manager, "Leader"));
	ret->reachable = reach && strcmp(reach, "reachable") == 0;
	ret->version = (uint64_t)version;
	ret->spec = json_incref(spec);
	ret->labels =
		json_incref(json_object_get(json_object_get(description, "Engine"), "Labels"));
	return true;
}

int engine_members(struct engine *engine, bool managers_only, struct engine_members *ret,
		   struct err *err)
{
	/* filters={"role":["manager"]} */
	const char *path =
		managers_only ? "/nodes?filters=%7B%22role%22%3A%5B%22manager%22%5D%7D" : "/nodes";
	CLEANUP_JSON json_t *list = NULL;
	json_t *node;
	size_t i;

	if (engine_call(engine, "GET", path, NULL, 10000, NODES_MAX, &list, err) < 0)
		return -1;
	json_array_foreach(list, i, node)
	{
		struct engine_member member = {0};

		if (!parse_member(node, &member)) {
			engine_members_free(ret);
			return err_set(err, ERR_OTHER,
				       "the engine's /nodes has a node that is none");
		}
		VEC_ADD(ret->items, ret->count, ret->room, member);
	}
	return 0;
}

int engine_member_update(struct engine *engine, const struct engine_member *member,
			 const json_t *spec, struct err *err)
{
	CLEANUP_FREE char *path = mem_printf("/nodes/%s/update?version=%llu", member->id,
					     (unsigned long long)member->version);

	return post(engine, path, spec, 10000, err);
}

int engine_member_remove(struct engine *engine, const char *id, struct err *err)
{
	CLEANUP_FREE char *path = mem_printf("/nodes/%s?force=1", id);

	return engine_call(engine, "DELETE", path, NULL, 10000, ENGINE_ANSWER_MAX, NULL, err);
}

int engine_services(struct engine *engine, unsigned *ret, struct err *err)
{
	CLEANUP_JSON json_t *list = NULL;

	if (engine_call(engine, "GET", "/services", NULL, 10000, NODES_MAX, &list, err) < 0)
		return -1;
	*ret = (unsigned)json_array_size(list);
	return 0;
}
