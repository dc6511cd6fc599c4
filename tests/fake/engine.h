/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Docker Engine for tests: the swarm calls of its API on a unix socket, with the states and refusals of
 * the real one and with faults on demand. Its memory is shared with the test, and it can kill the client
 * at any request, before or after doing what was asked.
 */
#ifndef TESTS_FAKE_ENGINE_H
#define TESTS_FAKE_ENGINE_H

#include "fake/http.h"

#include <sys/mman.h>

enum fake_init {
	FAKE_INIT_WORKS,
	FAKE_INIT_REFUSED, /* 400 with a reason that holds a token; the state stays inactive */
	FAKE_INIT_PENDING, /* answers 500 after a while and stays pending, as a real one may */
	FAKE_INIT_BREAKS,  /* the state becomes "error" */
};

struct fake_engine {
	const char *state;       /* LocalNodeState */
	const char *swarm_error; /* Swarm.Error */
	const char *cluster_id, *node_id;
	const char *node_state; /* Status.State of GET /nodes/ID */
	const char *api, *api_min;
	const char *body;         /* when set: sent as it is, with 200, for every request */
	bool control, leaderless; /* leaderless: GET /nodes/ID is refused */
	unsigned int peers;       /* other managers in RemoteManagers */
	enum fake_init init;
	const char *remote;     /* address of the manager in RemoteManagers that is not a peer */
	const char *join_error; /* POST /swarm/join: refused with these words; NULL: it works */
	bool join_pends;        /* with join_error: the engine goes on trying, and is pending */
	unsigned int slow_ms;   /* before each answer */
	unsigned int busy;      /* so many requests get 503 first */
	unsigned int kill_at;   /* kill the client at this request (from 1), 0: never */
	bool kill_after;        /* after doing what it asked, else before */
	/* What happened. */
	unsigned int requests, inits, init_calls, leaves, joins, join_calls;
	char init_body[512], join_body[512];
};

static struct fake_engine *fake_engine;

/* Further calls, of a test that needs them: false when it is none of them. Set before fake_engine_start. */
static bool (*fake_engine_more)(const struct fake_request *request, const char *path);

static void fake_engine_kill(const struct fake_request *request)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(request->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
		kill(peer.pid, SIGKILL);
	/* The answer must not arrive, whatever is slower. */
	usleep(20000);
}

static void fake_engine_error(const struct fake_request *request, const char *status,
			      const char *message)
{
	char body[512];

	snprintf(body, sizeof(body), "{\"message\":\"%s\"}", message);
	fake_reply(request, status, body);
}

static void fake_engine_info(const struct fake_request *request)
{
	struct fake_engine *e = fake_engine;
	bool active = strcmp(e->state, "active") == 0;
	char body[4096], peers[2048] = "", cluster[256] = "";

	for (unsigned int i = 0; i < e->peers && i < 8; i++)
		snprintf(peers + strlen(peers), sizeof(peers) - strlen(peers),
			 ",{\"NodeID\":\"peer%u\",\"Addr\":\"10.0.0.%u:2377\"}", i, i + 10);
	if (active && e->control)
		snprintf(cluster, sizeof(cluster), ",\"Cluster\":{\"ID\":\"%s\"}", e->cluster_id);
	snprintf(body, sizeof(body),
		 "{\"ID\":\"x\",\"Swarm\":{\"NodeID\":\"%s\",\"NodeAddr\":\"10.9.8.7\","
		 "\"LocalNodeState\":\"%s\",\"ControlAvailable\":%s,\"Error\":\"%s\","
		 "\"RemoteManagers\":[{\"NodeID\":\"%s\",\"Addr\":\"%s\"}%s],"
		 "\"Nodes\":1,\"Managers\":1%s}}",
		 active ? e->node_id : "", e->state, active && e->control ? "true" : "false",
		 e->swarm_error, e->node_id, e->remote, peers, cluster);
	fake_reply(request, "200 OK\r\nContent-Type: application/json\r\n", body);
}

static void fake_engine_init(const struct fake_request *request)
{
	struct fake_engine *e = fake_engine;

	e->init_calls++;
	snprintf(e->init_body, sizeof(e->init_body), "%s", request->body);
	if (strcmp(e->state, "inactive") != 0) {
		fake_engine_error(request, "503 Service Unavailable\r\n",
				  "This node is already part of a swarm.");
		return;
	}
	switch (e->init) {
	case FAKE_INIT_WORKS:
		e->inits++;
		e->state = "active";
		e->control = true;
		fake_reply(request, "200 OK\r\n", "\"node1\"");
		return;
	case FAKE_INIT_REFUSED:
		fake_engine_error(
			request, "400 Bad Request\r\n",
			"no good: SWMTKN-1-3pu6hszjas19xyp7ghgosyx9k8atbfcr8p2is99znpy26u2l"
			"kl-1awxwuwd3z9j1z3puu7rcgdbx is a secret");
		return;
	case FAKE_INIT_PENDING:
		e->state = "pending";
		break;
	case FAKE_INIT_BREAKS:
		e->state = "error";
		e->swarm_error = "it broke";
		break;
	}
	fake_engine_error(request, "500 Internal Server Error\r\n", "context deadline exceeded");
}

