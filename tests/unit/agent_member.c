/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joining a swarm that others made, against a fake engine, with tokens in the settings ("static"): what is asked of
 * the engine, each of its refusals, a kill at every request.
 */
#include "tap.h"

#include "base/fd.h"
#include "fake/engine.h"
#include "fake/machine.h"

#include "agent/join/join.h"
#include "agent/join/swarm.h"

#include "base/mem.h"

#define TOKEN \
	"SWMTKN-1-3pu6hszjas19xyp7ghgosyx9k8atbfcr8p2is99znpy26u2lkl-1awxwuwd3z9j1z3puu7rcgdbx"
#define WORKER "{\"kind\":\"swarm\",\"role\":\"worker\"}"

static int join_as(unsigned int timeout, struct err *err)
{
	CLEANUP(agent_close) struct agent agent;

	if (agent_open(&agent, FAKE_ROOT, err) < 0)
		return -1;
	return join_run(&agent, false, timeout, err);
}

static int join_in_child(unsigned int timeout)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0)
		_exit(join_as(timeout, NULL) < 0);
	CHECK(waitpid(pid, &status, 0) == pid);
	return status;
}

static void silent(struct fake_request *request)
{
	(void)request;
}

/* A worker with two managers in its settings: nobody at the first one. */
static void start(void)
{
	static char settings[1024];

	fake_machine(WORKER);
	snprintf(
		settings, sizeof(settings),
		"{\"cluster\":{\"name\":\"t\",\"rendezvous\":\"static\",\"availability\":\"pause\","
		"\"static\":{\"managers\":[\"127.0.0.1:%u\",\"127.0.0.1:%u\"],"
		"\"worker_token\":\"" TOKEN "\"}}}",
		fake_closed_port(), fake_http(silent));
	fake_machine_file("/run/ingot/settings.json", settings);
	fake_machine_file("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
	fake_engine_new();
	fake_engine_start(FAKE_SOCKET);
}

TEST(joins_through_the_manager_that_answers)
{
	struct err err = {0};

	start();
	CHECK_OK(join_as(20, &err), &err);
	CHECK_INT(fake_engine->joins, 1);
	CHECK_INT(fake_engine->init_calls, 0);
	CHECK_CONTAINS(fake_engine->join_body, "\"AdvertiseAddr\":\"10.9.8.7:2377\"");
	CHECK_CONTAINS(fake_engine->join_body, "\"Availability\":\"pause\"");
	CHECK_CONTAINS(fake_engine->join_body, "\"JoinToken\":\"" TOKEN "\"");
	CHECK_CONTAINS(fake_engine->join_body, "\"RemoteAddrs\":[\"127.0.0.1:");
	CHECK_FILE_HAS(FAKE_RECORD, "\"step\": \"JOINED\"");
	CHECK_FILE_LACKS(FAKE_RECORD, "SWMTKN");
	CHECK_FILE_LACKS(FAKE_LIVE, "SWMTKN");
	/* Again: it is done. */
	CHECK_OK(join_as(20, &err), &err);
	CHECK_INT(fake_engine->join_calls, 1);
}

TEST_TIMEOUT(killed_at_every_request, 120)
{
	unsigned int total;

	start();
	CHECK_INT(join_in_child(20), 0);
	total = fake_engine->requests;
	CHECK(total >= 5);
	for (unsigned int at = 1; at <= total; at++) {
		for (int after = 0; after < 2; after++) {
			CHECK(unlink(FAKE_RECORD) == 0);
			fake_engine->state = "inactive";
			fake_engine->requests = fake_engine->joins = 0;
			fake_engine->kill_at = at;
			fake_engine->kill_after = after;
			CHECK_INT(WTERMSIG(join_in_child(20)), SIGKILL);
			CHECK_INT(join_in_child(20), 0);
			CHECK_INT(fake_engine->joins, 1);
			CHECK_INT(fake_engine->leaves, 0);
			CHECK_FILE_HAS(FAKE_RECORD, "\"step\": \"JOINED\"");
		}
	}
}

/* Each of the engine's texts is told with what it means, and is not the end. */
TEST_TIMEOUT(every_refusal_is_understood, 120)
{
	static const struct {
		const char *text;
		enum swarm_fault fault;
		const char *told;
	} rows[] = {
		{"manager stopped: can't initialize raft node: rpc error: code = Unknown desc = could "
		 "not connect to prospective new cluster member using its advertised address: rpc "
		 "error: code = DeadlineExceeded",
		 SWARM_FAULT_DIAL_BACK, "port 2377/tcp must be open here"},
		{"rpc error: code = InvalidArgument desc = A valid join token is necessary to join this "
		 "cluster",
		 SWARM_FAULT_TOKEN, "the join token is not good"},
		{"remote CA does not match fingerprint. Expected: 1 got 2", SWARM_FAULT_FINGERPRINT,
		 "the token is of another swarm"},
		{"error while validating Root CA Certificate: x509: certificate has expired or is not "
		 "yet valid",
		 SWARM_FAULT_CLOCK, "one of the clocks is wrong"},
		{"rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that "
		 "too few managers are online.",
		 SWARM_FAULT_LEADER, "the swarm has no leader now"},
		{"no elected cluster leader", SWARM_FAULT_LEADER, "the swarm has no leader now"},
		{"lost leader status", SWARM_FAULT_LEADER, "the swarm has no leader now"},
		{"--live-restore daemon configuration is incompatible with swarm mode",
		 SWARM_FAULT_IMAGE, "daemon.json has a setting that swarm does not allow"},
		{"--firewall-backend=nftables is incompatible with swarm mode", SWARM_FAULT_IMAGE,
		 "daemon.json has a setting that swarm does not allow"},
		{"Swarm is encrypted and needs to be unlocked before it can be used.",
		 SWARM_FAULT_LOCKED, "waits for somebody to unlock it"},
		{"something new", SWARM_FAULT_OTHER, "something new"},
	};

	start();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = {0};

		CHECK_INT(swarm_fault_find(rows[i].text)->fault, rows[i].fault);
		fake_engine->join_error = rows[i].text;
		CHECK_ERR(join_as(1, &err), &err, ERR_OTHER, rows[i].told);
		CHECK_FILE_HAS(FAKE_LIVE, rows[i].told);
	}
	CHECK_INT(swarm_fault_find("This node is already part of a swarm.")->fault,
		  SWARM_FAULT_ALREADY);
	fake_engine->join_error = NULL;
	CHECK_INT(join_in_child(30), 0);
	CHECK_INT(fake_engine->joins, 1);
}

