/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of HTTP/1.1 (RFC 9112), strict where a lenient reading could take a part of the answer for the whole:
 * lengths, transfer codings and line ends.
 */
#include "net/http_reader.h"

#include "net/http_parts.h"

#include "base/mem.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define HEAD_MAX ((size_t)64 << 10)
#define SIZE_LINE_MAX 4096u
#define INTERIM_MAX 16u

#define MALFORMED "the answer is no HTTP/1.1"

void http_reader_begin(struct http_reader *reader, const struct http_request *request,
		       struct http_answer *answer)
{
	*reader = (struct http_reader){.request = request, .answer = answer};
}

void http_reader_free(struct http_reader *reader)
{
	str_wipe(&reader->line);
}

static void fail(struct http_reader *r, enum http_fault fault, const char *cause)
{
	r->state = HTTP_READER_FAILED;
	r->fault = fault;
	r->cause = cause;
}

static int result(const struct http_reader *r)
{
	return r->state == HTTP_READER_FAILED ? -1 : r->state == HTTP_READER_DONE;
}

static void finish(struct http_reader *r)
{
	r->answer->status = r->status;
	r->state = HTTP_READER_DONE;
}

/* As str_add_bytes, but room that has become too small is wiped: answers have the secrets of a swarm. */
static void add_bytes(struct str *s, const char *bytes, size_t len)
{
	struct str larger = {0};

	if (s->len + len + 1 > s->room) {
		str_reserve(&larger, 2 * (s->len + len));
		str_add_bytes(&larger, s->data, s->len);
		str_wipe(s);
		*s = larger;
	}
	str_add_bytes(s, bytes, len);
}

/* How much more body may come. */
static size_t body_room(const struct http_reader *r)
{
	size_t max = http_answer_max(r->request);

	return max - r->answer->body.len;
}

/* Reads a number in base 10 or 16 at the start of text and returns how many digits it has. One that is too
 * large for 64 bits becomes the largest: it is more than anybody takes. */
static size_t read_number(const char *text, size_t len, unsigned base, uint64_t *ret)
{
	uint64_t value = 0;
	size_t i = 0;

	for (; i < len &&
	       (base == 16 ? isxdigit((unsigned char)text[i]) : isdigit((unsigned char)text[i]));
	     i++) {
		unsigned digit = isdigit((unsigned char)text[i])
					 ? (unsigned)(text[i] - '0')
					 : (unsigned)(tolower((unsigned char)text[i]) - 'a') + 10;

		value = value > (UINT64_MAX - digit) / base ? UINT64_MAX : value * base + digit;
	}
	*ret = value;
	return i;
}

/* "HTTP/1.1 200 OK"; some leave out the space before a reason that they do not give. */
static void take_status(struct http_reader *r, const char *line, size_t len)
{
	if (len < 12 || memcmp(line, "HTTP/1.", 7) != 0 || !isdigit((unsigned char)line[7]) ||
	    line[8] != ' ' || line[9] < '1' || line[9] > '9' || !isdigit((unsigned char)line[10]) ||
	    !isdigit((unsigned char)line[11]) || (len > 12 && line[12] != ' ')) {
		fail(r, HTTP_FAULT_OTHER, MALFORMED);
		return;
	}
	r->status = (line[9] - '0') * 100L + (line[10] - '0') * 10L + (line[11] - '0');
	r->old = line[7] == '0';
	r->state = HTTP_READER_HEADER;
}

/* RFC 9110, 8.6: digits and nothing else. Several may come if they are the same. */
static void take_length(struct http_reader *r, const char *value, size_t len)
{
	uint64_t length;

	if (!len || read_number(value, len, 10, &length) != len)
		fail(r, HTTP_FAULT_OTHER, "the answer's Content-Length is no number");
	else if (r->has_length && length != r->length)
		fail(r, HTTP_FAULT_OTHER, "the answer has two lengths");
	else
		r->length = length;
	r->has_length = true;
}

