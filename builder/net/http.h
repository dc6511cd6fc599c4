/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP by libcurl: bounded answers, bodies of any size to a sink, time limits, retries with backoff. No global
 * state but curl's own, which is loaded by the first request. Requests to a unix socket are done without it.
 */
#ifndef INGOT_NET_HTTP_H
#define INGOT_NET_HTTP_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What is loaded, besides what programs are linked with. */
#define HTTP_LIBRARY "libcurl.so.4"

/* Where the body of a good answer goes while it comes. */
struct http_sink {
	/* Takes at least one byte. An error ends the request and becomes that of http_do. */
	int (*write)(void *context, const void *bytes, size_t len, struct err *err);
	void *context;
};

/* Connections that are kept between requests. */
struct http_session;

struct http_request {
	const char *url;
	const char *method;         /* NULL: GET, or POST when body is set */
	const char *unix_socket;    /* path, or NULL; see http_do for what it excludes */
	const char *const *headers; /* "Name: value" lines ended by NULL, or NULL */
	const char *const *want; /* names of headers to keep of the answer ended by NULL, or NULL */
	const char *body;        /* or NULL */
	size_t body_len;
	/* Instead of body, for one that is too large for memory, and only with unix_socket: fills at most len bytes and
	 * returns how many; 0 at the end, -1 with err. It is sent in chunks. */
	ssize_t (*body_read)(void *context, void *bytes, size_t len, struct err *err);
	void *body_context;
	const char *if_none_match;     /* an ETag, or NULL */
	const char *if_modified_since; /* a date as the server gave it, or NULL */
	const char *ca;     /* file with certificates that are trusted besides the system's */
	const char *ca_pem; /* the same as PEM text, instead of ca; or NULL */
	bool direct; /* by no proxy, whatever the environment says: for addresses of this link */
	long timeout_ms;         /* whole request; 0 means 30000, or no limit with stall_s */
	long connect_timeout_ms; /* 0 means 10000 */
	long stall_s;            /* ends a try when less than 1 KiB/s came for so long; 0: never */
	size_t answer_max;       /* bytes; 0 means 16 MiB */
	long redirects;          /* at most; 0 means 5, -1 none: then a redirect is the answer */
	int retries;             /* tries after the first for connection errors, 429 and 5xx */
	const struct http_sink
		*sink;   /* where the body of 200 and 206 goes, or NULL: into the answer */
	uint64_t offset; /* with a sink: bytes that it has already; the rest is asked for */
	struct http_session *session; /* or NULL: a connection for this request alone */
};

/* Why no answer came. */
enum http_fault {
	HTTP_FAULT_NONE,
	HTTP_FAULT_NAME,    /* the name of the host or the proxy is not known */
	HTTP_FAULT_CONNECT, /* nobody answers there */
	HTTP_FAULT_TRUST, /* the certificate is of an unknown authority, another name or outdated */
	HTTP_FAULT_PLAIN, /* no TLS where it was expected */
	HTTP_FAULT_REDIRECT, /* too many redirects, or one to what is not allowed */
	HTTP_FAULT_SLOW,     /* a time limit */
	HTTP_FAULT_CUT,      /* the connection broke */
	HTTP_FAULT_SIZE,     /* larger than answer_max */
	HTTP_FAULT_SINK,     /* the sink failed, or body_read */
	HTTP_FAULT_OTHER,
};

struct http_answer {
	long status; /* 0 when no answer came */
	enum http_fault fault;
	struct str body; /* with a sink: of other answers than 200 and 206, the first 64 KiB */
	struct strv
		headers; /* "Name: value" of those that were wanted, as they came; use http_header */
	double retry_after; /* seconds that the server asks to wait, 0 when it does not */
	char etag[256];
	char last_modified[64];
};

/* Does one request (RFC 9110). ERR_NETWORK when no answer came or it was larger than answer_max; an HTTP
 * error status is an answer, not an error. Redirects are followed from https to https only, else to http and
 * https; credentials in headers stay at the host that they are for. A body for a sink that was interrupted is
 * taken up where it stopped (RFC 9110, 14.2), also with servers that send all of it again; retries then count
 * from the last try that brought 1 MiB. Retry-After is followed up to a minute. Proxies are taken from the
 * environment as curl does, but never for unix sockets and direct requests. Messages name the URL without user, password and query.
 * Blocks; may be called from several threads.
 *
 * With a unix_socket it is one try of HTTP/1.1 (RFC 9112) on a connection of its own. Of the URL, which is
 * "http://host/path", the host is for the header only. A redirect is the answer, and so is what comes before all of
 * the body was sent. Of the answer there are status, fault, body and the wanted headers. sink, session, retries,
 * stall_s, if_none_match and if_modified_since are ERR_OTHER there; ca, ca_pem and redirects mean nothing. */
int http_do(const struct http_request *request, struct http_answer *answer, struct err *err);

/* Does count requests at the same time (in the session of the first). Each gets its answer; fails with the
 * first error if any got none, after all have ended: answers with status 0 are the ones that failed. ERR_OTHER
 * when one of them has a unix_socket: only http_do takes these. Blocks. */
int http_do_all(const struct http_request *requests, struct http_answer *answers, size_t count,
		struct err *err);

/* The value of the n-th (from 0) header with this name that was wanted and came, or NULL; borrowed. */
const char *http_header(const struct http_answer *answer, const char *name, size_t n);

/* Wipes and frees what the answer holds; usable with CLEANUP(). */
void http_answer_free(struct http_answer *answer);

/* Makes a session: later requests use its open connections. For one thread at a time. Free with
 * http_session_free. NULL when there is no memory for it, which http_do takes as well. */
struct http_session *http_session_new(void);

/* Closes its connections; NULL is allowed. */
void http_session_free(struct http_session *session);

#endif
