/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot cluster: several images as machines of one private network, in the background until they are taken down.
 */
#include "cli/clusters.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/machine.h"
#include "cli/text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

/* Somebody else builds the images, or ends. */
#define PATIENCE 600
#define ANSWER_SECONDS 15
#define ENDING_SECONDS 2
#define COMMAND_SECONDS 600
/* The supervisor has limits of its own for each machine. */
#define FOREVER 1e9

static const struct cli_option options[] = {
	{"kvm", 0, "WHEN", "up: auto (when it works), on or off"},
	{"timeout", 0, "SECONDS", "run: at most (default: 600)"},
	CLI_BUILD_OPTIONS,
	{0},
};

static int no_cluster(const char *file, struct err *err)
{
	err_set(err, ERR_USAGE, "the cluster of '%s' is not up", file);
	return err_hint(err, "start it: ingot cluster up %s", file);
}

/* The answer to a request that has one. NULL on errors. Caller decrefs. */
static json_t *ask(int fd, json_t *request, double seconds, struct err *err)
{
	CLEANUP(str_free) struct str buffer = {0};
	json_t *reply = NULL;

	if (cluster_send(fd, request, err) < 0 ||
	    cluster_receive(fd, &buffer, seconds, &reply, err) < 0)
		return NULL;
	if (!reply)
		err_set(err, ERR_OTHER, "the cluster has ended");
	else if (strcmp(json_member_string(reply, "event") ?: "", "error") == 0) {
		err_set(err, ERR_USAGE, "%s", json_member_string(reply, "text") ?: "refused");
		json_decref(reply);
		reply = NULL;
	}
	return reply;
}

/* "up" once every machine is ready. */
static const char *overall(const json_t *machines)
{
	const char *state = "up";
	size_t i;
	json_t *machine;

	json_array_foreach(machines, i, machine)
	{
		const char *one = json_member_string(machine, "state");

		if (!one || strcmp(one, "failed") == 0 || strcmp(one, "off") == 0)
			return "failed";
		if (strcmp(one, "healthy") != 0)
			state = "starting";
	}
	return state;
}

static void print_machine(const json_t *machine)
{
	static const char *const times[] = {"shell", "joined", "healthy"};
	const json_t *seconds = json_object_get(machine, "seconds");
	const char *waits = json_member_string(machine, "waits_for");
	const char *role = json_member_string(machine, "role");
	CLEANUP(str_free) struct str line = {0};
	json_t *forward;
	size_t i;

	str_addf(&line, "  %-16s %-15s %-8s %-8s", json_member_string(machine, "name"),
		 json_member_string(machine, "address"), role ? role : "-",
		 json_member_string(machine, "state"));
	for (i = 0; i < ARRAY_SIZE(times); i++) {
		const json_t *when = json_object_get(seconds, times[i]);

		if (when)
			str_addf(&line, " %s %.1f s", times[i], json_real_value(when));
	}
	json_array_foreach(json_object_get(machine, "forwards"), i, forward)
		str_addf(&line, " %s", json_string_value(forward));
	if (waits)
		str_addf(&line, "  waits for: %s", waits);
	text_print(line.data);
	putchar('\n');
}

/* Tells the state of all machines: as an event, or as a table. */
static void tell_status(const struct cli *cli, const struct clusters *c, const json_t *status)
{
	const json_t *machines = json_object_get(status, "machines");
	const char *name = json_member_string(status, "cluster"), *state = overall(machines);
	const char *version = json_member_string(status, "version");
	json_t *machine;
	size_t i;

	if (!version || strcmp(version, c->version) != 0)
		log_warn("'%s' was changed since the cluster came up: that counts after 'down'",
			 c->path);
	log_event("cluster", json_pack("{s:s, s:s, s:s, s:O}", "name", name, "state", state,
				       "consoles", c->state.path, "machines", machines));
	if (cli->json || log_verbosity() < 0)
		return;
	text_print(name);
	printf(": %s, consoles in ", state);
	text_print(c->state.path);
	putchar('\n');
	json_array_foreach(machines, i, machine) print_machine(machine);
}

static int status_of(const struct cli *cli, const struct clusters *c, int fd, struct err *err)
{
	CLEANUP_JSON json_t *status =
		ask(fd, json_pack("{s:s}", "do", "status"), ANSWER_SECONDS, err);

	if (!status)
		return -1;
	tell_status(cli, c, status);
	return 0;
}

static void tell_state(const json_t *event)
{
	const char *name = json_member_string(event, "machine");
	const char *state = json_member_string(event, "state");
	double seconds = json_real_value(json_object_get(event, "seconds"));
	json_int_t boots = json_integer_value(json_object_get(event, "boots"));

	log_event("machine",
		  json_pack("{s:s, s:s, s:f}", "name", name, "state", state, "seconds", seconds));
	if (boots > 1)
		log_info("%s: %s after %.1f s (boot %lld)", name, state, seconds, (long long)boots);
	else
		log_info("%s: %s after %.1f s", name, state, seconds);
}

