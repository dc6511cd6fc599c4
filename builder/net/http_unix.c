/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request of HTTP/1.1 (RFC 9112) over a unix socket. It is not done by libcurl: the agent asks the engine of
 * its own machine for as long as that runs, and libcurl's libraries would take more memory than all of the agent.
 */
#include "net/http_parts.h"
#include "net/http_reader.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define TIMEOUT_MS 30000L
#define CONNECT_TIMEOUT_MS 10000L
#define RECEIVE_SIZE ((size_t)16 << 10)
/* A chunk to send: its bytes have room for "<size>\r\n" before them and for "\r\n" behind. */
#define CHUNK_SIZE ((size_t)64 << 10)
#define CHUNK_HEAD 16u

/* What is sent after the piece that is on its way. */
enum next { NEXT_BODY, NEXT_CHUNK, NEXT_NOTHING };

/* One request on its way. */
struct exchange {
	const struct http_request *request;
	struct http_answer *answer;
	struct http_reader reader;
	char *name; /* of what is asked for, for messages: without the query, which may be a secret */
	int fd;
	double deadline; /* by clock_monotonic() */
	struct str head;
	char *chunk;       /* or NULL */
	const char *piece; /* being sent: of the head, the body or the chunk */
	size_t left;       /* of the piece */
	enum next next;
	bool sending;
	char *received;
};

static void exchange_free(struct exchange *x)
{
	fd_close(&x->fd);
	http_reader_free(&x->reader);
	str_wipe(&x->head);
	if (x->chunk)
		mem_wipe(x->chunk, CHUNK_HEAD + CHUNK_SIZE + 2);
	free(x->chunk);
	if (x->received)
		mem_wipe(x->received, RECEIVE_SIZE);
	free(x->received);
	free(x->name);
}

/* No answer: what came of one is dropped. Returns -1. */
static int fail(struct exchange *x, enum http_fault fault, const char *cause, struct err *err)
{
	http_answer_free(x->answer);
	x->answer->status = 0;
	x->answer->fault = fault;
	return err_set(err, ERR_NETWORK, "cannot ask '%s' by way of '%s': %s", x->name,
		       x->request->unix_socket, cause);
}

/* A request that nobody could do. Returns -1. */
static int refuse(struct exchange *x, const char *why, struct err *err)
{
	x->answer->fault = HTTP_FAULT_OTHER;
	return err_set(err, ERR_OTHER, "a request by way of '%s' %s", x->request->unix_socket, why);
}

/* Nothing that would end a part of the request's head. */
static bool is_word(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
			return false;
	return len > 0;
}

static int add_headers(struct exchange *x, struct err *err)
{
	const struct http_request *r = x->request;

	for (const char *const *h = r->headers; h && *h; h++) {
		if (strpbrk(*h, "\r\n"))
			return refuse(x, "has a header with a line break", err);
		str_addf(&x->head, "%s\r\n", *h);
	}
	str_add(&x->head, "\r\n");
	return 0;
}

/* The request line and the headers (RFC 9112, 3 and 6). */
static int make_head(struct exchange *x, struct err *err)
{
	const struct http_request *r = x->request;
	const char *method = r->method ? r->method : r->body || r->body_read ? "POST" : "GET";
	const char *host = r->url + strlen("http://"), *target;
	size_t host_len, target_len, size = strlen(r->url) + strlen(method) + 256;

	if (strncasecmp(r->url, "http://", 7) != 0)
		return refuse(x, "has a URL of another protocol", err);
	host_len = strcspn(host, "/?#");
	target = host + host_len;
	target_len = strcspn(target, "#");
	if (!is_word(host, host_len) || memchr(host, '@', host_len) ||
	    (target_len && !is_word(target, target_len)))
		return refuse(x, "has a malformed URL", err);
	if (!is_word(method, strlen(method)))
		return refuse(x, "has a malformed method", err);
	x->name = mem_printf("http://%.*s%.*s", (int)host_len, host, (int)strcspn(target, "?#"),
			     target);
	/* Room for all, for what is moved is not wiped. */
	for (const char *const *h = r->headers; h && *h; h++)
		size += strlen(*h) + 2;
	str_reserve(&x->head, size);
	str_addf(&x->head, "%s %s%.*s HTTP/1.1\r\nHost: %.*s\r\n", method,
		 *target == '/' ? "" : "/", (int)target_len, target, (int)host_len, host);
	str_add(&x->head, "User-Agent: ingot/" INGOT_VERSION "\r\nAccept: */*\r\n"
			  "Connection: close\r\n");
	if (r->body_read)
		str_add(&x->head, "Transfer-Encoding: chunked\r\n");
	else if (r->body || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0)
		str_addf(&x->head, "Content-Length: %zu\r\n", r->body ? r->body_len : 0);
	return add_headers(x, err);
}

