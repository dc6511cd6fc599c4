/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The join against a fake engine: every state, every kind of bad answer, a kill at every request.
 */
#include "tap.h"

#include "base/fd.h"
#include "fake/engine.h"
#include "fake/machine.h"

#include "agent/join/join.h"

#include "base/mem.h"

static int join_as(unsigned int timeout, struct err *err)
{
	CLEANUP(agent_close) struct agent agent;

	if (agent_open(&agent, FAKE_ROOT, err) < 0)
		return -1;
	return join_run(&agent, false, timeout, err);
}

/* Joins in a child; returns its wait status. */
static int join_in_child(unsigned int timeout)
{
	struct err err = {0};
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		int r = join_as(timeout, &err);

		if (r < 0)
			tap_note("%s", err.msg);
		_exit(r < 0 ? 1 : 0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return status;
}

static void start(const char *join)
{
	fake_machine(join);
	fake_engine_new();
	fake_engine_start(FAKE_SOCKET);
}

TEST(initialises_once)
{
	struct err err = {0};

	start(FAKE_MANAGER);
	CHECK_OK(join_as(10, &err), &err);
	CHECK_INT(fake_engine->inits, 1);
	CHECK_STR(
		fake_engine->init_body,
		"{\"AdvertiseAddr\":\"10.9.8.7:2377\",\"ListenAddr\":\"0.0.0.0:2377\",\"Spec\":{}}");
	CHECK_FILE(FAKE_RECORD, "{\n"
				"  \"address\": \"10.9.8.7\",\n"
				"  \"cluster_id\": \"cluster1\",\n"
				"  \"node_id\": \"node1\",\n"
				"  \"step\": \"JOINED\",\n"
				"  \"tries\": 1,\n"
				"  \"v\": 1\n"
				"}\n");
	CHECK_FILE_HAS(FAKE_ROOT "/run/ingot/marks.json", "\"joined\": 12.34");
	/* A second run finds it done. */
	CHECK_OK(join_as(10, &err), &err);
	CHECK_INT(fake_engine->init_calls, 1);
}

TEST(record_is_readable_by_all_and_nothing_is_left)
{
	struct err err = {0};
	struct stat st;
	DIR *dir;
	int files = 0;

	umask(077);
	start(FAKE_MANAGER);
	CHECK_OK(join_as(10, &err), &err);
	CHECK(stat(FAKE_RECORD, &st) == 0);
	CHECK_INT(st.st_mode & 0777, 0644);
	dir = opendir(FAKE_ROOT "/var/lib/ingot/agent");
	CHECK(dir);
	for (const struct dirent *e; (e = readdir(dir));)
		files += *e->d_name != '.';
	closedir(dir);
	CHECK_INT(files, 1);
}

TEST(killed_writer_leaves_no_files_behind)
{
	struct err err = {0};

	start(FAKE_MANAGER);
	fake_machine_file("/var/lib/ingot/agent/join.json.77.0.tmp", "{\"st");
	CHECK_OK(join_as(10, &err), &err);
	CHECK_MISSING(FAKE_ROOT "/var/lib/ingot/agent/join.json.77.0.tmp");
}

/* One complete join makes so many requests; kill the agent at each, before and after it was done. */
TEST_TIMEOUT(killed_at_every_request, 120)
{
	unsigned int total;

	start(FAKE_MANAGER);
	CHECK_INT(join_in_child(20), 0);
	total = fake_engine->requests;
	CHECK(total >= 5);
	for (unsigned int at = 1; at <= total; at++) {
		for (int after = 0; after < 2; after++) {
			CHECK(unlink(FAKE_RECORD) == 0);
			fake_engine->state = "inactive";
			fake_engine->control = false;
			fake_engine->requests = fake_engine->inits = fake_engine->leaves = 0;
			fake_engine->kill_at = at;
			fake_engine->kill_after = after;
			CHECK_INT(WTERMSIG(join_in_child(20)), SIGKILL);
			CHECK_INT(join_in_child(20), 0);
			/* What it was making when it was killed may be broken: made again. */
			CHECK_INT(fake_engine->inits, 1 + fake_engine->leaves);
			CHECK(fake_engine->leaves <= 1);
			CHECK_FILE_HAS(FAKE_RECORD, "\"step\": \"JOINED\"");
			CHECK_FILE_HAS(FAKE_RECORD, "\"cluster_id\": \"cluster1\"");
		}
	}
}

/* The same at random times, the engine being slow, until it gets through. */
TEST_TIMEOUT(killed_at_random_times, 120)
{
	unsigned int seed = 42;

	start(FAKE_MANAGER);
	fake_engine->slow_ms = 5;
	for (int round = 0; round < 15; round++) {
		fake_engine->state = "inactive";
		fake_engine->inits = fake_engine->leaves = 0;
		unlink(FAKE_RECORD);
		for (int i = 0; i < 5; i++) {
			int status;
			pid_t pid = fork();

			CHECK(pid >= 0);
			if (pid == 0)
				_exit(join_as(20, NULL) < 0);
			usleep(rand_r(&seed) % 30000);
			kill(pid, SIGKILL);
			CHECK(waitpid(pid, &status, 0) == pid);
		}
		CHECK_INT(join_in_child(20), 0);
		CHECK_INT(fake_engine->inits, 1 + fake_engine->leaves);
	}
}

TEST(waits_for_an_address)
{
	struct err err = {0};

	start(FAKE_MANAGER);
	fake_address_delay = 5;
	CHECK_OK(join_as(20, &err), &err);
	CHECK_INT(fake_engine->inits, 1);
}

TEST(says_that_it_has_no_address)
{
	struct err err = {0};

	start(FAKE_MANAGER);
	fake_address = NULL;
	CHECK_ERR(join_as(1, &err), &err, ERR_OTHER, "waits for an IPv4 address on the interface");
	CHECK_FILE_HAS(FAKE_LIVE, "\"remote\": true");
	CHECK_INT(fake_engine->init_calls, 0);
	CHECK_MISSING(FAKE_RECORD);
}

TEST(waits_for_the_engine)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = FAKE_SOCKET};
	struct err err = {0};
	pid_t pid;
	int status, fd;

	fake_machine(FAKE_MANAGER);
	CHECK_ERR(join_as(1, &err), &err, ERR_OTHER, "waits for the engine");
	CHECK_FILE_HAS(FAKE_LIVE, "No such file");
	/* Refused: a socket that nobody serves. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	close(fd);
	CHECK_ERR(join_as(1, &err), &err, ERR_OTHER, "waits for the engine");
	/* And then it comes. */
	CHECK(unlink(FAKE_SOCKET) == 0);
	fake_engine_new();
	pid = fork();
	if (pid == 0)
		_exit(join_as(20, NULL) < 0);
	usleep(300000);
	fake_engine_start(FAKE_SOCKET);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_INT(status, 0);
}

