/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP over a unix socket against a server that plays a script: answers in pieces, of every framing, cut, too large,
 * wrong, late or none.
 */
#include "fake/http.h"
#include "tap.h"

#include "base/clock.h"
#include "base/mem.h"
#include "net/http.h"
#include "net/http_reader.h"

#include <sys/time.h>

#define OK "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"
#define MAX 64

#define TAKEN(bytes, status, body)                         \
	{                                                  \
		bytes, status, body, HTTP_FAULT_NONE, NULL \
	}
#define FAILS(bytes, fault, cause)           \
	{                                    \
		bytes, 0, NULL, fault, cause \
	}

/* One answer, after which the connection ends, and what the client makes of it. */
static const struct script {
	const char *bytes;
	long status; /* 0: none */
	const char *body;
	enum http_fault fault;
	const char *cause;
} scripts[] = {
	/* By length. */
	TAKEN(OK "Content-Length: 5\r\n\r\nhello", 200, "hello"),
	TAKEN(OK "content-length:5 \r\n\r\nhello and more", 200, "hello"),
	TAKEN(OK "Content-Length: 005\r\nX: y\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"),
	TAKEN(OK "Content-Length: 0\r\n\r\n", 200, ""),
	TAKEN("HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", 200, "hi"),
	TAKEN("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", 200, "hi"),
	TAKEN("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", 404, "no"),
	TAKEN("HTTP/1.1 500 Oh\r\nContent-Length: 3\r\n\r\nbad", 500, "bad"),
	TAKEN("HTTP/1.1 302 Found\r\nLocation: /hello\r\nContent-Length: 5\r\n\r\nthere", 302,
	      "there"),
	/* By chunks. */
	TAKEN(CHUNKED "5\r\nhello\r\n0\r\n\r\n", 200, "hello"),
	TAKEN(CHUNKED
	      "5;a=b;c=\"d\"\r\nhello\r\n00A \r\n 0123456\r\n\r\n0;x\r\nT: u\r\nV: w\r\n\r\n",
	      200, "hello 0123456\r\n"),
	TAKEN(CHUNKED "0\r\n\r\n", 200, ""),
	TAKEN(OK "transfer-encoding:  Chunked \r\n\r\n1\r\nx\r\n0\r\n\n", 200, "x"),
	/* By the end of the connection. */
	TAKEN(OK "\r\nhello", 200, "hello"),
	TAKEN(OK "\r\n", 200, ""),
	TAKEN("HTTP/1.0 200 OK\r\n\r\nold", 200, "old"),
	/* Without a body, whatever the headers say. */
	TAKEN("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", 204, ""),
	TAKEN("HTTP/1.1 304 Same\r\nTransfer-Encoding: chunked\r\n\r\n", 304, ""),
	/* Behind others. */
	TAKEN("HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 2\r\n\r\nhi", 200, "hi"),
	TAKEN("HTTP/1.1 103 Hints\r\nContent-Length: 9\r\nLink: a\r\n\r\nHTTP/1.1 100 \r\n\r\n" OK
	      "\r\nhi",
	      200, "hi"),
	/* Cut everywhere. */
	FAILS("", HTTP_FAULT_CUT, "without an answer"),
	FAILS("HT", HTTP_FAULT_CUT, "before the answer did"),
	FAILS("HTTP/1.1 200 OK", HTTP_FAULT_CUT, "before the answer did"),
	FAILS(OK, HTTP_FAULT_CUT, "before the answer did"),
	FAILS(OK "Content-Le", HTTP_FAULT_CUT, "before the answer did"),
	FAILS(OK "Content-Length: 5\r\n", HTTP_FAULT_CUT, "before the answer did"),
	FAILS(OK "Content-Length: 5\r\n\r\n", HTTP_FAULT_CUT, "before the answer did"),
	FAILS(OK "Content-Length: 5\r\n\r\nhell", HTTP_FAULT_CUT, "before the answer did"),
	FAILS("HTTP/1.1 100 Continue\r\n\r\n", HTTP_FAULT_CUT, "before the answer did"),
	FAILS(CHUNKED, HTTP_FAULT_CUT, "before the answer did"),
	FAILS(CHUNKED "5", HTTP_FAULT_CUT, "before the answer did"),
	FAILS(CHUNKED "5\r\nhel", HTTP_FAULT_CUT, "before the answer did"),
	FAILS(CHUNKED "5\r\nhello", HTTP_FAULT_CUT, "before the answer did"),
	FAILS(CHUNKED "5\r\nhello\r", HTTP_FAULT_CUT, "before the answer did"),
	FAILS(CHUNKED "5\r\nhello\r\n", HTTP_FAULT_CUT, "before the answer did"),
	FAILS(CHUNKED "5\r\nhello\r\n0\r\n", HTTP_FAULT_CUT, "before the answer did"),
	FAILS(CHUNKED "5\r\nhello\r\n0\r\nT: u\r\n", HTTP_FAULT_CUT, "before the answer did"),
	/* Too large: MAX is 64. */
	FAILS(OK "Content-Length: 65\r\n\r\n", HTTP_FAULT_SIZE, NULL),
	FAILS(OK "Content-Length: 99999999999999999999999999\r\n\r\n", HTTP_FAULT_SIZE, NULL),
	FAILS(OK "Content-Length: 18446744073709551617\r\n\r\nx", HTTP_FAULT_SIZE, NULL),
	FAILS(CHUNKED "41\r\n", HTTP_FAULT_SIZE, NULL),
	FAILS(CHUNKED "1\r\nx\r\n40\r\n", HTTP_FAULT_SIZE, NULL),
	FAILS(CHUNKED "1\r\nx\r\nffffffffffffffff\r\n", HTTP_FAULT_SIZE, NULL),
	FAILS(CHUNKED "1\r\nx\r\n10000000000000001\r\nx", HTTP_FAULT_SIZE, NULL),
	FAILS(OK "\r\n0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefX",
	      HTTP_FAULT_SIZE, NULL),
	TAKEN(OK "\r\n0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", 200,
	      "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
	/* Wrong lengths. */
	FAILS(OK "Content-Length: -5\r\n\r\nhello", HTTP_FAULT_OTHER, "is no number"),
	FAILS(OK "Content-Length: +5\r\n\r\nhello", HTTP_FAULT_OTHER, "is no number"),
	FAILS(OK "Content-Length: 5, 5\r\n\r\nhello", HTTP_FAULT_OTHER, "is no number"),
	FAILS(OK "Content-Length:\r\n\r\nhello", HTTP_FAULT_OTHER, "is no number"),
	FAILS(OK "Content-Length: 0x5\r\n\r\nhello", HTTP_FAULT_OTHER, "is no number"),
	FAILS(OK "Content-Length: 5\r\nContent-Length: 4\r\n\r\nhello", HTTP_FAULT_OTHER,
	      "two lengths"),
	FAILS(OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	      HTTP_FAULT_OTHER, "a length and a Transfer-Encoding"),
	FAILS(OK "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", HTTP_FAULT_OTHER,
	      "unknown Transfer-Encoding"),
	FAILS(OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
	      HTTP_FAULT_OTHER, "unknown Transfer-Encoding"),
	FAILS("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", HTTP_FAULT_OTHER,
	      "HTTP/1.0 has a Transfer-Encoding"),
	FAILS(CHUNKED "-5\r\nhello\r\n0\r\n\r\n", HTTP_FAULT_OTHER, "chunk without a size"),
	FAILS(CHUNKED "\r\nhello\r\n0\r\n\r\n", HTTP_FAULT_OTHER, "chunk without a size"),
	FAILS(CHUNKED "5x\r\nhello\r\n0\r\n\r\n", HTTP_FAULT_OTHER, "chunk without a size"),
	FAILS(CHUNKED "4\r\nhello\r\n0\r\n\r\n", HTTP_FAULT_OTHER, "chunk of another size"),
	FAILS(CHUNKED "6\r\nhello\r\n0\r\n\r\n", HTTP_FAULT_OTHER, "chunk of another size"),
	FAILS(CHUNKED "5\nhello\r\n0\r\n\r\n", HTTP_FAULT_OTHER, "chunk without a size"),
	FAILS(CHUNKED "5\r\nhello\n0\r\n\r\n", HTTP_FAULT_OTHER, "chunk of another size"),
	/* Garbage. */
	FAILS("\001\002\003 this is no HTTP\r\n\r\n", HTTP_FAULT_OTHER, "no HTTP/1.1"),
	FAILS("HTTP/2 200\r\n\r\n", HTTP_FAULT_OTHER, "no HTTP/1.1"),
	FAILS("HTTP/1.1 20 OK\r\n\r\n", HTTP_FAULT_OTHER, "no HTTP/1.1"),
	FAILS("HTTP/1.1 2000 OK\r\n\r\n", HTTP_FAULT_OTHER, "no HTTP/1.1"),
	FAILS("HTTP/1.1 099 OK\r\n\r\n", HTTP_FAULT_OTHER, "no HTTP/1.1"),
	FAILS("HTTP/1.x 200 OK\r\n\r\n", HTTP_FAULT_OTHER, "no HTTP/1.1"),
	FAILS("\r\n" OK "\r\n", HTTP_FAULT_OTHER, "no HTTP/1.1"),
	FAILS(OK "A: b\rContent-Length: 5\r\n\r\n", HTTP_FAULT_OTHER, "no HTTP/1.1"),
	FAILS(OK "no colon\r\n\r\n", HTTP_FAULT_OTHER, "malformed header"),
	FAILS(OK ": value\r\n\r\n", HTTP_FAULT_OTHER, "malformed header"),
	FAILS(OK "Content-Length : 5\r\n\r\n", HTTP_FAULT_OTHER, "malformed header"),
	FAILS(OK "A: b\r\n folded: c\r\n\r\n", HTTP_FAULT_OTHER, "malformed header"),
	FAILS("HTTP/1.1 101 Switching\r\n\r\n", HTTP_FAULT_OTHER, "another protocol"),
};

static size_t step = 1;

static void send_script(const char *bytes, int fd)
{
	for (size_t len = strlen(bytes), n; len; len -= n, bytes += n) {
		n = len < step ? len : step;
		if (write(fd, bytes, n) != (ssize_t)n)
			return;
	}
}

/* Reads what fake_read left of a request's chunks; true when they came to their end. */
static bool read_chunks(struct fake_request *r, char *ret, size_t size)
{
	size_t len = strlen(r->body);

	snprintf(ret, size, "%s", r->body);
	while (len + 1 < size && (len < 5 || strcmp(ret + len - 5, "0\r\n\r\n") != 0)) {
		ssize_t n = read(r->fd, ret + len, size - 1 - len);

		if (n <= 0)
			return false;
		len += (size_t)n;
		ret[len] = '\0';
	}
	return true;
}

/* Undoes the chunks and tells how many letters "a" there were. */
static void count_upload(struct fake_request *r)
{
	static char text[4 << 20];
	char answer[64], *at = text;
	size_t total = 0, chunks = 0;

	if (!read_chunks(r, text, sizeof(text)))
		return;
	for (size_t size; (size = strtoul(at, &at, 16)) > 0; chunks++) {
		if (strncmp(at, "\r\n", 2) != 0 || strspn(at + 2, "a") != size)
			return;
		total += size;
		at += 2 + size + 2;
	}
	snprintf(answer, sizeof(answer), "%zu %s %s", total, fake_header(r, "Transfer-Encoding"),
		 fake_header(r, "Content-Length") ? "+" : "-");
	fake_reply(r, "200 OK\r\n", chunks > 1 ? answer : "one chunk");
}

static void answer(struct fake_request *r)
{
	size_t n;

	if (sscanf(r->path, "/script/%zu", &n) == 1 && n < ARRAY_SIZE(scripts)) {
		send_script(scripts[n].bytes, r->fd);
	} else if (strcmp(r->path, "/text?a=b") == 0 || strcmp(r->path, "/") == 0) {
		fake_reply(r, "200 OK\r\n", r->text);
	} else if (strcmp(r->path, "/slow") == 0) {
		dprintf(r->fd, OK "Content-Length: 9\r\n\r\nhalf");
		sleep(20);
	} else if (strcmp(r->path, "/never-begins") == 0) {
		while (write(r->fd, "HTTP/1.1 102 Wait\r\n\r\n", 21) > 0)
			;
	} else if (strcmp(r->path, "/endless-head") == 0) {
		if (write(r->fd, OK, strlen(OK)) > 0)
			while (write(r->fd, "A: b\r\n", 6) > 0)
				;
	} else if (strcmp(r->path, "/trickle") == 0) {
		send_script(OK "\r\n", r->fd);
		while (write(r->fd, "x", 1) > 0)
			usleep(20000);
	} else if (strcmp(r->path, "/upload") == 0) {
		count_upload(r);
	} else if (strcmp(r->path, "/refuse") == 0) {
		fake_reply(r, "500 Full\r\n", "no space left");
	} else if (strcmp(r->path, "/refuse-by-end") == 0) {
		dprintf(r->fd, "HTTP/1.1 500 Full\r\n\r\nno space left");
	} else if (strcmp(r->path, "/refuse-early") == 0) {
		/* All that comes is read, but nothing waits for its end. */
		fake_reply(r, "413 Much\r\n", "too much");
		while (read(r->fd, r->text, sizeof(r->text)) > 0)
			;
	} else if (strcmp(r->path, "/drop") == 0) {
		/* The connection ends in the middle of the request. */
	} else if (strcmp(r->path, "/length") == 0) {
		char text[64];

		snprintf(text, sizeof(text), "%s %zu", r->method, strlen(r->body));
		fake_reply(r, "200 OK\r\n", text);
	}
}

static void get(const struct http_request *request, long status, const char *body)
{
	struct http_answer a CLEANUP(http_answer_free) = {0};
	struct err err = {0};

	CHECK_OK(http_do(request, &a, &err), &err);
	CHECK_INT(a.status, status);
	CHECK_INT(a.fault, HTTP_FAULT_NONE);
	CHECK_STR(a.body.data ? a.body.data : "", body);
}

static void fail(const struct http_request *request, int code, enum http_fault fault,
		 const char *part)
{
	struct http_answer a CLEANUP(http_answer_free) = {0};
	struct err err = {0};

	CHECK_ERR(http_do(request, &a, &err), &err, code, part);
	CHECK_INT(a.status, 0);
	CHECK_INT(a.fault, fault);
	CHECK(!a.body.data);
}

/* Each script in steps of n bytes, by the reader alone. */
static void feed(size_t n)
{
	static const struct http_request request = {.answer_max = MAX};

	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		struct http_answer a CLEANUP(http_answer_free) = {0};
		CLEANUP(http_reader_free) struct http_reader reader;
		const struct script *s = &scripts[i];
		size_t len = strlen(s->bytes), at = 0;
		int r = 0;

		http_reader_begin(&reader, &request, &a);
		for (size_t more; at < len && r == 0; at += more) {
			more = len - at < n ? len - at : n;
			r = http_reader_feed(&reader, s->bytes + at, more);
		}
		if (r == 0)
			r = http_reader_end(&reader);
		if (r != (s->status ? 1 : -1) || a.status != s->status || reader.fault != s->fault)
			tap_note("script %zu, steps of %zu", i, n);
		CHECK_INT(r, s->status ? 1 : -1);
		CHECK_INT(a.status, s->status);
		CHECK_INT(reader.fault, s->fault);
		if (s->status)
			CHECK_STR(a.body.data ? a.body.data : "", s->body);
		else if (s->cause)
			CHECK_CONTAINS(reader.cause, s->cause);
		/* Nothing changes what has ended. */
		CHECK_INT(http_reader_feed(&reader, "x", 1), r);
		CHECK_INT(http_reader_end(&reader), r);
	}
}

