/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an image comes to be: the steps in order, each a pure function of its key. Same key, same bytes;
 * a finished step is never run again.
 */
#include "build_files.h"
#include "build_job.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/path.h"
#include "output/output.h"

#include <string.h>

const struct step build_steps[] = {
	[STEP_PACKAGES] = {PACKAGES_KIND, "install the packages into a layer", build_packages_key,
			   build_packages_run, NULL, NULL},
	[STEP_INITRD] = {"initrd", "complete the initrd of the layer", build_initrd_key,
			 build_initrd_run, NULL, NULL},
	[STEP_CONTAINERS] = {"containers", "fetch container images and unpack their layers",
			     build_containers_key, build_containers_run, NULL,
			     build_has_containers},
	[STEP_ROOT] = {"root",
		       "merge layer, overlays and settings into the verified root file system",
		       build_root_key, build_root_run, NULL, NULL},
	[STEP_IMAGES] = {"images", "put kernel, loader and root on a disk, in every format",
			 build_images_key, build_images_run, build_images_done, NULL},
};

struct build {
	struct cache *cache;
	struct job *jobs;
	size_t count;
};

bool build_step_wanted(const struct job *job, size_t i)
{
	return !build_steps[i].wanted || build_steps[i].wanted(job);
}

static void job_free(struct job *job)
{
	if (job->layer_open)
		packages_close(&job->layer);
	if (job->containers_open)
		oci_set_close(&job->containers);
	if (job->profile)
		oci_resolved_free(job->resolved, job->profile->containers.image_count);
	for (size_t i = 0; i < STEP_COUNT; i++) {
		cache_key_free(&job->keys[i]);
		free(job->dirs[i]);
	}
	packages_repositories_free(&job->repos);
	profile_free(job->profile);
	json_decref(job->manifest);
	lock_free(&job->lock);
	free(job->lock_file);
	free(job->out);
}

static void build_close(struct build *build)
{
	for (size_t i = 0; i < build->count; i++)
		job_free(&build->jobs[i]);
	free(build->jobs);
	cache_close(build->cache);
}

static int load_profile(struct job *job, const char *name, struct err *err)
{
	CLEANUP(profile_problems_free) struct profile_problems problems = {0};
	const struct profile_options how = {.set = job->options->set,
					    .search = job->options->search};

	job->profile = profile_load(name, &how, &problems, err);
	if (!job->profile && problems.count) {
		if (log_is_json())
			log_event("problems", json_pack("{s:s, s:s}", "profile", name, "text",
							problems.text.data));
		fputs(problems.text.data, stderr);
	}
	return job->profile ? 0 : -1;
}

static int make_keys(struct job *job, struct err *err)
{
	for (size_t i = 0; i < STEP_COUNT; i++) {
		if (!build_step_wanted(job, i))
			continue;
		if (build_steps[i].key(job, &job->keys[i], err) < 0)
			return err_wrap(err, "profile '%s'", job->profile->name);
		/* Images that were checked against this lock, and whose manifest names it. */
		if (i == STEP_IMAGES && job->has_lock)
			cache_key_add_digest(&job->keys[i], "lock", &job->lock_digest);
		cache_key_digest(&job->keys[i], build_steps[i].name, &job->digests[i]);
	}
	return 0;
}

static int open_repositories(struct job *job, struct err *err)
{
	if (job->options->locked)
		return build_lock_open(job, err);
	return packages_repositories(job->cache, job->profile, job->options->offline, &job->repos,
				     err);
}

/* Loads and checks every profile before anything runs, so that a typo in the second, or in an option, does not cost
 * the time of the first. */