/* What no caller needs is refused, so that none relies on it. */
static int check_request(struct exchange *x, struct err *err)
{
	const struct http_request *r = x->request;

	if (r->sink || r->session || r->retries || r->stall_s || r->if_none_match ||
	    r->if_modified_since)
		return refuse(x, "asks for what only network requests can", err);
	return make_head(x, err);
}

/* Waits for a place in the server's queue, at most until then. */
static int dial(struct exchange *x, double until, struct err *err)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	size_t len = strlen(x->request->unix_socket);

	if (len >= sizeof(at.sun_path))
		return fail(x, HTTP_FAULT_OTHER, "the path is too long for that of a socket", err);
	memcpy(at.sun_path, x->request->unix_socket, len);
	x->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (x->fd < 0)
		return fail(x, HTTP_FAULT_OTHER, strerror(errno), err);
	/* When the queue is full, a socket that does not block gets EAGAIN and nothing to poll for; one that does
	 * waits for as long as it may send (unix(7)). */
	for (double left; (left = until - clock_monotonic()) > 0;) {
		struct timeval wait = {(time_t)left, (suseconds_t)((left - (time_t)left) * 1e6)};

		/* All zeros would mean for ever. */
		wait.tv_usec += wait.tv_sec == 0 && wait.tv_usec == 0;
		if (setsockopt(x->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0)
			return fail(x, HTTP_FAULT_OTHER, strerror(errno), err);
		if (connect(x->fd, (const struct sockaddr *)&at, sizeof(at)) < 0) {
			if (errno == EAGAIN || errno == EINTR)
				continue;
			return fail(x, HTTP_FAULT_CONNECT, strerror(errno), err);
		}
		if (fcntl(x->fd, F_SETFL, O_NONBLOCK) < 0)
			return fail(x, HTTP_FAULT_OTHER, strerror(errno), err);
		return 0;
	}
	return fail(x, HTTP_FAULT_CONNECT, "nobody took the connection in time", err);
}

/* Fills the chunk (RFC 9112, 7.1). */
static int next_chunk(struct exchange *x, struct err *err)
{
	char *data = x->chunk + CHUNK_HEAD, size[CHUNK_HEAD + 1];
	ssize_t n = x->request->body_read(x->request->body_context, data, CHUNK_SIZE, err);
	int head;

	if (n < 0) {
		/* The error is that of body_read. */
		fail(x, HTTP_FAULT_SINK, "", NULL);
		return -1;
	}
	if (n == 0) {
		x->piece = "0\r\n\r\n";
		x->left = strlen(x->piece);
		x->next = NEXT_NOTHING;
		return 0;
	}
	head = snprintf(size, sizeof(size), "%zx\r\n", (size_t)n);
	memcpy(data - head, size, (size_t)head);
	data[n] = '\r';
	data[n + 1] = '\n';
	x->piece = data - head;
	x->left = (size_t)head + (size_t)n + 2;
	return 0;
}

/* A piece has been sent: takes the next one. */
static int next_piece(struct exchange *x, struct err *err)
{
	const struct http_request *r = x->request;

	if (x->next == NEXT_CHUNK)
		return next_chunk(x, err);
	if (x->next == NEXT_BODY && r->body) {
		x->piece = r->body;
		x->left = r->body_len;
	}
	x->next = NEXT_NOTHING;
	x->sending = x->left > 0;
	return 0;
}

