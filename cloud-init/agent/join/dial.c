/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names by getaddrinfo_a(3), which works in threads of its own: a resolver that hangs costs us the time limit and
 * not its own. Questions that were given up are freed when they have ended.
 */
#include "agent/join/dial.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define GIVEN_UP_MAX 64

struct question {
	struct gaicb cb;
	struct addrinfo hints;
	char host[128], port[8];
	const char *why; /* when it cannot be asked */
};

static struct question *given_up[GIVEN_UP_MAX];

static void free_question(struct question *q)
{
	if (q && q->cb.ar_result)
		freeaddrinfo(q->cb.ar_result);
	free(q);
}

/* Frees what has ended meanwhile; false when too many still run. */
static bool reap(void)
{
	size_t room = 0;

	for (size_t i = 0; i < GIVEN_UP_MAX; i++) {
		if (given_up[i] && gai_error(&given_up[i]->cb) != EAI_INPROGRESS) {
			free_question(given_up[i]);
			given_up[i] = NULL;
		}
		room += !given_up[i];
	}
	return room > GIVEN_UP_MAX / 2; /* as many as one caller asks at once */
}

/* "host:port", "[v6]:port" into its parts. */
static struct question *parse(const char *address)
{
	struct question *q = mem_alloc(sizeof(*q));
	const char *colon = strrchr(address, ':');
	size_t len = colon ? (size_t)(colon - address) : 0;

	q->why = "it is no address";
	if (!colon || strlen(colon + 1) >= sizeof(q->port) || len >= sizeof(q->host) || !len)
		return q;
	if (*address == '[' && address[len - 1] == ']') {
		address++;
		len -= 2;
	}
	memcpy(q->host, address, len);
	snprintf(q->port, sizeof(q->port), "%s", colon + 1);
	q->hints = (struct addrinfo){.ai_socktype = SOCK_STREAM,
				     .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	q->cb = (struct gaicb){.ar_name = q->host, .ar_service = q->port, .ar_request = &q->hints};
	q->why = NULL;
	return q;
}

/* Starts the question; numbers are answered at once. */
static void ask(struct question *q)
{
	struct gaicb *list[] = {&q->cb};
	int r = getaddrinfo(q->host, q->port, &q->hints, &q->cb.ar_result);

	if (r == 0)
		return;
	if (!reap()) {
		q->why = "too many names are being looked up already";
		return;
	}
	q->hints.ai_flags = AI_NUMERICSERV;
	if (getaddrinfo_a(GAI_NOWAIT, list, 1, NULL) != 0)
		q->why = "its name cannot be looked up now";
}

static bool is_open(const struct question *q)
{
	return !q->why && !q->cb.ar_result;
}

static void await(struct question *q, double deadline)
{
	const struct gaicb *list[] = {&q->cb};

	while (is_open(q) && gai_error(&q->cb) == EAI_INPROGRESS) {
		double left = deadline - clock_monotonic();
		struct timespec t = {(time_t)left, (long)((left - (double)(time_t)left) * 1e9)};

		if (left <= 0)
			break;
		gai_suspend(list, 1, &t);
	}
	if (is_open(q))
		q->why = gai_error(&q->cb) == EAI_INPROGRESS ? "its name is still being looked up"
							     : "its name is not known";
}

/* Ends a question: one that still runs is kept for later. */
static void end(struct question *q)
{
	if (q->cb.ar_result || gai_error(&q->cb) != EAI_INPROGRESS ||
	    gai_cancel(&q->cb) == EAI_CANCELED) {
		free_question(q);
		return;
	}
	for (size_t i = 0; i < GIVEN_UP_MAX; i++)
		if (!given_up[i]) {
			given_up[i] = q;
			return;
		}
}

static int connect_to(const struct addrinfo *to, const char **ret_why)
{
	int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && (connect(fd, to->ai_addr, to->ai_addrlen) == 0 || errno == EINPROGRESS))
		return fd;
	*ret_why = strerrordesc_np(errno);
	fd_close(&fd);
	return -1;
}

void dial_start(const char *const *addresses, size_t count, double deadline, int *fds,
		const char **whys)
{
	struct question *questions[DIAL_MAX];

	for (size_t i = 0; i < count; i++) {
		fds[i] = -1;
		whys[i] = "too many addresses";
	}
	if (count > DIAL_MAX)
		count = DIAL_MAX;
	for (size_t i = 0; i < count; i++) {
		questions[i] = parse(addresses[i]);
		if (!questions[i]->why)
			ask(questions[i]);
		if (questions[i]->cb.ar_result) /* a number: on its way while names are looked up */
			fds[i] = connect_to(questions[i]->cb.ar_result, &whys[i]);
	}
	for (size_t i = 0; i < count; i++) {
		bool number = questions[i]->cb.ar_result && gai_error(&questions[i]->cb) == 0 &&
			      (questions[i]->hints.ai_flags & AI_NUMERICHOST);

		if (!number) {
			await(questions[i], deadline);
			whys[i] = questions[i]->why;
			if (questions[i]->cb.ar_result && !questions[i]->why)
				fds[i] = connect_to(questions[i]->cb.ar_result, &whys[i]);
		}
		end(questions[i]);
	}
}

/* Waits once for connections; counts those that came or failed. */
static size_t take_connected(const struct strv *addresses, struct pollfd *polls, double deadline,
			     const char *avoid, bool *ret_found, size_t *ret, bool *ret_preferred)
{
	int left = (int)((deadline - clock_monotonic()) * 1000) + 1;
	size_t ended = 0;

	if (left <= 0 || poll(polls, addresses->count, left) <= 0)
		return 0;
	for (size_t i = 0; i < addresses->count; i++) {
		int error = 0;
		socklen_t len = sizeof(error);

		if (polls[i].fd < 0 || !polls[i].revents)
			continue;
		if (getsockopt(polls[i].fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && !error) {
			bool avoided = avoid && strcmp(addresses->items[i], avoid) == 0;

			if (!*ret_preferred && (!*ret_found || !avoided)) {
				*ret = i;
				*ret_found = true;
				*ret_preferred = !avoided;
			}
		}
		fd_close(&polls[i].fd);
		ended++;
	}
	return ended;
}

bool dial_first(const struct strv *addresses, const char *avoid, double timeout, size_t *ret)
{
	double deadline = clock_monotonic() + timeout;
	struct strv some = *addresses; /* borrows */
	struct pollfd polls[DIAL_MAX];
	const char *whys[DIAL_MAX];
	bool found = false, preferred = false;
	int fds[DIAL_MAX] = {0};
	size_t open = 0;

	if (some.count > DIAL_MAX)
		some.count = DIAL_MAX;
	dial_start((const char *const *)some.items, some.count, deadline, fds, whys);
	for (size_t i = 0; i < some.count; i++) {
		polls[i] = (struct pollfd){.fd = fds[i], .events = POLLOUT};
		open += fds[i] >= 0;
	}
	while (open > 0 && !preferred) {
		size_t ended =
			take_connected(&some, polls, deadline, avoid, &found, ret, &preferred);

		if (!ended && clock_monotonic() >= deadline)
			break;
		open -= ended;
	}
	for (size_t i = 0; i < some.count; i++)
		fd_close(&polls[i].fd);
	return found;
}
