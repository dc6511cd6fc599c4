/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Docker Engine API (docs.docker.com/reference/api/engine) over a unix socket. Every answer is bounded
 * and every field is checked: the engine may be of any version, or be no engine at all.
 */
#include "agent/join/engine.h"

#include "agent/join/engine_parts.h"

#include "base/mem.h"
#include "net/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define API_WANTED 44u /* 1.44: what this file was written for */
#define API_OLDEST 40u /* 1.40: the oldest whose swarm calls are the same */
#define INFO_MAX ((size_t)4 << 20)
#define ANSWER_MAX ENGINE_ANSWER_MAX

static const char *const states[] = {"inactive", "pending", "active", "error", "locked"};

const char *engine_state_name(enum engine_state state)
{
	return states[state];
}

void engine_open(struct engine *engine, const struct agent *agent)
{
	*engine = (struct engine){.socket = agent_path(agent, ENGINE_SOCKET)};
}

void engine_close(struct engine *engine)
{
	free(engine->socket);
	engine->socket = NULL;
}

int engine_refuse(const struct http_answer *answer, const char *path, struct err *err)
{
	CLEANUP_JSON json_t *value = NULL;
	const char *message = NULL;
	char text[400];

	if (answer->body.data)
		value = json_parse(answer->body.data, answer->body.len, path, NULL);
	if (value)
		message = json_member_string(value, "message");
	agent_copy_text(text, sizeof(text), message ? message : "no reason given");
	err_set(err, ERR_OTHER, "the engine refused %s (%ld): %s", path, answer->status, text);
	if (strstr(text, "live-restore") || strstr(text, "firewall-backend"))
		err_hint(err, "the image's daemon.json has a setting that swarm does not allow");
	return -1;
}

int engine_call(struct engine *engine, const char *method, const char *path, const char *body,
		long timeout_ms, size_t max, json_t **ret, struct err *err)
{
	static const char *const json_headers[] = {"Content-Type: application/json", NULL};
	CLEANUP_FREE char *url =
		mem_printf("http://docker%s%s%s", *engine->api ? "/v" : "", engine->api, path);
	struct http_request request = {
		.url = url,
		.method = method,
		.unix_socket = engine->socket,
		.headers = body ? json_headers : NULL,
		.body = body,
		.body_len = body ? strlen(body) : 0,
		.timeout_ms = timeout_ms,
		.connect_timeout_ms = 2000,
		.answer_max = max,
	};
	CLEANUP(http_answer_free) struct http_answer answer = {0};

	if (http_do(&request, &answer, err) < 0)
		return err_wrap(err, "the engine does not answer at '%s'", engine->socket);
	if (answer.status < 200 || answer.status > 299)
		return engine_refuse(&answer, path, err);
	if (!ret)
		return 0;
	*ret = json_parse(answer.body.data ? answer.body.data : "", answer.body.len, path, err);
	return *ret ? 0 : err_wrap(err, "cannot understand the engine's answer");
}

/* Reads "1.44" as 44; 0 when it is no such version. */
static unsigned parse_api(const char *text)
{
	unsigned minor = 0;
	char rest;

	if (!text || sscanf(text, "1.%3u%c", &minor, &rest) != 1)
		return 0;
	return minor;
}

int engine_connect(struct engine *engine, struct err *err)
{
	CLEANUP_JSON json_t *value = NULL;
	unsigned newest, oldest, use = API_WANTED;

	engine->api[0] = '\0';
	if (access(engine->socket, W_OK) < 0)
		return err_set(err, ERR_NETWORK, "the engine does not answer at '%s': %s",
			       engine->socket, strerror(errno));
	if (engine_call(engine, "GET", "/version", NULL, 10000, ANSWER_MAX, &value, err) < 0)
		return -1;
	newest = parse_api(json_member_string(value, "ApiVersion"));
	oldest = parse_api(json_member_string(value, "MinAPIVersion"));
	if (newest == 0)
		return err_set(err, ERR_OTHER, "the engine does not say which API it has");
	if (newest < API_OLDEST)
		return err_set(err, ERR_OTHER, "the engine's API 1.%u is too old, 1.%u is needed",
			       newest, API_OLDEST);
	if (use > newest)
		use = newest;
	if (use < oldest)
		use = oldest;
	agent_copy_text(engine->version, sizeof(engine->version),
			json_member_string(value, "Version"));
	snprintf(engine->api, sizeof(engine->api), "1.%u", use);
	return 0;
}

