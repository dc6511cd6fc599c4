/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of `serve`: one line there, one back. Who has not proved the secret gets little: no memory for TLS
 * before he speaks, few connections per address, some seconds, and his place goes to a newcomer when all are taken.
 */
#include "agent/join/serve.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#define BACKLOG 128

static int listen_on(int family, unsigned port)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	CLEANUP_FD int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1, off = 0;
	bool is6 = family == AF_INET6;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -1;
	if (is6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0)
		return -1;
	if (bind(fd, is6 ? (void *)&six : (void *)&four, is6 ? sizeof(six) : sizeof(four)) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return -1;
	return fd_steal(&fd);
}

int serve_listen(struct serve *serve, struct err *err)
{
	serve->listener = listen_on(AF_INET6, serve->port);
	if (serve->listener < 0 && errno != EADDRINUSE)
		serve->listener = listen_on(AF_INET, serve->port);
	if (serve->listener < 0)
		return err_sys(err, errno, "cannot listen on port %u", serve->port);
	return 0;
}

static void drop(struct serve_conn *conn)
{
	psk_conn_free(conn->psk);
	fd_close(&conn->fd);
	*conn = (struct serve_conn){.fd = -1};
}

static bool is_used(const struct serve_conn *conn)
{
	return conn->fd >= 0 || conn->psk;
}

/* An address in one form; of IPv6 the network of a host counts. */
static struct in6_addr origin(const struct sockaddr_storage *peer)
{
	struct in6_addr from = {0};

	if (peer->ss_family == AF_INET6) {
		memcpy(&from, (const char *)peer + offsetof(struct sockaddr_in6, sin6_addr),
		       sizeof(from));
		if (!IN6_IS_ADDR_V4MAPPED(&from))
			memset((char *)&from + 8, 0, 8);
	} else {
		memcpy((char *)&from + 12,
		       (const char *)peer + offsetof(struct sockaddr_in, sin_addr), 4);
	}
	return from;
}

/* One more of this address now? A token bucket each; the one that was quiet longest is forgotten. */
static bool may_come(struct serve *serve, const struct in6_addr *from, double now)
{
	struct serve_rate *rate = NULL, *oldest = &serve->rates[0];
	size_t open = 0;

	for (size_t i = 0; i < SERVE_CONNS; i++)
		open += is_used(&serve->conns[i]) &&
			memcmp(&serve->conns[i].from, from, sizeof(*from)) == 0;
	if (open >= SERVE_PER_ADDRESS)
		return false;
	for (size_t i = 0; i < SERVE_ADDRESSES && !rate; i++) {
		if (serve->rates[i].at < oldest->at)
			oldest = &serve->rates[i];
		if (serve->rates[i].at > 0 &&
		    memcmp(&serve->rates[i].from, from, sizeof(*from)) == 0)
			rate = &serve->rates[i];
	}
	if (!rate) {
		*oldest = (struct serve_rate){.from = *from, .tokens = SERVE_BURST, .at = now};
		rate = oldest;
	}
	rate->tokens += (now - rate->at) * SERVE_RATE;
	if (rate->tokens > SERVE_BURST)
		rate->tokens = SERVE_BURST;
	rate->at = now;
	if (rate->tokens < 1)
		return false;
	rate->tokens -= 1;
	return true;
}

/* A free place, or that of the oldest one who has not proved anything. */
static struct serve_conn *place(struct serve *serve)
{
	struct serve_conn *oldest = NULL;

	for (size_t i = 0; i < SERVE_CONNS; i++) {
		struct serve_conn *conn = &serve->conns[i];

		if (!is_used(conn))
			return conn;
		if (!(conn->psk && psk_conn_trusted(conn->psk)) &&
		    (!oldest || conn->since < oldest->since))
			oldest = conn;
	}
	if (oldest)
		drop(oldest);
	return oldest;
}

static void take_new(struct serve *serve, double now)
{
	for (int i = 0; i < BACKLOG; i++) {
		struct sockaddr_storage peer = {0};
		socklen_t len = sizeof(peer);
		CLEANUP_FD int fd = accept4(serve->listener, (struct sockaddr *)&peer, &len,
					    SOCK_CLOEXEC | SOCK_NONBLOCK);
		struct in6_addr from;
		struct serve_conn *conn;

		if (fd < 0)
			return;
		from = origin(&peer);
		if (!may_come(serve, &from, now))
			continue;
		conn = place(serve);
		if (conn)
			*conn = (struct serve_conn){
				.fd = fd_steal(&fd), .since = now, .from = from};
	}
}

static void answer(struct serve *serve, struct serve_conn *conn)
{
	struct seeds_request request;
	struct seeds_answer reply = {0};
	struct err err = {0};
	char *line = NULL;
	size_t len;
	const char *text = psk_conn_line(conn->psk, &len);

	if (seeds_request_parse(text, len, &request, &err) < 0) {
		serve_say(serve, LOG_WARNING, &err, "a peer's request is not understood");
		drop(conn);
		return;
	}
	serve_answer(serve, &request, &reply);
	if (seeds_answer_line(&reply, &line)) {
		psk_conn_answer(conn->psk, line);
		mem_wipe(line, strlen(line));
		free(line);
	}
	mem_wipe(&reply, sizeof(reply));
}

static void go_on(struct serve *serve, struct serve_conn *conn)
{
	if (!conn->psk)
		conn->psk = psk_conn_new(serve->seeds->psk, fd_steal(&conn->fd), NULL);
	conn->want = psk_conn_step(conn->psk);
	if (conn->want == PSK_LINE) {
		answer(serve, conn);
		if (!conn->psk)
			return;
		conn->want = psk_conn_step(conn->psk);
	}
	if (conn->want == PSK_FAILED || conn->want == PSK_DONE || conn->want == PSK_LINE)
		drop(conn);
}

void serve_poll(struct serve *serve, double timeout)
{
	struct pollfd polls[SERVE_CONNS + 1];
	double now;

	polls[SERVE_CONNS] = (struct pollfd){.fd = serve->listener, .events = POLLIN};
	for (size_t i = 0; i < SERVE_CONNS; i++) {
		const struct serve_conn *conn = &serve->conns[i];

		polls[i] = (struct pollfd){.fd = conn->psk ? psk_conn_fd(conn->psk) : conn->fd};
		polls[i].events = conn->psk && conn->want == PSK_WANT_WRITE ? POLLOUT : POLLIN;
	}
	if (poll(polls, SERVE_CONNS + 1, (int)(timeout * 1000) + 1) < 0)
		return; /* a signal: the loop comes back */
	now = clock_monotonic();
	for (size_t i = 0; i < SERVE_CONNS; i++)
		if (is_used(&serve->conns[i]) && polls[i].revents)
			go_on(serve, &serve->conns[i]);
	if (polls[SERVE_CONNS].revents)
		take_new(serve, now);
	now = clock_monotonic();
	for (size_t i = 0; i < SERVE_CONNS; i++)
		if (is_used(&serve->conns[i]) && now - serve->conns[i].since > SERVE_TIME)
			drop(&serve->conns[i]);
}
