/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authentication at registries: one entry per registry and repository remembers the header line that was good. Who
 * finds it locked waits, so that many threads fetch one token.
 */
#include "oci/auth.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "oci/challenge.h"

#include <pthread.h>
#include <string.h>
#include <strings.h>

#define TOKEN_ANSWER_MAX ((size_t)256 << 10)
#define TOKEN_MAX ((size_t)64 << 10)
#define TOKEN_LIFE \
	60.0 /* seconds, where the service does not say (distribution's token specification) */
#define TOKEN_LIFE_MAX 86400.0
#define TOKEN_SLACK 10.0 /* seconds before its end a token is not used any more */
#define TOKEN_RETRIES 3

struct entry {
	struct entry *next;
	char *name, *repository;
	pthread_mutex_t lock; /* of what follows */
	char *header;
	double expires; /* clock_monotonic(); 0: never */
};

struct oci_auth {
	pthread_mutex_t lock; /* of the list; entries stay until the end */
	struct entry *entries;
};

struct oci_auth *oci_auth_new(void)
{
	struct oci_auth *auth = mem_alloc(sizeof(*auth));

	pthread_mutex_init(&auth->lock, NULL);
	return auth;
}

void oci_auth_free(struct oci_auth *auth)
{
	if (!auth)
		return;
	for (struct entry *e = auth->entries, *next; e; e = next) {
		next = e->next;
		free(e->name);
		free(e->repository);
		oci_secret_free(&e->header);
		pthread_mutex_destroy(&e->lock);
		free(e);
	}
	pthread_mutex_destroy(&auth->lock);
	free(auth);
}

/* The entry for the place, locked. */
static struct entry *open_entry(struct oci_auth *auth, const struct oci_auth_place *place)
{
	struct entry *found;

	pthread_mutex_lock(&auth->lock);
	for (found = auth->entries; found; found = found->next)
		if (strcmp(found->name, place->name) == 0 &&
		    strcmp(found->repository, place->repository) == 0)
			break;
	if (!found) {
		found = mem_alloc(sizeof(*found));
		found->name = mem_strdup(place->name);
		found->repository = mem_strdup(place->repository);
		pthread_mutex_init(&found->lock, NULL);
		found->next = auth->entries;
		auth->entries = found;
	}
	pthread_mutex_unlock(&auth->lock);
	pthread_mutex_lock(&found->lock);
	return found;
}

static bool is_good(const struct entry *e)
{
	return e->header && (e->expires == 0 || clock_monotonic() < e->expires);
}

char *oci_auth_known(struct oci_auth *auth, const struct oci_auth_place *place)
{
	struct entry *e = open_entry(auth, place);
	char *header = is_good(e) ? mem_strdup(e->header) : NULL;

	pthread_mutex_unlock(&e->lock);
	return header;
}

int oci_auth_refused(const struct oci_auth_place *place, const struct http_answer *answer,
		     const char *used, struct err *err)
{
	err_set(err, ERR_NETWORK,
		used ? "'%s' answers %ld: it refuses the credentials for '%s'"
		     : "'%s' answers %ld: it wants credentials for '%s'",
		place->name, answer->status, place->repository);
	return err_hint(err, OCI_CREDENTIALS_HINT);
}

/* "Authorization: Basic ...". */
static char *basic_header(const struct oci_credentials *c)
{
	char *pair = oci_secret_join(c->user, ":", c->secret);
	size_t room = 2 * strlen(pair) + 64;
	/* All room at once: growing would leave copies behind. */
	struct str line = {.data = mem_alloc(room), .room = room};

	str_add(&line, "Authorization: Basic ");
	base64_add(pair, strlen(pair), &line);
	oci_secret_free(&pair);
	return str_steal(&line);
}

/* Appends text as a value in a query or a form (RFC 3986, 2.3). */
static void add_escaped(struct str *s, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    strchr("-._~", c))
			str_add_bytes(s, text, 1);
		else
			str_addf(s, "%%%02X", c);
	}
}

static void add_field(struct str *s, const char *name, const char *value)
{
	if (!value[0])
		return;
	if (s->len && !strchr("?&", s->data[s->len - 1]))
		str_add(s, "&");
	str_addf(s, "%s=", name);
	add_escaped(s, value);
}

