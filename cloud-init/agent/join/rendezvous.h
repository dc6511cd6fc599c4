/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where machines that start at the same time find each other: one row per backend. At most one of them may
 * initialise; the others learn which swarm there is and get the current token of their role. Tokens are never
 * at rest in clear: a backend seals them with the cluster's secret, or does not keep them at all.
 */
#ifndef INGOT_AGENT_RENDEZVOUS_H
#define INGOT_AGENT_RENDEZVOUS_H

#include "agent/agent.h"

#include <stdbool.h>
#include <stdint.h>

#define RENDEZVOUS_TOKEN_MAX 128
#define RENDEZVOUS_LEASE 10.0 /* seconds that a claim lasts without being renewed */

enum rendezvous_state {
	RENDEZVOUS_EMPTY, /* there is no swarm, and nobody makes one */
	RENDEZVOUS_BUSY,  /* somebody holds the claim and initialises */
	RENDEZVOUS_READY, /* there is a swarm: cluster_id, addresses and token are set */
	RENDEZVOUS_WAIT,  /* nothing can be said now; why says what is missing */
};

/* What a backend knows now. */
struct rendezvous_view {
	enum rendezvous_state state;
	uint64_t epoch;                         /* grows with each claim */
	char owner[65];                         /* BUSY: who initialises */
	char cluster_id[65];                    /* READY; "" when the backend cannot know it */
	struct strv addresses;                  /* READY: managers, "10.0.0.5:2377" */
	char token[RENDEZVOUS_TOKEN_MAX];       /* READY: of the role that was asked for */
	char other_token[RENDEZVOUS_TOKEN_MAX]; /* publish only: of the other role */
	unsigned nodes;                         /* of the swarm; 0: not known */
	char why[512];                          /* WAIT, BUSY: in words */
	char notice[200]; /* what the owner of this machine should know, or "" */
	/* seeds: this machine's swarm, of this cluster_id, must give way to that one; only when it is lonely. */
	bool gives_way;
};

/* Wipes and frees; usable with CLEANUP() on a zeroed value. */
void rendezvous_view_free(struct rendezvous_view *view);

struct rendezvous {
	const struct agent *agent;
	const json_t *cluster; /* settings "cluster"; borrowed */
	const char *role;      /* "manager" or "worker" */
	const char
		*self; /* who this machine is: unique, also among machines with one instance-id */
	const char *address; /* of this machine, which others use; "" when it is not known yet */
	/* For backends whose managers hear who asks; may be "" or NULL. */
	const char *hostname, *node_id, *engine_id, *engine_version;
	const char *cluster_id; /* of the swarm that this machine is in, or "" or NULL */
	bool lonely;            /* that swarm has one node and no services */
	uint64_t epoch;         /* of this machine's own claim or swarm, 0: none */
	bool initialise;        /* somebody said `join --initialise` here */
	const struct rendezvous_kind *kind;
	void *state; /* of the backend */
};

struct rendezvous_kind {
	const char *name; /* "seeds", "etcd", "s3", "static" */
	/* Reads the settings; no I/O to the outside. ERR_PROFILE names the key that is wrong. */
	int (*open)(struct rendezvous *r, struct err *err);
	void (*close)(struct rendezvous *r);
	/* What is known now. ERR_NETWORK when nobody answers. Blocks at most 3 s. */
	int (*look)(struct rendezvous *r, struct rendezvous_view *ret, struct err *err);
	/* Tries to get the right to initialise; *ret_won only when this machine has it. May be won again
	 * by the machine that holds it (after a reboot). *ret_epoch is that of the claim. Blocks at most 3 s.
	 * NULL: nobody initialises. */
	int (*claim)(struct rendezvous *r, bool *ret_won, uint64_t *ret_epoch, struct err *err);
	/* Keeps the claim; *ret_held is false when it was lost. NULL: it needs no keeping. */
	int (*renew)(struct rendezvous *r, bool *ret_held, struct err *err);
	/* Tells the others that the swarm is ready, fenced: *ret_held is false, and nothing changed, when
	 * somebody else has taken over. Also called again by a member manager when addresses or tokens have
	 * changed. NULL: managers answer themselves. */
	int (*publish)(struct rendezvous *r, const struct rendezvous_view *ready, bool *ret_held,
		       struct err *err);
};

/* Ended by NULL. */
extern const struct rendezvous_kind *const rendezvous_kinds[];

/* Opens the backend that cluster.rendezvous names ("seeds" when absent). Close with rendezvous_close. */
int rendezvous_open(struct rendezvous *r, struct err *err);

/* Closes it, wiping secrets; usable with CLEANUP() on a zeroed value. */
void rendezvous_close(struct rendezvous *r);

/* True for a well-formed join token of Swarm (version 1 or 2; swarmkit ca/config.go). */
bool rendezvous_is_token(const char *text);

/* Puts ":port" behind a host that has no port into to; IPv6 addresses need brackets for a port. False when it does
 * not fit or is no host. */
bool rendezvous_with_port(const char *host, unsigned port, char *to, size_t size);

#endif
