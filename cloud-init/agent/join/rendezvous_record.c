/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record in a store: {"v":1,"cluster","epoch","state":"claiming|ready","owner","exp","clusterID","addrs",
 * "tokens":{"worker","manager"}}. A token is sealed for this cluster, epoch, role and swarm: none can be moved to
 * another record.
 */
#include "agent/join/rendezvous_record.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define VERSION 1

void rendezvous_record_free(struct rendezvous_record *record)
{
	strv_free(&record->addresses);
	free(record->worker);
	free(record->manager);
	memset(record, 0, sizeof(*record));
}

/* Text without what a terminal or a log would take for more than text. */
static bool is_plain(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 0x7f)
			return false;
	return true;
}

/* A member that is a plain word of at most size - 1 bytes and at least one. */
static bool take_word(const json_t *object, const char *key, char *to, size_t size)
{
	const char *text = json_member_string(object, key);

	if (!text || !text[0] || strlen(text) >= size || !is_plain(text))
		return false;
	memcpy(to, text, strlen(text) + 1);
	return true;
}

static bool take_number(const json_t *object, const char *key, int64_t *ret)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*ret = json_integer_value(value);
	return true;
}

static bool take_addresses(const json_t *list, struct strv *to)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) < 1 ||
	    json_array_size(list) > RENDEZVOUS_ADDRESSES_MAX)
		return false;
	json_array_foreach(list, i, item)
	{
		const char *text = json_string_value(item);
		char address[128];

		if (!text || !rendezvous_with_port(text, 2377, address, sizeof(address)))
			return false;
		strv_add(to, address);
	}
	return true;
}

static bool take_sealed(const json_t *tokens, const char *role, char **ret)
{
	const char *text = json_member_string(tokens, role);

	if (!text || strlen(text) > (size_t)4 * RENDEZVOUS_TOKEN_MAX)
		return false;
	*ret = mem_strdup(text);
	return true;
}

/* What is wrong with the record, or NULL. */
static const char *take_record(const json_t *root, const char *cluster,
			       struct rendezvous_record *ret)
{
	const char *state = json_member_string(root, "state");
	const char *name = json_member_string(root, "cluster");
	const json_t *tokens = json_object_get(root, "tokens");
	int64_t version, epoch;

	if (!take_number(root, "v", &version))
		return "it has no version";
	if (version != VERSION)
		return "it is of a version that this agent does not know";
	if (!name || strcmp(name, cluster) != 0)
		return "it is of another cluster";
	if (!take_number(root, "epoch", &epoch) || epoch < 1)
		return "its epoch is no number";
	ret->epoch = (uint64_t)epoch;
	if (!take_word(root, "owner", ret->owner, sizeof(ret->owner)))
		return "its owner is no name";
	if (state && strcmp(state, "claiming") == 0)
		return take_number(root, "exp", &ret->expires) ? NULL : "its end is no number";
	if (!state || strcmp(state, "ready") != 0)
		return "its state is neither 'claiming' nor 'ready'";
	ret->ready = true;
	if (!take_word(root, "clusterID", ret->cluster_id, sizeof(ret->cluster_id)))
		return "its clusterID is none";
	if (!take_addresses(json_object_get(root, "addrs"), &ret->addresses))
		return "its addresses are none";
	if (!take_sealed(tokens, "worker", &ret->worker) ||
	    !take_sealed(tokens, "manager", &ret->manager))
		return "its tokens are missing";
	return NULL;
}

int rendezvous_record_parse(const char *text, size_t len, const char *cluster,
			    struct rendezvous_record *ret, struct err *err)
{
	CLEANUP_JSON json_t *root = NULL;
	const char *wrong = NULL;

	memset(ret, 0, sizeof(*ret));
	if (len > RENDEZVOUS_RECORD_MAX)
		wrong = "it is too large";
	else if (!(root = json_parse(text, len, "record", NULL)) || !json_is_object(root))
		wrong = "it is no JSON object";
	else
		wrong = take_record(root, cluster, ret);
	if (!wrong)
		return 0;
	rendezvous_record_free(ret);
	err_set(err, ERR_VERIFY, "cannot use the record of cluster '%s': %s", cluster, wrong);
	return err_hint(err,
			"if nothing else belongs there, delete it: a running manager writes it "
			"again");
}