/* The scopes of the challenge one by one, or what we need where it has none. */
static void add_scopes(struct str *s, const struct oci_auth_place *place,
		       const struct oci_challenge *challenge)
{
	CLEANUP_FREE char *own = mem_printf("repository:%s:pull", place->repository);
	CLEANUP_FREE char *scopes = mem_strdup(challenge->scope[0] ? challenge->scope : own);
	char *rest = NULL;

	for (char *one = strtok_r(scopes, " ", &rest); one; one = strtok_r(NULL, " ", &rest))
		add_field(s, "scope", one);
}

/* May credentials and tokens travel to this address? */
static int check_realm(const struct oci_auth_place *place, const char *realm, struct err *err)
{
	const char *host = strstr(realm, "://");
	bool https = strncasecmp(realm, "https://", 8) == 0;

	if (!https && !(place->insecure && strncasecmp(realm, "http://", 7) == 0))
		return err_set(err, ERR_NETWORK,
			       "'%s' sends to a token service that is not https, '%.200s'",
			       place->name, realm);
	host += 3;
	if (!*host || strpbrk(realm, " \"<>\\^`{|}#") || memchr(host, '@', strcspn(host, "/?")))
		return err_set(err, ERR_NETWORK, "'%s' names a token service that is no address",
			       place->name);
	return 0;
}

/* A token that fits into a header line. */
static bool is_token(const char *text)
{
	size_t len = text ? strlen(text) : 0;

	if (len == 0 || len > TOKEN_MAX)
		return false;
	for (; *text; text++)
		if (*text <= ' ' || *text > '~')
			return false;
	return true;
}

/* Takes the token from the service's answer: token or access_token, and how long it lives. */
static int take_token(struct entry *e, const struct http_answer *answer, const char *url,
		      struct err *err)
{
	json_error_t why;
	CLEANUP_JSON json_t *body =
		json_loadb(answer->body.data ? answer->body.data : "", answer->body.len, 0, &why);
	const char *token = json_member_string(body, "token");
	const json_t *expires = json_object_get(body, "expires_in");
	double life = json_is_number(expires) ? json_number_value(expires) : TOKEN_LIFE;

	if (!token || !*token)
		token = json_member_string(body, "access_token");
	if (!is_token(token))
		return err_set(err, ERR_NETWORK, "cannot use the answer of the token service '%s'",
			       url);
	/* Less than this was never meant, and more is not worth to believe. */
	if (!(life > TOKEN_LIFE))
		life = TOKEN_LIFE;
	if (life > TOKEN_LIFE_MAX)
		life = TOKEN_LIFE_MAX;
	oci_secret_free(&e->header);
	e->header = oci_secret_join("Authorization: Bearer ", token, "");
	e->expires = clock_monotonic() + life - TOKEN_SLACK;
	return 0;
}

static int token_refused(const struct oci_auth_place *place, const struct http_answer *answer,
			 const char *url, bool anonymous, struct err *err)
{
	if (answer->status != 400 && answer->status != 401 && answer->status != 403)
		return err_set(err, ERR_NETWORK, "the token service '%s' answers %ld", url,
			       answer->status);
	err_set(err, ERR_NETWORK,
		anonymous ? "the token service '%s' answers %ld: '%s' wants credentials for '%s'"
			  : "the token service '%s' answers %ld: '%s' refuses the credentials for "
			    "'%s'",
		url, answer->status, place->name, place->repository);
	return err_hint(err, OCI_CREDENTIALS_HINT);
}

/* The realm without its query, for messages. */
static char *shown_realm(const char *realm)
{
	return mem_strndup(realm, strcspn(realm, "?"));
}

static int ask_for_token(const struct oci_auth_place *place, struct http_request *request,
			 const char *realm, bool anonymous, struct entry *e, struct err *err)
{
	struct http_answer answer CLEANUP(http_answer_free) = {0};
	CLEANUP_FREE char *shown = shown_realm(realm);

	request->ca = place->ca;
	request->answer_max = TOKEN_ANSWER_MAX;
	request->retries = TOKEN_RETRIES;
	request->session = place->session;
	if (http_do(request, &answer, err) < 0) {
		if (answer.fault == HTTP_FAULT_TRUST)
			err_hint(err, "name the certificate of its authority by `ca:` under "
				      "containers.registries");
		return err_wrap(err, "cannot get a token for '%s'", place->name);
	}
	if (answer.status != 200)
		return token_refused(place, &answer, shown, anonymous, err);
	return take_token(e, &answer, shown, err);
}

