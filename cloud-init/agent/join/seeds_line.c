/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions and answers of the managers as lines of JSON. The peer has proved the secret, but may still be broken
 * or older: every field is bounded and checked.
 */
#include "agent/join/seeds.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static const char *const states[] = {"silent", "new", "claiming", "unready", "member"};

static bool finish(json_t *value, char **ret)
{
	*ret = json_line(value);
	json_decref(value);
	if (strlen(*ret) < PSK_LINE_MAX)
		return true;
	mem_wipe(*ret, strlen(*ret));
	free(*ret);
	*ret = NULL;
	return false;
}

/* Copies what may be shown and stored: printable, short enough. */
static bool take(const json_t *object, const char *key, char *to, size_t size)
{
	const char *text = json_member_string(object, key);

	if (!text)
		return !json_object_get(object, key);
	if (strlen(text) >= size)
		return false;
	agent_copy_text(to, size, text);
	return strcmp(to, text) == 0;
}

/* The same for IDs and addresses, which get into files, URLs and tables. */
static bool take_word(const json_t *object, const char *key, char *to, size_t size)
{
	static const char allowed[] = "0123456789abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ.-_:[]%+~/";

	return take(object, key, to, size) && strspn(to, allowed) == strlen(to);
}

bool seeds_request_line(const struct seeds_request *request, char **ret)
{
	json_t *value = json_object();

	json_object_set_new(value, "v", json_integer(1));
	json_set_text(value, "role", request->role);
	json_set_text(value, "instance", request->instance);
	json_set_text(value, "hostname", request->hostname);
	json_set_text(value, "address", request->address);
	json_set_text(value, "version", request->version);
	json_set_text(value, "node_id", request->node_id);
	json_set_text(value, "engine_id", request->engine_id);
	json_object_set_new(value, "token", json_boolean(request->token));
	return finish(value, ret);
}

int seeds_request_parse(const char *line, size_t len, struct seeds_request *ret, struct err *err)
{
	CLEANUP_JSON json_t *value = json_parse(line, len, "request", err);

	*ret = (struct seeds_request){0};
	if (!value)
		return -1;
	if (!json_is_object(value) || json_integer_value(json_object_get(value, "v")) != 1)
		return err_set(err, ERR_OTHER, "the request is of another version");
	if (!take_word(value, "role", ret->role, sizeof(ret->role)) ||
	    !take_word(value, "instance", ret->instance, sizeof(ret->instance)) ||
	    !take_word(value, "hostname", ret->hostname, sizeof(ret->hostname)) ||
	    !take_word(value, "address", ret->address, sizeof(ret->address)) ||
	    !take(value, "version", ret->version, sizeof(ret->version)) ||
	    !take_word(value, "node_id", ret->node_id, sizeof(ret->node_id)) ||
	    !take_word(value, "engine_id", ret->engine_id, sizeof(ret->engine_id)))
		return err_set(err, ERR_OTHER, "the request has a field that is none");
	ret->token = json_is_true(json_object_get(value, "token"));
	if (strcmp(ret->role, "manager") != 0 && strcmp(ret->role, "worker") != 0)
		return err_set(err, ERR_OTHER, "the request names no role");
	return 0;
}

bool seeds_answer_line(const struct seeds_answer *answer, char **ret)
{
	json_t *value = json_object(), *list = json_array();

	json_object_set_new(value, "v", json_integer(1));
	json_set_text(value, "state", states[answer->state]);
	json_object_set_new(value, "epoch", json_integer((json_int_t)answer->epoch));
	json_set_text(value, "cluster_id", answer->cluster_id);
	json_object_set_new(value, "lonely", json_boolean(answer->lonely));
	json_object_set_new(value, "nodes", json_integer(answer->nodes));
	for (size_t i = 0; i < answer->manager_count; i++)
		json_array_append_new(list, json_string(answer->managers[i]));
	json_object_set_new(value, "managers", list);
	json_set_text(value, "token", answer->token);
	json_set_text(value, "why", answer->why);
	json_set_text(value, "notice", answer->notice);
	return finish(value, ret);
}

static bool take_number(const json_t *object, const char *key, json_int_t most, uint64_t *ret)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	if (n < 0 || n > most)
		return false;
	*ret = (uint64_t)n;
	return true;
}

static bool take_managers(const json_t *list, struct seeds_answer *ret)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		const char *text = json_string_value(item);
		char *to = ret->managers[ret->manager_count];

		if (!text || ret->manager_count == SEEDS_MANAGERS ||
		    !rendezvous_with_port(text, 2377, to, sizeof(ret->managers[0])))
			return false;
		ret->manager_count++;
	}
	return true;
}

int seeds_answer_parse(const char *line, size_t len, struct seeds_answer *ret, struct err *err)
{
	CLEANUP_JSON json_t *value = json_parse(line, len, "answer", err);
	const char *state;
	size_t i = 1;
	uint64_t nodes = 0;

	*ret = (struct seeds_answer){0};
	if (!value)
		return -1;
	if (!json_is_object(value) || json_integer_value(json_object_get(value, "v")) != 1)
		return err_set(err, ERR_OTHER, "the answer is of another version");
	state = json_member_string(value, "state");
	while (state && i < ARRAY_SIZE(states) && strcmp(state, states[i]) != 0)
		i++;
	if (!state || i == ARRAY_SIZE(states))
		return err_set(err, ERR_OTHER, "the answer has no state");
	ret->state = (enum seeds_state)i;
	ret->lonely = json_is_true(json_object_get(value, "lonely"));
	if (!take_number(value, "epoch", (json_int_t)1 << 50, &ret->epoch) ||
	    !take_number(value, "nodes", 1000000, &nodes) ||
	    !take_word(value, "cluster_id", ret->cluster_id, sizeof(ret->cluster_id)) ||
	    !take(value, "why", ret->why, sizeof(ret->why)) ||
	    !take(value, "notice", ret->notice, sizeof(ret->notice)) ||
	    !take_managers(json_object_get(value, "managers"), ret))
		return err_set(err, ERR_OTHER, "the answer has a field that is none");
	ret->nodes = (unsigned)nodes;
	if (json_object_get(value, "token")) {
		const char *token = json_member_string(value, "token");

		if (!token || strlen(token) >= sizeof(ret->token) || !rendezvous_is_token(token))
			return err_set(err, ERR_OTHER, "the answer's token is none");
		memcpy(ret->token, token, strlen(token) + 1);
	}
	if (ret->state == SEEDS_MEMBER && !*ret->cluster_id)
		return err_set(err, ERR_OTHER, "the answer does not name the swarm");
	return 0;
}
