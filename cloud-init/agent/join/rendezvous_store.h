/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rendezvous by a store that can compare and swap one value: the protocol of claims and fenced publishing, which
 * etcd and S3 share. A backend only loads the value with its version and writes it when that version is still there.
 */
#ifndef INGOT_AGENT_RENDEZVOUS_STORE_H
#define INGOT_AGENT_RENDEZVOUS_STORE_H

#include "agent/join/rendezvous_record.h"

#define STORE_CALL_MAX 2.9 /* seconds that one call of the backend may last */

/* What lies in the store at the place of the record. */
struct store_slot {
	bool exists;
	char version[256];    /* a write is fenced by it: ETag, revision */
	uint64_t epoch_floor; /* of a new claim; 0: the record's own counting is enough */
	int64_t now;          /* the store's clock; 0: it ends claims itself */
	int64_t lease;        /* that the value hangs on; 0: none */
	struct str text;
};

struct store {
	const struct store_kind *kind;
	struct seal_key key;
	char owner[65];      /* this machine */
	const char *cluster; /* borrowed of the settings */
	double until;        /* clock_monotonic() when the call must be over */
};

struct store_kind {
	/* Reads the value; an absent one is no error. */
	int (*load)(struct store *store, struct store_slot *ret, struct err *err);
	/* Writes text when slot is still what lies there; else *ret_done is false. A claim is held by the store's
	 * lease where it has one. After an error the write may have been done or be done later. */
	int (*write)(struct store *store, const struct store_slot *slot, const char *text,
		     bool is_claim, bool *ret_done, struct err *err);
	/* Is called before this machine claims for the first time; may be NULL. */
	int (*prepare)(struct store *store, struct err *err);
	/* Prolongs the lease that our claim in slot hangs on. NULL: by writing it again. */
	int (*keep)(struct store *store, const struct store_slot *slot, bool *ret_held,
		    struct err *err);
};

/* For struct rendezvous_kind; r->state is the struct store, as the first member of the backend's. */
int store_look(struct rendezvous *r, struct rendezvous_view *ret, struct err *err);
/* As rendezvous_kind.claim. */
int store_claim(struct rendezvous *r, bool *ret_won, uint64_t *ret_epoch, struct err *err);
/* As rendezvous_kind.renew. */
int store_renew(struct rendezvous *r, bool *ret_held, struct err *err);
/* As rendezvous_kind.publish. */
int store_publish(struct rendezvous *r, const struct rendezvous_view *ready, bool *ret_held,
		  struct err *err);

/* Fills what all backends have from the settings: name and secret of the cluster. ERR_PROFILE when one is missing.
 * End it with store_end. */
int store_begin(struct store *store, const struct store_kind *kind, const struct rendezvous *r,
		struct err *err);

/* Wipes the key. */
void store_end(struct store *store);

/* Frees the text of a slot and empties it; usable with CLEANUP() on a zeroed value. */
void store_slot_free(struct store_slot *slot);

/* Milliseconds that are left for the call, at most max and at least 1. */
long store_time_left(const struct store *store, long max);

/* A text setting of the section (cluster.SECTION.KEY); NULL when it is absent. Borrowed. */
const char *store_setting(const struct rendezvous *r, const char *section, const char *key);

/* The same for a secret, which the caller wipes and frees. NULL with err when it is absent or cannot be read. */
char *store_secret(const struct rendezvous *r, const char *section, const char *key,
		   struct err *err);

/* Wipes and frees a secret; NULL is allowed. */
void store_secret_free(char *secret);

/* True for "http[s]://HOST[:PORT]" without user, path and query. */
bool store_is_endpoint(const char *url);

extern const struct rendezvous_kind rendezvous_etcd, rendezvous_s3;

#endif
