/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rendezvous "etcd": the record is one key, written by transactions that compare its revision. A claim hangs on a
 * lease and vanishes with it; a ready swarm has none. By the JSON gateway, each endpoint in turn.
 */
#include "agent/join/etcd_answer.h"
#include "agent/join/rendezvous_store.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/http.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ENDPOINTS_MAX 16
#define CONNECT_MS 700
#define REQUEST_MS 1200
#define PREFIX "/ingot"

struct etcd {
	struct store store; /* first: r->state is both */
	struct strv endpoints;
	size_t good; /* the endpoint that answered last */
	char *key;   /* as text */
	char *user, *password;
	const char *ca;             /* PEM, borrowed of the settings */
	char token[ETCD_TOKEN_MAX]; /* of this user, or "" */
	int64_t lease;              /* granted and not yet written with, 0: none */
};

static struct etcd *etcd_of(struct store *store)
{
	return (struct etcd *)store;
}

static json_t *encoded(const char *text)
{
	CLEANUP(str_free) struct str base64 = {0};
	json_t *value;

	str_add(&base64, "");
	base64_add(text, strlen(text), &base64);
	value = json_string(base64.data);
	return value;
}

static json_t *number(int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, value);
	return json_string(text);
}

/* The error that etcd answered, in words that say what to do. */
static int refused(const struct etcd *e, const char *endpoint, const struct etcd_answer *a,
		   long status, struct err *err)
{
	err_set(err, a->code == ETCD_CODE_UNAVAILABLE ? ERR_NETWORK : ERR_PROFILE,
		"cannot use etcd at '%s' for '%s': %s", endpoint, e->key,
		a->message[0] ? a->message : "it does not say why");
	if (strstr(a->message, "user name is empty"))
		return err_hint(err, "this etcd wants a user: set ingot.cluster.etcd.user and "
				     "ingot.cluster.etcd.password");
	if (strstr(a->message, "authentication failed"))
		return err_hint(err,
				"check ingot.cluster.etcd.user ('%s') and "
				"ingot.cluster.etcd.password",
				e->user ? e->user : "");
	if (a->code == ETCD_CODE_PERMISSION || strstr(a->message, "permission denied"))
		return err_hint(err,
				"grant the role of user '%s' readwrite on '%s' (etcdctl role "
				"grant-permission)",
				e->user ? e->user : "", e->key);
	if (status == 404)
		return err_hint(err, "ingot talks the v3 API of etcd 3.4 and later");
	return -1;
}

/* Somebody else may know more: try the next endpoint. */
static bool is_elsewhere(long status, const struct etcd_answer *a)
{
	return status == 0 || status == 429 || status >= 500 || a->code == ETCD_CODE_UNAVAILABLE;
}

/* One request to one endpoint. Returns 1 when another endpoint may do better. */
static int ask(struct etcd *e, const char *endpoint, const char *path, const char *body,
	       struct etcd_answer *ret, struct err *err)
{
	CLEANUP(http_answer_free) struct http_answer answer = {0};
	CLEANUP_FREE char *url = mem_printf("%s/v3%s", endpoint, path);
	char authorization[ETCD_TOKEN_MAX + 32];
	const char *headers[] = {"Content-Type: application/json",
				 e->token[0] ? authorization : NULL, NULL};
	const struct http_request request = {.url = url,
					     .headers = headers,
					     .body = body,
					     .body_len = strlen(body),
					     .ca_pem = e->ca,
					     .timeout_ms = store_time_left(&e->store, REQUEST_MS),
					     .connect_timeout_ms =
						     store_time_left(&e->store, CONNECT_MS),
					     .answer_max = ETCD_ANSWER_MAX,
					     .redirects = -1};
	int r;

	snprintf(authorization, sizeof(authorization), "Authorization: %s", e->token);
	r = http_do(&request, &answer, err);
	mem_wipe(authorization, sizeof(authorization));
	if (r < 0)
		return 1;
	r = etcd_answer_parse(answer.body.data ? answer.body.data : "", answer.body.len, ret, err);
	if (answer.status != 200 && is_elsewhere(answer.status, ret)) {
		err_set(err, ERR_NETWORK, "etcd at '%s' answers %ld%s%s", endpoint, answer.status,
			ret->message[0] ? ": " : "", ret->message);
		return 1;
	}
	if (r < 0) {
		err_wrap(err, "cannot use etcd at '%s' (status %ld)", endpoint, answer.status);
		err_hint(err, "check ingot.cluster.etcd.endpoints: is this the port for clients?");
		return 1;
	}
	if (answer.status == 200 && ret->code == 0)
		return 0;
	return refused(e, endpoint, ret, answer.status, err);
}

