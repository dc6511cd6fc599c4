/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rendezvous "s3": the record is one object, written with If-None-Match or If-Match. Claims end by the store's clock,
 * which its header Date shows; the clock of this machine may be wrong. A store that does not honour the conditions
 * is refused.
 */
#include "agent/join/rendezvous_store.h"
#include "agent/join/s3_answer.h"
#include "agent/join/s3_keys.h"

#include "base/log.h"
#include "base/mem.h"
#include "net/http.h"
#include "net/sigv4.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define CONNECT_MS 1000
#define REQUEST_MS 1500
#define REGION "us-east-1"
#define PREFIX "ingot"
#define PROBE_TEXT "ingot asks whether this store honours conditional writes\n"

struct s3 {
	struct store store; /* first: r->state is both */
	char *url;          /* of the record */
	char *probe_url;
	const char *region, *ca; /* borrowed of the settings */
	struct s3_keys keys;
	int64_t skew; /* seconds that the store's clock is ahead of ours */
	bool probed;  /* the store is known to honour conditions */
};

/* An answer with what is wanted of it. */
struct answer {
	struct http_answer http;
	char code[S3_CODE_SIZE];
	int64_t date; /* 0: none */
};

static void answer_free(struct answer *a)
{
	http_answer_free(&a->http);
}

static struct s3 *s3_of(struct store *store)
{
	return (struct s3 *)store;
}

/* A session token is a secret. */
static void headers_free(struct strv *headers)
{
	for (size_t i = 0; i < headers->count; i++)
		mem_wipe(headers->items[i], strlen(headers->items[i]));
	strv_free(headers);
}

/* One signed request; condition is a header line or NULL. */
static int ask_once(struct s3 *s, const char *method, const char *url, const char *condition,
		    const char *body, struct answer *ret, struct err *err)
{
	static const char *const want[] = {"Date", NULL};
	const char *own[] = {"Content-Type: application/json", condition, NULL};
	/* Only what has a body has a type and conditions. */
	const char *const *first = body ? own : own + 2;
	struct sigv4_keys keys;
	CLEANUP(headers_free) struct strv headers = {0};
	struct digest payload;
	const char *date;
	struct http_request request = {.url = url,
				       .method = method,
				       .want = want,
				       .body = body,
				       .body_len = body ? strlen(body) : 0,
				       .ca_pem = s->ca,
				       .timeout_ms = store_time_left(&s->store, REQUEST_MS),
				       .connect_timeout_ms = store_time_left(&s->store, CONNECT_MS),
				       .answer_max = 2 * RENDEZVOUS_RECORD_MAX,
				       .redirects = -1};
	struct sigv4_request to_sign = {.method = method,
					.url = url,
					.headers = first,
					.payload = body ? &payload : NULL,
					.time = (int64_t)time(NULL) + s->skew,
					.region = s->region,
					.service = "s3"};

	if (s3_keys_refresh(&s->keys, store_time_left(&s->store, CONNECT_MS), err) < 0)
		return -1;
	keys = (struct sigv4_keys){s->keys.access, s->keys.secret, s->keys.token};
	if (body)
		digest_bytes(body, strlen(body), &payload);
	for (const char *const *h = first; *h; h++)
		strv_add(&headers, *h);
	if (sigv4_sign(&to_sign, &keys, &headers, err) < 0)
		return -1;
	request.headers = (const char *const *)headers.items;
	if (http_do(&request, &ret->http, err) < 0)
		return -1;
	date = http_header(&ret->http, "Date", 0);
	if (!date || !s3_date(date, &ret->date))
		ret->date = 0;
	s3_error_code(ret->http.body.data, ret->http.body.len, ret->code);
	return 0;
}

/* The same, and again with the store's time when it finds ours wrong. */
static int ask(struct s3 *s, const char *method, const char *url, const char *condition,
	       const char *body, struct answer *ret, struct err *err)
{
	if (ask_once(s, method, url, condition, body, ret, err) < 0)
		return -1;
	if (ret->http.status != 403 || strcmp(ret->code, "RequestTimeTooSkewed") != 0 || !ret->date)
		return 0;
	s->skew = ret->date - (int64_t)time(NULL);
	log_debug("the clock of the store is %lld s ahead of ours", (long long)s->skew);
	answer_free(ret);
	return ask_once(s, method, url, condition, body, ret, err);
}

