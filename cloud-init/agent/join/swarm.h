/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of kind "swarm" share: the steps of a machine alone and of one with cluster settings, and the
 * seams between them and the world (engine, network, clock), which a simulation replaces.
 */
#ifndef INGOT_AGENT_SWARM_H
#define INGOT_AGENT_SWARM_H

#include "agent/join/engine.h"
#include "agent/join/join.h"
#include "agent/join/rendezvous.h"

#include <stdbool.h>
#include <stddef.h>

struct swarm_seams {
	/* Reads settings and opens the rendezvous when there is a cluster; sets has_cluster and self. Called at
	 * each step; cheap when it is done. */
	int (*setup)(struct join *join, struct err *err);
	/* The engine's state. ERR_NETWORK while it does not answer. */
	int (*info)(struct join *join, struct engine_swarm *ret, struct err *err);
	/* engine_init; keeps the claim with the rendezvous meanwhile. */
	int (*init)(struct join *join, const struct engine_start *start, struct err *err);
	int (*join)(struct join *join, const struct engine_start *start, struct err *err);
	int (*leave)(struct join *join, struct err *err);
	/* Addresses of managers and both tokens, for publish. */
	int (*ready)(struct join *join, struct rendezvous_view *ret, struct err *err);
	int (*services)(struct join *join, unsigned *ret, struct err *err);
	/* The address that others use into join->address; false with *ret_why while there is none. */
	bool (*address)(struct join *join, char interface[16], const char **ret_why);
	/* dial_first with a second of time. */
	bool (*probe)(struct join *join, const struct strv *addresses, const char *avoid,
		      size_t *ret);
	/* True when certificates can be made and checked by this clock; else why says what is wrong. */
	bool (*clock)(struct join *join, char *why, size_t size);
};

extern const struct swarm_seams swarm_world;

/* Reads from a manager's engine what others need: managers that are reachable, tokens (of role, and of the other one),
 * number of nodes. The caller wipes it with rendezvous_view_free. */
int swarm_ready(struct engine *engine, const char *role, struct rendezvous_view *ret,
		struct err *err);

/* True when this machine's role (settings, else image) is manager. */
bool swarm_is_manager(const struct join *join);

/* "manager" or "worker", or what else the image says. */
const char *swarm_role(const struct join *join);

/* The machine is in a swarm other than that of its record: says so and waits. */
bool swarm_is_foreign(struct join *join, const struct engine_swarm *swarm,
		      enum join_next *ret_next);

/* Asks the engine to initialise, after the record has said so; join->made tells what is known of it. */
int swarm_initialise(struct join *join, const struct engine_start *start, enum join_next *ret_next,
		     struct err *err);

/* Leaves a swarm whose initialisation was interrupted, when nobody was told of it: the engine was killed, or we were,
 * before it said that it had initialised. What it comes back with may look sound and have lost the key of its CA, so
 * that nobody can ever join ("no valid signer found"). Nobody depends on it: others hear of it when it is published
 * or we are JOINED. */
int swarm_drop_half_made(struct join *join, const struct engine_swarm *swarm,
			 enum join_next *ret_next, bool *ret_dropped, struct err *err);

/* Takes over the IDs and puts JOINED on the disk. */
int swarm_joined(struct join *join, const struct engine_swarm *swarm, enum join_next *ret_next,
		 struct err *err);

/* A step with cluster settings while the engine is in no swarm. */
int member_inactive(struct join *join, enum join_next *ret_next, struct err *err);

/* While it is pending or in error. */
int member_unfinished(struct join *join, const struct engine_swarm *swarm, enum join_next *ret_next,
		      struct err *err);

/* When it is in a swarm. */
int member_active(struct join *join, const struct engine_swarm *swarm, enum join_next *ret_next,
		  struct err *err);

/* Looks whether this manager's swarm, which has one node, must give way to that of other seeds, and leaves it if so
 * and it has no services. *ret_left says whether it did; *ret_alarm that it must but may not (said already). */
int member_settle(struct join *join, const struct engine_swarm *swarm, bool *ret_left,
		  bool *ret_alarm, struct err *err);

/* What an engine's refusal to join means. */
enum swarm_fault {
	SWARM_FAULT_OTHER,
	SWARM_FAULT_ALREADY,     /* it is in a swarm, or on its way: look */
	SWARM_FAULT_TIMEOUT,     /* it goes on trying in the background */
	SWARM_FAULT_DIAL_BACK,   /* the leader does not reach this machine */
	SWARM_FAULT_TOKEN,       /* the token is not (or no longer) good */
	SWARM_FAULT_FINGERPRINT, /* the token is of another swarm than the manager that was asked */
	SWARM_FAULT_CLOCK,       /* certificates are not valid at this machine's time */
	SWARM_FAULT_LEADER,      /* no leader now */
	SWARM_FAULT_IMAGE,       /* daemon.json has what swarm does not allow */
	SWARM_FAULT_LOCKED,      /* somebody must unlock it */
};

struct swarm_fault_row {
	const char *text; /* part of the engine's words */
	enum swarm_fault fault;
	const char *words; /* what that means and what to do; NULL: the engine's words say it */
};

/* In the order in which they are looked for, ended by a row with a NULL text. */
extern const struct swarm_fault_row swarm_faults[];

/* The row for an error of the engine; never NULL (the last row is SWARM_FAULT_OTHER). */
const struct swarm_fault_row *swarm_fault_find(const char *message);

#endif