/* Asks the endpoints in turn, the one that answered last first. */
static int ask_any(struct etcd *e, const char *path, const char *body, struct etcd_answer *ret,
		   struct err *err)
{
	size_t first = e->good;

	for (size_t i = 0; i < e->endpoints.count; i++) {
		size_t at = (first + i) % e->endpoints.count;
		int r;

		if (i > 0 && clock_monotonic() >= e->store.until)
			break;
		etcd_answer_free(ret);
		r = ask(e, e->endpoints.items[at], path, body, ret, err);
		e->good = r == 1 ? (at + 1) % e->endpoints.count : at;
		if (r <= 0)
			return r;
	}
	return -1;
}

static int authenticate(struct etcd *e, struct err *err)
{
	CLEANUP(etcd_answer_free) struct etcd_answer a = {0};
	CLEANUP_JSON json_t *body =
		json_pack("{s:s, s:s}", "name", e->user, "password", e->password);
	char *text = json_line(body);
	int r;

	e->token[0] = '\0';
	r = ask_any(e, "/auth/authenticate", text, &a, err);
	store_secret_free(text);
	/* Without authentication etcd lets everybody in, also those who have a password. */
	if (r < 0 && strstr(a.message, "authentication is not enabled")) {
		err_clear(err);
		return 0;
	}
	if (r == 0)
		memcpy(e->token, a.token, sizeof(e->token));
	return r;
}

/* A token ends after some minutes without use, and when users, roles or passwords are changed. */
static bool is_token_over(const struct etcd_answer *a)
{
	return a->code == ETCD_CODE_UNAUTHENTICATED || strstr(a->message, "auth token") ||
	       strstr(a->message, "auth store is old");
}

/* One call, with a new token when the old one is over. Takes the body. */
static int call(struct etcd *e, const char *path, json_t *body, struct etcd_answer *ret,
		struct err *err)
{
	CLEANUP_FREE char *text = json_line(body);
	int r;

	json_decref(body);
	if (e->user && !e->token[0] && authenticate(e, err) < 0)
		return -1;
	r = ask_any(e, path, text, ret, err);
	if (r == 0 || !e->token[0] || !is_token_over(ret))
		return r;
	if (authenticate(e, err) < 0)
		return -1;
	return ask_any(e, path, text, ret, err);
}

static int etcd_load(struct store *store, struct store_slot *ret, struct err *err)
{
	CLEANUP(etcd_answer_free) struct etcd_answer a = {0};
	struct etcd *e = etcd_of(store);

	if (call(e, "/kv/range", json_pack("{s:o}", "key", encoded(e->key)), &a, err) < 0)
		return -1;
	ret->exists = a.has_value;
	ret->epoch_floor = (uint64_t)a.revision + 1;
	ret->lease = a.lease;
	snprintf(ret->version, sizeof(ret->version), "%" PRId64, a.has_value ? a.mod : 0);
	str_add_bytes(&ret->text, a.value.len ? a.value.data : "", a.value.len);
	return 0;
}

/* A new lease for a claim; one that was granted and not used is over before anybody could miss it. */
static int grant(struct etcd *e, struct err *err)
{
	CLEANUP(etcd_answer_free) struct etcd_answer a = {0};

	if (call(e, "/lease/grant", json_pack("{s:o}", "TTL", number((int64_t)RENDEZVOUS_LEASE)),
		 &a, err) < 0)
		return -1;
	if (a.id == 0)
		return err_set(err, ERR_NETWORK, "cannot claim '%s': etcd grants no lease", e->key);
	e->lease = a.id;
	return 0;
}

