/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limits of `serve` under load, on loopback (all of 127.0.0.0/8 is this machine: each address is another
 * stranger): whoever does not have the secret keeps few places for a short time, and members get their answers.
 */
#include "tap.h"

#include "fake/machine.h"
#include "fake/nodes.h"

#include "agent/join/serve.h"

#include "base/clock.h"
#include "base/fd.h"

#define SECRET "0123456789abcdef0123456789abcdef"

static unsigned int port;
static pid_t server;
static struct psk *psk;

/* ---- the manager, in a process of its own ---------------------------------------------------------- */

static volatile sig_atomic_t ended;

static void on_end(int number)
{
	(void)number;
	ended = 1;
}

static void run_server(int ready)
{
	static struct serve serve;
	struct agent agent;
	struct seeds seeds = {.psk = psk};
	struct sockaddr_in6 at;
	socklen_t len = sizeof(at);
	struct err err = {0};
	int set = 0;

	signal(SIGTERM, on_end);
	signal(SIGPIPE, SIG_IGN);
	CHECK_OK(agent_open(&agent, FAKE_ROOT, &err), &err);
	serve = (struct serve){.agent = &agent, .seeds = &seeds, .report.quiet = true};
	for (size_t i = 0; i < SERVE_CONNS; i++)
		serve.conns[i].fd = -1;
	engine_open(&serve.engine, &agent);
	CHECK_OK(serve_listen(&serve, &err), &err);
	CHECK(getsockname(serve.listener, (struct sockaddr *)&at, &len) == 0);
	set = ntohs(at.sin6_port); /* at the same place for both families */
	CHECK(write(ready, &set, sizeof(set)) == sizeof(set));
	while (!ended)
		serve_poll(&serve, 0.1);
	serve_close(&serve);
	agent_close(&agent);
	psk_free(psk);
	exit(0); /* not _exit: a sanitizer says what was not freed */
}

static void start(void)
{
	struct record record = {.step = RECORD_JOINED, .epoch = 3, .cluster_id = "cluster1"};
	struct agent agent;
	struct err err = {0};
	int ready[2];

	fake_machine(FAKE_MANAGER);
	fake_engine_new();
	fake_nodes_new();
	fake_engine_start(FAKE_SOCKET);
	CHECK_OK(agent_open(&agent, FAKE_ROOT, &err), &err);
	CHECK_OK(record_save(&agent, &record, &err), &err);
	agent_close(&agent);
	psk = psk_new(SECRET, "prod", &err);
	CHECK(psk && pipe(ready) == 0);
	signal(SIGPIPE, SIG_IGN);
	server = fork();
	CHECK(server >= 0);
	if (server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ready[0]);
		run_server(ready[1]);
	}
	close(ready[1]);
	CHECK(read(ready[0], &port, sizeof(port)) == sizeof(port));
	close(ready[0]);
}

static void end(void)
{
	int status;

	psk_free(psk);
	CHECK(kill(server, SIGTERM) == 0 && waitpid(server, &status, 0) == server);
	CHECK_INT(status, 0);
}

/* Sockets that the manager has open: its listener and a call of the engine, too. */
static unsigned int server_sockets(void)
{
	char folder[64];
	unsigned int count = 0;
	DIR *dir;

	snprintf(folder, sizeof(folder), "/proc/%d/fd", server);
	dir = opendir(folder);
	CHECK(dir != NULL);
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
		char target[64] = "";

		if (readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1) > 0)
			count += strncmp(target, "socket:", 7) == 0;
	}
	closedir(dir);
	return count;
}

/* ---- others ------------------------------------------------------------------------------------------ */

/* Connects from 127.0.0.last. */
static int connect_from(unsigned int last)
{
	struct sockaddr_in from = {.sin_family = AF_INET}, to = from;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + last);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons((uint16_t)port);
	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0);
	CHECK(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
	return fd;
}

/* Has the manager closed it? Waits at most seconds. */
static bool closed_within(int fd, double seconds)
{
	double stop = clock_monotonic() + seconds;
	char bytes[512];

	for (;;) {
		ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			return true;
		if (clock_monotonic() > stop)
			return false;
		usleep(5000);
	}
}

/* A member of the cluster (from 127.0.0.1) asks for a token, as a join does: once per second. */
static bool member_gets_token(struct psk *with, int tries)
{
	static const struct seeds_request request = {
		.role = "worker", .instance = "i-1-01", .address = "10.9.8.50", .token = true};
	static const size_t indexes[] = {0};
	struct seeds seeds = {.count = 1, .own = 1, .psk = with};

	snprintf(seeds.address[0], sizeof(seeds.address[0]), "127.0.0.1:%u", port);
	for (int i = 0; i < tries; i++) {
		seeds_ask(&seeds, &request, indexes, 1, SEEDS_ASK_TIME, seeds.answers);
		if (rendezvous_is_token(seeds.answers[0].token))
			return true;
	}
	return false;
}

TEST(members_get_their_answer_while_strangers_hold_every_place)
{
	int fds[100];
	unsigned int closed = 0;

	start();
	for (unsigned int i = 0; i < 100; i++)
		fds[i] = connect_from(2 + i % 25);
	CHECK(member_gets_token(psk, 3));
	CHECK(server_sockets() <= SERVE_CONNS + 2);
	for (unsigned int i = 0; i < 100; i++)
		closed += closed_within(fds[i], 0);
	CHECK(closed >= 100 - SERVE_CONNS);
	/* The oldest went first, and the others after their time. */
	CHECK(closed_within(fds[0], 0));
	for (unsigned int i = 0; i < 100; i++)
		CHECK(closed_within(fds[i], SERVE_TIME + 2));
	CHECK(member_gets_token(psk, 1));
	CHECK(server_sockets() <= 2);
	end();
}