TEST(scripts_in_every_step)
{
	for (size_t n = 1; n < 40; n++)
		feed(n);
	feed(SIZE_MAX);
}

static void play(size_t steps)
{
	step = steps;
	fake_http_unix("socket", answer);
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		const struct script *s = &scripts[i];
		char url[64];
		struct http_request request = {
			.url = url, .unix_socket = "socket", .answer_max = MAX};

		snprintf(url, sizeof(url), "http://docker/script/%zu", i);
		if (s->status)
			get(&request, s->status, s->body);
		else
			fail(&request, ERR_NETWORK, s->fault,
			     s->cause ? s->cause : "the answer is larger than 64 bytes");
	}
}

TEST(scripts_byte_by_byte)
{
	play(1);
}

TEST(scripts_at_once)
{
	play(SIZE_MAX);
}

TEST(heads_and_lines_are_bounded)
{
	static const struct http_request request = {0};
	static const char *const begin[] = {OK,
					    OK "A: ",
					    CHUNKED "1;",
					    CHUNKED "0\r\n",
					    "HTTP/1.1 200 ",
					    "HTTP/1.1 100 \r\n\r\n"};
	static const char *const again[] = {"A: b\r\n", "a", "e",
					    "T: u\r\n", "a", "HTTP/1.1 100 \r\n\r\n"};

	for (size_t i = 0; i < ARRAY_SIZE(begin); i++) {
		struct http_answer a CLEANUP(http_answer_free) = {0};
		CLEANUP(http_reader_free) struct http_reader reader;
		size_t fed = 0;

		http_reader_begin(&reader, &request, &a);
		CHECK_INT(http_reader_feed(&reader, begin[i], strlen(begin[i])), 0);
		while (http_reader_feed(&reader, again[i], strlen(again[i])) == 0)
			CHECK((fed += strlen(again[i])) <= 65536);
		CHECK_INT(reader.fault, HTTP_FAULT_OTHER);
		CHECK(reader.line.room <= 4 * 65536);
	}
	fake_http_unix("socket", answer);
	fail(&(struct http_request){.url = "http://docker/endless-head", .unix_socket = "socket"},
	     ERR_NETWORK, HTTP_FAULT_OTHER, "head is too large");
	fail(&(struct http_request){.url = "http://docker/never-begins", .unix_socket = "socket"},
	     ERR_NETWORK, HTTP_FAULT_OTHER, "does not begin");
}

