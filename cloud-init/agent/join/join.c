/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `ingot-agent join`: the joiners table and the loop around a joiner's step. It has no way to give up
 * but a timeout: whatever is missing may come later. SIGTERM simply ends it; the record makes that safe.
 */
#include "agent/join/join.h"

#include "agent/join/swarm.h"
#include "agent/verbs.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define POLL_FIRST 0.1 /* seconds; grows while nothing happens */
#define POLL_MOST 1.0
#define IDLE_SECONDS 5.0
#define BACKOFF_FIRST 0.25
#define BACKOFF_MOST 5.0
#define REPEAT_SECONDS 60.0 /* the same error is logged again after this */

static int none_step(struct join *join, enum join_next *ret_next, struct err *err)
{
	(void)join;
	(void)err;
	*ret_next = JOIN_DONE;
	return 0;
}

const struct joiner joiners[] = {
	{"none", none_step, NULL, NULL},
	{"swarm", swarm_step, swarm_health, swarm_describe},
	{0},
};

const struct joiner *join_find(const char *kind)
{
	for (const struct joiner *j = joiners; j->kind; j++)
		if (strcmp(j->kind, kind) == 0)
			return j;
	return NULL;
}

/* Makes text what is waited for now, for systemd and `status`; false when it was that already. */
static bool tell(struct join *join, bool remote, const char *text)
{
	struct err err = {0};

	if (strcmp(text, join->waits_for) == 0)
		return false;
	agent_copy_text(join->waits_for, sizeof(join->waits_for), text);
	report_status(&join->report, "%s", text);
	if (join->seams->live(join, text, remote, &err) < 0)
		report_log(&join->report, LOG_WARNING, record_step_name(join->record.step), &err,
			   "cannot note what is waited for");
	return true;
}