static void fake_engine_join(const struct fake_request *request)
{
	struct fake_engine *e = fake_engine;

	e->join_calls++;
	snprintf(e->join_body, sizeof(e->join_body), "%s", request->body);
	if (strcmp(e->state, "inactive") != 0) {
		fake_engine_error(request, "503 Service Unavailable\r\n",
				  "This node is already part of a swarm. Use docker swarm leave");
	} else if (e->join_error) {
		if (e->join_pends)
			e->state = "pending";
		fake_engine_error(request, "503 Service Unavailable\r\n", e->join_error);
	} else {
		e->joins++;
		e->state = "active";
		fake_reply(request, "200 OK\r\n", "");
	}
}

static void fake_engine_node(const struct fake_request *request)
{
	char body[512];

	if (fake_engine->leaderless) {
		fake_engine_error(request, "503 Service Unavailable\r\n",
				  "rpc error: The swarm does not have a leader.");
		return;
	}
	snprintf(body, sizeof(body),
		 "{\"ID\":\"%s\",\"Spec\":{\"Availability\":\"active\"},\"Status\":{\"State\":"
		 "\"%s\"},\"ManagerStatus\":{\"Leader\":true,\"Reachability\":\"reachable\"}}",
		 fake_engine->node_id, fake_engine->node_state);
	fake_reply(request, "200 OK\r\n", body);
}

static void fake_engine_act(const struct fake_request *request)
{
	struct fake_engine *e = fake_engine;
	/* "/v1.44/info" is "/info". */
	const char *path = request->path[1] == 'v' && request->path[2] == '1'
				   ? strchr(request->path + 1, '/')
				   : request->path;

	if (e->body) {
		fake_reply(request, "200 OK\r\n", e->body);
	} else if (fake_engine_more && fake_engine_more(request, path)) {
		return;
	} else if (strcmp(path, "/version") == 0) {
		char body[256];

		snprintf(body, sizeof(body),
			 "{\"Version\":\"26.1.5\",\"ApiVersion\":\"%s\",\"MinAPIVersion\":\"%s\"}",
			 e->api, e->api_min);
		fake_reply(request, "200 OK\r\n", body);
	} else if (strcmp(path, "/info") == 0) {
		fake_engine_info(request);
	} else if (strcmp(path, "/swarm/init") == 0 && strcmp(request->method, "POST") == 0) {
		fake_engine_init(request);
	} else if (strcmp(path, "/swarm/join") == 0 && strcmp(request->method, "POST") == 0) {
		fake_engine_join(request);
	} else if (strcmp(path, "/swarm/leave?force=1") == 0 &&
		   strcmp(request->method, "POST") == 0) {
		e->leaves++;
		e->state = "inactive";
		e->swarm_error = "";
		fake_reply(request, "200 OK\r\n", "");
	} else if (strcmp(path, "/services") == 0) {
		fake_reply(request, "200 OK\r\n", "[]");
	} else if (strncmp(path, "/nodes/", 7) == 0) {
		fake_engine_node(request);
	} else {
		fake_engine_error(request, "404 Not Found\r\n", "page not found");
	}
}

static void fake_engine_handle(struct fake_request *request)
{
	struct fake_engine *e = fake_engine;
	bool fatal = ++e->requests == e->kill_at;

	if (e->slow_ms)
		usleep(e->slow_ms * 1000);
	if (fatal && !e->kill_after) {
		fake_engine_kill(request);
		return;
	}
	if (e->busy) {
		e->busy--;
		fake_engine_error(request, "503 Service Unavailable\r\n", "not now");
		return;
	}
	if (fatal) {
		/* Do it, but let the answer go nowhere. */
		struct fake_request silent = *request;

		silent.fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
		fake_engine_act(&silent);
		close(silent.fd);
		fake_engine_kill(request);
		return;
	}
	fake_engine_act(request);
}

/* Makes the engine's memory: an engine that works and is in no swarm. Set its fields before or after
 * fake_engine_start; strings must be literals. */
__attribute__((unused)) static void fake_engine_new(void)
{
	fake_engine = mmap(NULL, sizeof(*fake_engine), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fake_engine == MAP_FAILED)
		FAIL("cannot map: %s", strerror(errno));
	*fake_engine = (struct fake_engine){
		.state = "inactive",
		.swarm_error = "",
		.cluster_id = "cluster1",
		.node_id = "node1",
		.node_state = "ready",
		.remote = "10.9.8.7:2377",
		.api = "1.45",
		.api_min = "1.24",
	};
}

/* Starts it on a socket that does not exist yet. */
__attribute__((unused)) static void fake_engine_start(const char *path)
{
	fake_http_unix(path, fake_engine_handle);
}

#endif
