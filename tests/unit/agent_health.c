/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health: what a probe finds on machines in many states, and how probes become a decision.
 */
#include "tap.h"
#include "fake/engine.h"
#include "fake/systemd.h"

#include "agent/boot/health.h"
#include "agent/verbs.h"

#include "base/mem.h"

static struct health probe(bool settled)
{
	CLEANUP(agent_close) struct agent agent;
	struct health health;
	struct err err = {0};

	CHECK_OK(agent_open(&agent, FAKE_ROOT, &err), &err);
	health_probe(&agent, settled, &health);
	return health;
}

#define CHECK_HEALTH(want, why_part)                                  \
	do {                                                          \
		struct health h = probe(true);                        \
		CHECK_STR(health_name(h.verdict), health_name(want)); \
		CHECK_CONTAINS(h.why, why_part);                      \
	} while (0)

static void start_manager(void)
{
	fake_machine(FAKE_MANAGER);
	fake_systemd_start();
	fake_engine_new();
	fake_engine_start(FAKE_SOCKET);
	fake_engine->state = "active";
	fake_engine->control = true;
}

static void was_joined(void)
{
	fake_machine_file("/var/lib/ingot/agent/join.json",
			  "{\"v\":1,\"step\":\"JOINED\",\"tries\":1,\"cluster_id\":\"cluster1\"}");
}

TEST(healthy_manager)
{
	start_manager();
	CHECK_HEALTH(HEALTH_OK, "");
}

TEST(healthy_machine_without_a_cluster)
{
	fake_machine("{\"kind\":\"none\"}");
	fake_systemd_start();
	CHECK_HEALTH(HEALTH_OK, "");
}

TEST(unknown_kind_is_bad)
{
	fake_machine("{\"kind\":\"nomad\"}");
	CHECK_HEALTH(HEALTH_BAD, "does not know the role 'nomad'");
}

TEST(failed_units)
{
	start_manager();
	/* Somebody else's unit is not ours to judge. */
	fake_systemd->failed[0] = "logrotate.service";
	CHECK_HEALTH(HEALTH_OK, "");
	/* What asks does not count itself. */
	fake_systemd->failed[1] = "ingot-health.service";
	CHECK_HEALTH(HEALTH_OK, "");
	fake_systemd->failed[2] = "ingot-boot.service";
	CHECK_HEALTH(HEALTH_BAD, "unit 'ingot-boot.service' failed");
	fake_systemd->failed[2] = "docker.service";
	CHECK_HEALTH(HEALTH_BAD, "unit 'docker.service' failed");
}

TEST(units_that_are_starting)
{
	struct health late;

	start_manager();
	fake_systemd->running[0] = "ingot-join.service";
	fake_systemd->running[1] = "ingot-health.service";
	CHECK_HEALTH(HEALTH_OK, "");
	fake_systemd->running[2] = "ssh.service";
	CHECK_HEALTH(HEALTH_STARTING, "unit 'ssh.service' is still starting");
	late = probe(false);
	CHECK_INT(late.verdict, HEALTH_OK);
}

TEST(systemd_that_does_not_answer)
{
	start_manager();
	fake_systemd->broken = true;
	CHECK_HEALTH(HEALTH_STARTING, "cannot list failed units: it is broken");
	CHECK(unlink(FAKE_ROOT "/run/systemd/private") == 0);
	CHECK(unlink(FAKE_ROOT "/run/dbus/system_bus_socket") == 0);
	CHECK_HEALTH(HEALTH_STARTING, "cannot reach systemd");
}

TEST(system_bus_when_there_is_no_private_socket)
{
	start_manager();
	CHECK(unlink(FAKE_ROOT "/run/systemd/private") == 0);
	fake_systemd->failed[0] = "docker.service";
	CHECK_HEALTH(HEALTH_BAD, "unit 'docker.service' failed");
}

TEST(engine_that_is_not_there)
{
	fake_machine(FAKE_MANAGER);
	CHECK_HEALTH(HEALTH_STARTING, "the engine does not answer");
}

TEST(manager_that_is_not_joined_yet)
{
	start_manager();
	fake_engine->state = "inactive";
	CHECK_HEALTH(HEALTH_STARTING, "the engine is in no swarm");
	fake_machine_file("/run/ingot/join.json",
			  "{\"waits_for\":\"waits for the engine\",\"remote\":false}");
	CHECK_HEALTH(HEALTH_STARTING, "the join waits for the engine");
	/* No address: the network's fault, not the image's. */
	fake_machine_file("/run/ingot/join.json",
			  "{\"waits_for\":\"waits for an IPv4 address\",\"remote\":true}");
	CHECK_HEALTH(HEALTH_REMOTE, "the join waits for an IPv4 address");
}

TEST(manager_that_lost_its_swarm)
{
	start_manager();
	was_joined();
	fake_engine->state = "inactive";
	CHECK_HEALTH(HEALTH_BAD, "the engine lost its swarm cluster1");
	fake_machine_file("/var/lib/ingot/agent/join.json", "{");
	CHECK_HEALTH(HEALTH_BAD, "join.json");
}

TEST(pending_locked_and_error)
{
	start_manager();
	fake_engine->state = "pending";
	CHECK_HEALTH(HEALTH_STARTING, "pending");
	was_joined();
	CHECK_HEALTH(HEALTH_STARTING, "pending"); /* alone: nobody else to wait for */
	fake_engine->peers = 2;
	CHECK_HEALTH(HEALTH_REMOTE, "other managers");
	fake_engine->state = "locked";
	CHECK_HEALTH(HEALTH_REMOTE, "unlocked");
	fake_engine->state = "error";
	fake_engine->swarm_error = "disk on fire";
	CHECK_HEALTH(HEALTH_STARTING, "disk on fire");
}