TEST(the_request)
{
	static const char *const headers[] = {"X-One: 1", "X-Two: 2", NULL};

	fake_http_unix("socket", answer);
	get(&(struct http_request){.url = "http://docker/text?a=b#c",
				   .unix_socket = "socket",
				   .headers = headers},
	    200,
	    "GET /text?a=b HTTP/1.1\r\nHost: docker\r\nUser-Agent: ingot/" INGOT_VERSION "\r\n"
	    "Accept: */*\r\nConnection: close\r\nX-One: 1\r\nX-Two: 2\r\n\r\n");
	get(&(struct http_request){.url = "HTTP://d:1",
				   .unix_socket = "socket",
				   .method = "PUT",
				   .body = "some bytes",
				   .body_len = 4},
	    200,
	    "PUT / HTTP/1.1\r\nHost: d:1\r\nUser-Agent: ingot/" INGOT_VERSION "\r\n"
	    "Accept: */*\r\nConnection: close\r\nContent-Length: 4\r\n\r\nsome");
	get(&(struct http_request){.url = "http://d/length",
				   .unix_socket = "socket",
				   .method = "POST"},
	    200, "POST 0");
	get(&(struct http_request){.url = "http://d/length", .unix_socket = "socket", .body = ""},
	    200, "POST 0");
	get(&(struct http_request){.url = "http://d/length",
				   .unix_socket = "socket",
				   .method = "DELETE"},
	    200, "DELETE 0");
	get(&(struct http_request){.url = "http://d/length",
				   .unix_socket = "socket",
				   .method = "HEAD"},
	    200, "");
}