static int build_open(const struct build_options *options, struct build *build, struct err *err)
{
	const struct output_format *formats[OUTPUT_TARGETS_MAX];
	size_t count = 0, format_count;
	int64_t epoch = 0;
	bool epoch_set;

	if (clock_source_date(&epoch, &epoch_set, err) < 0 ||
	    (options->formats &&
	     output_formats_choose(options->formats, formats, &format_count, err) < 0))
		return -1;
	while (options->profiles[count])
		count++;
	if (options->lock && count > 1)
		return err_set(err, ERR_USAGE, "one lock cannot be that of %zu profiles", count);
	build->jobs = mem_alloc_array(count, sizeof(*build->jobs));
	for (; build->count < count; build->count++) {
		struct job *job = &build->jobs[build->count];

		job->options = options;
		if (load_profile(job, options->profiles[build->count], err) < 0) {
			build->count++;
			return -1;
		}
		for (size_t i = 0; i < build->count; i++) {
			if (strcmp(build->jobs[i].profile->name, job->profile->name) != 0)
				continue;
			build->count++;
			return err_set(err, ERR_USAGE, "two of the profiles have the name '%s'",
				       job->profile->name);
		}
		job->out = path_join(options->out, job->profile->name);
	}
	build->cache = cache_open(options->cache, err);
	if (!build->cache)
		return -1;
	for (size_t i = 0; i < count; i++) {
		struct job *job = &build->jobs[i];

		job->cache = build->cache;
		if (open_repositories(job, err) < 0 || build_containers_resolve(job, err) < 0)
			return err_wrap(err, "profile '%s'", job->profile->name);
		job->epoch = epoch_set ? epoch : job->repos.epoch;
		if (make_keys(job, err) < 0)
			return -1;
	}
	return 0;
}

static int run_cached(struct job *job, size_t i, struct log_step *progress, bool *ret_cached,
		      struct err *err)
{
	CLEANUP(cache_abandon) struct cache_entry entry = {.lock_fd = -1};
	const struct step *step = &build_steps[i];

	job->dirs[i] = cache_find(job->cache, step->name, &job->digests[i]);
	*ret_cached = job->dirs[i] != NULL;
	if (job->dirs[i])
		return 0;
	if (cache_begin(job->cache, step->name, &job->digests[i], &entry, err) < 0)
		return -1;
	*ret_cached = entry.dir == NULL;
	if (entry.dir && step->run(job, entry.dir, progress, err) < 0)
		return -1;
	job->dirs[i] = mem_strdup(entry.final);
	return entry.dir ? cache_commit(&entry, err) : 0;
}

static int run_step(struct job *job, size_t i, struct err *err)
{
	const struct step *step = &build_steps[i];
	struct log_step progress;
	bool cached = false;
	int r;

	log_step_begin(&progress, step->name, job->profile->name);
	if (!step->done) {
		r = run_cached(job, i, &progress, &cached, err);
	} else {
		job->found = step->done(job);
		r = job->found ? 0 : step->run(job, NULL, &progress, err);
		cached = job->found;
	}
	if (r == 0)
		r = cache_remember(job->cache, job->profile->name, step->name, &job->keys[i], err);
	log_step_end(&progress, r < 0 ? LOG_FAILED : cached ? LOG_CACHED : LOG_DONE);
	return r < 0 ? err_wrap(err, "step '%s' of '%s'", step->name, job->profile->name) : 0;
}

/* Takes the entries out of the cache that could not be opened. False when there are none. */
static bool discard_damaged(struct job *job)
{
	bool any = false;

	for (size_t i = 0; i < STEP_COUNT; i++) {
		struct err err = {0};

		if (!job->damaged[i])
			continue;
		job->damaged[i] = false;
		if (cache_discard(job->cache, build_steps[i].name, &job->digests[i], &err) < 0)
			log_warn("%s", err.msg);
		else
			any = true;
	}
	for (size_t i = 0; i < STEP_COUNT; i++) {
		free(job->dirs[i]);
		job->dirs[i] = NULL;
	}
	return any;
}

/* When the images are there already, what they were made from need not be: a cache that was emptied
 * is no reason to build again. */
static int run_steps(struct job *job, struct err *err)
{
	size_t first = build_steps[STEP_IMAGES].done(job) ? STEP_IMAGES : 0;

	for (size_t i = first; i < STEP_COUNT; i++) {
		if (!build_step_wanted(job, i))
			continue;
		if (run_step(job, i, err) < 0)
			return -1;
		if (i == STEP_PACKAGES && build_lock_check(job, err) < 0)
			return -1;
	}
	return 0;
}

static int run_packages(struct job *job, struct err *err)
{
	return run_step(job, STEP_PACKAGES, err) < 0 ? -1 : build_open_layer(job, err);
}

