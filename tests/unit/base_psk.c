/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS with a pre-shared key: both sides over a socket pair, and what a peer can do who does not have the secret.
 */
#include "tap.h"

#include "base/fd.h"
#include "base/psk.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
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

/* Both sides end, the one who does not know says nothing of what the other one would have heard. */
static void refuses(struct psk *a, struct psk *b)
{
	struct psk_conn *client, *server;
	enum psk_want c, s;
	int pair[2];

	sockets(pair);
	client = psk_conn_new(a, pair[0], "hello");
	server = psk_conn_new(b, pair[1], NULL);
	talk(client, server, &c, &s);
	CHECK(c == PSK_FAILED);
	CHECK(psk_conn_step(server) == PSK_FAILED);
	CHECK(!psk_conn_trusted(server) && !psk_conn_trusted(client));
	CHECK(psk_conn_refused(client));
	CHECK_CONTAINS(psk_conn_why(client), "another secret or cluster");
	psk_conn_free(client);
	psk_conn_free(server);
}

TEST(another_secret_or_name_is_refused)
{
	struct psk *psk = key(SECRET, "prod"), *secret = key(SECRET "x", "prod"),
		   *name = key(SECRET, "test");

	refuses(secret, psk);
	refuses(psk, secret);
	refuses(name, psk);
	psk_free(psk);
	psk_free(secret);
	psk_free(name);
}

TEST(no_key_of_nothing)
{
	char name[PSK_NAME_MAX + 2];
	struct err err = {0};

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	CHECK(!psk_new("", "prod", &err));
	CHECK(!psk_new(SECRET, "", &err));
	CHECK(!psk_new(SECRET, name, &err));
	psk_free(NULL);
	psk_conn_free(NULL);
}

/* What a server makes of bytes that are no handshake. */
static void server_hears(const void *bytes, size_t len, enum psk_want want)
{
	struct psk *psk = key(SECRET, "prod");
	struct psk_conn *server;
	int pair[2];

	sockets(pair);
	server = psk_conn_new(psk, pair[1], NULL);
	CHECK(psk_conn_step(server) == PSK_WANT_READ);
	CHECK(write(pair[0], bytes, len) == (ssize_t)len);
	CHECK(psk_conn_step(server) == want);
	CHECK(!psk_conn_trusted(server));
	/* A peer that hangs up in the middle ends it. */
	close(pair[0]);
	CHECK(psk_conn_step(server) == PSK_FAILED);
	psk_conn_free(server);
	psk_free(psk);
}

TEST(garbage_and_half_a_handshake)
{
	static const char half[] = "\x16\x03\x01\x02\x00\x01";

	server_hears("GET / HTTP/1.1\r\n\r\n", 18, PSK_FAILED);
	server_hears("\0\0\0\0\0\0\0\0", 8, PSK_FAILED);
	server_hears(half, sizeof(half) - 1, PSK_WANT_READ);
	server_hears("\x16", 1, PSK_WANT_READ);
}

/* One byte at a time still comes to its end, and a copy of what was said does not. */
TEST(slow_and_replayed)
{
	struct psk *psk = key(SECRET, "prod");
	static char said[65536];
	size_t count = 0, played = 0;
	int to_client[2], to_server[2];
	struct psk_conn *client, *server;
	enum psk_want c = PSK_WANT_READ, s = PSK_WANT_READ;

	sockets(to_client);
	sockets(to_server);
	client = psk_conn_new(psk, to_client[0], "hello");
	server = psk_conn_new(psk, to_server[1], NULL);
	for (int i = 0; i < 200000 && c != PSK_LINE; i++) {
		char byte;

		c = psk_conn_step(client);
		if (read(to_client[1], &byte, 1) == 1) {
			CHECK(count < sizeof(said));
			said[count++] = byte;
			CHECK(write(to_server[0], &byte, 1) == 1);
		}
		s = psk_conn_step(server);
		if (s == PSK_LINE)
			psk_conn_answer(server, "fine");
		while (read(to_server[0], &byte, 1) == 1)
			CHECK(write(to_client[1], &byte, 1) == 1);
	}
	CHECK(c == PSK_LINE);
	psk_conn_free(server);
	/* All that the client said, to a server that chooses its own random bytes. */
	close(to_server[0]);
	sockets(to_server);
	server = psk_conn_new(psk, to_server[1], NULL);
	s = psk_conn_step(server);
	while (played < count && s == PSK_WANT_READ) {
		if (write(to_server[0], said + played++, 1) != 1)
			break;
		s = psk_conn_step(server);
	}
	CHECK(s == PSK_FAILED);
	CHECK(!psk_conn_trusted(server));
	psk_conn_free(server);
	psk_conn_free(client);
	psk_free(psk);
}

