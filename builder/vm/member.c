/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread of one machine. It alone uses the machine's struct vm; what others may know is copied under a lock.
 */
#include "vm/member.h"

#include "base/clock.h"
#include "base/mem.h"
#include "vm/checks.h"
#include "vm/vm.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Until a boot must be complete; emulated, and with others beside it, it takes much longer. */
#define BOOT_SECONDS 300
#define BOOT_SECONDS_EMULATED 1800
/* How long a question to the guest waits inside it for something to change: a command in it, or its end, has to
 * wait as long. */
#define QUESTION_SECONDS 60

const char *const member_state_names[MEMBER_STATES] = {
	[MEMBER_ON] = "on",           [MEMBER_SHELL] = "shell", [MEMBER_JOINED] = "joined",
	[MEMBER_HEALTHY] = "healthy", [MEMBER_OFF] = "off",     [MEMBER_FAILED] = "failed",
};

struct member {
	struct vm *vm;
	const struct cluster_member *what;
	unsigned limit; /* seconds for a boot */
	double began;   /* this boot, on clock_monotonic */
	unsigned resets;
	char boot_id[64]; /* of the boot whose shell was seen last */
	int wake;
	pthread_t thread;
	bool running;

	pthread_mutex_t lock; /* for what follows */
	bool stop;
	int pid; /* 0: it has ended, and the thread has, too */
	struct member_report report;
	struct member_job job;
};

static void wake(struct member *member)
{
	uint64_t one = 1;

	/* Full means that it will wake anyway. */
	if (write(member->wake, &one, sizeof(one)) < 0)
		return;
}

static void reach(struct member *member, enum member_state state, const char *why)
{
	pthread_mutex_lock(&member->lock);
	member->report.state = state;
	member->report.reached[state] = true;
	member->report.seconds[state] = clock_monotonic() - member->began;
	if (why)
		snprintf(member->report.why, sizeof(member->report.why), "%s", why);
	pthread_mutex_unlock(&member->lock);
	wake(member);
}

static enum member_state state_of(struct member *member)
{
	enum member_state state;

	pthread_mutex_lock(&member->lock);
	state = member->report.state;
	pthread_mutex_unlock(&member->lock);
	return state;
}

static void begin_boot(struct member *member)
{
	unsigned boots;

	member->began = clock_monotonic();
	pthread_mutex_lock(&member->lock);
	boots = member->report.boots + 1;
	member->report = (struct member_report){.boots = boots};
	pthread_mutex_unlock(&member->lock);
	reach(member, MEMBER_ON, NULL);
}

static void fail(struct member *member, struct err *err)
{
	vm_console_explain(member->vm, err);
	reach(member, MEMBER_FAILED, err->msg);
}

/* Notices a reboot and a new test shell. The firmware resets, too, before there is a shell. */
static void look(struct member *member)
{
	if (vm_resets(member->vm) != member->resets) {
		member->resets = vm_resets(member->vm);
		if (state_of(member) != MEMBER_ON)
			begin_boot(member);
	}
	/* While a system goes down its shell may start once more: that is not the next boot's. */
	if (!vm_guest_is_new(member->vm) || state_of(member) != MEMBER_ON ||
	    strcmp(member->boot_id, vm_guest_boot_id(member->vm)) == 0)
		return;
	snprintf(member->boot_id, sizeof(member->boot_id), "%s", vm_guest_boot_id(member->vm));
	reach(member, MEMBER_SHELL, NULL);
}

/* Asks the guest; false when it gave no answer because it just reboots, or none at all. */
static bool ask(struct member *member, const char *question, struct str *output)
{
	struct err err = {0};
	int code;

	if (vm_guest_run(member->vm, question, QUESTION_SECONDS, &code, output, &err) < 0 ||
	    code == 124)
		return false;
	str_add(output, "");
	return true;
}