static int run_checked(struct job *job, int (*run)(struct job *job, struct err *err),
		       struct err *err)
{
	int r = run(job, err);

	/* A disk that lost bits is no reason to fail: what it held can be made again. Once. */
	if (r < 0 && discard_damaged(job)) {
		log_warn("%s; making again what was damaged", err->msg);
		err_clear(err);
		r = run(job, err);
	}
	return r;
}

static int run_job(struct job *job, struct err *err)
{
	if (run_checked(job, run_steps, err) < 0 || build_files_sign(job, err) < 0)
		return -1;
	log_event("built", json_pack("{s:s, s:O}", "profile", job->profile->name, "manifest",
				     job->manifest));
	return 0;
}

int build_run(const struct build_options *options, json_t **ret_manifests, struct err *err)
{
	CLEANUP(build_close) struct build build = {0};

	if (build_open(options, &build, err) < 0)
		return -1;
	for (size_t i = 0; i < build.count; i++)
		if (run_job(&build.jobs[i], err) < 0)
			return -1;
	if (ret_manifests) {
		*ret_manifests = json_array();
		for (size_t i = 0; i < build.count; i++) {
			json_t *copy = json_copy(build.jobs[i].manifest);

			json_object_set_new(copy, "folder", json_string(build.jobs[i].out));
			json_array_append_new(*ret_manifests, copy);
		}
	}
	return 0;
}

int build_lock(const struct build_options *options, struct lock *ret, char **ret_file,
	       struct err *err)
{
	CLEANUP(build_close) struct build build = {0};

	*ret_file = NULL;
	if (build_open(options, &build, err) < 0 ||
	    run_checked(&build.jobs[0], run_packages, err) < 0)
		return -1;
	build_lock_take(&build.jobs[0], ret);
	*ret_file = lock_path(build.jobs[0].profile->source);
	return 0;
}

/* What a lock says is checked as far as the cache tells. */
static int plan_lock(struct job *job, struct err *err)
{
	if (job->has_lock)
		job->dirs[STEP_PACKAGES] = cache_find(job->cache, build_steps[STEP_PACKAGES].name,
						      &job->digests[STEP_PACKAGES]);
	return job->dirs[STEP_PACKAGES] ? build_lock_check(job, err) : 0;
}

static json_t *plan_row(struct job *job, size_t i, bool needed)
{
	const struct step *step = &build_steps[i];
	CLEANUP_FREE char *found = cache_find(job->cache, step->name, &job->digests[i]);
	bool cached = step->done ? step->done(job) : found != NULL;
	CLEANUP_FREE char *why =
		cached ? NULL
		       : cache_why(job->cache, job->profile->name, step->name, &job->keys[i]);
	json_t *inputs = json_array();
	char hex[DIGEST_HEX_SIZE];

	for (size_t k = 0; k < job->keys[i].count; k++)
		json_array_append_new(inputs,
				      json_pack("{s:s, s:s}", "name", job->keys[i].items[k].name,
						"value", job->keys[i].items[k].value));
	if (!cached && !needed) {
		free(why);
		why = mem_strdup("not needed: the images are there");
	} else if (!cached && why && !*why) {
		free(why);
		why = mem_strdup("not in the cache");
	}
	return json_pack("{s:s, s:s, s:s, s:b, s:b, s:s, s:o}", "profile", job->profile->name,
			 "step", step->name, "key", digest_hex(&job->digests[i], hex), "cached",
			 cached, "needed", needed && !cached, "why", why ? why : "", "inputs",
			 inputs);
}

json_t *build_plan(const struct build_options *options, struct err *err)
{
	CLEANUP(build_close) struct build build = {0};
	json_t *plan;

	if (build_open(options, &build, err) < 0)
		return NULL;
	for (size_t k = 0; k < build.count; k++)
		if (plan_lock(&build.jobs[k], err) < 0)
			return NULL;
	plan = json_array();
	for (size_t k = 0; k < build.count; k++) {
		struct job *job = &build.jobs[k];
		bool needed = !build_steps[STEP_IMAGES].done(job);

		for (size_t i = 0; i < STEP_COUNT; i++)
			if (build_step_wanted(job, i))
				json_array_append_new(plan, plan_row(job, i, needed));
	}
	return plan;
}