TEST(requests_that_nobody_could_send)
{
	static const char *const headers[] = {"X: secret\r\nY: secret", NULL};
	static const struct http_sink sink = {0};
	static const struct http_request bad[] = {
		{.url = "https://docker/", .unix_socket = "socket"},
		{.url = "docker", .unix_socket = "socket"},
		{.url = "http://", .unix_socket = "socket"},
		{.url = "http:///path", .unix_socket = "socket"},
		{.url = "http://user:secret@docker/", .unix_socket = "socket"},
		{.url = "http://docker/a secret", .unix_socket = "socket"},
		{.url = "http://docker/a\r\nX: secret", .unix_socket = "socket"},
		{.url = "http://docker\r\n/", .unix_socket = "socket"},
		{.url = "http://docker/", .unix_socket = "socket", .method = "GET /secret"},
		{.url = "http://docker/", .unix_socket = "socket", .method = ""},
		{.url = "http://docker/", .unix_socket = "socket", .headers = headers},
		{.url = "http://docker/", .unix_socket = "socket", .sink = &sink},
		{.url = "http://docker/", .unix_socket = "socket", .retries = 1},
		{.url = "http://docker/", .unix_socket = "socket", .if_none_match = "\"a\""},
	};
	struct http_answer a[2] = {0};
	struct http_request two[2] = {{.url = "http://docker/"}, bad[0]};
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK_ERR(http_do(&bad[i], a, &err), &err, ERR_OTHER, "by way of 'socket'");
		CHECK(!strstr(err.msg, "secret"));
		CHECK_INT(a->fault, HTTP_FAULT_OTHER);
	}
	CHECK_ERR(http_do_all(two, a, 2, &err), &err, ERR_OTHER, "one by one");
}

