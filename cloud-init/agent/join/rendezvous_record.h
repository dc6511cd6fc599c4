/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cluster keeps in a store (etcd, S3): one record as JSON, a claim or a ready swarm, whose join tokens are
 * sealed under the cluster's secret. Whoever may write to the store may put anything there: it is read as hostile.
 */
#ifndef INGOT_AGENT_RENDEZVOUS_RECORD_H
#define INGOT_AGENT_RENDEZVOUS_RECORD_H

#include "agent/join/rendezvous.h"

#include "base/seal.h"

#define RENDEZVOUS_RECORD_MAX ((size_t)32 << 10) /* bytes of JSON */
#define RENDEZVOUS_ADDRESSES_MAX 31

struct rendezvous_record {
	bool ready; /* else a claim */
	uint64_t epoch;
	char owner[65];  /* who claimed, or published last */
	int64_t expires; /* of a claim, seconds by the store's clock; 0: the store ends it itself */
	char cluster_id[65]; /* the rest only when ready */
	struct strv addresses;
	char *worker, *manager; /* sealed tokens */
};

/* Frees it; usable with CLEANUP() on a zeroed value. */
void rendezvous_record_free(struct rendezvous_record *record);

/* Reads a record of the cluster with this name. ERR_VERIFY when it is none. Nothing is unsealed. */
int rendezvous_record_parse(const char *text, size_t len, const char *cluster,
			    struct rendezvous_record *ret, struct err *err);

/* The text of a claim; the caller frees it. */
char *rendezvous_record_claim(const char *cluster, const char *owner, uint64_t epoch,
			      int64_t expires);

/* The text of a ready swarm: ready has the cluster's ID, addresses and, as a manager sees them, token (of managers)
 * and other_token (of workers). NULL with err when one of these is not well-formed. The caller frees it. */
char *rendezvous_record_ready(const struct seal_key *key, const char *cluster, const char *owner,
			      uint64_t epoch, const struct rendezvous_view *ready, struct err *err);

/* Fills a view from a ready record, with the token of the role. ERR_VERIFY when it does not open. */
int rendezvous_record_show(const struct seal_key *key, const char *cluster, const char *role,
			   const struct rendezvous_record *record, struct rendezvous_view *view,
			   struct err *err);

#endif
