/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer of a server of HTTP/1.1 as a value that bytes are fed to: it reads nothing itself and so does not
 * care in what steps they come.
 */
#ifndef INGOT_NET_HTTP_READER_H
#define INGOT_NET_HTTP_READER_H

#include "net/http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How long the answer's body may be, in bytes. */
static inline size_t http_answer_max(const struct http_request *request)
{
	return request->answer_max ? request->answer_max : (size_t)16 << 20;
}

enum http_reader_state {
	HTTP_READER_STATUS, /* in the status line */
	HTTP_READER_HEADER,
	HTTP_READER_LENGTH, /* in a body of known length */
	HTTP_READER_END,    /* in a body that ends with the connection */
	HTTP_READER_SIZE,   /* in the line before a chunk */
	HTTP_READER_CHUNK,
	HTTP_READER_CRLF, /* behind a chunk */
	HTTP_READER_TRAILER,
	HTTP_READER_DONE,
	HTTP_READER_FAILED,
};

/* One answer on its way in. */
struct http_reader {
	const struct http_request *request;
	struct http_answer *answer;
	enum http_reader_state state;
	enum http_fault fault; /* why it failed */
	const char *cause;     /* the same in words; NULL with HTTP_FAULT_SIZE */
	struct str line;       /* the line that has not ended */
	size_t taken;          /* bytes of this head, line before a chunk or trailer */
	long status;
	bool old;         /* HTTP/1.0 */
	unsigned interim; /* answers 1xx before this one */
	bool chunked, has_length;
	uint64_t length; /* Content-Length */
	uint64_t left;   /* of the body or the chunk */
};

/* Begins the answer to a request, of which method, want and answer_max matter; both are borrowed until
 * http_reader_free. The body and the wanted headers go into answer as they come. */
void http_reader_begin(struct http_reader *reader, const struct http_request *request,
		       struct http_answer *answer);

/* Takes bytes as they come (RFC 9112, 2 to 7; 1xx are skipped). Returns 1 when the answer is complete (its
 * status is set then, and bytes behind it are dropped), 0 when more is needed, -1 when it is none or too large:
 * fault and cause say why. Does not block. */
int http_reader_feed(struct http_reader *reader, const char *bytes, size_t len);

/* The connection has ended. Returns 1 when the answer is complete by that (RFC 9112, 6.3), else -1 with
 * HTTP_FAULT_CUT or what had failed before. */
int http_reader_end(struct http_reader *reader);

/* Wipes and frees what the reader holds itself; the answer stays the caller's. */
void http_reader_free(struct http_reader *reader);

#endif