TEST(messages_have_no_query)
{
	struct http_answer a CLEANUP(http_answer_free) = {0};
	struct err err = {0};

	CHECK_ERR(http_do(&(struct http_request){.url = "http://docker/path?secret#secret",
						 .unix_socket = "none"},
			  &a, &err),
		  &err, ERR_NETWORK,
		  "cannot ask 'http://docker/path' by way of 'none': No such file or directory");
}

TEST(wanted_headers)
{
	static const char *const want[] = {"Location", "Content-Length", "Link", NULL};
	struct http_answer a CLEANUP(http_answer_free) = {0};
	struct err err = {0};
	char url[64];
	size_t n = 0;

	while (scripts[n].status != 302)
		n++;
	snprintf(url, sizeof(url), "http://docker/script/%zu", n);
	fake_http_unix("socket", answer);
	CHECK_OK(http_do(&(struct http_request){.url = url, .unix_socket = "socket", .want = want},
			 &a, &err),
		 &err);
	CHECK_STR(http_header(&a, "location", 0), "/hello");
	CHECK_STR(http_header(&a, "Content-Length", 0), "5");
	http_answer_free(&a);
	/* Those of an answer before the answer are not its own. */
	while (!strstr(scripts[n].bytes, "Link: a"))
		n++;
	snprintf(url, sizeof(url), "http://docker/script/%zu", n);
	CHECK_OK(http_do(&(struct http_request){.url = url, .unix_socket = "socket", .want = want},
			 &a, &err),
		 &err);
	CHECK_INT(a.headers.count, 0);
}