TEST(engine_that_goes_on_trying_is_given_time)
{
	struct err err = {0};

	start();
	fake_engine->join_error = "Timeout was reached before node joined. The attempt to join the "
				  "swarm will continue in the background.";
	fake_engine->join_pends = true;
	CHECK_ERR(join_as(2, &err), &err, ERR_OTHER, "waits for the engine to finish joining");
	CHECK_INT(fake_engine->leaves, 0);
	CHECK_INT(fake_engine->join_calls, 1);
	fake_engine->state = "active";
	CHECK_OK(join_as(20, &err), &err);
	CHECK_INT(fake_engine->join_calls, 1);
}

/* After its time it is told to leave, and another try is made. */
TEST_TIMEOUT(engine_that_hangs_is_told_to_leave, 120)
{
	start();
	fake_engine->join_error = "Timeout was reached before node joined.";
	fake_engine->join_pends = true;
	CHECK(join_in_child(14) != 0);
	CHECK(fake_engine->leaves >= 1);
	fake_engine->join_error = NULL;
	CHECK_INT(join_in_child(60), 0);
	CHECK_INT(fake_engine->joins, 1);
}

TEST(refused_tokens_become_an_alarm)
{
	struct err err = {0};

	start();
	fake_engine->join_error = "A valid join token is necessary to join this cluster";
	CHECK_ERR(join_as(6, &err), &err, ERR_OTHER, "token");
	CHECK_FILE_HAS(FAKE_RECORD, "alarm: every token of the rendezvous is refused");
}

TEST(member_of_another_swarm_is_told)
{
	struct err err = {0};

	start();
	fake_engine->state = "active";
	CHECK_ERR(join_as(1, &err), &err, ERR_OTHER,
		  "is in another swarm, whose manager is 10.9.8.7");
	CHECK_INT(fake_engine->join_calls + fake_engine->leaves, 0);
	CHECK_FILE_HAS(FAKE_LIVE, "\"remote\": false");
}