static void note_waiting(struct member *member, const char *status)
{
	CLEANUP_JSON json_t *value = json_parse(status, strlen(status), "status", NULL);
	const json_t *join = json_object_get(value, "join");
	const char *text = json_member_string(join, "waits_for");

	if (!text)
		text = json_member_string(join, "last_error");
	pthread_mutex_lock(&member->lock);
	snprintf(member->report.waits_for, sizeof(member->report.waits_for), "%s",
		 text ? text : "");
	pthread_mutex_unlock(&member->lock);
}

/* The agent's mark is cheap to look for; its status, which costs the guest more, decides. */
static void check_joined(struct member *member)
{
	CLEANUP(str_free) struct str status = {0}, why = {0};
	static const char question[] =
		"i=0; while [ $i -lt 10 ] && ! grep -qs '\"joined\"' /run/ingot/marks.json; do\n"
		"    i=$((i + 1)); sleep 0.5\n"
		"done; ingot-agent status --json";

	if (!ask(member, question, &status))
		return;
	if (vm_check_swarm(status.data, &why)) {
		note_waiting(member, "{}");
		reach(member, MEMBER_JOINED, NULL);
	} else {
		note_waiting(member, status.data);
	}
}

static void check_healthy(struct member *member)
{
	CLEANUP(str_free) struct str output = {0};
	static const char question[] =
		"i=0; while [ $i -lt 10 ]; do\n"
		"    case $(systemctl is-active ingot-health.service) in\n"
		"    active) echo healthy; exit ;;\n"
		"    failed) systemctl status --no-pager -l ingot-health.service; exit ;;\n"
		"    esac\n"
		"    i=$((i + 1)); sleep 0.5\n"
		"done; echo waits";

	if (!ask(member, question, &output) || strcmp(output.data, "waits\n") == 0)
		return;
	if (strcmp(output.data, "healthy\n") == 0) {
		reach(member, MEMBER_HEALTHY, NULL);
	} else {
		struct err err = {0};

		err_set(&err, ERR_TEST, "the role is not healthy:\n%.1500s", output.data);
		reach(member, MEMBER_FAILED, err.msg);
	}
}

static void check_time(struct member *member)
{
	struct member_report report = member_report(member);
	struct err err = {0};

	if (clock_monotonic() - member->began < member->limit)
		return;
	err_set(&err, ERR_TEST, "the machine is '%s' after %u s%s%s",
		member_state_names[report.state], member->limit,
		*report.waits_for ? ", it waits for: " : "", report.waits_for);
	fail(member, &err);
}

static void do_job(struct member *member)
{
	CLEANUP_FREE char *command = NULL;
	struct member_job result = {0};
	unsigned seconds;

	pthread_mutex_lock(&member->lock);
	if (member->job.command && !member->job.done)
		command = mem_strdup(member->job.command);
	seconds = member->job.seconds;
	pthread_mutex_unlock(&member->lock);
	if (!command)
		return;
	if (vm_guest_run(member->vm, command, seconds, &result.exit, &result.output, &result.err) ==
	    0)
		result.err.code = 0;
	/* It may have rebooted: who waits for the command finds that out. */
	look(member);
	pthread_mutex_lock(&member->lock);
	member->job.exit = result.exit;
	member->job.output = result.output;
	member->job.err = result.err;
	member->job.done = true;
	pthread_mutex_unlock(&member->lock);
	wake(member);
}

/* Nobody can run a command in a machine that has ended. With the lock held. */
static void refuse_job(struct member *member)
{
	if (!member->job.command || member->job.done)
		return;
	err_set(&member->job.err, ERR_TEST, "the machine has ended");
	member->job.done = true;
}

static bool is_stopped(struct member *member)
{
	bool stop;

	pthread_mutex_lock(&member->lock);
	stop = member->stop;
	pthread_mutex_unlock(&member->lock);
	return stop;
}