static void free_secret_text(struct str *s)
{
	if (s->data)
		mem_wipe(s->data, s->room);
	str_free(s);
}

/* OAuth 2.0 (distribution's specification of it): a refresh token is exchanged. */
static int token_by_identity(const struct oci_auth_place *place,
			     const struct oci_challenge *challenge, const struct oci_credentials *c,
			     struct entry *e, struct err *err)
{
	static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded",
					      NULL};
	size_t room = 3 * strlen(c->identity) + 8 * OCI_CHALLENGE_VALUE_MAX;
	CLEANUP(free_secret_text) struct str form = {.data = mem_alloc(room), .room = room};
	struct http_request request = {.url = challenge->realm, .headers = headers};

	str_add(&form, "grant_type=refresh_token&client_id=ingot");
	add_field(&form, "service", challenge->service);
	add_scopes(&form, place, challenge);
	add_field(&form, "refresh_token", c->identity);
	request.body = form.data;
	request.body_len = form.len;
	/* A redirect could have the form sent to somebody else. */
	request.redirects = -1;
	return ask_for_token(place, &request, challenge->realm, false, e, err);
}

static int token_by_password(const struct oci_auth_place *place,
			     const struct oci_challenge *challenge, const struct oci_credentials *c,
			     struct entry *e, struct err *err)
{
	CLEANUP(oci_secret_free) char *basic = c->user ? basic_header(c) : NULL;
	CLEANUP(str_free) struct str url = {0};
	const char *headers[] = {basic, NULL};
	struct http_request request = {.headers = headers};

	str_addf(&url, "%s%s", challenge->realm, strchr(challenge->realm, '?') ? "" : "?");
	add_field(&url, "service", challenge->service);
	add_scopes(&url, place, challenge);
	if (c->user)
		add_field(&url, "account", c->user);
	request.url = url.data;
	return ask_for_token(place, &request, challenge->realm, !c->user, e, err);
}

static int meet(struct entry *e, const struct oci_auth_place *place,
		const struct oci_challenge *challenge, const struct http_answer *answer,
		const char *used, struct err *err)
{
	struct oci_credentials c CLEANUP(oci_credentials_free) = {0};

	if (oci_credentials_find(place->name, place->repository, &c, err) < 0)
		return -1;
	if (challenge->bearer && !c.bearer) {
		if (check_realm(place, challenge->realm, err) < 0)
			return -1;
		return c.identity ? token_by_identity(place, challenge, &c, e, err)
				  : token_by_password(place, challenge, &c, e, err);
	}
	oci_secret_free(&e->header);
	e->expires = 0;
	if (c.bearer)
		e->header = oci_secret_join("Authorization: Bearer ", c.bearer, "");
	else if (challenge->basic && c.user)
		e->header = basic_header(&c);
	/* Nothing new to say? */
	if (!e->header || (used && strcmp(used, e->header) == 0)) {
		oci_secret_free(&e->header);
		return oci_auth_refused(place, answer, used, err);
	}
	return 0;
}

int oci_auth_meet(struct oci_auth *auth, const struct oci_auth_place *place,
		  const struct http_answer *answer, const char *used, char **ret, struct err *err)
{
	struct oci_challenge challenge = {0};
	struct entry *e;
	const char *header;
	int r = 0;

	for (size_t i = 0; (header = http_header(answer, "WWW-Authenticate", i)); i++)
		oci_challenge_read(header, &challenge);
	if (!challenge.basic && !challenge.bearer)
		return err_set(err, ERR_NETWORK,
			       "'%s' answers 401 and does not say what it wants (Bearer or Basic)",
			       place->name);
	e = open_entry(auth, place);
	/* Another thread may have been faster. */
	if (!is_good(e) || (used && strcmp(used, e->header) == 0))
		r = meet(e, place, &challenge, answer, used, err);
	if (r == 0)
		*ret = mem_strdup(e->header);
	pthread_mutex_unlock(&e->lock);
	return r;
}
