/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP against a server that answers late, wrong, too much or not at all.
 */
#include "fake/http.h"
#include "tap.h"

#include "base/clock.h"
#include "base/mem.h"
#include "net/http.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyz"

/* The alphabet, with ranges; the first time only five letters of it are sent. */
static void letters(const struct fake_request *r)
{
	const char *range = fake_header(r, "Range");
	size_t first = range ? strtoul(range + strlen("bytes="), NULL, 10) : 0;
	const char *fault = r->path + strlen("/letters");

	if (strcmp(fault, "-whole") == 0)
		first = 0;
	if (strcmp(fault, "-busy") == 0 && r->number == 1) {
		fake_reply(r, "503 Busy\r\n", "not for the sink");
		return;
	}
	if (strcmp(fault, "-missing") == 0) {
		fake_reply(r, "404 Not Found\r\n", "not for the sink");
		return;
	}
	if (strcmp(fault, "-other") == 0 && first)
		first++;
	if (first)
		dprintf(r->fd, "HTTP/1.1 206 Part\r\nContent-Range: bytes %zu-25/26\r\n", first);
	else
		dprintf(r->fd, "HTTP/1.1 200 OK\r\n");
	dprintf(r->fd, "Content-Length: %zu\r\nConnection: close\r\n\r\n", 26 - first);
	dprintf(r->fd, "%.*s", r->number == 0 ? 5 : 26, &LETTERS[first]);
}