TEST(survives_an_engine_that_is_busy)
{
	struct err err = {0};

	start(FAKE_MANAGER);
	fake_engine->busy = 3;
	CHECK_OK(join_as(30, &err), &err);
	CHECK_INT(fake_engine->inits, 1);
	/* The last error is kept after it is over. */
	CHECK_FILE_HAS(FAKE_RECORD, "refused /");
	CHECK_FILE_HAS(FAKE_RECORD, "not now");
	CHECK_FILE_HAS(FAKE_RECORD, "\"error_time\": \"20");
}

TEST(slow_answers_are_waited_for)
{
	struct err err = {0};

	start(FAKE_MANAGER);
	fake_engine->slow_ms = 300;
	CHECK_OK(join_as(20, &err), &err);
	CHECK_INT(fake_engine->inits, 1);
}

TEST(garbage_is_refused)
{
	static const struct {
		const char *body, *error;
	} rows[] = {
		{"", "/version:1:0: not valid JSON"},
		{"<html>", "not valid JSON"},
		{"[]", "does not say which API"},
		{"{\"ApiVersion\":7}", "does not say which API"},
		{"{\"ApiVersion\":\"2.0\"}", "does not say which API"},
		{"{\"ApiVersion\":\"1.44x\"}", "does not say which API"},
		{"{\"ApiVersion\":\"1.24\"}", "1.24 is too old, 1.40 is needed"},
		{"{\"ApiVersion\":\"1.44\"}", "says nothing about swarm"},
		{"{\"ApiVersion\":\"1.44\",\"Swarm\":[]}", "says nothing about swarm"},
		{"{\"ApiVersion\":\"1.44\",\"Swarm\":{\"LocalNodeState\":\"odd\\u0007\"}}",
		 "unknown swarm state 'odd '"},
		{"{\"ApiVersion\":\"1.44\",\"Swarm\":{\"LocalNodeState\":\"active\","
		 "\"NodeID\":\"../../etc\"}}",
		 "an ID that is none"},
		{"{\"ApiVersion\":\"1.44\",\"ApiVersion\":\"1.44\"}", "duplicate"},
	};

	start(FAKE_MANAGER);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = {0};

		fake_engine->body = rows[i].body;
		CHECK_ERR(join_as(1, &err), &err, ERR_OTHER, rows[i].error);
	}
	CHECK_INT(fake_engine->init_calls, 0);
	CHECK_MISSING(FAKE_RECORD);
}

