/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rendezvous without infrastructure: what managers ask and answer each other, the judgement of the answers, and
 * how they travel (one JSON line there and back over TLS 1.3 with the cluster's secret as PSK).
 */
#ifndef INGOT_AGENT_SEEDS_H
#define INGOT_AGENT_SEEDS_H

#include "agent/join/rendezvous.h"
#include "base/psk.h"

#include <stdbool.h>
#include <stdint.h>

#define SEEDS_PORT 2378
#define SEEDS_MAX 31       /* seeds in the settings */
#define SEEDS_MANAGERS 15  /* addresses in an answer */
#define SEEDS_ADDRESS 128  /* bytes of "host:port" with NUL */
#define SEEDS_ASK_TIME 0.9 /* seconds for one round of questions */

/* What one side knows of a swarm. Better ones have higher values. */
enum seeds_state {
	SEEDS_SILENT,   /* asked side: it did not answer, why says how that is known */
	SEEDS_NEW,      /* in no swarm, and makes none */
	SEEDS_CLAIMING, /* initialises a swarm, or is about to */
	SEEDS_UNREADY,  /* a member of a swarm that cannot give tokens now */
	SEEDS_MEMBER,   /* a manager of a swarm that works */
};

/* hello: who asks. */
struct seeds_request {
	char role[16];     /* "manager", "worker" */
	char instance[80]; /* instance-id and more, see rendezvous.h "self" */
	char hostname[65];
	char address[64]; /* which others use, or "" */
	char version[64]; /* of the engine */
	char node_id[65]; /* when it is in a swarm already, else "" */
	char engine_id[65];
	bool token; /* wants to join: send the token */
};

struct seeds_answer {
	enum seeds_state state;
	uint64_t epoch;
	char cluster_id[65]; /* NEW: of the swarm that it has heard of */
	bool lonely;         /* one node, no services, no token given lately: may be given up */
	unsigned nodes;      /* 0: not known */
	char managers[SEEDS_MANAGERS][64];
	size_t manager_count;
	char token[RENDEZVOUS_TOKEN_MAX];
	char why[200];    /* SILENT, UNREADY: in words; MEMBER: what holds the token back */
	char notice[200]; /* what the one who asked should know of himself, or "" */
	bool distrust;    /* SILENT: it is there, but does not have our secret */
};

/* Writes a request as a line; false when it is too long. Caller wipes and frees *ret. */
bool seeds_request_line(const struct seeds_request *request, char **ret);

/* Reads it from a peer's line; every field is bounded and checked. */
int seeds_request_parse(const char *line, size_t len, struct seeds_request *ret, struct err *err);

/* The same for an answer. */
bool seeds_answer_line(const struct seeds_answer *answer, char **ret);

/* Reads an answer as seeds_request_parse does a request. */
int seeds_answer_parse(const char *line, size_t len, struct seeds_answer *ret, struct err *err);

/* Which of two claims or swarms goes on: true when the one of a (as seed number index_a) does. What is
 * not lonely (it cannot be given up), then the higher epoch, then the lower index. */
bool seeds_outranks(const struct seeds_answer *a, size_t index_a, const struct seeds_answer *b,
		    size_t index_b);

struct seeds;

/* Asks the seeds in the list (indexes) at the same time; fills answers[index], SILENT for those that do not
 * answer within timeout (seconds). */
typedef void seeds_ask_fn(struct seeds *seeds, const struct seeds_request *request,
			  const size_t *indexes, size_t count, double timeout,
			  struct seeds_answer *answers);

/* The swarm with the highest epoch of which a seed told, as its member or as one that had heard of it, too. */
struct seeds_heard {
	uint64_t epoch; /* 0: none */
	char cluster_id[65];
	size_t told_by; /* index */
};

struct seeds {
	char address[SEEDS_MAX][SEEDS_ADDRESS]; /* "host:port" */
	size_t count;
	size_t own;      /* index of this machine; count when it is none */
	bool initialise; /* `join --initialise` */
	uint64_t epoch;  /* highest that was heard, of claims too */
	struct seeds_heard heard;
	struct psk *psk;
	seeds_ask_fn *ask;
	void *context; /* of ask */
	struct seeds_answer answers[SEEDS_MAX];
};

/* Reads secret and seeds of the cluster's settings. */
int seeds_open(struct rendezvous *r, struct seeds **ret, struct err *err);

/* Wipes and frees; NULL is allowed. */
void seeds_close(struct seeds *seeds);

/* The seeds' ask function over the network. */
void seeds_ask(struct seeds *seeds, const struct seeds_request *request, const size_t *indexes,
	       size_t count, double timeout, struct seeds_answer *answers);

/* Finds out which of the seeds this machine is (seeds->own), by its addresses and its name. */
void seeds_find_self(const struct rendezvous *r, struct seeds *seeds);

/* kind "seeds"; context of its rendezvous is a struct seeds. */
extern const struct rendezvous_kind rendezvous_seeds;

#endif