/* Sends what goes. A server may close its side when it has refused a request (RFC 9112, 9.6): its answer is there
 * to be read then. */
static int send_some(struct exchange *x, struct err *err)
{
	ssize_t n = send(x->fd, x->piece, x->left, MSG_NOSIGNAL);

	if (n < 0) {
		if (errno == EPIPE || errno == ECONNRESET)
			x->sending = false;
		else if (errno != EAGAIN && errno != EINTR)
			return fail(x, HTTP_FAULT_CUT, strerror(errno), err);
		return 0;
	}
	x->piece += n;
	x->left -= (size_t)n;
	return x->left ? 0 : next_piece(x, err);
}

/* Reads what has come. Returns 1 when the answer is complete, 0 when it is not. */
static int receive(struct exchange *x, struct err *err)
{
	ssize_t n = recv(x->fd, x->received, RECEIVE_SIZE, 0);
	char text[80];
	int r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	/* A reset says only that the server did not read all: what it has sent has come before (unix(7)). */
	if (n < 0 && errno != ECONNRESET)
		return fail(x, HTTP_FAULT_CUT, strerror(errno), err);
	r = n > 0 ? http_reader_feed(&x->reader, x->received, (size_t)n)
		  : http_reader_end(&x->reader);
	if (r >= 0)
		return r;
	snprintf(text, sizeof(text), "the answer is larger than %zu bytes",
		 http_answer_max(x->request));
	return fail(x, x->reader.fault, x->reader.cause ? x->reader.cause : text, err);
}

/* Milliseconds until the deadline, rounded up; 0 behind it. */
static int wait_ms(const struct exchange *x)
{
	double left = (x->deadline - clock_monotonic()) * 1000;

	return left <= 0 ? 0 : left < INT_MAX - 1 ? (int)left + 1 : INT_MAX;
}

/* Sends and reads, whatever goes, until the answer is complete. */
static int drive(struct exchange *x, struct err *err)
{
	for (int wait; (wait = wait_ms(x)) > 0;) {
		struct pollfd p = {x->fd, (short)(x->sending ? POLLIN | POLLOUT : POLLIN), 0};
		int r = poll(&p, 1, wait);

		if (r < 0 && errno != EINTR)
			return fail(x, HTTP_FAULT_OTHER, strerror(errno), err);
		if (r <= 0)
			continue;
		if (p.revents & ~POLLOUT) {
			r = receive(x, err);
			if (r != 0)
				return r < 0 ? -1 : 0;
		}
		if (p.revents & POLLOUT && x->sending && send_some(x, err) < 0)
			return -1;
	}
	return fail(x, HTTP_FAULT_SLOW, "the time limit is over", err);
}

static int do_exchange(struct exchange *x, struct err *err)
{
	const struct http_request *r = x->request;
	double now = clock_monotonic(), until;

	x->deadline = now + (double)(r->timeout_ms ? r->timeout_ms : TIMEOUT_MS) / 1000;
	until = now +
		(double)(r->connect_timeout_ms ? r->connect_timeout_ms : CONNECT_TIMEOUT_MS) / 1000;
	if (dial(x, until < x->deadline ? until : x->deadline, err) < 0)
		return -1;
	x->piece = x->head.data;
	x->left = x->head.len;
	x->next = r->body_read ? NEXT_CHUNK : NEXT_BODY;
	x->sending = true;
	x->received = mem_alloc(RECEIVE_SIZE);
	if (r->body_read)
		x->chunk = mem_alloc(CHUNK_HEAD + CHUNK_SIZE + 2);
	http_reader_begin(&x->reader, r, x->answer);
	return drive(x, err);
}

int http_unix_do(const struct http_request *request, struct http_answer *answer, struct err *err)
{
	CLEANUP(exchange_free)
	struct exchange x = {.request = request, .answer = answer, .fd = -1};

	*answer = (struct http_answer){0};
	if (check_request(&x, err) < 0)
		return -1;
	return do_exchange(&x, err);
}
