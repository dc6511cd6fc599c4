/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kind swarm: the real world behind the steps: engine, settings, network and clock of this machine.
 */
#include "agent/join/swarm.h"

#include "agent/join/address.h"
#include "agent/join/dial.h"
#include "agent/source/instance.h"
#include "agent/userdata/settings.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define PROBE_TIME 1.0
#define SYNC_TIME 8.0 /* seconds to wait for a time server before we go on without */
#define SYNCHRONISED "/run/systemd/timesync/synchronized"
#define TIMESYNC "/run/systemd/timesync"

/* An engine that was asked for its versions. */
static int connect_engine(struct join *join, struct engine *engine, struct err *err)
{
	engine_open(engine, join->agent);
	if (engine_connect(engine, err) < 0)
		return -1;
	snprintf(join->engine_version, sizeof(join->engine_version), "%s", engine->version);
	return 0;
}

static int world_info(struct join *join, struct engine_swarm *ret, struct err *err)
{
	CLEANUP(engine_close) struct engine engine = {0};

	if (connect_engine(join, &engine, err) < 0)
		return -1;
	return engine_swarm(&engine, ret, err);
}

/* An initialisation in a thread of its own, while this one keeps the claim. */
struct init_job {
	struct engine *engine;
	const struct engine_start *start;
	struct err err;
	int result;
	bool done;
	pthread_mutex_t lock;
	pthread_cond_t ended;
};

static void *run_init(void *context)
{
	struct init_job *job = context;
	int result = engine_init(job->engine, job->start, &job->err);

	pthread_mutex_lock(&job->lock);
	job->result = result;
	job->done = true;
	pthread_cond_signal(&job->ended);
	pthread_mutex_unlock(&job->lock);
	return NULL;
}

/* Renews until the job is done. A claim that is lost does not stop the engine: publish is fenced. */
static void keep_claim(struct join *join, struct init_job *job)
{
	struct rendezvous *r = &join->rendezvous;

	pthread_mutex_lock(&job->lock);
	while (!job->done) {
		struct timespec until;
		struct err err = {0};
		bool held = true;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += (time_t)(RENDEZVOUS_LEASE / 3);
		if (pthread_cond_timedwait(&job->ended, &job->lock, &until) != ETIMEDOUT)
			continue;
		pthread_mutex_unlock(&job->lock);
		if (r->kind->renew(r, &held, &err) < 0 || !held)
			report_log(&join->report, LOG_WARNING, "INIT", err.code ? &err : NULL,
				   "cannot keep the claim");
		pthread_mutex_lock(&job->lock);
	}
	pthread_mutex_unlock(&job->lock);
}

static int world_init(struct join *join, const struct engine_start *start, struct err *err)
{
	CLEANUP(engine_close) struct engine engine = {0};
	struct init_job job = {
		.engine = &engine,
		.start = start,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.ended = PTHREAD_COND_INITIALIZER,
	};
	pthread_t thread;

	if (connect_engine(join, &engine, err) < 0)
		return -1;
	if (!join->has_cluster || !join->rendezvous.kind->renew)
		return engine_init(&engine, start, err);
	if (pthread_create(&thread, NULL, run_init, &job) != 0)
		return err_set(err, ERR_OTHER, "cannot start a thread");
	keep_claim(join, &job);
	pthread_join(thread, NULL);
	if (job.result < 0 && err)
		*err = job.err;
	return job.result;
}

static int world_join(struct join *join, const struct engine_start *start, struct err *err)
{
	CLEANUP(engine_close) struct engine engine = {0};

	if (connect_engine(join, &engine, err) < 0)
		return -1;
	return engine_join(&engine, start, err);
}

static int world_leave(struct join *join, struct err *err)
{
	CLEANUP(engine_close) struct engine engine = {0};

	if (connect_engine(join, &engine, err) < 0)
		return -1;
	return engine_leave(&engine, err);
}

static int world_services(struct join *join, unsigned *ret, struct err *err)
{
	CLEANUP(engine_close) struct engine engine = {0};

	if (connect_engine(join, &engine, err) < 0)
		return -1;
	return engine_services(&engine, ret, err);
}

int swarm_ready(struct engine *engine, const char *role, struct rendezvous_view *ret,
		struct err *err)
{
	CLEANUP(engine_members_free) struct engine_members members = {0};
	struct engine_tokens tokens = {0};
	bool manager = strcmp(role, "manager") == 0;
	int r = -1;

	if (engine_members(engine, false, &members, err) == 0 &&
	    engine_tokens(engine, &tokens, err) == 0)
		r = 0;
	ret->nodes = (unsigned)members.count;
	for (size_t i = 0; i < members.count && r == 0; i++)
		if (members.items[i].reachable && *members.items[i].manager_address)
			strv_add(&ret->addresses, members.items[i].manager_address);
	memcpy(ret->token, manager ? tokens.manager : tokens.worker, sizeof(ret->token));
	memcpy(ret->other_token, manager ? tokens.worker : tokens.manager,
	       sizeof(ret->other_token));
	mem_wipe(&tokens, sizeof(tokens));
	return r;
}

