/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A HTTP server for tests, in a child process, on loopback or a unix socket: one request per
 * connection, answers from a function of the test. Dies with the test.
 */
#ifndef TESTS_FAKE_HTTP_H
#define TESTS_FAKE_HTTP_H

#include "tap.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

struct fake_request {
	char text[65536]; /* head and body as they came */
	const char *method, *path, *body;
	char line[2048];     /* method and path point into it */
	unsigned int number; /* of the request since the start, from 0; for this path */
	int fd;
};

/* Answers by fake_reply() or by writing to request->fd; may also just return: the client sees the
 * connection closed. */
typedef void fake_handler(struct fake_request *);

__attribute__((unused)) static const char *fake_header(const struct fake_request *request,
						       const char *name)
{
	static char value[1024];
	size_t len = strlen(name);

	for (const char *p = strstr(request->text, "\r\n"); p; p = strstr(p, "\r\n")) {
		p += 2;
		if (strncasecmp(p, name, len) == 0 && p[len] == ':') {
			snprintf(value, sizeof(value), "%.*s", (int)strcspn(p + len + 2, "\r"),
				 p + len + 2);
			return value;
		}
	}
	return NULL;
}

/* head: "200 OK" and further header lines, each ended by "\r\n" ("200 OK\r\nETag: x\r\n"). */
__attribute__((unused)) static void fake_reply(const struct fake_request *request, const char *head,
					       const char *body)
{
	dprintf(request->fd, "HTTP/1.1 %sContent-Length: %zu\r\nConnection: close\r\n\r\n%s", head,
		strlen(body), body);
}

static bool fake_read(struct fake_request *r)
{
	size_t len = 0, want = 0;
	char *end;

	for (;;) {
		ssize_t n = read(r->fd, r->text + len, sizeof(r->text) - 1 - len);

		if (n <= 0)
			return false;
		len += (size_t)n;
		r->text[len] = '\0';
		end = strstr(r->text, "\r\n\r\n");
		if (!end)
			continue;
		r->body = end + 4;
		if (fake_header(r, "Content-Length"))
			want = strtoul(fake_header(r, "Content-Length"), NULL, 10);
		if (len >= (size_t)(r->body - r->text) + want)
			break;
	}
	snprintf(r->line, sizeof(r->line), "%.*s", (int)strcspn(r->text, "\r"), r->text);
	r->method = strtok(r->line, " ");
	r->path = strtok(NULL, " ");
	return r->method && r->path;
}

__attribute__((noreturn)) static void fake_serve(int listener, fake_handler *handler)
{
	static struct fake_request r;
	char seen[64][128] = {{0}};
	unsigned int counts[64] = {0};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		size_t i = 0;

		r.fd = accept(listener, NULL, NULL);
		if (r.fd < 0)
			_exit(1);
		if (fake_read(&r)) {
			while (i < 63 && seen[i][0] && strcmp(seen[i], r.path) != 0)
				i++;
			snprintf(seen[i], sizeof(seen[i]), "%s", r.path);
			r.number = counts[i]++;
			handler(&r);
		}
		shutdown(r.fd, SHUT_WR);
		close(r.fd);
	}
}

static void fake_fork(int listener, fake_handler *handler)
{
	pid_t pid;

	/* What this machine uses for the world is not for loopback. */
	unsetenv("http_proxy");
	unsetenv("all_proxy");
	unsetenv("ALL_PROXY");
	unsetenv("no_proxy");
	unsetenv("NO_PROXY");
	if (listen(listener, 64) < 0)
		FAIL("cannot listen: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		FAIL("cannot fork: %s", strerror(errno));
	if (pid == 0)
		fake_serve(listener, handler);
	close(listener);
}

/* Starts a server on a free port of 127.0.0.1; returns the port. */
__attribute__((unused)) static unsigned int fake_http(fake_handler *handler)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(at);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		FAIL("cannot bind: %s", strerror(errno));
	fake_fork(fd, handler);
	return ntohs(at.sin_port);
}

/* Starts a server on a unix socket. */
__attribute__((unused)) static void fake_http_unix(const char *path, fake_handler *handler)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		FAIL("cannot bind '%s': %s", path, strerror(errno));
	fake_fork(fd, handler);
}

/* A port of 127.0.0.1 where nobody listens. */
__attribute__((unused)) static unsigned int fake_closed_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(at);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		FAIL("cannot bind: %s", strerror(errno));
	close(fd);
	return ntohs(at.sin_port);
}

#endif