/* Lines: too long, empty, with a NUL. */
TEST(lines_are_bounded)
{
	struct psk *psk = key(SECRET, "prod");
	static char line[PSK_LINE_MAX * 2];
	struct {
		size_t len;
		enum psk_want want;
	} rows[] = {{PSK_LINE_MAX - 1, PSK_LINE}, {PSK_LINE_MAX, PSK_FAILED}, {0, PSK_FAILED}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct psk_conn *client, *server;
		enum psk_want s = PSK_WANT_READ;
		int pair[2];

		memset(line, 'x', sizeof(line));
		line[rows[i].len] = '\0';
		sockets(pair);
		client = psk_conn_new(psk, pair[0], line);
		server = psk_conn_new(psk, pair[1], NULL);
		for (int n = 0; n < 50 && s != PSK_LINE && s != PSK_FAILED; n++) {
			psk_conn_step(client);
			s = psk_conn_step(server);
		}
		CHECK(s == rows[i].want);
		psk_conn_free(client);
		psk_conn_free(server);
	}
	psk_free(psk);
}

TEST(nothing_waits_for_a_delayed_ack)
{
	struct psk *psk = key(SECRET, "prod");
	int on = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(on);
	struct psk_conn *conn;

	CHECK(fd >= 0);
	conn = psk_conn_new(psk, fd, "hello");
	CHECK(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len) == 0 && on);
	psk_conn_free(conn);
	psk_free(psk);
}

/* TLS 1.2, other ciphers, a certificate in place of the PSK, a PSK without Diffie-Hellman: openssl's own programs
 * try. */
static int run_openssl(unsigned int port, const char *options)
{
	char command[700];

	snprintf(command, sizeof(command),
		 "echo hello | timeout 10 openssl s_client -connect 127.0.0.1:%u -quiet %s "
		 ">client.out 2>&1",
		 port, options);
	return system(command);
}

static void serve_one(int listener, struct psk *psk)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct psk_conn *server = psk_conn_new(psk, fd, NULL);
		enum psk_want want = PSK_WANT_READ;

		for (int i = 0; i < 2000 && want != PSK_FAILED && want != PSK_DONE; i++) {
			want = psk_conn_step(server);
			if (want == PSK_LINE)
				psk_conn_answer(server, "the answer");
			else
				usleep(1000);
		}
		psk_conn_free(server);
	}
}

TEST(only_tls_13_with_the_psk_and_diffie_hellman)
{
	static const char *const refused[] = {
		"",
		"-tls1_2",
		"-tls1_2 -psk_identity prod -psk 00112233445566778899aabbccddeeff",
		"-psk_identity prod -psk 00112233445566778899aabbccddeeff",
		"-psk_identity prod -ciphersuites TLS_AES_128_GCM_SHA256 -psk 0011223344556677",
		"-psk_identity prod -allow_no_dhe_kex -psk 00112233445566778899aabbccddeeff",
	};
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	struct psk *psk = key(SECRET, "prod");
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	if (system("command -v openssl >/dev/null") != 0)
		SKIP("openssl is not installed");
	CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&at, len) == 0);
	CHECK(getsockname(listener, (struct sockaddr *)&at, &len) == 0 && listen(listener, 8) == 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		serve_one(listener, psk);
	}
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		char *out;

		run_openssl(ntohs(at.sin_port), refused[i]);
		out = tap_slurp("client.out", NULL);
		CHECK(!strstr(out, "the answer"));
		CHECK_CONTAINS(out, "alert");
		free(out);
	}
	kill(pid, SIGKILL);
	psk_free(psk);
}