/* An error that the supervisor tells. */
static int supervisor_error(const json_t *event, const struct clusters *c, struct err *err)
{
	const char *hint = json_member_string(event, "hint");
	const char *machine = json_member_string(event, "machine");
	int code = (int)json_integer_value(json_object_get(event, "code"));

	if (machine) {
		err_set(err, ERR_TEST, "machine '%s': %s", machine,
			json_member_string(event, "why") ?: "failed");
		return err_hint(err, "the consoles are in '%s'", c->state.path);
	}
	err_set(err, code ? code : ERR_OTHER, "%s", json_member_string(event, "text") ?: "failed");
	return hint && *hint ? err_hint(err, "%s", hint) : -1;
}

/* Follows the machines until all are ready. */
static int watch(int fd, const struct clusters *c, struct err *err)
{
	CLEANUP(str_free) struct str buffer = {0};

	for (;;) {
		CLEANUP_JSON json_t *event = NULL;
		const char *what;

		if (cluster_receive(fd, &buffer, FOREVER, &event, err) < 0)
			return -1;
		if (!event)
			return err_set(err, ERR_OTHER, "the cluster has ended");
		what = json_member_string(event, "event");
		if (what && strcmp(what, "state") == 0)
			tell_state(event);
		else if (what && strcmp(what, "ready") == 0)
			return 0;
		else
			return supervisor_error(event, c, err);
	}
}

/* The cluster is up or on its way: waits until it is ready, tells how it is. */
static int follow(const struct cli *cli, const struct clusters *c, int watcher, struct err *err)
{
	CLEANUP_FD int fd = -1;

	if (watch(watcher, c, err) < 0)
		return -1;
	if (cluster_connect(&c->state, &fd, NULL, err) < 0)
		return -1;
	if (fd < 0)
		return err_set(err, ERR_OTHER, "the cluster has ended");
	return status_of(cli, c, fd, err);
}

static int start(const struct cli *cli, const struct cli_args *args, struct clusters *c,
		 struct err *err)
{
	CLEANUP_FD int owner = -1;

	if (clusters_prepare(cli, args, c, err) < 0 ||
	    cluster_start(&c->options, &c->state, &owner, err) < 0 ||
	    follow(cli, c, owner, err) < 0)
		return -1;
	/* Until here our end, of whatever kind, took everything down. */
	return cluster_send(owner, json_pack("{s:s}", "do", "keep"), err);
}

static int run_up(const struct cli *cli, const struct cli_args *args, struct clusters *c,
		  struct err *err)
{
	double until = clock_monotonic() + PATIENCE;
	bool told = false;

	if (clusters_read(c, cli->json, err) < 0)
		return -1;
	for (;;) {
		CLEANUP_FD int fd = -1;

		if (cluster_state_lock(&c->state))
			return start(cli, args, c, err);
		if (cluster_connect(&c->state, &fd, NULL, err) < 0)
			return -1;
		if (fd >= 0)
			return cluster_send(fd, json_pack("{s:s}", "do", "watch"), err) < 0
				       ? -1
				       : follow(cli, c, fd, err);
		if (clock_monotonic() >= until)
			return err_set(err, ERR_OTHER,
				       "another process has been starting this cluster for %d s",
				       PATIENCE);
		if (!told)
			log_info("waiting for another process that starts or ends this cluster");
		told = true;
		usleep(200000);
	}
}

static int run_status(const struct cli *cli, const struct cli_args *args, struct clusters *c,
		      struct err *err)
{
	CLEANUP_FD int fd = -1;

	(void)args;
	if (cluster_connect(&c->state, &fd, NULL, err) < 0)
		return -1;
	if (fd >= 0) {
		if (status_of(cli, c, fd, err) == 0)
			return 0;
		/* It may have ended before it answered; while it lives it holds the lock. */
		if (!cluster_state_wait(&c->state, ENDING_SECONDS))
			return -1;
		*err = (struct err){0};
	}
	log_event("cluster", json_pack("{s:s, s:[]}", "state", "down", "machines"));
	if (!cli->json)
		printf("down\n");
	return 0;
}

static int run_command(const struct cli *cli, const struct cli_args *args, struct clusters *c,
		       struct err *err)
{
	CLEANUP_FD int fd = -1;
	CLEANUP_JSON json_t *reply = NULL;
	const char *machine = args->operands[2], *command = args->operands[3];
	const char *output, *error;
	double started = clock_monotonic();
	long seconds = COMMAND_SECONDS;
	int code;