TEST(huge_answers_are_cut_off)
{
	struct err err = {0};
	char *huge = malloc((8 << 20) + 1);

	CHECK(huge);
	memset(huge, ' ', 8 << 20);
	huge[8 << 20] = '\0';
	fake_machine(FAKE_MANAGER);
	fake_engine_new();
	fake_engine->body = huge;
	fake_engine_start(FAKE_SOCKET);
	CHECK(join_as(1, &err) < 0);
	CHECK_CONTAINS(err.msg, "the engine does not answer");
	CHECK_INT(fake_engine->init_calls, 0);
	free(huge);
}

TEST(refusal_is_told_without_secrets)
{
	struct err err = {0};

	start(FAKE_MANAGER);
	fake_engine->init = FAKE_INIT_REFUSED;
	CHECK_ERR(
		join_as(1, &err), &err, ERR_OTHER,
		"cannot initialise the swarm: the engine refused /swarm/init (400): no good: (hidden) "
		"is a secret");
	CHECK_FILE_LACKS(FAKE_RECORD, "SWMTKN");
	CHECK_FILE_LACKS(FAKE_LIVE, "SWMTKN");
	CHECK_FILE_HAS(FAKE_LIVE, "(hidden)");
	/* It goes on trying; when the cause is gone it works. */
	fake_engine->init = FAKE_INIT_WORKS;
	CHECK_OK(join_as(20, &err), &err);
	CHECK_INT(fake_engine->inits, 1);
}

static bool recorded(const char *text)
{
	CLEANUP(str_free) struct str record = {0};

	return fd_read_file(FAKE_RECORD, 1 << 20, &record, NULL) == 0 && strstr(record.data, text);
}

TEST(own_broken_init_is_dropped_and_made_again)
{
	struct err err = {0};

	start(FAKE_MANAGER);
	fake_engine->init = FAKE_INIT_BREAKS;
	/* A try may be cut between the engine's answer and the look at what became of it. */
	for (int i = 0; i < 20 && !recorded("it broke"); i++)
		CHECK_ERR(join_as(1, &err), &err, ERR_OTHER, "");
	CHECK_FILE_HAS(FAKE_RECORD, "it broke");
	CHECK(fake_engine->leaves >= 1);
	fake_engine->init = FAKE_INIT_WORKS;
	CHECK_OK(join_as(20, &err), &err);
	CHECK_INT(fake_engine->inits, 1);
}

