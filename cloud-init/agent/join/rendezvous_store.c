/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim, renew and publish over a value that is compared and swapped. When the answer to a write is lost, what lies
 * in the store tells whether it was done: no two writes have the same text.
 */
#include "agent/join/rendezvous_store.h"

#include "agent/userdata/settings.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define SECRET_MIN 32
#define TRIES 3

/* A record with what it was read from. */
struct seen {
	struct store_slot slot;
	struct rendezvous_record record;
};

static void seen_free(struct seen *seen)
{
	store_slot_free(&seen->slot);
	rendezvous_record_free(&seen->record);
}

void store_slot_free(struct store_slot *slot)
{
	str_free(&slot->text);
	memset(slot, 0, sizeof(*slot));
}

long store_time_left(const struct store *store, long max)
{
	double left = (store->until - clock_monotonic()) * 1000;

	return left < 1 ? 1 : left < (double)max ? (long)left : max;
}

static void start_call(struct store *store)
{
	store->until = clock_monotonic() + STORE_CALL_MAX;
}

static int load(struct store *store, struct seen *seen, struct err *err)
{
	seen_free(seen);
	if (store->kind->load(store, &seen->slot, err) < 0)
		return -1;
	if (!seen->slot.exists)
		return 0;
	return rendezvous_record_parse(seen->slot.text.data ? seen->slot.text.data : "",
				       seen->slot.text.len, store->cluster, &seen->record, err);
}

/* Over by the store's clock. An end that is too far away was written before that clock was set back. */
static bool is_over(const struct seen *seen)
{
	int64_t now = seen->slot.now, end = seen->record.expires;

	return now > 0 && end > 0 && (end < now || end > now + 3 * (int64_t)RENDEZVOUS_LEASE);
}

static bool is_own(const struct store *store, const struct seen *seen)
{
	return strcmp(seen->record.owner, store->owner) == 0;
}

/* A write whose answer was lost or was "no": is ours what lies there? */
static bool was_done(struct store *store, const char *text)
{
	CLEANUP(store_slot_free) struct store_slot slot = {0};

	return store->kind->load(store, &slot, NULL) == 0 && slot.exists &&
	       slot.text.len == strlen(text) && memcmp(slot.text.data, text, slot.text.len) == 0;
}

static int write_record(struct store *store, const struct seen *seen, const char *text,
			bool is_claim, bool *ret_done, struct err *err)
{
	int r;

	*ret_done = false;
	r = store->kind->write(store, &seen->slot, text, is_claim, ret_done, err);
	if (r == 0 && *ret_done)
		return 0;
	*ret_done = was_done(store, text);
	return *ret_done ? 0 : r;
}

/* When a claim that is made now ends. */
static int64_t claim_end(const struct store_slot *slot)
{
	/* The store's clock shows whole seconds. */
	return slot->now ? slot->now + (int64_t)RENDEZVOUS_LEASE + 1 : 0;
}

static uint64_t next_epoch(const struct seen *seen)
{
	uint64_t next = seen->slot.exists ? seen->record.epoch + 1 : 1;

	return next > seen->slot.epoch_floor ? next : seen->slot.epoch_floor;
}

int store_look(struct rendezvous *r, struct rendezvous_view *ret, struct err *err)
{
	CLEANUP(seen_free) struct seen seen = {0};
	struct store *store = r->state;

	start_call(store);
	if (load(store, &seen, err) < 0)
		return -1;
	ret->state = RENDEZVOUS_EMPTY;
	if (!seen.slot.exists)
		return 0;
	if (seen.record.ready)
		return rendezvous_record_show(&store->key, store->cluster, r->role, &seen.record,
					      ret, err);
	ret->epoch = seen.record.epoch;
	if (is_over(&seen))
		return 0;
	ret->state = RENDEZVOUS_BUSY;
	memcpy(ret->owner, seen.record.owner, sizeof(ret->owner));
	snprintf(ret->why, sizeof(ret->why), "'%s' initialises the swarm", ret->owner);
	return 0;
}

/* Keeps the claim of this machine that was seen. */
static int keep(struct store *store, const struct seen *seen, bool *ret_held, struct err *err)
{
	CLEANUP_FREE char *text = NULL;

	if (store->kind->keep)
		return store->kind->keep(store, &seen->slot, ret_held, err);
	text = rendezvous_record_claim(store->cluster, store->owner, seen->record.epoch,
				       claim_end(&seen->slot));
	return write_record(store, seen, text, true, ret_held, err);
}

/* One try to claim; *ret_again when somebody else changed the value meanwhile. */
static int try_claim(struct store *store, bool *ret_won, uint64_t *ret_epoch, bool *ret_again,
		     struct err *err)
{
	CLEANUP(seen_free) struct seen seen = {0};
	CLEANUP_FREE char *text = NULL;

	if (load(store, &seen, err) < 0)
		return -1;
	if (seen.slot.exists && seen.record.ready)
		return 0;
	if (seen.slot.exists && is_own(store, &seen)) {
		*ret_epoch = seen.record.epoch;
		if (keep(store, &seen, ret_won, err) < 0)
			return -1;
		*ret_again = !*ret_won;
		return 0;
	}
	if (seen.slot.exists && !is_over(&seen))
		return 0;
	if (store->kind->prepare && store->kind->prepare(store, err) < 0)
		return -1;
	*ret_epoch = next_epoch(&seen);
	text = rendezvous_record_claim(store->cluster, store->owner, *ret_epoch,
				       claim_end(&seen.slot));
	if (write_record(store, &seen, text, true, ret_won, err) < 0)
		return -1;
	*ret_again = !*ret_won;
	return 0;
}

