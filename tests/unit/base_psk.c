/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS with a pre-shared key: both sides over a socket pair, and what a peer can do who does not have the secret.
 */
#include "tap.h"

#include "base/fd.h"
#include "base/psk.h"

#include <sys/socket.h>

#define SECRET "0123456789abcdef0123456789abcdef"

static void sockets(int pair[2])
{
	signal(SIGPIPE, SIG_IGN);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
}

static struct psk *key(const char *secret, const char *name)
{
	struct err err = {0};
	struct psk *psk = psk_new(secret, name, &err);

	if (!psk)
		FAIL("%s", err.msg);
	return psk;
}

/* Turns both until neither can go on; the server answers what it heard, twice. */
static void talk(struct psk_conn *client, struct psk_conn *server, enum psk_want *ret_client,
		 enum psk_want *ret_server)
{
	for (int i = 0; i < 50; i++) {
		*ret_client = psk_conn_step(client);
		*ret_server = psk_conn_step(server);
		if (*ret_server == PSK_LINE) {
			char answer[8300];
			size_t len;
			const char *line = psk_conn_line(server, &len);

			snprintf(answer, sizeof(answer), "%.2000s%.2000s", line, line);
			psk_conn_answer(server, answer);
		}
		if (*ret_client == PSK_LINE || *ret_client == PSK_FAILED)
			break;
	}
}

TEST(one_line_there_and_one_back)
{
	struct psk *psk = key(SECRET, "prod"), *other = key(SECRET, "prod");
	struct psk_conn *client, *server;
	enum psk_want c, s;
	int pair[2];
	size_t len;

	sockets(pair);
	client = psk_conn_new(psk, pair[0], "hello");
	server = psk_conn_new(other, pair[1], NULL);
	CHECK(!psk_conn_trusted(client));
	talk(client, server, &c, &s);
	if (c != PSK_LINE)
		FAIL("client: %s; server: %s", psk_conn_why(client), psk_conn_why(server));
	CHECK_STR(psk_conn_line(client, &len), "hellohello");
	CHECK_INT((int)len, 10);
	CHECK(psk_conn_trusted(client) && psk_conn_trusted(server));
	CHECK(psk_conn_step(server) == PSK_DONE);
	psk_conn_free(client);
	psk_conn_free(server);
	psk_free(psk);
	psk_free(other);
}