	if (cli_get_number(args, "timeout", 1, 3600, &seconds, err) < 0 ||
	    cluster_connect(&c->state, &fd, NULL, err) < 0)
		return -1;
	if (fd < 0)
		return no_cluster(c->path, err);
	reply = ask(fd,
		    json_pack("{s:s, s:s, s:s, s:i}", "do", "run", "machine", machine, "command",
			      command, "seconds", (int)seconds),
		    (double)seconds + 4 * PATIENCE, err);
	if (!reply)
		return err_wrap(err, "cannot run a command in '%s'", machine);
	output = json_member_string(reply, "output") ?: "";
	error = json_member_string(reply, "error");
	code = (int)json_integer_value(json_object_get(reply, "exit"));
	if (error && *error)
		return err_set(err, ERR_TEST, "%s", error);
	log_event("command", json_pack("{s:s, s:i, s:f, s:s}", "command", command, "exit", code,
				       "seconds", clock_monotonic() - started, "output", output));
	if (!cli->json &&
	    fd_write(STDOUT_FILENO, output, strlen(output), "standard output", err) < 0)
		return -1;
	return code ? err_set(err, ERR_TEST, "exit code %d", code) : 0;
}

/* A supervisor that does not answer any more. The lock is still held, so it is the process that we connected to. */
static void kill_supervisor(struct cluster_state *state, int pidfd)
{
	if (pidfd < 0 || cluster_state_lock(state))
		return;
	log_warn("the cluster does not answer: killing it");
	if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0)
		log_warn("cannot kill it: %s", strerror(errno));
}

static int run_down(const struct cli *cli, const struct cli_args *args, struct clusters *c,
		    struct err *err)
{
	CLEANUP_FD int fd = -1;
	CLEANUP_FD int pidfd = -1;
	struct pollfd wait = {-1, POLLIN, 0};

	(void)args;
	if (cluster_connect(&c->state, &fd, &pidfd, err) < 0)
		return -1;
	if (fd >= 0) {
		struct err ignored = {0};

		wait.fd = pidfd;
		if (cluster_send(fd, json_pack("{s:s}", "do", "down"), &ignored) < 0 ||
		    (pidfd >= 0 && poll(&wait, 1, ANSWER_SECONDS * 1000) == 0))
			kill_supervisor(&c->state, pidfd);
	}
	/* Also one that was killed, and one that another process takes down. */
	if (!cluster_state_wait(&c->state, ANSWER_SECONDS)) {
		err_set(err, ERR_OTHER, "another process starts this cluster, or it does not end");
		return err_hint(err, "Ctrl-C ends an 'ingot cluster up' that is not done");
	}
	log_event("cluster", json_pack("{s:s, s:[]}", "state", "down", "machines"));
	if (!cli->json && log_verbosity() >= 0)
		printf("down\n");
	return 0;
}

static int run(const struct cli *cli, const struct cli_args *args, struct err *err)
{
	static const struct {
		const char *name;
		size_t operands;
		int (*run)(const struct cli *cli, const struct cli_args *args, struct clusters *c,
			   struct err *err);
	} actions[] = {
		{"up", 2, run_up},
		{"status", 2, run_status},
		{"run", 4, run_command},
		{"down", 2, run_down},
	};
	const char *names[ARRAY_SIZE(actions)], *near;

	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		CLEANUP(clusters_close) struct clusters c = CLUSTERS_NONE;

		names[i] = actions[i].name;
		if (strcmp(actions[i].name, args->operands[0]) != 0)
			continue;
		if (args->operand_count != actions[i].operands) {
			err_set(err, ERR_USAGE, "'ingot cluster %s' takes %s", names[i],
				actions[i].operands == 2 ? "a FILE"
							 : "a FILE, a MACHINE and a COMMAND");
			return err_hint(err, "usage: ingot cluster %s", cli_cluster.operands);
		}
		if (clusters_open(cli, args->operands[1], &c, err) < 0)
			return -1;
		return actions[i].run(cli, args, &c, err);
	}
	err_set(err, ERR_USAGE, "'ingot cluster' cannot '%.40s'", args->operands[0]);
	near = str_nearest(args->operands[0], names, ARRAY_SIZE(names));
	return near ? err_hint(err, "did you mean '%s'?", near)
		    : err_hint(err, "expected one of up, status, run, down");
}

const struct cli_verb cli_cluster = {
	.name = "cluster",
	.operands = "up|status|down FILE, run FILE MACHINE COMMAND",
	.summary = "run several images as one cluster of virtual machines",
	.details =
		"'up' builds what is not up to date, starts the machines of FILE on a network of\n"
		"their own and waits until all have joined and are healthy; they stay until 'down'.\n"
		"Their disks are dropped then. 'run' runs a shell command in a machine as root.\n"
		"An 'up' that fails or is interrupted takes everything down again.",
	.options = options,
	.operands_min = 2,
	.operands_max = 4,
	.run = run,
};
