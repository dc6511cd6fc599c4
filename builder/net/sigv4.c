/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signature Version 4: a canonical form of the request, the string to sign, and a key that is made of the secret
 * key by four HMACs. URLs are taken apart by curl, so that what is signed is what curl sends.
 */
#include "net/sigv4.h"

#include "base/hmac.h"
#include "base/mem.h"
#include "net/http_parts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ALGORITHM "AWS4-HMAC-SHA256"

/* The parts of a URL that are signed. */
struct target {
	char *host, *path, *query; /* of curl; query may be NULL */
};

static void target_free(struct target *t)
{
	if (!t->host) /* then curl may not be loaded */
		return;
	http_curl.free(t->host);
	http_curl.free(t->path);
	http_curl.free(t->query);
}

/* The host as curl puts it into the header Host: with a port that is not the protocol's own. */
static int split(const char *url, struct target *t, char **ret_host, struct err *err)
{
	char *port = NULL;
	CURLU *u;
	int r = -1;

	if (http_curl_load(err) < 0)
		return -1;
	u = http_curl.url();
	if (u && http_curl.url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK &&
	    http_curl.url_get(u, CURLUPART_HOST, &t->host, 0) == CURLUE_OK &&
	    http_curl.url_get(u, CURLUPART_PATH, &t->path, 0) == CURLUE_OK)
		r = 0;
	else
		err_set(err, ERR_OTHER, "cannot sign a request: its URL is none");
	if (r == 0) {
		http_curl.url_get(u, CURLUPART_QUERY, &t->query, 0);
		http_curl.url_get(u, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT);
		*ret_host = mem_printf("%s%s%s", t->host, port ? ":" : "", port ? port : "");
	}
	http_curl.free(port);
	http_curl.url_cleanup(u);
	return r;
}

void sigv4_encode(const char *text, bool slash, struct str *to)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-._~";

	for (; *text; text++) {
		if (strchr(plain, *text) || (slash && *text == '/'))
			str_add_bytes(to, text, 1);
		else
			str_addf(to, "%%%02X", (unsigned char)*text);
	}
}

/* Parameters sorted by name and value, each with its '='. */
static void add_query(const char *query, struct str *to)
{
	CLEANUP(strv_free) struct strv list = {0};

	for (const char *p = query ? query : ""; *p;) {
		size_t len = strcspn(p, "&");

		if (len > 0)
			strv_addf(&list, "%.*s%s", (int)len, p, memchr(p, '=', len) ? "" : "=");
		p += len + (p[len] == '&');
	}
	/* '=' must sort before what names can have: as a byte below all of these. */
	for (size_t i = 0; i < list.count; i++)
		*strchr(list.items[i], '=') = '\x01';
	strv_sort(&list);
	for (size_t i = 0; i < list.count; i++) {
		*strchr(list.items[i], '\x01') = '=';
		str_addf(to, "%s%s", i ? "&" : "", list.items[i]);
	}
}

/* A header value: without spaces around it, and with one where there were several. */
static void add_value(const char *value, struct str *to)
{
	bool gap = false;

	for (value += strspn(value, " \t"); *value; value++) {
		if (*value == ' ' || *value == '\t') {
			gap = true;
			continue;
		}
		if (gap)
			str_add(to, " ");
		gap = false;
		str_add_bytes(to, value, 1);
	}
}

struct field {
	char *name, *value;
	size_t order;
};

static int by_name(const void *a, const void *b)
{
	const struct field *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	return r ? r : x->order < y->order ? -1 : x->order > y->order;
}