int store_claim(struct rendezvous *r, bool *ret_won, uint64_t *ret_epoch, struct err *err)
{
	struct store *store = r->state;

	start_call(store);
	*ret_won = false;
	*ret_epoch = 0;
	for (int i = 0; i < TRIES; i++) {
		bool again = false;

		if (try_claim(store, ret_won, ret_epoch, &again, err) < 0)
			return -1;
		if (!again)
			break;
	}
	return 0;
}

int store_renew(struct rendezvous *r, bool *ret_held, struct err *err)
{
	CLEANUP(seen_free) struct seen seen = {0};
	struct store *store = r->state;

	start_call(store);
	*ret_held = false;
	if (load(store, &seen, err) < 0)
		return -1;
	if (!seen.slot.exists || !is_own(store, &seen))
		return 0;
	if (!seen.record.ready)
		return keep(store, &seen, ret_held, err);
	*ret_held = true;
	return 0;
}

/* Somebody else has the right to say which swarm there is. */
static bool is_fenced(const struct store *store, const struct seen *seen, const char *cluster_id)
{
	if (!seen->slot.exists)
		return false;
	if (seen->record.ready)
		return strcmp(seen->record.cluster_id, cluster_id) != 0;
	return !is_own(store, seen);
}

int store_publish(struct rendezvous *r, const struct rendezvous_view *ready, bool *ret_held,
		  struct err *err)
{
	struct store *store = r->state;

	start_call(store);
	*ret_held = false;
	for (int i = 0; i < TRIES; i++) {
		CLEANUP(seen_free) struct seen seen = {0};
		CLEANUP_FREE char *text = NULL;
		uint64_t epoch;

		if (load(store, &seen, err) < 0)
			return -1;
		if (is_fenced(store, &seen, ready->cluster_id))
			return 0;
		/* Without a record, because the claim ran out and nobody took over, or because the store was
		 * emptied, this is a new one. */
		epoch = seen.slot.exists ? seen.record.epoch : next_epoch(&seen);
		text = rendezvous_record_ready(&store->key, store->cluster, store->owner, epoch,
					       ready, err);
		if (!text || write_record(store, &seen, text, false, ret_held, err) < 0)
			return -1;
		if (*ret_held)
			return 0;
	}
	return err_set(err, ERR_NETWORK,
		       "cannot publish the swarm of cluster '%s': others change the record at the "
		       "same time",
		       store->cluster);
}

const char *store_setting(const struct rendezvous *r, const char *section, const char *key)
{
	return json_member_string(json_object_get(r->cluster, section), key);
}

char *store_secret(const struct rendezvous *r, const char *section, const char *key,
		   struct err *err)
{
	const char *value =
		section ? store_setting(r, section, key) : json_member_string(r->cluster, key);
	const char *dot = section ? "." : "";
	char *secret;

	section = section ? section : "";
	if (!value) {
		err_set(err, ERR_PROFILE, "ingot.cluster.%s%s%s is missing", section, dot, key);
		return NULL;
	}
	secret = settings_secret(r->agent, value, err);
	if (!secret)
		err_wrap(err, "ingot.cluster.%s%s%s", section, dot, key);
	return secret;
}

void store_secret_free(char *secret)
{
	if (secret)
		mem_wipe(secret, strlen(secret));
	free(secret);
}

bool store_is_endpoint(const char *url)
{
	const char *host = str_has_prefix(url, "https://")  ? url + 8
			   : str_has_prefix(url, "http://") ? url + 7
							    : "";
	char address[256];

	return rendezvous_with_port(host, 1, address, sizeof(address));
}

/* The name of this machine in the record: its own when that is a plain word that fits. */
static void name_owner(const char *self, char owner[65])
{
	struct digest digest;
	size_t len = strlen(self);
	bool good = len > 0 && len <= 64;

	for (size_t i = 0; i < len; i++)
		good = good && self[i] > ' ' && self[i] < 0x7f;
	if (good) {
		memcpy(owner, self, len + 1);
		return;
	}
	digest_bytes(self, len, &digest);
	digest_hex(&digest, owner);
}

int store_begin(struct store *store, const struct store_kind *kind, const struct rendezvous *r,
		struct err *err)
{
	char *secret;
	bool good;

	store->kind = kind;
	store->cluster = json_member_string(r->cluster, "name");
	if (!store->cluster || !store->cluster[0] || strpbrk(store->cluster, "/%?#"))
		return err_set(err, ERR_PROFILE, "ingot.cluster.name is missing");
	name_owner(r->self ? r->self : "", store->owner);
	secret = store_secret(r, NULL, "secret", err);
	if (!secret)
		return err_hint(
			err, "the join tokens in the store are sealed with it: give all machines "
			     "of the cluster the same");
	good = strlen(secret) >= SECRET_MIN;
	if (good)
		seal_key_derive(secret, "rendezvous", store->cluster, &store->key);
	store_secret_free(secret);
	return good ? 0
		    : err_set(err, ERR_PROFILE,
			      "ingot.cluster.secret is too short: at least %d characters",
			      SECRET_MIN);
}

void store_end(struct store *store)
{
	seal_key_wipe(&store->key);
}