bool engine_copy_id(char *to, size_t size, const char *from)
{
	size_t len = from ? strlen(from) : 0;

	if (len >= size || (len && strspn(from, "abcdefghijklmnopqrstuvwxyz0123456789") != len))
		return false;
	memcpy(to, from ? from : "", len + 1);
	return true;
}

static unsigned count_of(const json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return n < 0 || n > 1000000 ? 0 : (unsigned)n;
}

/* Managers that the engine remembers, without itself. A pending engine does not always know its own ID,
 * so the address counts, too. */
static unsigned count_peers(const json_t *swarm, const struct engine_swarm *self)
{
	const json_t *list = json_object_get(swarm, "RemoteManagers"), *item;
	size_t i, len = strlen(self->address);
	unsigned count = 0;

	json_array_foreach(list, i, item)
	{
		const char *id = json_member_string(item, "NodeID");
		const char *address = json_member_string(item, "Addr");
		bool own = (id && *id && strcmp(id, self->node_id) == 0) ||
			   (address && len && strncmp(address, self->address, len) == 0 &&
			    address[len] == ':');

		count += !own;
	}
	return count;
}

/* Where the swarm's managers are, as this node knows them. */
static void copy_remotes(const json_t *swarm, struct engine_swarm *ret)
{
	const json_t *list = json_object_get(swarm, "RemoteManagers"), *item;
	size_t i;

	json_array_foreach(list, i, item) if (ret->remote_count < ENGINE_REMOTES)
		agent_copy_text(ret->remotes[ret->remote_count++], sizeof(ret->remotes[0]),
				json_member_string(item, "Addr"));
}