TEST(own_pending_init_is_given_time)
{
	int status;
	pid_t pid;

	start(FAKE_MANAGER);
	fake_engine->init = FAKE_INIT_PENDING;
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		_exit(join_as(20, NULL) < 0);
	for (int i = 0; i < 500 && strcmp(fake_engine->state, "pending") != 0; i++)
		usleep(10000);
	usleep(500000);
	fake_engine->control = true;
	fake_engine->state = "active";
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_INT(status, 0);
	CHECK_INT(fake_engine->init_calls, 1);
	CHECK_INT(fake_engine->leaves, 0);
}

/* Nobody knows whether the engine was killed meanwhile. */
TEST(what_another_process_did_not_finish_is_made_again)
{
	struct err err = {0};

	start(FAKE_MANAGER);
	fake_engine->init = FAKE_INIT_PENDING;
	CHECK_ERR(join_as(2, &err), &err, ERR_OTHER, "waits for the engine to finish initialising");
	CHECK_INT(fake_engine->leaves, 0);
	fake_engine->state = "active";
	fake_engine->control = true;
	fake_engine->init = FAKE_INIT_WORKS;
	CHECK_OK(join_as(20, &err), &err);
	CHECK_INT(fake_engine->init_calls, 2);
	CHECK_INT(fake_engine->leaves, 1);
}

TEST(interrupted_leave_goes_on)
{
	struct err err = {0};

	start(FAKE_MANAGER);
	fake_machine_file("/var/lib/ingot/agent/join.json",
			  "{\"v\":1,\"step\":\"LEAVE\",\"tries\":1}");
	fake_engine->state = "error";
	fake_engine->swarm_error = "half gone";
	CHECK_OK(join_as(20, &err), &err);
	CHECK_INT(fake_engine->leaves, 1);
	CHECK_INT(fake_engine->inits, 1);
}

/* A manager whose peers are away is pending after a reboot: leaving would destroy it. */
TEST(member_that_is_pending_or_in_error_never_leaves)
{
	static const char *const states[] = {"pending", "error"};

	start(FAKE_MANAGER);
	fake_machine_file("/var/lib/ingot/agent/join.json",
			  "{\"v\":1,\"step\":\"JOINED\",\"tries\":1,\"cluster_id\":\"cluster1\"}");
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		struct err err = {0};

		fake_engine->state = states[i];
		fake_engine->swarm_error = "no quorum";
		CHECK_ERR(join_as(1, &err), &err, ERR_OTHER, "it needs the other managers");
		CHECK_CONTAINS(err.msg, "no quorum");
	}
	CHECK_INT(fake_engine->leaves, 0);
	CHECK_INT(fake_engine->init_calls, 0);
}

TEST(pending_without_a_record_is_not_ours_to_drop)
{
	struct err err = {0};

	start(FAKE_MANAGER);
	fake_engine->state = "error";
	CHECK_ERR(join_as(1, &err), &err, ERR_OTHER, "the engine's swarm is error");
	CHECK_INT(fake_engine->leaves, 0);
}

TEST(locked_waits_for_somebody)
{
	struct err err = {0};

	start(FAKE_MANAGER);
	fake_engine->state = "locked";
	CHECK_ERR(join_as(1, &err), &err, ERR_OTHER, "waits for somebody to unlock");
	CHECK_INT(fake_engine->init_calls + fake_engine->leaves, 0);
}

TEST(lost_swarm_is_not_replaced_by_a_new_one)
{
	struct err err = {0};

	start(FAKE_MANAGER);
	fake_machine_file("/var/lib/ingot/agent/join.json",
			  "{\"v\":1,\"step\":\"JOINED\",\"tries\":1,\"cluster_id\":\"cluster1\"}");
	CHECK_ERR(join_as(1, &err), &err, ERR_OTHER,
		  "was a member of swarm cluster1, but the engine is in no swarm now");
	CHECK_INT(fake_engine->init_calls, 0);
}

TEST(other_swarm_is_told)
{
	struct err err = {0};

	start(FAKE_MANAGER);
	fake_machine_file("/var/lib/ingot/agent/join.json",
			  "{\"v\":1,\"step\":\"JOINED\",\"tries\":1,\"cluster_id\":\"cluster9\"}");
	fake_engine->state = "active";
	fake_engine->control = true;
	CHECK_ERR(join_as(1, &err), &err, ERR_OTHER,
		  "belongs to swarm cluster9, but the engine is in swarm cluster1");
	CHECK_FILE_HAS(FAKE_RECORD, "cluster9");
}