TEST(nobody_there)
{
	char path[200] = "";
	int fd = open("file", O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	fail(&(struct http_request){.url = "http://docker/", .unix_socket = "none"}, ERR_NETWORK,
	     HTTP_FAULT_CONNECT, "by way of 'none': No such file");
	fail(&(struct http_request){.url = "http://docker/", .unix_socket = "file"}, ERR_NETWORK,
	     HTTP_FAULT_CONNECT, "by way of 'file': Connection refused");
	memset(path, 'p', sizeof(path) - 1);
	fail(&(struct http_request){.url = "http://docker/", .unix_socket = path}, ERR_NETWORK,
	     HTTP_FAULT_OTHER, "the path is too long");
	/* 107 bytes are the most that fit. */
	path[108] = '\0';
	fail(&(struct http_request){.url = "http://docker/", .unix_socket = path}, ERR_NETWORK,
	     HTTP_FAULT_OTHER, "the path is too long");
	path[107] = '\0';
	fail(&(struct http_request){.url = "http://docker/", .unix_socket = path}, ERR_NETWORK,
	     HTTP_FAULT_CONNECT, "No such file");
}

/* A server whose queue is full: it takes no connection and refuses none. */
TEST(a_full_queue)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "socket"};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), filler;
	struct http_request request = {.url = "http://docker/", .unix_socket = "socket"};
	double before;

	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 0) == 0);
	do {
		filler = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		CHECK(filler >= 0);
	} while (connect(filler, (struct sockaddr *)&at, sizeof(at)) == 0);
	CHECK_INT(errno, EAGAIN);
	before = clock_monotonic();
	request.connect_timeout_ms = 300;
	fail(&request, ERR_NETWORK, HTTP_FAULT_CONNECT, "nobody took the connection in time");
	CHECK(clock_monotonic() - before >= 0.29);
	request.connect_timeout_ms = 0;
	request.timeout_ms = 100;
	fail(&request, ERR_NETWORK, HTTP_FAULT_CONNECT, "nobody took the connection in time");
}

