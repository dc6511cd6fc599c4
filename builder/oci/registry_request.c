/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to a registry, with credentials where it wants them, and what to tell the user when it fails.
 */
#include "oci/registry_parts.h"

#include "base/json.h"
#include "base/mem.h"
#include "oci/auth.h"

#include <string.h>

#define CHALLENGES_MAX 2 /* 401 answers that are met with something new */
#define MIRROR_RETRIES 1
#define ERROR_TEXT_MAX 200

static struct http_session *take_session(struct oci_client *c)
{
	struct http_session *s = NULL;

	pthread_mutex_lock(&c->lock);
	if (c->session_count)
		s = c->sessions[--c->session_count];
	pthread_mutex_unlock(&c->lock);
	return s ? s : http_session_new();
}

static void give_session(struct oci_client *c, struct http_session *s)
{
	pthread_mutex_lock(&c->lock);
	if (s && c->session_count < OCI_SESSIONS_MAX) {
		c->sessions[c->session_count++] = s;
		s = NULL;
	}
	pthread_mutex_unlock(&c->lock);
	http_session_free(s);
}

/* Hints for what a user can change; the network's own are set below. */
static void hint_for(const struct oci_place *place, enum http_fault fault, struct err *err)
{
	const char *what = place->mirror ? "registry of this mirror" : "registry";

	if (fault == HTTP_FAULT_TRUST)
		err_hint(err,
			 "name the certificate of its authority by `ca:` under "
			 "containers.registries for the %s, or install it in the system",
			 what);
	else if (fault == HTTP_FAULT_PLAIN)
		err_hint(err,
			 "'%s' does not speak TLS; `insecure: true` under containers.registries "
			 "for the %s allows plain HTTP",
			 place->name, what);
	else if (fault == HTTP_FAULT_CONNECT || fault == HTTP_FAULT_NAME)
		err_hint(err,
			 "check the name '%s' and the network, and the proxy in the environment if "
			 "one is needed",
			 place->name);
}

static void bury(struct oci_client *c, const struct oci_place *place, enum http_fault fault)
{
	if (!place->mirror || (fault != HTTP_FAULT_CONNECT && fault != HTTP_FAULT_NAME))
		return;
	pthread_mutex_lock(&c->lock);
	if (!strv_has(&c->dead, place->name))
		strv_add(&c->dead, place->name);
	pthread_mutex_unlock(&c->lock);
}

/* Appends what the registry says about an error: {"errors": [{"code", "message"}]}. */
static void add_words(const struct http_answer *answer, struct str *text)
{
	struct err ignored = {0};
	CLEANUP_JSON json_t *body = NULL;
	const json_t *first;
	const char *words;

	if (!answer->body.len)
		return;
	body = json_parse(answer->body.data, answer->body.len, "answer", &ignored);
	first = json_array_get(json_object_get(body, "errors"), 0);
	words = json_member_string(first, "message");
	if (!words || !*words)
		words = json_member_string(first, "code");
	if (!words || !*words)
		return;
	str_add(text, ": ");
	str_add_utf8(text, words, strnlen(words, ERROR_TEXT_MAX));
}

static void hint_for_status(const struct oci_reference *ref, const struct oci_place *place,
			    const struct http_answer *answer, struct err *err)
{
	switch (answer->status) {
	case 400:
		if (place->insecure && answer->body.len &&
		    strstr(answer->body.data, "HTTP request to an HTTPS server"))
			err_hint(err, "'%s' speaks TLS: remove `insecure: true` for this registry",
				 place->name);
		return;
	case 403:
		err_hint(err, "the account may not read '%s'; " OCI_CREDENTIALS_HINT,
			 ref->repository);
		return;
	case 404:
		err_hint(
			err,
			"check registry, name and tag; registries answer so for what an account may "
			"not see, too");
		return;
	case 429:
		err_hint(err, "the registry limits how often it is asked: wait, log in, or name a "
			      "mirror under containers.registries");
		return;
	default:
		return;
	}
}

int oci_status_error(const struct oci_reference *ref, const struct oci_place *place,
		     const struct http_answer *answer, struct err *err)
{
	CLEANUP(str_free) struct str words = {0};

	add_words(answer, &words);
	err_set(err, ERR_NETWORK, "'%s' answers %ld%s", place->name, answer->status,
		words.len ? words.data : "");
	if (answer->status == 429 && answer->retry_after > 0)
		err_wrap(err, "asked to wait %.0f s", answer->retry_after);
	hint_for_status(ref, place, answer, err);
	return -1;
}

/* Tries after the first. A mirror is a help, not a must. */
static int retries(const struct oci_client *c, const struct oci_place *place,
		   const struct oci_ask *ask)
{
	if (ask->once)
		return 0;
	return place->mirror && !ask->sink && c->retries > MIRROR_RETRIES ? MIRROR_RETRIES
									  : c->retries;
}

/* One HTTP request with the credentials that are given. */
static int ask_once(struct oci_client *c, const struct oci_place *place, const struct oci_ask *ask,
		    const char *url, const char *authorization, struct http_session *session,
		    struct http_answer *answer, struct err *err)
{
	static const char *const want[] = {"WWW-Authenticate", "Content-Type", "Content-Length",
					   "Docker-Content-Digest", NULL};
	CLEANUP_FREE char *accept = ask->accept ? mem_printf("Accept: %s", ask->accept) : NULL;
	const char *headers[3] = {0};
	size_t n = 0;
	struct http_request request = {
		.url = url,
		.method = ask->method,
		.headers = headers,
		.want = want,
		.ca = place->ca,
		.stall_s = c->stall_s,
		.answer_max = ask->answer_max,
		.retries = retries(c, place, ask),
		.sink = ask->sink,
		.offset = ask->offset ? *ask->offset : 0,
		.session = session,
	};

	if (accept)
		headers[n++] = accept;
	if (authorization)
		headers[n++] = authorization;
	if (http_do(&request, answer, err) == 0)
		return 0;
	if (answer->fault != HTTP_FAULT_SINK) {
		hint_for(place, answer->fault, err);
		bury(c, place, answer->fault);
	}
	return -1;
}

int oci_ask(struct oci_client *c, const struct oci_reference *ref, const struct oci_place *place,
	    const struct oci_ask *ask, struct http_answer *answer, struct err *err)
{
	CLEANUP_FREE char *url = mem_printf("%s://%s/v2/%s/%s", place->insecure ? "http" : "https",
					    place->host, ref->repository, ask->path);
	struct http_session *session = take_session(c);
	const struct oci_auth_place at = {.name = place->name,
					  .repository = ref->repository,
					  .ca = place->ca,
					  .insecure = place->insecure,
					  .session = session};
	char *authorization = oci_auth_known(c->auth, &at);
	int r;

	for (int challenges = 0;; challenges++) {
		char *better = NULL;

		r = ask_once(c, place, ask, url, authorization, session, answer, err);
		if (r < 0 || answer->status != 401)
			break;
		r = challenges < CHALLENGES_MAX
			    ? oci_auth_meet(c->auth, &at, answer, authorization, &better, err)
			    : oci_auth_refused(&at, answer, authorization, err);
		if (r < 0)
			break;
		oci_secret_free(&authorization);
		authorization = better;
		http_answer_free(answer);
	}
	oci_secret_free(&authorization);
	give_session(c, session);
	return r;
}
