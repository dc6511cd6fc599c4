/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of `ingot-agent serve` share: what this manager knows, who is connected, what is to be done.
 */
#ifndef INGOT_AGENT_SERVE_H
#define INGOT_AGENT_SERVE_H

#include "agent/join/engine.h"
#include "agent/join/record.h"
#include "agent/join/rendezvous.h"
#include "agent/report.h"
#include "agent/join/seeds.h"

#include "base/digest.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>

#define SERVE_CONNS 32      /* at once; each costs up to 60 kB when it talks TLS */
#define SERVE_PER_ADDRESS 6 /* of one address at once */
#define SERVE_RATE 20.0     /* new ones per second of one address, after a first SERVE_BURST */
#define SERVE_BURST 40.0
#define SERVE_PROMISE 20.0 /* seconds in which an engine that has a token must be in the swarm */
#define SERVE_TIME 4.0     /* seconds from accept to the end */
#define SERVE_ADDRESSES 64 /* whose rate is remembered */
#define SERVE_REPLACED 8   /* dead managers that are being removed */
#define SERVE_HEARD 64     /* machines that asked lately */

/* What the engine said last, without secrets. */
struct serve_facts {
	double at;    /* on clock_monotonic; 0: never */
	bool answers; /* the engine did */
	struct engine_swarm swarm;
	unsigned services; /* asked when there is one node only */
	bool leader;
	bool promised;                 /* a token was given lately: somebody may be on the way */
	struct engine_members members; /* when it is a manager that has a leader */
};

struct serve_conn {
	int fd; /* until TLS begins; -1: then it is psk's, or free when psk is NULL too */
	struct psk_conn *psk;
	enum psk_want want;
	double since;
	struct in6_addr from;
};

struct serve_rate {
	struct in6_addr from;
	double tokens, at;
};

struct serve_replaced {
	char id[65];
	double since, next;
};

struct serve_heard {
	char instance[80], address[64], engine_id[65];
	double at, told; /* when its notice was logged */
};

struct serve {
	const struct agent *agent;
	struct report report;
	json_t *settings; /* owned */
	struct rendezvous rendezvous;
	struct seeds *seeds; /* of the rendezvous, when its kind is seeds; else NULL */
	struct engine engine;
	struct record record;
	struct serve_facts facts;
	int listener;
	unsigned port;
	struct serve_conn conns[SERVE_CONNS];
	struct serve_rate rates[SERVE_ADDRESSES];
	struct serve_replaced replaced[SERVE_REPLACED];
	size_t replaced_count;
	struct serve_heard heard[SERVE_HEARD];
	double next_chores, next_removal, next_other;
	double promised; /* when a token was given last; 0: never */
	struct digest published;
	bool has_published;
	char self[96], hostname[65], address[64], said[200];
	int child; /* pid of a `join` that settles two swarms, or 0 */
};

/* Closes everything, wiping secrets; usable with CLEANUP(). */
void serve_close(struct serve *serve);

/* Asks the engine again when what is known is older than age seconds. */
void serve_refresh(struct serve *serve, double age);

/* What a machine is to those who ask, for all that its record and its engine say. Pure. */
void serve_describe(const struct record *record, const struct serve_facts *facts,
		    struct seeds_answer *ret);

/* From a request of somebody who has the secret to the answer; with the current token if he may have one. The
 * caller wipes it. */
void serve_answer(struct serve *serve, const struct seeds_request *request,
		  struct seeds_answer *ret);

/* True when a dead manager that the one who asks replaces is still there; it will be removed. Says it in why. */
bool serve_replaces(struct serve *serve, const struct seeds_request *request, char *why,
		    size_t size);

/* What the owner of the machine that asks should hear: its instance-id or disk is in use elsewhere, too. "" when all
 * is well. Logged once in a while. */
void serve_notice(struct serve *serve, const struct seeds_request *request, char *notice,
		  size_t size);

/* What a manager does now and then: labels, dead managers, publishing. */
void serve_chores(struct serve *serve, double now);

/* Removes dead managers that are replaced, one step each. */
void serve_remove(struct serve *serve, double now);

/* Opens the listening socket on serve->port. */
int serve_listen(struct serve *serve, struct err *err);

/* Waits for connections for at most timeout seconds and goes on with each. */
void serve_poll(struct serve *serve, double timeout);

/* Says it once, until something else is said. */
void serve_say(struct serve *serve, int priority, const struct err *cause, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
