/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joining a cluster: one row per kind of cluster, one loop for all of them.
 */
#ifndef INGOT_AGENT_JOIN_H
#define INGOT_AGENT_JOIN_H

#include "agent/agent.h"
#include "agent/health.h"
#include "agent/record.h"
#include "agent/report.h"

#include <stdbool.h>

enum join_next {
	JOIN_AGAIN, /* something was done: look again at once */
	JOIN_POLL,  /* waits for something on this machine: look again soon */
	JOIN_IDLE,  /* waits for somebody else: look again now and then */
	JOIN_DONE,
};

struct join {
	const struct agent *agent;
	struct report report;
	struct record record;
	double pending_since; /* on clock_monotonic; 0: not pending */
	char waits_for[512];  /* what join_wait said last */
};

/* One kind of cluster. */
struct joiner {
	const char *kind;
	/* One pass: looks at what is, does at most one thing to change it (the record is on the disk
	 * before), says what comes next. Must be able to follow a kill at any point. */
	int (*step)(struct join *join, enum join_next *ret_next, struct err *err);
	/* Lowers the verdict by what is wrong with the role on this machine. */
	void (*health)(const struct agent *agent, struct health *health);
	/* Adds to the object what the cluster's software says about itself; may fail with err. */
	int (*describe)(const struct agent *agent, json_t *into, struct err *err);
};

/* Ended by a row with a NULL kind. */
extern const struct joiner joiners[];

/* The row of the agent's kind; NULL when this agent does not know it. */
const struct joiner *join_find(const char *kind);

/* Says what is waited for: to systemd, to the journal when it is news, and to /run for `status`. remote:
 * it is somebody else's turn. */
void join_wait(struct join *join, bool remote, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Runs the joiner's steps until the machine is joined (0). With a timeout (seconds, 0: none) fails when
 * it is over. Blocks. Errors are retried for ever, with backoff and jitter. */
int join_run(const struct agent *agent, unsigned timeout, struct err *err);

/* kind swarm, in swarm.c; see struct joiner. */
int swarm_step(struct join *join, enum join_next *ret_next, struct err *err);

/* kind swarm: the engine answers, the node is an active member, a manager is reachable. */
void swarm_health(const struct agent *agent, struct health *health);

/* kind swarm: engine version, swarm state and IDs. ERR_NETWORK when the engine does not answer. */
int swarm_describe(const struct agent *agent, json_t *into, struct err *err);

#endif