static int world_ready(struct join *join, struct rendezvous_view *ret, struct err *err)
{
	CLEANUP(engine_close) struct engine engine = {0};

	if (connect_engine(join, &engine, err) < 0)
		return -1;
	return swarm_ready(&engine, join->rendezvous.role, ret, err);
}

static bool world_address(struct join *join, char interface[16], const char **ret_why)
{
	const char *wanted =
		json_member_string(json_object_get(join->settings, "cluster"), "advertise");

	return address_wanted(join->agent, wanted, join->address, interface, ret_why);
}

static bool world_probe(struct join *join, const struct strv *addresses, const char *avoid,
			size_t *ret)
{
	(void)join;
	return dial_first(addresses, avoid, PROBE_TIME, ret);
}

/* The image cannot be younger than now. Whether a time server was heard is asked for some seconds, where somebody
 * asks one. */
static bool world_clock(struct join *join, char *why, size_t size)
{
	CLEANUP_FREE char *image = agent_path(join->agent, AGENT_IMAGE);
	CLEANUP_FREE char *timesync = agent_path(join->agent, TIMESYNC);
	CLEANUP_FREE char *synchronised = agent_path(join->agent, SYNCHRONISED);
	double now = clock_monotonic();
	struct stat st;

	if (stat(image, &st) == 0 && time(NULL) + 60 < st.st_mtime) {
		snprintf(why, size, "the clock is before the making of this image");
		return false;
	}
	if (join->clock_since == 0)
		join->clock_since = now;
	if (access(timesync, F_OK) < 0 || access(synchronised, F_OK) == 0 ||
	    now - join->clock_since >= SYNC_TIME)
		return true;
	snprintf(why, size, "no time server was heard yet");
	return false;
}

static void copy_line(const struct agent *agent, const char *file, char *to, size_t size)
{
	CLEANUP_FREE char *line = agent_read_line(agent, file);

	agent_copy_text(to, size, line);
}

/* Who this machine is: instance-id, else machine-id; and a mark of its own, since two may be given the same. */
static int identify(struct join *join, struct err *err)
{
	CLEANUP_JSON json_t *instance = agent_read_json(join->agent, INSTANCE_LIVE, NULL);
	struct record *record = &join->record;
	uint64_t mark = 0;

	agent_copy_text(join->instance, sizeof(join->instance),
			instance ? json_member_string(instance, "id") : NULL);
	if (!*join->instance)
		copy_line(join->agent, "/etc/machine-id", join->instance, sizeof(join->instance));
	for (char *p = join->instance; *p; p++)
		if (!strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_",
			    *p))
			*p = '_';
	copy_line(join->agent, "/proc/sys/kernel/hostname", join->hostname, sizeof(join->hostname));
	if (!*record->unique) {
		if (getrandom(&mark, sizeof(mark), 0) != (ssize_t)sizeof(mark))
			return err_sys(err, errno, "cannot get random bytes");
		snprintf(record->unique, sizeof(record->unique), "%08llx",
			 (unsigned long long)(mark & 0xffffffff));
	}
	if (!*record->instance && record->step == RECORD_NEW)
		snprintf(record->instance, sizeof(record->instance), "%s", join->instance);
	snprintf(join->self, sizeof(join->self), "%.50s-%s",
		 *join->instance ? join->instance : "machine", record->unique);
	return 0;
}

/* Said to this process, or to another one while this one held the lock. */
static bool is_to_initialise(const struct join *join)
{
	CLEANUP_FREE char *file = agent_path(join->agent, JOIN_INITIALISE);

	return join->initialise || access(file, F_OK) == 0;
}

static int world_setup(struct join *join, struct err *err)
{
	struct rendezvous *r = &join->rendezvous;
	json_t *cluster;

	if (join->settings && (r->kind || !join->has_cluster)) {
		r->initialise = r->initialise || is_to_initialise(join);
		return 0;
	}
	json_decref(join->settings);
	join->settings = settings_load(join->agent, err);
	if (!join->settings)
		return -1;
	cluster = json_object_get(join->settings, "cluster");
	join->has_cluster = json_is_object(cluster);
	if (!join->has_cluster) {
		if (join->initialise)
			return err_set(err, ERR_USAGE,
				       "--initialise needs cluster settings (ingot.cluster)");
		return 0;
	}
	if (identify(join, err) < 0)
		return -1;
	*r = (struct rendezvous){
		.agent = join->agent,
		.cluster = cluster,
		.role = json_member_string(cluster, "role"),
		.self = join->self,
		.address = join->address,
		.hostname = join->hostname,
		.engine_id = join->engine_id,
		.engine_version = join->engine_version,
		.cluster_id = "",
		.node_id = "",
		.initialise = is_to_initialise(join),
	};
	if (!r->role)
		r->role = join->agent->role;
	if (rendezvous_open(r, err) < 0)
		return -1;
	settings_forget_secrets(join->settings);
	return 0;
}

const struct swarm_seams swarm_world = {
	.setup = world_setup,
	.info = world_info,
	.init = world_init,
	.join = world_join,
	.leave = world_leave,
	.ready = world_ready,
	.services = world_services,
	.address = world_address,
	.probe = world_probe,
	.clock = world_clock,
};