/* The error for an answer that is none of those that were expected. */
static int refused(const struct s3 *s, const char *url, const struct answer *a, struct err *err)
{
	long status = a->http.status;
	int code = status == 429 || status >= 500 ? ERR_NETWORK : ERR_PROFILE;

	err_set(err, code, "cannot use the store for '%s': it answers %ld%s%s", url, status,
		a->code[0] ? " " : "", a->code);
	if (strcmp(a->code, "SignatureDoesNotMatch") == 0)
		return err_hint(err,
				"ingot.cluster.s3.secret_key is not that of access key '%.64s'",
				s->keys.access);
	if (strcmp(a->code, "InvalidAccessKeyId") == 0)
		return err_hint(err, "the store does not know ingot.cluster.s3.access_key '%.64s'",
				s->keys.access);
	if (strcmp(a->code, "NoSuchBucket") == 0)
		return err_hint(err, "make the bucket of ingot.cluster.s3.bucket first");
	if (status == 403)
		return err_hint(err,
				"allow '%.64s' s3:GetObject, s3:PutObject and, so that a missing "
				"object is told from a forbidden one, s3:ListBucket",
				s->keys.access);
	if ((status >= 300 && status < 400) || strstr(a->code, "Authorization"))
		return err_hint(err,
				"check ingot.cluster.s3.region ('%.64s') and "
				"ingot.cluster.s3.endpoint",
				s->region);
	return -1;
}

static int s3_load(struct store *store, struct store_slot *ret, struct err *err)
{
	struct s3 *s = s3_of(store);
	CLEANUP(answer_free) struct answer a = {0};

	if (ask(s, "GET", s->url, NULL, NULL, &a, err) < 0)
		return -1;
	if (a.http.status != 200 && (a.http.status != 404 || strcmp(a.code, "NoSuchBucket") == 0))
		return refused(s, s->url, &a, err);
	if (!a.date)
		return err_set(err, ERR_NETWORK,
			       "cannot use the store for '%s': its answer has no date", s->url);
	ret->now = a.date;
	ret->exists = a.http.status == 200;
	if (!ret->exists)
		return 0;
	if (!a.http.etag[0])
		return err_set(err, ERR_NETWORK,
			       "cannot use the store for '%s': its answer has no ETag", s->url);
	snprintf(ret->version, sizeof(ret->version), "%s", a.http.etag);
	str_add_bytes(&ret->text, a.http.body.len ? a.http.body.data : "", a.http.body.len);
	return 0;
}

/* Writes one object under a condition; *ret_done is false when the condition does not hold. */
static int put(struct s3 *s, const char *url, const char *condition, const char *text,
	       bool *ret_done, struct err *err)
{
	CLEANUP(answer_free) struct answer a = {0};

	*ret_done = false;
	if (ask(s, "PUT", url, condition, text, &a, err) < 0)
		return -1;
	switch (a.http.status) {
	case 200:
	case 201:
	case 204:
		*ret_done = true;
		return 0;
	case 412: /* somebody was faster */
	case 409: /* somebody writes at this moment */
		return 0;
	case 404: /* with If-Match: the object was removed */
		if (strcmp(a.code, "NoSuchBucket") != 0)
			return 0;
		break;
	default:
		break;
	}
	return refused(s, url, &a, err);
}

static int s3_write(struct store *store, const struct store_slot *slot, const char *text,
		    bool is_claim, bool *ret_done, struct err *err)
{
	struct s3 *s = s3_of(store);
	char condition[300];

	(void)is_claim;
	if (slot->exists)
		snprintf(condition, sizeof(condition), "If-Match: %s", slot->version);
	else
		snprintf(condition, sizeof(condition), "If-None-Match: *");
	return put(s, s->url, condition, text, ret_done, err);
}

/* Older stores take conditions for headers that they do not know, and let two machines win. After the first of these
 * writes the object is there, so that the others must fail. */
static int s3_probe(struct store *store, struct err *err)
{
	static const char *const conditions[] = {"If-None-Match: *", "If-None-Match: *",
						 "If-Match: \"00000000000000000000000000000000\""};
	struct s3 *s = s3_of(store);

	if (s->probed)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(conditions); i++) {
		bool done;

		if (put(s, s->probe_url, conditions[i], PROBE_TEXT, &done, err) < 0)
			return err_wrap(err, "cannot probe for conditional writes");
		if (i == 0 || !done)
			continue;
		err_set(err, ERR_PROFILE,
			"cannot use the store for '%s': it ignores '%.14s', so two machines could "
			"both make a swarm",
			s->url, conditions[i]);
		return err_hint(err, "take a store with conditional writes (S3, MinIO, Ceph since "
				     "19), or ingot.cluster.rendezvous: seeds");
	}
	s->probed = true;
	return 0;
}