TEST(one_address_has_few_places)
{
	int fds[30];
	unsigned int open = 0;

	start();
	for (unsigned int i = 0; i < 30; i++)
		fds[i] = connect_from(2);
	for (unsigned int i = SERVE_PER_ADDRESS; i < 30; i++)
		CHECK(closed_within(fds[i], 2));
	for (unsigned int i = 0; i < 30; i++)
		open += !closed_within(fds[i], 0);
	CHECK_INT(open, SERVE_PER_ADDRESS);
	for (unsigned int i = 0; i < 30; i++)
		close(fds[i]);
	/* Its places are free as soon as it leaves. */
	for (int i = 0; i < 3; i++) {
		usleep(200000);
		fds[i] = connect_from(2);
		CHECK(!closed_within(fds[i], 0.1));
	}
	end();
}

/* Says what is no ClientHello. True when it was listened to: then there is an alert. */
static bool is_heard(unsigned int last)
{
	char bytes[64];
	int fd = connect_from(last);
	ssize_t n = send(fd, "\x16\x03\x01\x00\x05hello", 10, MSG_NOSIGNAL);

	if (n > 0)
		n = recv(fd, bytes, sizeof(bytes), 0);
	close(fd);
	return n > 0;
}

TEST(one_address_may_not_come_often)
{
	double since;
	unsigned int heard = 0, asked = 0;

	start();
	since = clock_monotonic();
	for (; clock_monotonic() - since < 1.0; asked++)
		heard += is_heard(2);
	CHECK(asked > 2 * SERVE_BURST);
	CHECK(heard >= SERVE_BURST);
	CHECK(heard <= SERVE_BURST + SERVE_RATE * (clock_monotonic() - since) + 1);
	/* Others do not suffer, nor do they make it forgotten; and it may come again after a while. */
	since = clock_monotonic();
	for (unsigned int i = 3; i < 10; i++)
		CHECK(is_heard(i));
	CHECK(member_gets_token(psk, 1));
	heard = 0;
	for (int i = 0; i < 20; i++)
		heard += is_heard(2);
	CHECK(heard <= SERVE_RATE * (clock_monotonic() - since) + 1);
	usleep(300000);
	CHECK(is_heard(2));
	end();
}

TEST(addresses_without_end_are_forgotten_and_not_collected)
{
	start();
	/* More than are remembered, one after the other. */
	for (unsigned int i = 0; i < 3 * SERVE_ADDRESSES; i++)
		CHECK(is_heard(2 + i));
	CHECK(member_gets_token(psk, 1));
	end();
}

TEST(one_who_speaks_slowly_is_dropped_in_time)
{
	/* The beginning of a ClientHello of 512 bytes. */
	static const unsigned char hello[] = {22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3};
	double since;
	int fd;

	start();
	fd = connect_from(2);
	since = clock_monotonic();
	for (size_t i = 0; !closed_within(fd, 0.1); i++) {
		send(fd, i < sizeof(hello) ? &hello[i] : hello, 1, MSG_NOSIGNAL);
		CHECK(clock_monotonic() - since < SERVE_TIME + 2);
	}
	CHECK(clock_monotonic() - since > SERVE_TIME - 1);
	end();
}

/* One exchange with the key; what came back, or NULL when there was no answer. */
static struct psk_conn *exchange(struct psk *with, const char *line)
{
	int fd = connect_from(2);
	struct psk_conn *conn;
	double since = clock_monotonic();

	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	conn = psk_conn_new(with, fd, line);
	while (clock_monotonic() - since < 3) {
		enum psk_want want = psk_conn_step(conn);

		if (want == PSK_LINE)
			return conn;
		if (want == PSK_FAILED)
			break;
		usleep(1000);
	}
	CHECK(clock_monotonic() - since < 3); /* it is dropped, not left to its time */
	psk_conn_free(conn);
	return NULL;
}

TEST(other_secrets_and_other_words_get_nothing)
{
	static const char *const lines[] = {
		"",
		"hello",
		"[]",
		"{}",
		"{\"role\":\"worker\"",
		"{\"hello\":{\"role\":\"root\",\"token\":true}}",
		"{\"v\":99}",
	};
	struct err err = {0};
	struct psk *secret = psk_new("ffffffffffffffffffffffffffffffff", "prod", &err);
	struct psk *name = psk_new(SECRET, "test", &err);

	start();
	CHECK(secret && name);
	CHECK(!member_gets_token(secret, 1));
	CHECK(!member_gets_token(name, 1));
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		CHECK(!exchange(psk, lines[i]));
	CHECK_INT(fake_nodes->tokens, 0);
	CHECK(member_gets_token(psk, 1));
	CHECK_INT(fake_nodes->tokens, 1);
	psk_free(secret);
	psk_free(name);
	end();
}

/* Twenty strangers, each as often as it can, with and without a word. */
static void flood(void)
{
	for (unsigned int i = 0;; i++) {
		int fd = connect_from(2 + i % 20);

		if (i % 3 == 0)
			send(fd, "\x16\x03\x01\x40\x00garbage", 12, MSG_NOSIGNAL);
		if (i >= 200)
			usleep(500);
		dup2(fd, 100 + (int)(i % 200)); /* the last 200 stay open */
		close(fd);
	}
}

TEST(members_get_their_answer_in_a_flood)
{
	pid_t pid;

	start();
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		flood();
	}
	for (int i = 0; i < 20; i++) {
		CHECK(member_gets_token(psk, 5));
		CHECK(server_sockets() <= SERVE_CONNS + 2);
		usleep(100000);
	}
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	usleep((useconds_t)((SERVE_TIME + 1) * 1e6));
	CHECK(member_gets_token(psk, 1));
	CHECK(server_sockets() <= 2);
	end();
}