void join_wait(struct join *join, bool remote, const char *fmt, ...)
{
	char text[sizeof(join->waits_for)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (tell(join, remote, text))
		report_log(&join->report, LOG_INFO, record_step_name(join->record.step), NULL, "%s",
			   text);
}

int join_intend(struct join *join, enum record_step step, struct err *err)
{
	join->record.step = step;
	if (join->seams->save(join, err) < 0)
		return -1;
	report_log(&join->report, LOG_INFO, record_step_name(step), NULL, "step %s",
		   record_step_name(step));
	return 0;
}

static double real_now(struct join *join)
{
	(void)join;
	return clock_monotonic();
}

/* It differs between machines that start together. */
static double real_chance(struct join *join)
{
	uint32_t bits;

	(void)join;
	if (getrandom(&bits, sizeof(bits), GRND_NONBLOCK) != (ssize_t)sizeof(bits))
		bits = (uint32_t)(clock_monotonic() * 1e9);
	return bits / 4294967296.0;
}

static void real_pause(struct join *join, double seconds)
{
	struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

	(void)join;
	nanosleep(&t, NULL);
}

static int real_save(struct join *join, struct err *err)
{
	return record_save(join->agent, &join->record, err);
}

static int real_live(struct join *join, const char *waits_for, bool remote, struct err *err)
{
	return record_save_live(join->agent, &join->record, waits_for, remote, err);
}

const struct join_seams join_world = {real_now, real_chance, real_pause, real_save, real_live};

/* What went wrong last, when that was said, and how long the last pause was. */
struct trouble {
	char last[512];
	double said, pause;
};

static void handle_error(struct join *join, struct trouble *trouble, const struct err *err)
{
	double now = join->seams->now(join), most = trouble->pause * 3;
	bool news;

	record_note_error(&join->record, err);
	news = strcmp(trouble->last, join->record.error) != 0;
	if (news || now - trouble->said >= REPEAT_SECONDS) {
		report_log(&join->report, LOG_WARNING, record_step_name(join->record.step), err,
			   "cannot join yet, trying again");
		trouble->said = now;
	}
	memcpy(trouble->last, join->record.error, sizeof(trouble->last));
	tell(join, false, trouble->last);
	/* Decorrelated jitter: from the first pause to three times the last one. */
	if (most < BACKOFF_FIRST)
		most = BACKOFF_FIRST;
	trouble->pause = BACKOFF_FIRST + join->seams->chance(join) * (most - BACKOFF_FIRST);
	if (trouble->pause > BACKOFF_MOST)
		trouble->pause = BACKOFF_MOST;
}

static int finish(struct join *join, struct err *err)
{
	if (join->record.step == RECORD_JOINED)
		report_status(&join->report, "joined %s %s as %s", join->agent->kind,
			      join->record.cluster_id, join->agent->role);
	else
		report_status(&join->report, "nothing to join");
	report_ready();
	return join->seams->live(join, NULL, false, err);
}

/* polled: the last pause, when polls follow each other; 0 else. */
static double next_pause(struct join *join, enum join_next next, double polled)
{
	switch (next) {
	case JOIN_POLL:
		polled *= 1.2;
		return polled < POLL_FIRST ? POLL_FIRST : polled > POLL_MOST ? POLL_MOST : polled;
	case JOIN_IDLE:
		return IDLE_SECONDS + join->seams->chance(join);
	case JOIN_LOOK:
		return join->look_pause;
	case JOIN_AGAIN:
	case JOIN_DONE:
		break;
	}
	return 0;
}

int join_loop(struct join *join, unsigned timeout, struct err *err)
{
	const struct joiner *joiner = join_find(join->agent->kind);
	double deadline = join->seams->now(join) + timeout;
	struct trouble trouble = {.pause = 0};
	double pause = 0;

	for (;;) {
		enum join_next next = JOIN_POLL;
		struct err cause = {0};

		if (joiner->step(join, &next, &cause) < 0) {
			if (cause.code == ERR_INTERRUPTED) {
				*err = cause;
				return -1;
			}
			handle_error(join, &trouble, &cause);
			pause = trouble.pause;
		} else if (next == JOIN_DONE) {
			return finish(join, err);
		} else {
			trouble = (struct trouble){.pause = 0};
			pause = next_pause(join, next, pause);
		}
		if (timeout && join->seams->now(join) + pause > deadline) {
			if (cause.code)
				*err = cause;
			else
				err_set(err, ERR_OTHER, "not joined: %s", join->waits_for);
			return err_wrap(err, "gave up after %u s", timeout);
		}
		join->seams->pause(join, pause);
	}
}

void join_close(struct join *join)
{
	rendezvous_close(&join->rendezvous);
	json_decref(join->settings);
	join->settings = NULL;
}

/* One join at a time writes the record: another one waits until the first has ended. */
static int take_lock(const struct agent *agent, double deadline, int *ret_fd, struct err *err)
{
	CLEANUP_FREE char *file = agent_path(agent, JOIN_LOCK), *folder = path_parent(file);
	bool said = false;

	if (path_make_dirs(folder, err) < 0)
		return -1;
	*ret_fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*ret_fd < 0)
		return err_sys(err, errno, "cannot open '%s'", file);
	while (flock(*ret_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_sys(err, errno, "cannot lock '%s'", file);
		if (deadline > 0 && clock_monotonic() > deadline)
			return err_set(err, ERR_OTHER,
				       "another ingot-agent join has not ended yet");
		if (!said)
			fputs("ingot-agent: another join runs: waits until it has ended\n", stderr);
		said = true;
		usleep(100000);
	}
	return 0;
}

int join_run(const struct agent *agent, bool initialise, unsigned timeout, struct err *err)
{
	CLEANUP(join_close)
	struct join join = {
		.agent = agent,
		.seams = &join_world,
		.swarm = &swarm_world,
		.report = {.kind = agent->kind, .role = agent->role},
		.initialise = initialise,
	};
	CLEANUP_FREE char *wish_file = agent_path(agent, JOIN_INITIALISE);
	CLEANUP_JSON json_t *wish = json_object();
	CLEANUP_FD int lock = -1;

	if (!join_find(agent->kind))
		return err_set(err, ERR_USAGE, "this agent cannot join a '%s'", agent->kind);
	/* A join that runs already finds this, and does it. */
	if (initialise && agent_write_json(agent, JOIN_INITIALISE, wish, false, err) < 0)
		return -1;
	if (take_lock(agent, timeout ? clock_monotonic() + timeout : 0, &lock, err) < 0)
		return -1;
	record_clean(agent);
	if (record_load(agent, &join.record, err) < 0 || join_loop(&join, timeout, err) < 0)
		return -1;
	unlink(wish_file); /* it came true, or was not needed: not for what comes later */
	return agent_mark(agent, "joined", err);
}

int verb_join(const struct verb_options *options, struct err *err)
{
	CLEANUP(agent_close) struct agent agent;

	if (agent_open(&agent, options->root, err) < 0)
		return -1;
	signal(SIGPIPE, SIG_IGN); /* TLS writes without MSG_NOSIGNAL */
	return join_run(&agent, options->initialise, options->timeout, err);
}