static void add_field(struct field *fields, size_t *count, const char *line)
{
	size_t len = strcspn(line, ":");
	struct str value = {0};
	struct field *f = &fields[*count];

	f->name = mem_strndup(line, len);
	for (char *p = f->name; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	add_value(line[len] ? line + len + 1 : "", &value);
	f->value = str_steal(&value);
	f->order = (*count)++;
}

/* Canonical headers, each on its line, those with one name joined; and the list of their names. */
static void add_headers(const char *host, const char *const *own, const struct strv *added,
			struct str *to, struct str *names)
{
	size_t count = 0, n = 0;
	CLEANUP_FREE char *host_line = mem_printf("Host: %s", host);
	CLEANUP_FREE struct field *fields = NULL;

	while (own && own[n])
		n++;
	fields = mem_alloc_array(n + added->count + 1, sizeof(*fields));
	add_field(fields, &count, host_line);
	for (size_t i = 0; i < n; i++)
		add_field(fields, &count, own[i]);
	for (size_t i = 0; i < added->count; i++)
		add_field(fields, &count, added->items[i]);
	qsort(fields, count, sizeof(*fields), by_name);
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && strcmp(fields[i].name, fields[i - 1].name) == 0) {
			str_addf(to, ",%s", fields[i].value);
			continue;
		}
		str_addf(to, "%s%s:%s", i ? "\n" : "", fields[i].name, fields[i].value);
		str_addf(names, "%s%s", i ? ";" : "", fields[i].name);
	}
	str_add(to, "\n");
	for (size_t i = 0; i < count; i++) {
		mem_wipe(fields[i].value, strlen(fields[i].value));
		free(fields[i].name);
		free(fields[i].value);
	}
}

/* The signature of text under the key for this day, region and service. */
static void sign(const struct sigv4_keys *keys, const char *day, const char *region,
		 const char *service, const char *text, char hex[DIGEST_HEX_SIZE])
{
	const char *const steps[] = {day, region, service, "aws4_request", text};
	char *first = mem_printf("AWS4%s", keys->secret_key);
	struct digest key;

	hmac_sha256(first, strlen(first), steps[0], strlen(steps[0]), &key);
	for (size_t i = 1; i < ARRAY_SIZE(steps); i++)
		hmac_sha256(key.bytes, sizeof(key.bytes), steps[i], strlen(steps[i]), &key);
	digest_hex(&key, hex);
	mem_wipe(first, strlen(first));
	mem_wipe(&key, sizeof(key));
	free(first);
}

static int format_time(int64_t seconds, char stamp[24], struct err *err)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(stamp, 24, "%Y%m%dT%H%M%SZ", &tm) == 0)
		return err_set(err, ERR_OTHER, "cannot sign a request: its time is none");
	return 0;
}

int sigv4_sign(const struct sigv4_request *request, const struct sigv4_keys *keys,
	       struct strv *headers, struct err *err)
{
	CLEANUP(target_free) struct target target = {0};
	CLEANUP(str_free) struct str canonical = {0}, names = {0};
	CLEANUP_FREE char *host = NULL;
	CLEANUP_FREE char *text = NULL;
	char payload[DIGEST_HEX_SIZE], hash[DIGEST_HEX_SIZE], signature[DIGEST_HEX_SIZE];
	char stamp[24], day[9];
	struct strv added = {0};
	struct digest digest;

	if (format_time(request->time, stamp, err) < 0 ||
	    split(request->url, &target, &host, err) < 0)
		return -1;
	snprintf(day, sizeof(day), "%.8s", stamp);
	digest_bytes("", 0, &digest);
	digest_hex(request->payload ? request->payload : &digest, payload);
	strv_addf(&added, "X-Amz-Date: %s", stamp);
	if (strcmp(request->service, "s3") == 0)
		strv_addf(&added, "X-Amz-Content-Sha256: %s", payload);
	if (keys->session_token)
		strv_addf(&added, "X-Amz-Security-Token: %s", keys->session_token);

	str_addf(&canonical, "%s\n%s\n", request->method, target.path);
	add_query(target.query, &canonical);
	str_add(&canonical, "\n");
	add_headers(host, request->headers, &added, &canonical, &names);
	str_addf(&canonical, "\n%s\n%s", names.data, payload);
	digest_bytes(canonical.data, canonical.len, &digest);
	mem_wipe(canonical.data, canonical.len);
	text = mem_printf(ALGORITHM "\n%s\n%s/%s/%s/aws4_request\n%s", stamp, day, request->region,
			  request->service, digest_hex(&digest, hash));
	sign(keys, day, request->region, request->service, text, signature);

	for (size_t i = 0; i < added.count; i++) {
		strv_add(headers, added.items[i]);
		mem_wipe(added.items[i], strlen(added.items[i]));
	}
	strv_free(&added);
	strv_addf(headers,
		  "Authorization: " ALGORITHM
		  " Credential=%s/%s/%s/%s/aws4_request, SignedHeaders=%s, Signature=%s",
		  keys->access_key, day, request->region, request->service, names.data, signature);
	return 0;
}
