/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far the join is. What must survive a reboot lies in /var/lib/ingot/agent/join.json and is on the disk
 * before each side effect; what is waited for now lies in /run/ingot/join.json for `status`.
 */
#ifndef INGOT_AGENT_RECORD_H
#define INGOT_AGENT_RECORD_H

#include "agent/agent.h"

#include <stdbool.h>
#include <stdint.h>

#define RECORD_FILE AGENT_STATE "/join.json"
#define RECORD_LIVE AGENT_RUN "/join.json"

enum record_step {
	RECORD_NEW,    /* nothing was done yet */
	RECORD_INIT,   /* we asked the engine to initialise, or were about to */
	RECORD_LEAVE,  /* our own unfinished initialisation is being dropped */
	RECORD_JOINED, /* this machine is a member of cluster_id */
	RECORD_CLAIM,  /* we ask for the right to initialise, or have it */
	RECORD_JOIN,   /* we asked the engine to join, or were about to */
};

struct record {
	enum record_step step;
	unsigned tries; /* initialisations that were begun */
	char cluster_id[65], node_id[65];
	char joining[65];  /* JOIN: the swarm that is joined, when the rendezvous says which */
	char cluster[64];  /* JOINED: name of the cluster in the settings, if they have one */
	uint64_t epoch;    /* of our claim, or of the swarm; 0: none */
	char unique[17];   /* made once: tells apart machines that were given one instance-id */
	char instance[64]; /* instance-id for which this record was made */
	char address[64];  /* that others use */
	char error[512];   /* the last one, kept after it is over */
	char error_time[24];
};

/* The name of a step, as it is written to the file and the journal. */
const char *record_step_name(enum record_step step);

/* This machine has a claim, or initialises under it: others wait for it. */
bool record_claims(const struct record *record);

/* Reads the record; an absent file is a new record. A file that is damaged is an error: nothing must be
 * done on a guess. */
int record_load(const struct agent *agent, struct record *ret, struct err *err);

/* Removes temporary files that an agent left which was killed while it wrote. Only the one that writes
 * may call it. */
void record_clean(const struct agent *agent);

/* Writes the record with fsync and rename. */
int record_save(const struct agent *agent, const struct record *record, struct err *err);

/* Sets error and error_time (now). */
void record_note_error(struct record *record, const struct err *cause);

/* Writes what is waited for now (NULL: nothing, it is done) below /run; not synced. remote: somebody
 * else must do something. */
int record_save_live(const struct agent *agent, const struct record *record, const char *waits_for,
		     bool remote, struct err *err);

#endif
