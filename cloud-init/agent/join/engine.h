/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few calls of the Docker Engine API that the agent needs, over the engine's socket. Join tokens come from
 * engine_tokens alone; what looks like one in any other answer is hidden before it can reach a log.
 */
#ifndef INGOT_AGENT_ENGINE_H
#define INGOT_AGENT_ENGINE_H

#include "agent/agent.h"

#include <stdint.h>
#include <sys/types.h>

#define ENGINE_SOCKET "/run/docker.sock"
#define ENGINE_REMOTES 15

struct engine {
	char *socket;
	char version[64]; /* "26.1.5+dfsg1" */
	char api[16];     /* the version that we talk, "1.44"; empty before engine_connect */
};

/* LocalNodeState of GET /info. */
enum engine_state {
	ENGINE_INACTIVE,
	ENGINE_PENDING,
	ENGINE_ACTIVE,
	ENGINE_ERROR,
	ENGINE_LOCKED,
};

/* What GET /info says about the swarm. */
struct engine_swarm {
	enum engine_state state;
	bool control; /* this node is a manager that can reach the others */
	char node_id[65], cluster_id[65];
	char address[128];                /* of this node */
	char error[512];                  /* the engine's own words, or "" */
	unsigned nodes, managers;         /* as the swarm counts them; 0 when it cannot */
	unsigned peers;                   /* managers other than this node that it remembers */
	char engine_id[65];               /* made once per data folder of the engine */
	char remotes[ENGINE_REMOTES][64]; /* addresses of managers that it remembers */
	size_t remote_count;
};

/* What GET /nodes/ID says about one node. */
struct engine_node {
	char state[32];        /* "ready", "down", ... */
	char availability[32]; /* "active", "pause", "drain" */
	bool leader, reachable;
};

/* The name of a state, as the engine writes it. */
const char *engine_state_name(enum engine_state state);

/* Prepares to talk to the engine below the agent's root; no request yet. */
void engine_open(struct engine *engine, const struct agent *agent);

/* Frees it; usable with CLEANUP(). */
void engine_close(struct engine *engine);

/* Asks for the versions (GET /version) and picks the API version. ERR_NETWORK when the engine does not
 * answer. Waits at most 10 s. */
int engine_connect(struct engine *engine, struct err *err);

/* Reads the swarm's state (GET /info). After engine_connect. Waits at most 20 s. */
int engine_swarm(struct engine *engine, struct engine_swarm *ret, struct err *err);

/* How a node becomes a member. */
struct engine_start {
	const char *
		advertise; /* address or interface without port; "" for join: the peer's view of it */
	const char *availability; /* "active", "pause", "drain"; NULL: active */
	/* init */
	const json_t *address_pools; /* list of networks, or NULL; borrowed */
	unsigned subnet_size;        /* 0: the engine's own */
	unsigned data_path_port;     /* 0: 4789 */
	bool force_new; /* the node's own swarm, with its ID and certificates, and this manager alone */
	/* join */
	const char *remote; /* "10.0.0.5:2377": only one, the engine tries no second */
	const char *token;
};

/* Makes a swarm with this node as its first manager (POST /swarm/init), listening on every address. The engine
 * answers when the manager is up, or after its own 20 s; we wait at most 60 s. */
int engine_init(struct engine *engine, const struct engine_start *start, struct err *err);

/* Joins a swarm (POST /swarm/join). The engine answers when the node is a member, or after its own 20 s with an
 * error while it goes on trying; we wait at most 60 s. The error's text is the engine's. */
int engine_join(struct engine *engine, const struct engine_start *start, struct err *err);

/* Leaves the swarm by force and drops its state (POST /swarm/leave?force=1). Waits at most 60 s. */
int engine_leave(struct engine *engine, struct err *err);

/* Reads one node (GET /nodes/ID); managers only. Waits at most 10 s. */
int engine_node(struct engine *engine, const char *node_id, struct engine_node *ret,
		struct err *err);

/* The current join tokens; the caller wipes them. */
struct engine_tokens {
	char worker[128], manager[128];
};

/* Reads the join tokens (GET /swarm); managers only. Waits at most 5 s. */
int engine_tokens(struct engine *engine, struct engine_tokens *ret, struct err *err);

/* One node of GET /nodes. */
struct engine_member {
	char id[65], hostname[65];
	char state[16];           /* "ready", "down", ... */
	char address[64];         /* Status.Addr, without port */
	char manager_address[64]; /* ManagerStatus.Addr with port, or "" */
	bool manager, member, leader,
		reachable; /* manager: wanted; member: it has a ManagerStatus */
	uint64_t version;
	json_t *spec, *labels; /* Spec; Description.Engine.Labels (or NULL); owned */
};

struct engine_members {
	struct engine_member *items;
	size_t count, room;
};

/* Frees the list; usable with CLEANUP() on a zeroed value. */
void engine_members_free(struct engine_members *members);

/* Lists all nodes (GET /nodes), or managers only; managers only. Waits at most 10 s. */
int engine_members(struct engine *engine, bool managers_only, struct engine_members *ret,
		   struct err *err);

/* Replaces a node's spec, if it is still of this version (POST /nodes/ID/update). Waits at most 10 s. */
int engine_member_update(struct engine *engine, const struct engine_member *member,
			 const json_t *spec, struct err *err);

/* Removes a node that is down from the swarm (DELETE /nodes/ID?force=1). Waits at most 10 s. */
int engine_member_remove(struct engine *engine, const char *id, struct err *err);

/* Counts the services (GET /services); managers only. Waits at most 10 s. */
int engine_services(struct engine *engine, unsigned *ret, struct err *err);

/* The ID of an image (64 hex digits) by name or "sha256:ID" (GET /images/NAME/json); "" when there is none. Waits at
 * most 30 s. */
int engine_image(struct engine *engine, const char *name, char ret_id[65], struct err *err);

/* Removes a name of an image, and the image with its last one (DELETE /images/NAME). *ret_kept is true when somebody
 * uses it: then it stays. A name that is not there is no error. Waits at most 60 s. */
int engine_image_remove(struct engine *engine, const char *name, bool *ret_kept, struct err *err);

/* Hands the engine an archive of images (POST /images/load), which read gives as http_request.body_read does. What
 * the engine says of a failure is the error, also when it says so after its 200. Blocks as long as it takes. */
int engine_image_load(struct engine *engine,
		      ssize_t (*read)(void *context, void *bytes, size_t len, struct err *err),
		      void *context, struct err *err);

#endif