TEST(active_but_not_well)
{
	start_manager();
	fake_engine->node_state = "down";
	CHECK_HEALTH(HEALTH_STARTING, "sees this node as 'down'");
	fake_engine->leaderless = true;
	CHECK_HEALTH(HEALTH_STARTING, "does not have a leader");
	fake_engine->peers = 2;
	CHECK_HEALTH(HEALTH_REMOTE, "does not have a leader");
	fake_engine->control = false;
	CHECK_HEALTH(HEALTH_REMOTE, "does not have this node as a manager");
}

static void silent(struct fake_request *request)
{
	(void)request;
}

TEST(worker)
{
	static char near[32], nobody[32];

	fake_machine("{\"kind\":\"swarm\",\"role\":\"worker\"}");
	fake_engine_new();
	snprintf(near, sizeof(near), "127.0.0.1:%u", fake_http(silent));
	snprintf(nobody, sizeof(nobody), "127.0.0.1:%u", fake_closed_port());
	fake_engine->remote = near;
	fake_engine_start(FAKE_SOCKET);
	fake_machine_file("/run/ingot/join.json",
			  "{\"waits_for\":\"waits for join settings\",\"remote\":true}");
	CHECK_HEALTH(HEALTH_REMOTE, "waits for join settings");
	fake_engine->state = "active";
	CHECK_HEALTH(HEALTH_OK, "");
	/* Nobody there: not this machine's fault. */
	fake_engine->remote = nobody;
	CHECK_HEALTH(HEALTH_REMOTE, "none of the swarm's 1 managers can be reached");
}

static int decide(struct health_judge *judge, enum health_verdict verdict, double now)
{
	struct health health = {.verdict = verdict};

	return health_decide(judge, &health, now);
}

TEST(decisions)
{
	struct health_judge j = {.deadline = 1000};

	CHECK_INT(decide(&j, HEALTH_STARTING, 0), 0);
	CHECK_INT(decide(&j, HEALTH_OK, 1), 1);
	/* Two failures in a row, and not two with something else between. */
	j = (struct health_judge){.deadline = 1000};
	CHECK_INT(decide(&j, HEALTH_BAD, 1), 0);
	CHECK_INT(decide(&j, HEALTH_STARTING, 2), 0);
	CHECK_INT(decide(&j, HEALTH_BAD, 3), 0);
	CHECK_INT(decide(&j, HEALTH_REMOTE, 4), 0);
	CHECK_INT(decide(&j, HEALTH_BAD, 5), 0);
	CHECK_INT(decide(&j, HEALTH_BAD, 6), -1);
	/* Not there yet is a failure only when the time is over. */
	j = (struct health_judge){.deadline = 100};
	CHECK_INT(decide(&j, HEALTH_STARTING, 99), 0);
	CHECK_INT(decide(&j, HEALTH_STARTING, 100), 0);
	CHECK_INT(decide(&j, HEALTH_STARTING, 101), -1);
	/* A remote that is missing is waited for a minute and is never bad. */
	j = (struct health_judge){.deadline = 1000};
	CHECK_INT(decide(&j, HEALTH_REMOTE, 10), 0);
	CHECK_INT(decide(&j, HEALTH_REMOTE, 69), 0);
	CHECK_INT(decide(&j, HEALTH_STARTING, 70), 0);
	CHECK_INT(decide(&j, HEALTH_REMOTE, 71), 0);
	CHECK_INT(decide(&j, HEALTH_REMOTE, 131), 1);
	j = (struct health_judge){.deadline = 20};
	CHECK_INT(decide(&j, HEALTH_REMOTE, 10), 0);
	CHECK_INT(decide(&j, HEALTH_REMOTE, 20), 1);
}

TEST(verb_says_and_keeps_the_verdict)
{
	struct verb_options options = {.root = FAKE_ROOT, .timeout = 20};
	struct err err = {0};

	start_manager();
	CHECK_OK(verb_health(&options, &err), &err);
	CHECK_FILE_HAS(FAKE_ROOT "/run/ingot/health.json", "\"healthy\": true");
	CHECK_FILE_HAS(FAKE_ROOT "/run/ingot/marks.json", "\"healthy\": 12.34");
	fake_systemd->failed[0] = "docker.service";
	CHECK_ERR(verb_health(&options, &err), &err, ERR_TEST,
		  "not healthy: unit 'docker.service' failed");
	CHECK_FILE_HAS(FAKE_ROOT "/run/ingot/health.json", "\"healthy\": false");
	/* Not there by the timeout. */
	fake_systemd->failed[0] = NULL;
	fake_engine->state = "inactive";
	options.timeout = 1;
	CHECK_ERR(verb_health(&options, &err), &err, ERR_TEST, "the engine is in no swarm");
}

TEST(verb_waits_until_it_is_healthy)
{
	struct verb_options options = {.root = FAKE_ROOT, .timeout = 30};
	struct err err = {0};
	pid_t pid;

	start_manager();
	fake_engine->state = "inactive";
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		usleep(1500000);
		fake_engine->state = "active";
		_exit(0);
	}
	CHECK_OK(verb_health(&options, &err), &err);
	CHECK(waitpid(pid, NULL, 0) == pid);
}
