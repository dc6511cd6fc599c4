/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nodes of the fake engine's swarm: what a manager lists, changes and removes, with the real one's rules: a change
 * needs the current version, a demoted manager is let go by raft a little later, and only then it may be removed.
 */
#ifndef TESTS_FAKE_NODES_H
#define TESTS_FAKE_NODES_H

#include "fake/engine.h"

#include <jansson.h>

struct fake_node {
	char id[16], hostname[24];
	char state[8];
	char address[24];
	char role[8];     /* that is wanted */
	bool raft;        /* it has a ManagerStatus */
	unsigned int lag; /* listings after a demotion in which raft still has it */
	bool leader;
	unsigned int version;
	char labels[160], spec_labels[160]; /* JSON objects: of its engine, of the node */
};

struct fake_nodes {
	struct fake_node items[16];
	size_t count;
	bool conflict; /* somebody changes each node between the listing and the update */
	bool refuse;   /* GET /swarm fails */
	char worker[3], manager[3]; /* two letters inside the token of each role */
	unsigned int lists;         /* what was asked */
	unsigned int updates, removes, tokens;
};

static struct fake_nodes *fake_nodes;

static void fake_nodes_list(const struct fake_request *request)
{
	static char body[16384];
	size_t len = 0;

	fake_nodes->lists++;
	for (size_t i = 0; i < fake_nodes->count; i++) {
		struct fake_node *n = &fake_nodes->items[i];
		char manager[160] = "";

		if (n->raft && strcmp(n->role, "manager") != 0 && n->lag-- == 0)
			n->raft = false;
		if (n->raft)
			snprintf(
				manager, sizeof(manager),
				",\"ManagerStatus\":{\"Leader\":%s,\"Reachability\":\"%s\",\"Addr\":"
				"\"%s:2377\"}",
				n->leader ? "true" : "false",
				strcmp(n->state, "ready") == 0 ? "reachable" : "unreachable",
				n->address);
		len += (size_t)snprintf(
			body + len, sizeof(body) - len,
			"%s{\"ID\":\"%s\",\"Version\":{\"Index\":%u},\"Spec\":{\"Role\":\"%s\","
			"\"Availability\":\"active\",\"Labels\":%s},\"Description\":{\"Hostname\":"
			"\"%s\",\"Engine\":{\"Labels\":%s}},\"Status\":{\"State\":\"%s\",\"Addr\":"
			"\"%s\"}%s}",
			i ? "," : "[", n->id, n->version, n->role, n->spec_labels, n->hostname,
			n->labels, n->state, n->address, manager);
		if (fake_nodes->conflict)
			n->version++;
	}
	snprintf(body + len, sizeof(body) - len, "%s", len ? "]" : "[]");
	fake_reply(request, "200 OK\r\n", body);
}

static void fake_nodes_update(const struct fake_request *request, struct fake_node *n)
{
	const char *version = strstr(request->path, "version=");
	json_t *spec = json_loads(request->body, 0, NULL);
	const char *role = json_string_value(json_object_get(spec, "Role"));
	char *labels = json_dumps(json_object_get(spec, "Labels"), JSON_COMPACT | JSON_SORT_KEYS);

	if (!version || (unsigned int)atoi(version + 8) != n->version) {
		fake_engine_error(request, "500 Internal Server Error\r\n",
				  "rpc error: code = Unknown desc = update out of sequence");
	} else if (!role || !labels || strlen(labels) >= sizeof(n->spec_labels) ||
		   !json_object_get(spec, "Availability")) {
		fake_engine_error(request, "400 Bad Request\r\n", "a spec lacks what it had");
	} else {
		fake_nodes->updates++;
		n->version++;
		snprintf(n->role, sizeof(n->role), "%s", role);
		snprintf(n->spec_labels, sizeof(n->spec_labels), "%s", labels);
		fake_reply(request, "200 OK\r\n", "");
	}
	free(labels);
	json_decref(spec);
}

static void fake_nodes_remove(const struct fake_request *request, struct fake_node *n)
{
	size_t at = (size_t)(n - fake_nodes->items);

	if (n->raft) {
		fake_engine_error(
			request, "400 Bad Request\r\n",
			"rpc error: code = FailedPrecondition desc = node is a cluster "
			"manager and is a member of the raft cluster. It must be demoted");
		return;
	}
	fake_nodes->removes++;
	memmove(n, n + 1, (--fake_nodes->count - at) * sizeof(*n));
	fake_reply(request, "200 OK\r\n", "");
}

static void fake_nodes_token(const struct fake_request *request)
{
	char body[512];

	fake_nodes->tokens++;
	if (fake_nodes->refuse) {
		fake_engine_error(request, "503 Service Unavailable\r\n", "no leader");
		return;
	}
	snprintf(body, sizeof(body),
		 "{\"ID\":\"x\",\"JoinTokens\":{\"Worker\":\"SWMTKN-1-%s%048d-%024dw\","
		 "\"Manager\":\"SWMTKN-1-%s%048d-%024dm\"}}",
		 fake_nodes->worker, 0, 0, fake_nodes->manager, 0, 0);
	fake_reply(request, "200 OK\r\n", body);
}

static bool fake_nodes_act(const struct fake_request *request, const char *path)
{
	struct fake_node *n = NULL;

	if (strcmp(path, "/swarm") == 0) {
		fake_nodes_token(request);
		return true;
	}
	if (strcmp(path, "/nodes") == 0) {
		fake_nodes_list(request);
		return true;
	}
	if (strncmp(path, "/nodes/", 7) != 0 || strcmp(request->method, "GET") == 0)
		return false;
	for (size_t i = 0; i < fake_nodes->count && !n; i++) {
		size_t len = strlen(fake_nodes->items[i].id);

		if (strncmp(path + 7, fake_nodes->items[i].id, len) == 0 &&
		    strchr("/?", path[7 + len]))
			n = &fake_nodes->items[i];
	}
	if (!n)
		fake_engine_error(request, "404 Not Found\r\n", "node not found");
	else if (strcmp(request->method, "DELETE") == 0)
		fake_nodes_remove(request, n);
	else
		fake_nodes_update(request, n);
	return true;
}

/* Adds a node that is ready. */
__attribute__((unused)) static struct fake_node *fake_nodes_add(const char *id, const char *role,
								const char *address)
{
	struct fake_node *n = &fake_nodes->items[fake_nodes->count++];

	*n = (struct fake_node){.state = "ready", .labels = "{}", .spec_labels = "{}"};
	n->version = 10;
	snprintf(n->id, sizeof(n->id), "%s", id);
	snprintf(n->hostname, sizeof(n->hostname), "host-%s", id);
	snprintf(n->role, sizeof(n->role), "%s", role);
	snprintf(n->address, sizeof(n->address), "%s", address);
	n->raft = strcmp(role, "manager") == 0;
	return n;
}

/* Makes the fake engine a manager, the leader of a swarm of one node: node1 at 10.9.8.7. After fake_engine_new. */
__attribute__((unused)) static void fake_nodes_new(void)
{
	fake_nodes = mmap(NULL, sizeof(*fake_nodes), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fake_nodes == MAP_FAILED)
		FAIL("cannot map: %s", strerror(errno));
	*fake_nodes = (struct fake_nodes){.worker = "aa", .manager = "aa"};
	fake_engine->state = "active";
	fake_engine->control = true;
	fake_engine_more = fake_nodes_act;
	fake_nodes_add("node1", "manager", "10.9.8.7")->leader = true;
}

#endif
