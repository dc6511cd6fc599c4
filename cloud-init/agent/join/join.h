/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joining a cluster: one row per kind of cluster, one loop for all of them.
 */
#ifndef INGOT_AGENT_JOIN_H
#define INGOT_AGENT_JOIN_H

#include "agent/agent.h"
#include "agent/boot/health.h"
#include "agent/join/record.h"
#include "agent/join/rendezvous.h"
#include "agent/report.h"

#include <stdbool.h>

#define JOIN_LOCK AGENT_RUN "/join.lock"             /* held by the join that runs */
#define JOIN_INITIALISE AGENT_RUN "/initialise.json" /* `join --initialise` was said in this boot */

enum join_next {
	JOIN_AGAIN, /* something was done: look again at once */
	JOIN_POLL,  /* waits for something on this machine: look again soon */
	JOIN_IDLE,  /* waits for somebody else: look again now and then */
	JOIN_LOOK,  /* waits for others that start now: look again after join->look_pause */
	JOIN_DONE,
};

struct join;

/* What the loop and the steps need of the world: the real one, or that of a simulation. */
struct join_seams {
	double (*now)(struct join *join);    /* seconds on a clock that never jumps */
	double (*chance)(struct join *join); /* from 0 to below 1 */
	void (*pause)(struct join *join, double seconds);
	int (*save)(struct join *join, struct err *err); /* the record, on the disk */
	/* What is waited for (NULL: nothing), for `status`. */
	int (*live)(struct join *join, const char *waits_for, bool remote, struct err *err);
};

extern const struct join_seams join_world;

struct swarm_seams;

struct join {
	const struct agent *agent;
	const struct join_seams *seams;
	const struct swarm_seams *swarm;
	void *world; /* of the seams */
	struct report report;
	struct record record;
	double pending_since; /* on the seams' clock; 0: not pending */
	char waits_for[512];  /* what join_wait said last */
	/* With cluster settings; see swarm_member.c. */
	json_t *settings; /* the whole file, or NULL: not read yet; owned */
	bool has_cluster; /* the settings name one: rendezvous is in use */
	bool initialise;  /* `join --initialise` */
	bool told_clock;  /* the clock is good */
	bool asked;       /* this process asked the engine to join */
	bool made; /* this process asked the engine to initialise, and it has not gone away since */
	double clock_since; /* when we began to wait for it; 0: not yet */
	double look_pause;  /* last pause between looks */
	double calm_until;  /* jitter before the join; 0: not chosen */
	struct rendezvous rendezvous;
	char self[96], instance[64], hostname[65], engine_id[65], engine_version[64], address[64],
		avoid[128];
	char notice[200]; /* that was told last */
	unsigned token_faults, fingerprint_faults;
	uint64_t token_epoch; /* in which tokens were refused */
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
 * it is over. initialise: this seed may make the swarm although it is not the first one. Blocks. Errors are
 * retried for ever, with backoff and jitter. */
int join_run(const struct agent *agent, bool initialise, unsigned timeout, struct err *err);

/* The loop of join_run for a join whose agent, seams and record are set. */
int join_loop(struct join *join, unsigned timeout, struct err *err);

/* Frees what the steps keep in it; usable with CLEANUP(). */
void join_close(struct join *join);

/* Puts step on the disk before the side effect that it announces. */
int join_intend(struct join *join, enum record_step step, struct err *err);

/* kind swarm, in swarm.c; see struct joiner. */
int swarm_step(struct join *join, enum join_next *ret_next, struct err *err);

/* kind swarm: the engine answers, the node is an active member, a manager is reachable. */
void swarm_health(const struct agent *agent, struct health *health);

/* kind swarm: engine version, swarm state and IDs. ERR_NETWORK when the engine does not answer. */
int swarm_describe(const struct agent *agent, json_t *into, struct err *err);

#endif