static void answer(struct fake_request *r)
{
	const char *match = fake_header(r, "If-None-Match");
	static char big[100001];

	if (strcmp(r->path, "/hello") == 0) {
		fake_reply(r,
			   "200 OK\r\nETag: \"one\"\r\nLast-Modified: Thu, 01 Jan 1970 "
			   "00:00:00 GMT\r\n",
			   "hello");
	} else if (strcmp(r->path, "/etag") == 0) {
		fake_reply(r,
			   match && strcmp(match, "\"one\"") == 0 ? "304 Not Modified\r\n"
								  : "200 OK\r\n",
			   "");
	} else if (strcmp(r->path, "/since") == 0) {
		const char *since = fake_header(r, "If-Modified-Since");

		fake_reply(r,
			   since && strcmp(since, "yesterday") == 0 ? "304 Not Modified\r\n"
								    : "200 OK\r\n",
			   "");
	} else if (strcmp(r->path, "/missing") == 0) {
		fake_reply(r, "404 Not Found\r\n", "no");
	} else if (strcmp(r->path, "/big") == 0) {
		memset(big, 'x', sizeof(big) - 1);
		fake_reply(r, "200 OK\r\n", big);
	} else if (strcmp(r->path, "/busy") == 0) {
		fake_reply(r, r->number < 2 ? "503 Busy\r\nETag: \"busy\"\r\n" : "200 OK\r\n",
			   r->number < 2 ? "wait a little" : "done");
	} else if (strcmp(r->path, "/later") == 0) {
		fake_reply(r, r->number < 1 ? "429 Later\r\nRetry-After: 1\r\n" : "200 OK\r\n", "");
	} else if (strcmp(r->path, "/drop") == 0) {
		if (r->number >= 1)
			fake_reply(r, "200 OK\r\n", "there");
	} else if (strcmp(r->path, "/cut") == 0) {
		dprintf(r->fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
	} else if (strcmp(r->path, "/slow") == 0) {
		sleep(20);
	} else if (strcmp(r->path, "/redirect") == 0) {
		fake_reply(r, "302 Found\r\nLocation: /hello\r\nETag: \"old\"\r\n", "go there");
	} else if (strcmp(r->path, "/loop") == 0) {
		fake_reply(r, "302 Found\r\nLocation: /loop\r\n", "");
	} else if (strcmp(r->path, "/file") == 0) {
		fake_reply(r, "302 Found\r\nLocation: file:///etc/passwd\r\n", "");
	} else if (strcmp(r->path, "/garbage") == 0) {
		dprintf(r->fd, "\001\002\003 this is no HTTP\r\n\r\n");
	} else if (strncmp(r->path, "/letters", 8) == 0) {
		letters(r);
	} else if (strcmp(r->path, "/headers") == 0) {
		fake_reply(r,
			   "200 OK\r\nLink: <a>\r\nlink:  <b> \r\nX-Long: y\r\nLinked: "
			   "no\r\nLink:\r\n",
			   "");
	} else if (strcmp(r->path, "/echo") == 0) {
		char text[256];

		snprintf(text, sizeof(text), "%s %s %s", r->method, r->body,
			 fake_header(r, "X-Test") ? fake_header(r, "X-Test") : "-");
		fake_reply(r, "201 Created\r\n", text);
	} else {
		fake_reply(r, "400 Bad\r\n", "");
	}
}

static char url_text[256];

static const char *url(const char *path)
{
	static unsigned int port;

	if (!port)
		port = fake_http(answer);
	snprintf(url_text, sizeof(url_text), "http://127.0.0.1:%u%s", port, path);
	return url_text;
}

static void get(const struct http_request *request, long status, const char *body)
{
	struct http_answer a CLEANUP(http_answer_free) = {0};
	struct err err = {0};

	CHECK_OK(http_do(request, &a, &err), &err);
	CHECK_INT(a.status, status);
	CHECK_STR(a.body.data ? a.body.data : "", body);
}

static void fail(const struct http_request *request, const char *part)
{
	struct http_answer a CLEANUP(http_answer_free) = {0};
	struct err err = {0};

	CHECK_ERR(http_do(request, &a, &err), &err, ERR_NETWORK, part);
	CHECK_INT(a.status, 0);
}

TEST(get_with_headers)
{
	struct http_answer a CLEANUP(http_answer_free) = {0};
	struct err err = {0};

	CHECK_OK(http_do(&(struct http_request){.url = url("/hello")}, &a, &err), &err);
	CHECK_INT(a.status, 200);
	CHECK_STR(a.body.data, "hello");
	CHECK_STR(a.etag, "\"one\"");
	CHECK_STR(a.last_modified, "Thu, 01 Jan 1970 00:00:00 GMT");
}

TEST(error_status_is_an_answer)
{
	get(&(struct http_request){.url = url("/missing")}, 404, "no");
}

TEST(conditional_requests)
{
	get(&(struct http_request){.url = url("/etag"), .if_none_match = "\"one\""}, 304, "");
	get(&(struct http_request){.url = url("/etag"), .if_none_match = "\"two\""}, 200, "");
	get(&(struct http_request){.url = url("/since"), .if_modified_since = "yesterday"}, 304,
	    "");
	get(&(struct http_request){.url = url("/since")}, 200, "");
}

TEST(methods_and_bodies)
{
	const char *headers[] = {"X-Test: 7", NULL};

	get(
		&(struct http_request){
			.url = url("/echo"), .body = "abc", .body_len = 3, .headers = headers},
		201, "POST abc 7");
	get(&(struct http_request){.url = url("/echo"), .method = "POST"}, 201, "POST  -");
	get(
		&(struct http_request){
			.url = url("/echo"), .method = "PUT", .body = "abc", .body_len = 2},
		201, "PUT ab -");
	get(&(struct http_request){.url = url("/echo"), .method = "DELETE"}, 201, "DELETE  -");
	get(&(struct http_request){.url = url("/echo"), .method = "HEAD"}, 201, "");
}

TEST(header_injection_is_refused)
{
	const char *headers[] = {"X-Test: 7\r\nX-Other: 8", NULL};
	struct http_answer a CLEANUP(http_answer_free) = {0};
	struct err err = {0};

	CHECK_ERR(
		http_do(&(struct http_request){.url = url("/echo"), .headers = headers}, &a, &err),
		&err, ERR_OTHER, "line break");
}

TEST(answers_are_bounded)
{
	fail(&(struct http_request){.url = url("/big"), .answer_max = 99999},
	     "larger than 99999 bytes");
	struct http_answer a CLEANUP(http_answer_free) = {0};
	struct err err = {0};

	CHECK_OK(
		http_do(&(struct http_request){.url = url("/big"), .answer_max = 100000}, &a, &err),
		&err);
	CHECK_INT(a.body.len, 100000);
}

TEST(retries_until_it_works)
{
	get(&(struct http_request){.url = url("/busy"), .retries = 2}, 200, "done");
	get(&(struct http_request){.url = url("/drop"), .retries = 1}, 200, "there");
}

TEST(retries_end)
{
	struct http_answer a CLEANUP(http_answer_free) = {0};
	struct err err = {0};

	CHECK_OK(http_do(&(struct http_request){.url = url("/busy"), .retries = 1}, &a, &err),
		 &err);
	CHECK_INT(a.status, 503);
	CHECK_STR(a.body.data, "wait a little");
	fail(&(struct http_request){.url = url("/drop")}, "cannot fetch");
}

TEST(retry_after_is_kept)
{
	double start = clock_monotonic();

	get(&(struct http_request){.url = url("/later"), .retries = 1}, 200, "");
	CHECK(clock_monotonic() - start >= 0.99);
}

TEST(no_answer_is_an_error)
{
	char text[64];

	fail(&(struct http_request){.url = url("/cut")}, "cannot fetch");
	fail(&(struct http_request){.url = url("/garbage")}, "cannot fetch");
	fail(&(struct http_request){.url = url("/slow"), .timeout_ms = 200}, "cannot fetch");
	snprintf(text, sizeof(text), "http://127.0.0.1:%u/", fake_closed_port());
	fail(&(struct http_request){.url = text}, "cannot fetch");
	fail(&(struct http_request){.url = "file:///etc/passwd"}, "cannot fetch");
}

TEST(redirects)
{
	struct http_answer a CLEANUP(http_answer_free) = {0};
	struct err err = {0};

	CHECK_OK(http_do(&(struct http_request){.url = url("/redirect")}, &a, &err), &err);
	CHECK_INT(a.status, 200);
	CHECK_STR(a.body.data, "hello");
	CHECK_STR(a.etag, "\"one\"");
	fail(&(struct http_request){.url = url("/loop")}, "redirect");
	fail(&(struct http_request){.url = url("/file")}, "cannot fetch");
}

TEST(messages_have_no_secrets)
{
	char text[128];
	struct http_answer a CLEANUP(http_answer_free) = {0};
	struct err err = {0};

	snprintf(text, sizeof(text), "http://user:hidden@127.0.0.1:%u/a@b?key=secret",
		 fake_closed_port());
	CHECK_ERR(http_do(&(struct http_request){.url = text}, &a, &err), &err, ERR_NETWORK,
		  "http://127.0.0.1:");
	CHECK_CONTAINS(err.msg, "/a@b'");
	CHECK(!strstr(err.msg, "hidden") && !strstr(err.msg, "secret"));
}

static int take(void *context, const void *bytes, size_t len, struct err *err)
{
	struct str *taken = context;

	CHECK(len > 0);
	if (taken->len + len > 100)
		return err_set(err, ERR_SPACE, "the sink is full");
	str_add_bytes(taken, bytes, len);
	return 0;
}

/* What the sink has after an answer with this status. */
static void streams(const char *path, int retries, long status, const char *want)
{
	CLEANUP(str_free) struct str taken = {0};
	const struct http_sink sink = {take, &taken};
	struct http_answer a CLEANUP(http_answer_free) = {0};
	struct err err = {0};

	CHECK_OK(
		http_do(&(struct http_request){.url = url(path), .sink = &sink, .retries = retries},
			&a, &err),
		&err);
	CHECK_INT(a.status, status);
	CHECK_STR(taken.data ? taken.data : "", want);
}

TEST(bodies_go_to_the_sink)
{
	struct http_answer a CLEANUP(http_answer_free) = {0};
	CLEANUP(str_free) struct str taken = {0};
	const struct http_sink sink = {take, &taken};
	struct err err = {0};

	streams("/hello", 0, 200, "hello");
	/* What went on after an interruption, with and without ranges, is whole and in order. */
	streams("/letters", 1, 206, LETTERS);
	streams("/letters-whole", 1, 200, LETTERS);
	streams("/letters-busy", 2, 206, LETTERS);
	/* Bodies of errors are not for it. */
	CHECK_OK(http_do(&(struct http_request){.url = url("/letters-missing"), .sink = &sink}, &a,
			 &err),
		 &err);
	CHECK_INT(a.status, 404);
	CHECK_STR(a.body.data, "not for the sink");
	CHECK_INT(taken.len, 0);
}

TEST(a_sink_that_has_something_already)
{
	CLEANUP(str_free) struct str taken = {0};
	const struct http_sink sink = {take, &taken};
	struct http_request request = {
		.url = url("/letters-here"), .sink = &sink, .offset = 20, .retries = 1};
	struct http_answer a CLEANUP(http_answer_free) = {0};
	struct err err = {0};

	CHECK_OK(http_do(&request, &a, &err), &err);
	CHECK_INT(a.status, 206);
	CHECK_STR(taken.data, "uvwxyz");
}

static void sink_fails(const char *path, int retries, int code, enum http_fault fault,
		       const char *part, const char *want)
{
	CLEANUP(str_free) struct str taken = {0};
	const struct http_sink sink = {take, &taken};
	struct http_request request = {.url = url(path), .sink = &sink, .retries = retries};
	struct http_answer a CLEANUP(http_answer_free) = {0};
	struct err err = {0};

	CHECK_ERR(http_do(&request, &a, &err), &err, code, part);
	CHECK_INT(a.status, 0);
	CHECK_INT(a.fault, fault);
	if (want)
		CHECK_STR(taken.data, want);
}

TEST(sinks_and_failures)
{
	sink_fails("/letters", 0, ERR_NETWORK, HTTP_FAULT_CUT, "cannot fetch", "abcde");
	sink_fails("/letters-other", 1, ERR_NETWORK, HTTP_FAULT_OTHER, "another range", "abcde");
	sink_fails("/big", 3, ERR_SPACE, HTTP_FAULT_SINK, "the sink is full", NULL);
}

TEST(wanted_headers)
{
	static const char *const want[] = {"Link", "X-Long", "X-None", NULL};
	struct http_answer a CLEANUP(http_answer_free) = {0};
	struct err err = {0};

	CHECK_OK(http_do(&(struct http_request){.url = url("/headers"), .want = want}, &a, &err),
		 &err);
	CHECK_STR(http_header(&a, "link", 0), "<a>");
	CHECK_STR(http_header(&a, "Link", 1), "<b>");
	CHECK_STR(http_header(&a, "Link", 2), "");
	CHECK_STR(http_header(&a, "Link", 3), NULL);
	CHECK_STR(http_header(&a, "X-LONG", 0), "y");
	CHECK_STR(http_header(&a, "X-None", 0), NULL);
	CHECK_STR(http_header(&a, "Linked", 0), NULL);
}

TEST(redirects_are_answers_when_none_are_allowed)
{
	get(&(struct http_request){.url = url("/redirect"), .redirects = -1}, 302, "go there");
}

TEST(faults)
{
	struct http_answer a CLEANUP(http_answer_free) = {0};
	struct err err = {0};
	char text[64];

	snprintf(text, sizeof(text), "http://127.0.0.1:%u/", fake_closed_port());
	CHECK_ERR(http_do(&(struct http_request){.url = text}, &a, &err), &err, ERR_NETWORK, "");
	CHECK_INT(a.fault, HTTP_FAULT_CONNECT);
	CHECK_ERR(http_do(&(struct http_request){.url = "http://name.invalid/"}, &a, &err), &err,
		  ERR_NETWORK, "");
	CHECK_INT(a.fault, HTTP_FAULT_NAME);
	CHECK_ERR(http_do(&(struct http_request){.url = url("/loop")}, &a, &err), &err, ERR_NETWORK,
		  "");
	CHECK_INT(a.fault, HTTP_FAULT_REDIRECT);
	CHECK_ERR(http_do(&(struct http_request){.url = url("/big"), .answer_max = 9}, &a, &err),
		  &err, ERR_NETWORK, "");
	CHECK_INT(a.fault, HTTP_FAULT_SIZE);
	http_answer_free(&a);
	CHECK_OK(http_do(&(struct http_request){.url = url("/hello")}, &a, &err), &err);
	CHECK_INT(a.fault, HTTP_FAULT_NONE);
	http_answer_free(&a);
	/* The server sleeps then: it comes last. */
	CHECK_ERR(http_do(&(struct http_request){.url = url("/slow"), .stall_s = 1}, &a, &err),
		  &err, ERR_NETWORK, "");
	CHECK_INT(a.fault, HTTP_FAULT_SLOW);
}

/* A server whose queue is full: it takes no connection and refuses none. */
TEST(a_black_hole_is_nobody)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct http_answer a CLEANUP(http_answer_free) = {0};
	struct err err = {0};
	char text[64];

	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&at, len) == 0 && listen(fd, 0) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
	for (int i = 0; i < 4; i++) {
		int filler = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		CHECK(connect(filler, (struct sockaddr *)&at, len) == 0 || errno == EINPROGRESS);
	}
	snprintf(text, sizeof(text), "http://127.0.0.1:%u/", ntohs(at.sin_port));
	unsetenv("http_proxy");
	CHECK_ERR(http_do(&(struct http_request){.url = text, .connect_timeout_ms = 300}, &a, &err),
		  &err, ERR_NETWORK, "cannot fetch");
	CHECK_INT(a.fault, HTTP_FAULT_CONNECT);
}