static json_t *common(const char *cluster, const char *owner, uint64_t epoch, const char *state)
{
	return json_pack("{s:i, s:s, s:s, s:I, s:s}", "v", VERSION, "cluster", cluster, "owner",
			 owner, "epoch", (json_int_t)epoch, "state", state);
}

char *rendezvous_record_claim(const char *cluster, const char *owner, uint64_t epoch,
			      int64_t expires)
{
	CLEANUP_JSON json_t *root = common(cluster, owner, epoch, "claiming");

	json_object_set_new(root, "exp", json_integer(expires));
	return json_line(root);
}

/* The name of a token's place: of one role in one swarm. */
static char *place_name(const char *role, const char *cluster_id)
{
	return mem_printf("%s %s", role, cluster_id);
}

static int seal_token(const struct seal_key *key, const char *cluster, uint64_t epoch,
		      const char *role, const char *cluster_id, const char *token, json_t *into,
		      struct err *err)
{
	CLEANUP_FREE char *name = place_name(role, cluster_id);
	CLEANUP(str_free) struct str text = {0};
	const struct seal_place place = {cluster, epoch, name};

	if (!rendezvous_is_token(token))
		return err_set(err, ERR_OTHER, "cannot publish the swarm: the %s token is none",
			       role);
	if (seal_bytes(key, &place, token, strlen(token), &text, err) < 0)
		return -1;
	json_object_set_new(into, role, json_string(text.data));
	return 0;
}

char *rendezvous_record_ready(const struct seal_key *key, const char *cluster, const char *owner,
			      uint64_t epoch, const struct rendezvous_view *ready, struct err *err)
{
	CLEANUP_JSON json_t *root = common(cluster, owner, epoch, "ready");
	json_t *addresses = json_array(), *tokens = json_object();

	json_object_set_new(root, "addrs", addresses);
	json_object_set_new(root, "tokens", tokens);
	json_object_set_new(root, "clusterID", json_string(ready->cluster_id));
	for (size_t i = 0; i < ready->addresses.count && i < RENDEZVOUS_ADDRESSES_MAX; i++) {
		char address[128];

		if (rendezvous_with_port(ready->addresses.items[i], 2377, address, sizeof(address)))
			json_array_append_new(addresses, json_string(address));
	}
	if (seal_token(key, cluster, epoch, "manager", ready->cluster_id, ready->token, tokens,
		       err) < 0 ||
	    seal_token(key, cluster, epoch, "worker", ready->cluster_id, ready->other_token, tokens,
		       err) < 0)
		return NULL;
	if (!ready->cluster_id[0] || json_array_size(addresses) == 0) {
		err_set(err, ERR_OTHER, "cannot publish the swarm: it has no ID or no address");
		return NULL;
	}
	return json_line(root);
}

int rendezvous_record_show(const struct seal_key *key, const char *cluster, const char *role,
			   const struct rendezvous_record *record, struct rendezvous_view *view,
			   struct err *err)
{
	const char *sealed = strcmp(role, "manager") == 0 ? record->manager : record->worker;
	CLEANUP_FREE char *name = place_name(role, record->cluster_id);
	const struct seal_place place = {cluster, record->epoch, name};
	size_t len;

	if (seal_open(key, &place, sealed, view->token, sizeof(view->token), &len, err) < 0)
		return -1;
	if (strlen(view->token) != len || !rendezvous_is_token(view->token)) {
		mem_wipe(view->token, sizeof(view->token));
		return err_set(err, ERR_VERIFY, "the sealed %s token of cluster '%s' is no token",
			       role, cluster);
	}
	view->state = RENDEZVOUS_READY;
	view->epoch = record->epoch;
	memcpy(view->owner, record->owner, sizeof(view->owner));
	memcpy(view->cluster_id, record->cluster_id, sizeof(view->cluster_id));
	for (size_t i = 0; i < record->addresses.count; i++)
		strv_add(&view->addresses, record->addresses.items[i]);
	return 0;
}