static const struct store_kind s3_store = {
	.load = s3_load,
	.write = s3_write,
	.prepare = s3_probe,
};

static void s3_close(struct rendezvous *r)
{
	struct s3 *s = r->state;

	if (!s)
		return;
	store_end(&s->store);
	s3_keys_free(&s->keys);
	free(s->url);
	free(s->probe_url);
	mem_wipe(s, sizeof(*s));
	free(s);
	r->state = NULL;
}

/* Path-style: ENDPOINT/BUCKET/PREFIX/NAME.json. */
static char *object_url(const char *endpoint, const char *bucket, const char *prefix,
			const char *name, const char *suffix)
{
	CLEANUP_FREE char *path = mem_printf("%s/%s/%s%s", bucket, prefix, name, suffix);
	struct str url = {0};

	str_addf(&url, "%s/", endpoint);
	sigv4_encode(path, true, &url);
	return str_steal(&url);
}

/* No empty parts and none of dots, which clients and stores take out of a path: what is signed must be what is sent. */
static bool is_path(const char *text)
{
	CLEANUP_FREE char *path = mem_printf("/%s/", text);

	return !strstr(path, "//") && !strstr(path, "/./") && !strstr(path, "/../");
}

/* Without both keys those of the instance's role are taken. */
static int read_keys(struct s3_keys *keys, const struct rendezvous *r, struct err *err)
{
	const char *access = store_setting(r, "s3", "access_key");

	keys->of_role = !access && !store_setting(r, "s3", "secret_key");
	if (keys->of_role)
		return 0;
	if (!access || !access[0])
		return err_set(err, ERR_PROFILE, "ingot.cluster.s3.access_key is missing");
	keys->access = mem_strdup(access);
	keys->secret = store_secret(r, "s3", "secret_key", err);
	return keys->secret ? 0 : -1;
}

static int read_settings(struct s3 *s, const struct rendezvous *r, struct err *err)
{
	const char *endpoint = store_setting(r, "s3", "endpoint");
	const char *bucket = store_setting(r, "s3", "bucket");
	const char *prefix = store_setting(r, "s3", "prefix");
	CLEANUP_FREE char *plain = mem_strdup(endpoint ? endpoint : "");

	if (store_begin(&s->store, &s3_store, r, err) < 0)
		return -1;
	if (str_has_suffix(plain, "/"))
		plain[strlen(plain) - 1] = '\0';
	prefix = prefix ? prefix : PREFIX;
	prefix += strspn(prefix, "/");
	if (!store_is_endpoint(plain))
		return err_set(err, ERR_PROFILE,
			       "ingot.cluster.s3.endpoint must be 'https://HOST' or "
			       "'http://HOST:PORT', without bucket");
	if (!bucket || !bucket[0] || strchr(bucket, '/') || !is_path(bucket))
		return err_set(err, ERR_PROFILE,
			       "ingot.cluster.s3.bucket must be the name of a bucket");
	if (!prefix[0] || !is_path(prefix))
		return err_set(err, ERR_PROFILE,
			       "ingot.cluster.s3.prefix must be a path like 'ingot' or 'a/b'");
	if (read_keys(&s->keys, r, err) < 0)
		return -1;
	s->region = store_setting(r, "s3", "region");
	s->region = s->region ? s->region : REGION;
	s->ca = store_setting(r, "s3", "ca");
	s->url = object_url(plain, bucket, prefix, s->store.cluster, ".json");
	s->probe_url = object_url(plain, bucket, prefix, s->store.cluster, ".probe");
	return 0;
}

static int s3_open(struct rendezvous *r, struct err *err)
{
	r->state = mem_alloc(sizeof(struct s3));
	if (read_settings(r->state, r, err) == 0)
		return 0;
	s3_close(r);
	return -1;
}

const struct rendezvous_kind rendezvous_s3 = {
	.name = "s3",
	.open = s3_open,
	.close = s3_close,
	.look = store_look,
	.claim = store_claim,
	.renew = store_renew,
	.publish = store_publish,
};