TEST(sessions)
{
	struct http_session *session = http_session_new();
	struct http_request request = {.url = url("/hello"), .session = session};

	CHECK(session);
	get(&request, 200, "hello");
	request.url = url("/missing");
	get(&request, 404, "no");
	request.url = url("/drop");
	request.retries = 1;
	get(&request, 200, "there");
	http_session_free(session);
	http_session_free(NULL);
}

TEST(all_at_once)
{
	struct http_answer a[3] = {0};
	struct err err = {0};
	char urls[3][128];
	struct http_request r[3] = {{.url = urls[0]}, {.url = urls[1]}, {.url = urls[2]}};

	snprintf(urls[0], sizeof(urls[0]), "%s", url("/hello"));
	snprintf(urls[1], sizeof(urls[1]), "http://127.0.0.1:%u/", fake_closed_port());
	snprintf(urls[2], sizeof(urls[2]), "%s", url("/missing"));
	CHECK_ERR(http_do_all(r, a, 3, &err), &err, ERR_NETWORK, "cannot fetch");
	CHECK_INT(a[0].status, 200);
	CHECK_INT(a[1].status, 0);
	CHECK_INT(a[2].status, 404);
	for (size_t i = 0; i < 3; i++)
		http_answer_free(&a[i]);
	CHECK_OK(http_do_all(r, a, 0, &err), &err);
}

TEST(unix_socket_and_no_proxy_for_it)
{
	char proxy[64];
	struct err err = {0};
	struct http_answer a CLEANUP(http_answer_free) = {0};

	snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", fake_closed_port());
	setenv("http_proxy", proxy, 1);
	fake_http_unix("socket", answer);
	get(&(struct http_request){.url = "http://localhost/hello", .unix_socket = "socket"}, 200,
	    "hello");
	CHECK_ERR(http_do(&(struct http_request){.url = "http://localhost/", .unix_socket = "none"},
			  &a, &err),
		  &err, ERR_NETWORK, "by way of 'none'");
}

TEST(proxy_from_the_environment)
{
	char proxy[64];

	/* The fake server plays the proxy: it sees the absolute URL as its path. */
	snprintf(proxy, sizeof(proxy), "%s", url(""));
	setenv("http_proxy", proxy, 1);
	get(&(struct http_request){.url = "http://name.invalid/hello"}, 400, "");
}