/* No coding but "chunked" was asked for, so that no other may come (RFC 9112, 6.1 and 7.4). */
static void take_coding(struct http_reader *r, const char *value, size_t len)
{
	if (r->chunked || len != 7 || strncasecmp(value, "chunked", 7) != 0)
		fail(r, HTTP_FAULT_OTHER, "the answer has an unknown Transfer-Encoding");
	r->chunked = true;
}

/* A header line. Folded ones (RFC 9112, 5.2), which no server has sent for long, are not taken: a line that looks
 * like one is more likely to be none. */
static void take_header(struct http_reader *r, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	size_t name = colon ? (size_t)(colon - line) : 0, value = name + 1;

	for (size_t i = 0; i < name; i++)
		if (line[i] <= ' ' || line[i] == 0x7f)
			name = 0;
	if (!name) {
		fail(r, HTTP_FAULT_OTHER, "the answer has a malformed header");
		return;
	}
	while (value < len && (line[value] == ' ' || line[value] == '\t'))
		value++;
	while (len > value && (line[len - 1] == ' ' || line[len - 1] == '\t'))
		len--;
	if (name == 14 && strncasecmp(line, "Content-Length", name) == 0)
		take_length(r, line + value, len - value);
	else if (name == 17 && strncasecmp(line, "Transfer-Encoding", name) == 0)
		take_coding(r, line + value, len - value);
	http_keep_wanted(r->request, r->answer, line, len);
}

/* An answer before the answer (RFC 9110, 15.2): forgotten. The bound of the head counts it, too. */
static void skip_interim(struct http_reader *r)
{
	if (r->status == 101)
		fail(r, HTTP_FAULT_OTHER, "the answer changes to another protocol");
	else if (++r->interim > INTERIM_MAX)
		fail(r, HTTP_FAULT_OTHER, "the answer does not begin");
	else
		r->state = HTTP_READER_STATUS;
	strv_free(&r->answer->headers);
	r->chunked = r->has_length = false;
}

/* How the body ends: RFC 9112, 6.3. */
static void end_head(struct http_reader *r)
{
	const char *method = r->request->method;

	r->taken = 0;
	if ((method && strcmp(method, "HEAD") == 0) || r->status == 204 || r->status == 304) {
		finish(r);
	} else if (r->chunked && (r->has_length || r->old)) {
		fail(r, HTTP_FAULT_OTHER,
		     r->old ? "the answer of HTTP/1.0 has a Transfer-Encoding"
			    : "the answer has a length and a Transfer-Encoding");
	} else if (r->chunked) {
		r->state = HTTP_READER_SIZE;
	} else if (!r->has_length) {
		r->state = HTTP_READER_END;
	} else if (r->length > body_room(r)) {
		fail(r, HTTP_FAULT_SIZE, NULL);
	} else if (r->length == 0) {
		finish(r);
	} else {
		r->left = r->length;
		r->state = HTTP_READER_LENGTH;
	}
}

/* RFC 9112, 7.1: digits, and perhaps extensions, which are for nobody (7.1.1). A LF alone, which 2.2 lets end a
 * header line, ends nothing here. */
static void take_size(struct http_reader *r, const char *line, size_t len, bool crlf)
{
	size_t digits = read_number(line, len, 16, &r->left);

	r->taken = 0;
	if (!crlf || !digits || (digits < len && !strchr("; \t", line[digits])))
		fail(r, HTTP_FAULT_OTHER, "the answer has a chunk without a size");
	else if (r->left > body_room(r))
		fail(r, HTTP_FAULT_SIZE, NULL);
	else
		r->state = r->left ? HTTP_READER_CHUNK : HTTP_READER_TRAILER;
}