/* By name, which a worker knows although its engine does not say which swarm it is in. */
TEST(member_whose_settings_name_another_cluster)
{
	struct err err = {0};
	CLEANUP_FREE char *settings = NULL;
	char *name;

	start();
	CHECK_OK(join_as(20, &err), &err);
	CHECK_FILE_HAS(FAKE_RECORD, "\"cluster\": \"t\"");
	settings = tap_slurp(FAKE_ROOT "/run/ingot/settings.json", NULL);
	name = strstr(settings, "\"t\"");
	CHECK(name);
	name[1] = 'u';
	fake_machine_file("/run/ingot/settings.json", settings);
	CHECK_ERR(join_as(1, &err), &err, ERR_OTHER,
		  "of cluster 't', but its settings name cluster 'u'");
	CHECK_INT(fake_engine->leaves, 0);
}

/* The engine or the agent is killed between the request and its answer: what comes back is not trusted. */
TEST_TIMEOUT(interrupted_initialisation_is_made_again, 120)
{
	unsigned int interrupted = 0, total;

	start();
	fake_machine_file(
		"/usr/lib/ingot/image.json",
		"{\"schema\":1,\"name\":\"demo\",\"version\":\"1\",\"architecture\":\"x\","
		"\"join\":" FAKE_MANAGER "}");
	fake_machine_file("/run/ingot/settings.json",
			  "{\"cluster\":{\"name\":\"t\",\"seeds\":[\"10.9.8.7\"],\"secret\":"
			  "\"0123456789abcdef0123456789abcdef\"}}");
	CHECK_INT(join_in_child(20), 0);
	CHECK_INT(fake_engine->inits, 1);
	CHECK_INT(fake_engine->leaves, 0);
	total = fake_engine->requests;
	for (unsigned int at = 1; at <= total; at++) {
		bool made;

		CHECK(unlink(FAKE_RECORD) == 0);
		fake_engine->state = "inactive";
		fake_engine->requests = fake_engine->inits = fake_engine->leaves = 0;
		fake_engine->kill_at = at;
		fake_engine->kill_after = 1;
		CHECK_INT(WTERMSIG(join_in_child(20)), SIGKILL);
		made = fake_engine->inits == 1;
		interrupted += made;
		CHECK_INT(join_in_child(20), 0);
		CHECK_INT(fake_engine->leaves, made);
		CHECK_INT(fake_engine->inits, made ? 2 : 1);
		CHECK_FILE_HAS(FAKE_RECORD, "\"step\": \"JOINED\"");
	}
	CHECK(interrupted > 0);
}

TEST(lost_swarm_is_not_joined_again)
{
	struct err err = {0};

	start();
	fake_machine_file("/var/lib/ingot/agent/join.json",
			  "{\"v\":1,\"step\":\"JOINED\",\"tries\":1,\"cluster_id\":\"cluster1\"}");
	CHECK_ERR(join_as(1, &err), &err, ERR_OTHER, "was a member of swarm cluster1");
	CHECK_INT(fake_engine->join_calls, 0);
}

TEST(settings_that_are_wrong_are_named)
{
	static const struct {
		const char *cluster, *error;
	} rows[] = {
		{"{\"rendezvous\":\"nothing\"}",
		 "ingot.cluster.rendezvous: 'nothing' is not known"},
		{"{\"rendezvous\":\"static\"}", "static.managers names no manager"},
		{"{\"rendezvous\":\"static\",\"static\":{\"managers\":[\"a b\"]}}",
		 "static.managers: item 1 is no address"},
		{"{\"rendezvous\":\"static\",\"static\":{\"managers\":[\"a\"]}}",
		 "static.worker_token is missing"},
		{"{\"rendezvous\":\"static\",\"static\":{\"managers\":[\"a\"],\"worker_token\":\"x\"}}",
		 "static.worker_token is no join token"},
		{"{\"seeds\":[],\"secret\":\"x\"}", "ingot.cluster.seeds names no manager"},
		{"{\"seeds\":[\"10.0.0.1\"]}", "ingot.cluster.secret is missing"},
		{"{\"seeds\":[\"10.0.0.1\"],\"secret\":\"short\"}", "shorter than 32 characters"},
	};

	start();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = {0};
		char text[512];

		snprintf(text, sizeof(text), "{\"cluster\":%s}", rows[i].cluster);
		fake_machine_file("/run/ingot/settings.json", text);
		CHECK(join_as(1, &err) < 0);
		CHECK_CONTAINS(err.msg, rows[i].error);
	}
	CHECK_INT(fake_engine->join_calls, 0);
}

