/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking seeds over the network: all at once, one time limit for names, connections, handshakes and answers.
 */
#include "agent/join/seeds.h"

#include "agent/join/dial.h"

#include "base/clock.h"
#include "base/mem.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

/* Where one question is. */
struct asked {
	struct psk_conn *conn; /* NULL: it is over */
	struct seeds_answer *answer;
	enum psk_want want;
	bool connected;
};

static void silent(struct asked *asked, const char *why)
{
	asked->answer->state = SEEDS_SILENT;
	agent_copy_text(asked->answer->why, sizeof(asked->answer->why), why);
	psk_conn_free(asked->conn);
	asked->conn = NULL;
}

static void step(struct asked *asked)
{
	struct err err = {0};
	const char *line;
	size_t len;

	asked->want = psk_conn_step(asked->conn);
	switch (asked->want) {
	case PSK_WANT_READ:
		asked->connected = true;
		return;
	case PSK_WANT_WRITE:
		return;
	case PSK_LINE:
		line = psk_conn_line(asked->conn, &len);
		if (seeds_answer_parse(line, len, asked->answer, &err) < 0) {
			silent(asked, err.msg);
			return;
		}
		psk_conn_free(asked->conn);
		asked->conn = NULL;
		return;
	case PSK_DONE:
		silent(asked, "it said nothing");
		return;
	case PSK_FAILED:
		asked->answer->distrust = psk_conn_refused(asked->conn);
		silent(asked, psk_conn_why(asked->conn));
		return;
	}
}

/* Waits for the sockets once and goes on with those that can; false when all is over. */
static bool serve(struct asked *asked, size_t count, double deadline)
{
	struct pollfd polls[SEEDS_MAX];
	int left = (int)((deadline - clock_monotonic()) * 1000) + 1;
	size_t open = 0;

	for (size_t i = 0; i < count; i++) {
		polls[i] = (struct pollfd){.fd = -1};
		if (!asked[i].conn)
			continue;
		polls[i].fd = psk_conn_fd(asked[i].conn);
		polls[i].events = asked[i].want == PSK_WANT_READ ? POLLIN : POLLOUT;
		open++;
	}
	if (!open || left <= 0)
		return false;
	if (poll(polls, count, left) <= 0)
		return true;
	for (size_t i = 0; i < count; i++)
		if (asked[i].conn && polls[i].revents)
			step(&asked[i]);
	return true;
}

void seeds_ask(struct seeds *seeds, const struct seeds_request *request, const size_t *indexes,
	       size_t count, double timeout, struct seeds_answer *answers)
{
	double deadline = clock_monotonic() + timeout;
	struct asked asked[SEEDS_MAX] = {0};
	const char *addresses[SEEDS_MAX], *whys[SEEDS_MAX];
	int fds[SEEDS_MAX];
	char *line = NULL;

	for (size_t i = 0; i < count; i++)
		addresses[i] = seeds->address[indexes[i]];
	if (!seeds_request_line(request, &line))
		line = mem_strdup("{}");
	dial_start(addresses, count, deadline, fds, whys);
	for (size_t i = 0; i < count; i++) {
		asked[i].answer = &answers[indexes[i]];
		*asked[i].answer = (struct seeds_answer){.state = SEEDS_SILENT};
		if (fds[i] < 0) {
			silent(&asked[i], whys[i]);
			continue;
		}
		asked[i].conn = psk_conn_new(seeds->psk, fds[i], line);
		asked[i].want = PSK_WANT_WRITE;
	}
	while (serve(asked, count, deadline)) {
	}
	for (size_t i = 0; i < count; i++)
		if (asked[i].conn)
			silent(&asked[i], asked[i].connected ? "it is too slow" : "no answer");
	free(line);
}
