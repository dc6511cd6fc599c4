/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `ingot-agent containers`: one row per engine. What each got is said in the journal and kept below /run for
 * `ingot-agent status`.
 */
#include "agent/containers/containers_parts.h"

#include "agent/containers/containerd.h"
#include "agent/verbs.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

struct engine_row {
	const char *name;
	/* Before the engine runs. */
	int (*write)(const struct agent *agent, const struct containers *containers,
		     const struct report *report, struct containers_done *done, struct err *err);
	/* When it runs, after write had set done->fallback or failed. */
	int (*load)(const struct agent *agent, const struct containers *containers,
		    const struct report *report, struct containers_done *done, struct err *err);
};

static const struct engine_row engines[] = {
	{"docker", containers_docker_write, containers_docker_load},
	{"containerd", containers_containerd_write, containers_containerd_load},
};

static json_t *describe_list(const struct strv *list)
{
	json_t *value = json_array();

	for (size_t i = 0; i < list->count; i++) {
		char text[600];

		agent_copy_text(text, sizeof(text), list->items[i]);
		json_array_append_new(value, json_string(text));
	}
	return value;
}

static json_t *describe(const struct containers_done *done, bool loaded, const struct err *failed)
{
	json_t *value = json_object();

	json_object_set_new(value, "images", json_integer((json_int_t)done->images));
	json_object_set_new(value, "written", json_integer((json_int_t)done->written));
	json_object_set_new(value, "missing", describe_list(&done->missing));
	json_object_set_new(value, "kept", describe_list(&done->kept));
	json_object_set_new(value, "removed", describe_list(&done->removed));
	json_object_set_new(value, "fallback", json_boolean(done->fallback));
	json_object_set_new(value, "loaded", json_boolean(loaded));
	if (*done->why)
		json_object_set_new(value, "why", json_string(done->why));
	if (failed->code)
		json_object_set_new(value, "error", json_string(failed->msg));
	return value;
}

static void log_list(const struct report *report, int priority, const char *engine,
		     const char *what, const struct strv *list)
{
	for (size_t i = 0; i < list->count; i++)
		report_log(report, priority, "CONTAINERS", NULL, "%s: %s %s", engine, what,
			   list->items[i]);
}

static void log_done(const struct report *report, const char *engine,
		     const struct containers_done *done)
{
	log_list(report, LOG_WARNING, engine, "misses", &done->missing);
	log_list(report, LOG_NOTICE, engine, "keeps the earlier", &done->kept);
	log_list(report, LOG_INFO, engine, "no longer has", &done->removed);
	if (done->fallback)
		report_log(report, LOG_NOTICE, "CONTAINERS", NULL,
			   "%s: images are loaded when it runs, because %s", engine, done->why);
	else if (done->images)
		report_log(report, LOG_INFO, "CONTAINERS", NULL,
			   "%s: %zu images, %zu files written", engine, done->images,
			   done->written);
}

/* The file says for which engines the unit that loads is to run. */
static int ask_for_load(const struct agent *agent, const struct strv *names, struct err *err)
{
	CLEANUP_FREE char *path = agent_path(agent, CONTAINERS_ASK), *folder = path_parent(path);
	CLEANUP(str_free) struct str text = {0};

	if (names->count == 0)
		return unlink(path) < 0 && errno != ENOENT
			       ? err_sys(err, errno, "cannot remove '%s'", path)
			       : 0;
	for (size_t i = 0; i < names->count; i++)
		str_addf(&text, "%s\n", names->items[i]);
	return path_make_dirs(folder, err) < 0
		       ? -1
		       : outfile_write(path, text.data, text.len, false, err);
}

/* True when the file that asks for loading names the engine. */
static bool is_asked(const struct agent *agent, const char *engine)
{
	CLEANUP(str_free) struct str text = {0};
	char *save = NULL;

	if (agent_read(agent, CONTAINERS_ASK, 4096, &text, NULL) < 0)
		return false;
	for (char *line = strtok_r(text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		if (strcmp(line, engine) == 0)
			return true;
	return false;
}

/* All engines, one after the other; the first error is the verb's. */
static int run_all(const struct agent *agent, const struct containers *containers, bool load,
		   const struct report *report, struct strv *ask, json_t *result, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		CLEANUP(containers_done_free) struct containers_done done = {0};
		struct err failed = {0};

		/* What the first run said of the others stays. */
		if (load && !is_asked(agent, engines[i].name))
			continue;
		if ((load ? engines[i].load : engines[i].write)(agent, containers, report, &done,
								&failed) < 0) {
			report_log(report, LOG_ERR, "CONTAINERS", &failed, "%s", engines[i].name);
			if (r == 0 && err)
				*err = failed;
			r = -1;
		}
		if (done.fallback || failed.code)
			strv_add(ask, engines[i].name);
		log_done(report, engines[i].name, &done);
		if (done.images || done.missing.count || done.kept.count || done.removed.count ||
		    done.fallback || failed.code)
			json_object_set_new(result, engines[i].name,
					    describe(&done, load && !failed.code, &failed));
	}
	return r;
}

int verb_containers(const struct verb_options *options, struct err *err)
{
	CLEANUP(agent_close) struct agent agent;
	CLEANUP(containers_free) struct containers containers = {0};
	CLEANUP(strv_free) struct strv ask = {0};
	CLEANUP_JSON json_t *live = NULL;
	struct err ignored = {0};
	struct report report = {0};
	double start = clock_monotonic();
	json_t *result;
	int r;

	/* The engines' files have modes of their own, whoever calls this. */
	umask(022);
	/* An image that cannot say what it is may still have containers. */
	(void)agent_open(&agent, options->root, &ignored);
	report.kind = agent.kind;
	report.role = agent.role;
	live = options->load ? agent_read_json(&agent, CONTAINERS_LIVE, NULL) : NULL;
	if (!live)
		live = json_object();
	result = json_object_get(live, "engines");
	if (!json_is_object(result)) {
		result = json_object();
		json_object_set_new(live, "engines", result);
	}
	json_object_set_new(live, "v", json_integer(1));
	r = containers_load(&agent, &containers, err);
	if (r == 0)
		r = run_all(&agent, &containers, options->load, &report, &ask, result, err);
	else
		json_object_set_new(live, "error", json_string(err->msg));
	json_object_set_new(live, options->load ? "load_seconds" : "seconds",
			    json_real(clock_monotonic() - start));
	if (!options->load && ask_for_load(&agent, &ask, r < 0 ? NULL : err) < 0)
		r = -1;
	if (agent_write_json(&agent, CONTAINERS_LIVE, live, false, r < 0 ? NULL : err) < 0)
		r = -1;
	return r;
}