TEST(clock_before_the_image_is_waited_for)
{
	struct timespec later[2] = {{.tv_sec = time(NULL) + 7200}, {.tv_sec = time(NULL) + 7200}};
	struct err err = {0};

	start();
	CHECK(utimensat(AT_FDCWD, FAKE_ROOT "/usr/lib/ingot/image.json", later, 0) == 0);
	CHECK_ERR(join_as(1, &err), &err, ERR_OTHER,
		  "the clock is before the making of this image");
	CHECK_INT(fake_engine->join_calls, 0);
}

/* Two at a time would overwrite each other's record. */
TEST(second_join_waits_for_the_first)
{
	struct err err = {0};
	int status;
	pid_t pid;

	start();
	fake_engine->state = "locked";
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		_exit(join_as(60, NULL) < 0);
	usleep(500000);
	CHECK_ERR(join_as(1, &err), &err, ERR_OTHER, "another ingot-agent join has not ended yet");
	/* The lock goes with the one who holds it. */
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, &status, 0) == pid);
	fake_engine->state = "inactive";
	CHECK_OK(join_as(20, &err), &err);
	CHECK_INT(fake_engine->joins, 1);
}

/* `join --initialise` beside a join that runs: that one does it, here by saying why it cannot. */
TEST(initialise_is_heard_by_the_join_that_runs)
{
	CLEANUP(agent_close) struct agent agent;
	struct err err = {0};
	int status;
	pid_t pid;

	start();
	fake_machine_file(
		"/usr/lib/ingot/image.json",
		"{\"schema\":1,\"name\":\"demo\",\"version\":\"1\",\"architecture\":\"x86-64\","
		"\"join\":{\"kind\":\"swarm\",\"role\":\"manager\"}}");
	fake_machine_file("/run/ingot/settings.json",
			  "{\"cluster\":{\"name\":\"t\",\"seeds\":[\"127.0.0.1:1\",\"10.9.8.7\"],"
			  "\"secret\":\"0123456789abcdef0123456789abcdef\"}}");
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		_exit(join_as(50, NULL) < 0);
	usleep(500000);
	CHECK_INT(fake_engine->init_calls, 0);
	CHECK_OK(agent_open(&agent, FAKE_ROOT, &err), &err);
	CHECK_OK(join_run(&agent, true, 50, &err), &err);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_INT(status, 0);
	CHECK_INT(fake_engine->inits, 1);
	CHECK_FILE_HAS(FAKE_RECORD, "\"epoch\": 2");
}

TEST(tokens_and_addresses)
{
	char to[32];

	CHECK(rendezvous_is_token(TOKEN));
	CHECK(!rendezvous_is_token(TOKEN "x"));
	CHECK(!rendezvous_is_token("SWMTKN-1-"));
	CHECK(!rendezvous_is_token(""));
	CHECK(rendezvous_with_port("10.0.0.1", 2377, to, sizeof(to)));
	CHECK_STR(to, "10.0.0.1:2377");
	CHECK(rendezvous_with_port("m.example:99", 2377, to, sizeof(to)));
	CHECK_STR(to, "m.example:99");
	CHECK(rendezvous_with_port("fd00::1", 2377, to, sizeof(to)));
	CHECK_STR(to, "[fd00::1]:2377");
	CHECK(rendezvous_with_port("[fd00::1]:7", 2377, to, sizeof(to)));
	CHECK_STR(to, "[fd00::1]:7");
	CHECK(!rendezvous_with_port("", 2377, to, sizeof(to)));
	CHECK(!rendezvous_with_port("a/b", 2377, to, sizeof(to)));
	CHECK(!rendezvous_with_port("a-name-that-is-longer-than-there-is-room", 1, to, sizeof(to)));
}