static int etcd_write(struct store *store, const struct store_slot *slot, const char *text,
		      bool is_claim, bool *ret_done, struct err *err)
{
	CLEANUP(etcd_answer_free) struct etcd_answer a = {0};
	struct etcd *e = etcd_of(store);
	json_t *put, *body;

	if (is_claim && grant(e, err) < 0)
		return -1;
	put = json_pack("{s:o, s:o}", "key", encoded(e->key), "value", encoded(text));
	if (is_claim)
		json_object_set_new(put, "lease", number(e->lease));
	/* The modification revision of a key that does not exist is 0. */
	body = json_pack("{s:[{s:o, s:s, s:s, s:s}], s:[{s:o}]}", "compare", "key", encoded(e->key),
			 "target", "MOD", "result", "EQUAL", "mod_revision", slot->version,
			 "success", "request_put", put);
	if (call(e, "/kv/txn", body, &a, err) < 0)
		return -1;
	*ret_done = a.succeeded;
	return 0;
}

static int etcd_keep(struct store *store, const struct store_slot *slot, bool *ret_held,
		     struct err *err)
{
	CLEANUP(etcd_answer_free) struct etcd_answer a = {0};

	*ret_held = false;
	if (slot->lease == 0)
		return err_set(err, ERR_VERIFY, "the claim on '%s' hangs on no lease",
			       etcd_of(store)->key);
	if (call(etcd_of(store), "/lease/keepalive", json_pack("{s:o}", "ID", number(slot->lease)),
		 &a, err) < 0)
		return -1;
	*ret_held = a.ttl > 0;
	return 0;
}

static const struct store_kind etcd_store = {
	.load = etcd_load,
	.write = etcd_write,
	.keep = etcd_keep,
};

static void etcd_close(struct rendezvous *r)
{
	struct etcd *e = r->state;

	if (!e)
		return;
	store_end(&e->store);
	strv_free(&e->endpoints);
	store_secret_free(e->password);
	free(e->user);
	free(e->key);
	mem_wipe(e, sizeof(*e));
	free(e);
	r->state = NULL;
}

static int read_endpoints(struct etcd *e, const json_t *list, struct err *err)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		const char *text = json_string_value(item);
		CLEANUP_FREE char *url = mem_strdup(text ? text : "");

		while (str_has_suffix(url, "/"))
			url[strlen(url) - 1] = '\0';
		if (i >= ENDPOINTS_MAX || !store_is_endpoint(url)) {
			err_set(err, ERR_PROFILE,
				"ingot.cluster.etcd.endpoints: item %zu is no "
				"endpoint",
				i + 1);
			return err_hint(err,
					"write at most %d of 'https://HOST:2379', without user "
					"and path",
					ENDPOINTS_MAX);
		}
		strv_add(&e->endpoints, url);
	}
	if (e->endpoints.count == 0)
		return err_set(err, ERR_PROFILE, "ingot.cluster.etcd.endpoints is missing");
	return 0;
}

static int read_settings(struct etcd *e, const struct rendezvous *r, struct err *err)
{
	const char *prefix = store_setting(r, "etcd", "prefix");
	const char *user = store_setting(r, "etcd", "user");
	const json_t *list = json_object_get(json_object_get(r->cluster, "etcd"), "endpoints");
	size_t len;

	if (store_begin(&e->store, &etcd_store, r, err) < 0 || read_endpoints(e, list, err) < 0)
		return -1;
	prefix = prefix ? prefix : PREFIX;
	for (len = strlen(prefix); len > 0 && prefix[len - 1] == '/';)
		len--;
	e->key = mem_printf("%.*s/%s", (int)len, prefix, e->store.cluster);
	e->ca = store_setting(r, "etcd", "ca");
	if (!user)
		return 0;
	e->user = mem_strdup(user);
	e->password = store_secret(r, "etcd", "password", err);
	return e->password ? 0 : -1;
}

static int etcd_open(struct rendezvous *r, struct err *err)
{
	r->state = mem_alloc(sizeof(struct etcd));
	if (read_settings(r->state, r, err) == 0)
		return 0;
	etcd_close(r);
	return -1;
}

const struct rendezvous_kind rendezvous_etcd = {
	.name = "etcd",
	.open = etcd_open,
	.close = etcd_close,
	.look = store_look,
	.claim = store_claim,
	.renew = store_renew,
	.publish = store_publish,
};