/* One round; false when the machine has ended. */
static bool step(struct member *member)
{
	enum member_state state = state_of(member);
	bool swarm = member->what->swarm;
	struct err err = {0};
	/* A job is noticed when the pause is over. */
	int r = vm_pump(member->vm, 0.2, &err);

	if (r < 0) {
		fail(member, &err);
		return false;
	}
	if (vm_pid(member->vm) == 0) {
		reach(member, MEMBER_OFF, NULL);
		return false;
	}
	look(member);
	if (state_of(member) != MEMBER_ON)
		do_job(member);
	if (state != state_of(member))
		return true;
	if (state == MEMBER_SHELL && swarm)
		check_joined(member);
	else if (state == MEMBER_SHELL || state == MEMBER_JOINED)
		check_healthy(member);
	if (state < MEMBER_HEALTHY && state == state_of(member))
		check_time(member);
	return true;
}

static void *run(void *context)
{
	struct member *member = context;

	while (!is_stopped(member) && step(member))
		;
	pthread_mutex_lock(&member->lock);
	member->pid = 0;
	refuse_job(member);
	pthread_mutex_unlock(&member->lock);
	wake(member);
	return NULL;
}

struct member *member_start(const struct cluster_options *options,
			    const struct cluster_member *what, int link, const char *console,
			    int wake_fd, struct err *err)
{
	struct vm_link card = {link, what->link_mac};
	struct vm_options machine = {
		.image = what->image,
		.console = console,
		.memory = what->spec->memory,
		.disk_size = what->spec->disk,
		.cpus = what->spec->cpus,
		.forwards = what->spec->forwards,
		.mac = what->user_mac,
		.link = &card,
		.seed = what->seed,
		.credentials = what->credentials,
		.credential_count = what->credential_count,
		.kvm = options->kvm,
		.isolated = !options->file->internet,
		.shell = true,
	};
	struct member *member = mem_alloc(sizeof(*member));
	int code;

	member->what = what;
	member->wake = wake_fd;
	member->limit = options->kvm ? BOOT_SECONDS : BOOT_SECONDS_EMULATED;
	pthread_mutex_init(&member->lock, NULL);
	begin_boot(member);
	member->vm = vm_start(options->tools, &machine, err);
	if (member->vm) {
		member->pid = vm_pid(member->vm);
		code = pthread_create(&member->thread, NULL, run, member);
		member->running = code == 0;
		if (code == 0)
			return member;
		err_sys(err, code, "cannot start a thread");
	}
	err_wrap(err, "machine '%s'", what->spec->name);
	member_free(member);
	return NULL;
}

void member_kill(struct member *member)
{
	pthread_mutex_lock(&member->lock);
	member->stop = true;
	pthread_mutex_unlock(&member->lock);
	vm_kill(member->vm);
}

void member_free(struct member *member)
{
	if (!member)
		return;
	if (member->running) {
		member_kill(member);
		pthread_join(member->thread, NULL);
	}
	vm_free(member->vm);
	free(member->job.command);
	str_free(&member->job.output);
	pthread_mutex_destroy(&member->lock);
	free(member);
}

struct member_report member_report(struct member *member)
{
	struct member_report report;

	pthread_mutex_lock(&member->lock);
	report = member->report;
	pthread_mutex_unlock(&member->lock);
	return report;
}

bool member_is_ready(const struct member_report *report)
{
	return report->state == MEMBER_HEALTHY;
}

int member_pid(struct member *member)
{
	int pid;

	pthread_mutex_lock(&member->lock);
	pid = member->pid;
	pthread_mutex_unlock(&member->lock);
	return pid;
}

bool member_run(struct member *member, const char *command, unsigned seconds)
{
	bool taken = false;

	pthread_mutex_lock(&member->lock);
	if (!member->job.command) {
		member->job =
			(struct member_job){.command = mem_strdup(command), .seconds = seconds};
		taken = true;
	}
	pthread_mutex_unlock(&member->lock);
	return taken;
}

bool member_take(struct member *member, struct member_job *ret)
{
	bool done;

	pthread_mutex_lock(&member->lock);
	done = member->job.command && member->job.done;
	if (done) {
		*ret = member->job;
		member->job = (struct member_job){0};
	}
	pthread_mutex_unlock(&member->lock);
	return done;
}