TEST(swarm_made_by_hand_is_adopted)
{
	struct err err = {0};

	start(FAKE_MANAGER);
	fake_engine->state = "active";
	fake_engine->control = true;
	CHECK_OK(join_as(10, &err), &err);
	CHECK_INT(fake_engine->init_calls, 0);
	CHECK_FILE_HAS(FAKE_RECORD, "\"cluster_id\": \"cluster1\"");
}

TEST(worker_waits_for_settings)
{
	struct err err = {0};

	start("{\"kind\":\"swarm\",\"role\":\"worker\"}");
	CHECK_ERR(join_as(1, &err), &err, ERR_OTHER, "waits for join settings: a worker needs");
	CHECK_FILE_HAS(FAKE_LIVE, "\"remote\": true");
	CHECK_INT(fake_engine->init_calls, 0);
	/* Joined by hand, it is done. */
	fake_engine->state = "active";
	CHECK_OK(join_as(10, &err), &err);
}

TEST(manager_that_is_only_a_worker_waits)
{
	struct err err = {0};

	start(FAKE_MANAGER);
	fake_engine->state = "active";
	CHECK_ERR(join_as(1, &err), &err, ERR_OTHER, "is in a swarm, but not as a manager");
	CHECK_MISSING(FAKE_RECORD);
}

/* One more than the record has room for. */
#define LONG "0123456789012345678901234567890123456789012345678901234567890123"

TEST(damaged_record_stops_it)
{
	static const char *const records[] = {
		"",
		"{",
		"[]",
		"{\"v\":2,\"step\":\"NEW\"}",
		"{\"v\":1,\"step\":\"ODD\"}",
		"{\"v\":1,\"step\":\"NEW\",\"tries\":-1}",
		"{\"v\":1,\"step\":\"NEW\",\"cluster_id\":5,\"address\":\"" LONG "\"}",
	};

	start(FAKE_MANAGER);
	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		struct err err = {0};

		fake_machine_file("/var/lib/ingot/agent/join.json", records[i]);
		CHECK_ERR(join_as(1, &err), &err, ERR_OTHER, "join.json");
	}
	CHECK_INT(fake_engine->requests, 0);
}

/* Without room for the record nothing may happen: a kill after it could not be told from no try. */
TEST(no_record_no_init)
{
	struct err err = {0};

	start(FAKE_MANAGER);
	fake_machine_file("/var/lib/ingot/.keep", "");
	CHECK(symlink("nowhere/at/all", FAKE_ROOT "/var/lib/ingot/agent") == 0);
	CHECK_ERR(join_as(1, &err), &err, ERR_OTHER, "cannot keep the join record");
	CHECK_INT(fake_engine->init_calls, 0);
}

TEST(api_version_is_negotiated)
{
	static const struct {
		const char *api, *min;
		int ok;
	} rows[] = {{"1.41", "1.12", 1}, {"1.60", "1.50", 1}, {"1.39", "1.12", 0}};

	start(FAKE_MANAGER);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = {0};

		fake_engine->api = rows[i].api;
		fake_engine->api_min = rows[i].min;
		CHECK_INT(join_as(1, &err) == 0, rows[i].ok);
	}
}

TEST(kinds)
{
	struct err err = {0};

	fake_machine("{\"kind\":\"none\"}");
	CHECK_OK(join_as(1, &err), &err);
	CHECK_MISSING(FAKE_RECORD);
	fake_machine("{\"kind\":\"nomad\"}");
	CHECK_ERR(join_as(1, &err), &err, ERR_USAGE, "cannot join a 'nomad'");
	for (const struct joiner *j = joiners; j->kind; j++) {
		CHECK(j->step);
		CHECK(join_find(j->kind) == j);
	}
	CHECK(!join_find("nomad"));
}