/* A line has ended. */
static void take_line(struct http_reader *r, const char *line, size_t len)
{
	bool crlf = len && line[len - 1] == '\r';

	len -= crlf;
	/* RFC 9112, 2.2: a CR alone ends nothing. */
	if (memchr(line, '\r', len) || memchr(line, '\0', len)) {
		fail(r, HTTP_FAULT_OTHER, MALFORMED);
		return;
	}
	switch (r->state) {
	case HTTP_READER_STATUS:
		take_status(r, line, len);
		break;
	case HTTP_READER_HEADER:
		if (len)
			take_header(r, line, len);
		else if (r->status < 200)
			skip_interim(r);
		else
			end_head(r);
		break;
	case HTTP_READER_SIZE:
		take_size(r, line, len, crlf);
		break;
	case HTTP_READER_CRLF:
		r->taken = 0;
		r->state = HTTP_READER_SIZE;
		if (len || !crlf)
			fail(r, HTTP_FAULT_OTHER, "the answer has a chunk of another size");
		break;
	default:
		if (!len)
			finish(r);
		break;
	}
}

/* What cannot become a line that is wanted is not waited for: its end may never come. */
static void check_begun(struct http_reader *r)
{
	size_t len = r->line.len;

	if (r->state == HTTP_READER_STATUS &&
	    memcmp(r->line.data, "HTTP/1.", len < 7 ? len : 7) != 0)
		fail(r, HTTP_FAULT_OTHER, MALFORMED);
	else if (r->state == HTTP_READER_CRLF && (len > 1 || r->line.data[0] != '\r'))
		fail(r, HTTP_FAULT_OTHER, "the answer has a chunk of another size");
}

/* Takes bytes up to the end of a line. Returns how many. */
static size_t feed_line(struct http_reader *r, const char *bytes, size_t len)
{
	const char *end = memchr(bytes, '\n', len);
	size_t n = end ? (size_t)(end - bytes) : len;
	bool sized = r->state == HTTP_READER_SIZE || r->state == HTTP_READER_CRLF;

	r->taken += n + (end != NULL);
	if (r->taken > (sized ? SIZE_LINE_MAX : HEAD_MAX)) {
		fail(r, HTTP_FAULT_OTHER, "the answer's head is too large");
		return len;
	}
	add_bytes(&r->line, bytes, n);
	if (!end) {
		check_begun(r);
		return n;
	}
	take_line(r, r->line.data, r->line.len);
	r->line.len = 0;
	return n + 1;
}

/* Takes bytes of the body. Returns how many. */
static size_t feed_body(struct http_reader *r, const char *bytes, size_t len)
{
	if (r->state != HTTP_READER_END && len > r->left)
		len = (size_t)r->left;
	if (len > body_room(r)) {
		fail(r, HTTP_FAULT_SIZE, NULL);
		return len;
	}
	add_bytes(&r->answer->body, bytes, len);
	if (r->state == HTTP_READER_END)
		return len;
	r->left -= len;
	if (r->left == 0 && r->state == HTTP_READER_LENGTH)
		finish(r);
	else if (r->left == 0)
		r->state = HTTP_READER_CRLF;
	return len;
}

int http_reader_feed(struct http_reader *reader, const char *bytes, size_t len)
{
	while (len && result(reader) == 0) {
		bool body = reader->state == HTTP_READER_LENGTH ||
			    reader->state == HTTP_READER_CHUNK || reader->state == HTTP_READER_END;
		size_t n = body ? feed_body(reader, bytes, len) : feed_line(reader, bytes, len);

		bytes += n;
		len -= n;
	}
	return result(reader);
}

int http_reader_end(struct http_reader *reader)
{
	bool nothing = reader->state == HTTP_READER_STATUS && !reader->taken;

	if (reader->state == HTTP_READER_END)
		finish(reader);
	else if (result(reader) == 0)
		fail(reader, HTTP_FAULT_CUT,
		     nothing ? "the connection ended without an answer"
			     : "the connection ended before the answer did");
	return result(reader);
}