static void nothing(int signal)
{
	(void)signal;
}

/* Signals come all the time, and interrupt what waits. */
static void interrupt_all(void)
{
	struct sigaction action = {.sa_handler = nothing};
	struct itimerval often = {{0, 3000}, {0, 3000}};

	CHECK(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0);
}

TEST(slow)
{
	struct http_request request = {.unix_socket = "socket", .timeout_ms = 300};
	double before = clock_monotonic();

	fake_http_unix("socket", answer);
	interrupt_all();
	request.url = "http://docker/trickle";
	fail(&request, ERR_NETWORK, HTTP_FAULT_SLOW, "by way of 'socket': the time limit is over");
	CHECK(clock_monotonic() - before >= 0.3);
	request.url = "http://docker/slow";
	fail(&request, ERR_NETWORK, HTTP_FAULT_SLOW, "by way of 'socket': the time limit is over");
	/* The server sleeps: its queue takes the connection, and nobody reads. */
	fail(&request, ERR_NETWORK, HTTP_FAULT_SLOW, "by way of 'socket': the time limit is over");
}

struct upload {
	size_t left;
	bool fails;
};

static ssize_t read_upload(void *context, void *bytes, size_t len, struct err *err)
{
	struct upload *u = context;
	/* Never the same size twice in a row. */
	size_t n = u->left % 2 ? len : len / 3;

	if (u->left == 0 && u->fails)
		return err_set(err, ERR_SPACE, "the source is broken");
	n = n < u->left ? n : u->left;
	memset(bytes, 'a', n);
	u->left -= n;
	return (ssize_t)n;
}

static struct http_request upload(const char *url, struct upload *u)
{
	return (struct http_request){
		.url = url, .unix_socket = "socket", .body_read = read_upload, .body_context = u};
}

TEST(uploads)
{
	struct upload u = {.left = 1000001};
	struct http_request request = upload("http://docker/upload", &u);

	fake_http_unix("socket", answer);
	get(&request, 200, "1000001 chunked -");
	interrupt_all();
	u.left = 3000000;
	get(&request, 200, "3000000 chunked -");
}

TEST(uploads_that_are_refused)
{
	struct upload u = {.left = 100000000};
	struct http_request request = upload("http://docker/refuse", &u);

	fake_http_unix("socket", answer);
	get(&request, 500, "no space left");
	request.url = "http://docker/refuse-by-end";
	u.left = 100000000;
	get(&request, 500, "no space left");
	request.url = "http://docker/refuse-early";
	u.left = SIZE_MAX;
	get(&request, 413, "too much");
	/* 100 MB were not sent to be refused. */
	CHECK(u.left > SIZE_MAX - 100000000);
	request.url = "http://docker/drop";
	fail(&request, ERR_NETWORK, HTTP_FAULT_CUT, "without an answer");
}

TEST(uploads_that_break)
{
	struct upload u = {.left = 500000, .fails = true};
	struct http_request request = upload("http://docker/upload", &u);

	fake_http_unix("socket", answer);
	fail(&request, ERR_SPACE, HTTP_FAULT_SINK, "the source is broken");
	u.left = 0;
	fail(&request, ERR_SPACE, HTTP_FAULT_SINK, "the source is broken");
}

/* More than fits into the socket at once, to a server that reads all first. */
TEST(large_bodies)
{
	CLEANUP_FREE char *body = mem_alloc(60001);
	CLEANUP_FREE char *large = mem_alloc(4000001);
	struct http_request request = {.url = "http://docker/length",
				       .unix_socket = "socket",
				       .body = memset(body, 'b', 60000),
				       .body_len = 60000};

	fake_http_unix("socket", answer);
	get(&request, 200, "POST 60000");
	/* The fake server has no room for it, and hangs up. */
	request.body = memset(large, 'b', 4000000);
	request.body_len = 4000000;
	fail(&request, ERR_NETWORK, HTTP_FAULT_CUT, "without an answer");
}

TEST(libcurl_is_not_asked)
{
	char proxy[64];

	snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", fake_closed_port());
	fake_http_unix("socket", answer);
	setenv("http_proxy", proxy, 1);
	get(&(struct http_request){.url = "http://docker/length", .unix_socket = "socket"}, 200,
	    "GET 0");
}
