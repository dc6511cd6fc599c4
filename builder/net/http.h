/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP by libcurl: bounded answers, time limits, retries with backoff. No global state but curl's own.
 */
#ifndef INGOT_NET_HTTP_H
#define INGOT_NET_HTTP_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>

struct http_request {
	const char *url;
	const char *method;         /* NULL: GET, or POST when body is set */
	const char *unix_socket;    /* path, or NULL */
	const char *const *headers; /* "Name: value" lines ended by NULL, or NULL */
	const char *body;           /* or NULL */
	size_t body_len;
	const char *if_none_match;     /* an ETag, or NULL */
	const char *if_modified_since; /* a date as the server gave it, or NULL */
	long timeout_ms;               /* whole request; 0 means 30000 */
	long connect_timeout_ms;       /* 0 means 10000 */
	size_t answer_max;             /* bytes; 0 means 16 MiB */
	int retries; /* tries after the first for connection errors, 429 and 5xx */
};

struct http_answer {
	long status; /* 0 when no answer came */
	struct str body;
	char etag[256];
	char last_modified[64];
};

/* Does one request (RFC 9110). ERR_NETWORK when no answer came or it was larger than answer_max; an HTTP
 * error status is an answer, not an error. Redirects are followed (5, http and https only). Proxies are
 * taken from the environment as curl does, but never for unix sockets. Messages name the URL without
 * user, password and query. Blocks; may be called from several threads. */
int http_do(const struct http_request *request, struct http_answer *answer, struct err *err);

/* Does count requests at the same time. Each gets its answer; fails with the first error if any got none,
 * after all have ended: answers with status 0 are the ones that failed. Blocks. */
int http_do_all(const struct http_request *requests, struct http_answer *answers, size_t count,
		struct err *err);

/* Frees what the answer holds; usable with CLEANUP(). */
void http_answer_free(struct http_answer *answer);

#endif