static int parse_state(const char *text, enum engine_state *ret, struct err *err)
{
	char shown[64];

	/* The engine leaves the word out when it never was in a swarm. */
	if (!text || !*text) {
		*ret = ENGINE_INACTIVE;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if (strcmp(text, states[i]) == 0) {
			*ret = (enum engine_state)i;
			return 0;
		}
	agent_copy_text(shown, sizeof(shown), text);
	return err_set(err, ERR_OTHER, "the engine is in the unknown swarm state '%s'", shown);
}

int engine_swarm(struct engine *engine, struct engine_swarm *ret, struct err *err)
{
	CLEANUP_JSON json_t *info = NULL;
	const json_t *swarm, *cluster;

	*ret = (struct engine_swarm){0};
	if (engine_call(engine, "GET", "/info", NULL, 20000, INFO_MAX, &info, err) < 0)
		return -1;
	swarm = json_object_get(info, "Swarm");
	if (!json_is_object(swarm))
		return err_set(err, ERR_OTHER, "the engine's /info says nothing about swarm");
	cluster = json_object_get(swarm, "Cluster");
	if (parse_state(json_member_string(swarm, "LocalNodeState"), &ret->state, err) < 0)
		return -1;
	if (!engine_copy_id(ret->node_id, sizeof(ret->node_id),
			    json_member_string(swarm, "NodeID")) ||
	    !engine_copy_id(ret->cluster_id, sizeof(ret->cluster_id),
			    json_member_string(cluster, "ID")))
		return err_set(err, ERR_OTHER, "the engine's /info has an ID that is none");
	agent_copy_text(ret->engine_id, sizeof(ret->engine_id), json_member_string(info, "ID"));
	ret->control = json_is_true(json_object_get(swarm, "ControlAvailable"));
	agent_copy_text(ret->address, sizeof(ret->address), json_member_string(swarm, "NodeAddr"));
	agent_copy_text(ret->error, sizeof(ret->error), json_member_string(swarm, "Error"));
	ret->nodes = count_of(swarm, "Nodes");
	ret->managers = count_of(swarm, "Managers");
	ret->peers = count_peers(swarm, ret);
	copy_remotes(swarm, ret);
	return 0;
}

/* A request about one image, whose answer may be that there is none (404) or that it is used (409). */
static int ask_image(struct engine *engine, const char *method, const char *name, const char *what,
		     struct http_answer *answer, struct err *err)
{
	CLEANUP_FREE char *path = mem_printf("/images/%s%s", name, what);
	CLEANUP_FREE char *url = mem_printf("http://docker/v%s%s", engine->api, path);
	struct http_request request = {
		.url = url,
		.method = method,
		.unix_socket = engine->socket,
		.timeout_ms = 60000,
		.connect_timeout_ms = 2000,
		.answer_max = INFO_MAX,
	};

	if (http_do(&request, answer, err) < 0)
		return err_wrap(err, "the engine does not answer at '%s'", engine->socket);
	if (answer->status == 404 || answer->status == 409 ||
	    (answer->status >= 200 && answer->status <= 299))
		return 0;
	return engine_refuse(answer, path, err);
}

int engine_image(struct engine *engine, const char *name, char ret_id[65], struct err *err)
{
	CLEANUP(http_answer_free) struct http_answer answer = {0};
	CLEANUP_JSON json_t *value = NULL;
	const char *id;

	ret_id[0] = '\0';
	if (ask_image(engine, "GET", name, "/json", &answer, err) < 0)
		return -1;
	if (answer.status == 404)
		return 0;
	value = json_parse(answer.body.data ? answer.body.data : "", answer.body.len, name, err);
	if (!value)
		return err_wrap(err, "cannot understand the engine's answer");
	id = json_member_string(value, "Id");
	if (!id || !str_has_prefix(id, "sha256:") || strspn(id + 7, "0123456789abcdef") != 64 ||
	    strlen(id) != 7 + 64)
		return err_set(err, ERR_OTHER, "the engine does not say the ID of '%s'", name);
	memcpy(ret_id, id + 7, 65);
	return 0;
}

int engine_image_remove(struct engine *engine, const char *name, bool *ret_kept, struct err *err)
{
	CLEANUP(http_answer_free) struct http_answer answer = {0};

	if (ask_image(engine, "DELETE", name, "", &answer, err) < 0)
		return -1;
	*ret_kept = answer.status == 409;
	return 0;
}

/* The engine answers 200 before it reads the archive; what goes wrong then comes as a value {"error": ...} in its
 * stream of JSON values (Engine API, ImageLoad). */
static int load_outcome(const struct str *body, struct err *err)
{
	char text[400];

	for (size_t at = 0; at < body->len;) {
		json_error_t parsed;
		CLEANUP_JSON json_t *value = json_loadb(body->data + at, body->len - at,
							JSON_DISABLE_EOF_CHECK, &parsed);
		const char *message = json_member_string(value, "error");

		if (message) {
			agent_copy_text(text, sizeof(text), message);
			return err_set(err, ERR_OTHER, "the engine takes no images: %s", text);
		}
		if (!value || parsed.position <= 0)
			return 0; /* words of another kind: the caller asks for what it wanted loaded */
		at += (size_t)parsed.position;
	}
	return 0;
}

int engine_image_load(struct engine *engine,
		      ssize_t (*read)(void *context, void *bytes, size_t len, struct err *err),
		      void *context, struct err *err)
{
	static const char *const headers[] = {"Content-Type: application/x-tar", NULL};
	CLEANUP_FREE char *url = mem_printf("http://docker/v%s/images/load?quiet=1", engine->api);
	struct http_request request = {
		.url = url,
		.unix_socket = engine->socket,
		.headers = headers,
		.body_read = read,
		.body_context = context,
		.timeout_ms = 24L * 3600 * 1000,
		.connect_timeout_ms = 2000,
		.answer_max = INFO_MAX,
	};
	CLEANUP(http_answer_free) struct http_answer answer = {0};

	if (http_do(&request, &answer, err) < 0)
		return err_wrap(err, "the engine takes no images");
	return answer.status == 200 ? load_outcome(&answer.body, err)
				    : engine_refuse(&answer, "/images/load", err);
}
