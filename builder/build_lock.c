/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building by a lock: the lock has to fit the profile before anything runs, and the package layer has to fit
 * the lock before anything is made of it.
 */
#include "build_job.h"

#include "base/mem.h"
#include "layers/pins.h"

#include <string.h>

#define EXPLAIN_MAX 5 /* packages in a message */

static int hint(const struct job *job, struct err *err)
{
	const char *file = job->options->lock;

	return err_hint(err, "'ingot lock --update%s%s %s' takes what the repositories have now",
			file ? " -o " : "", file ? file : "", job->profile->source);
}

static int check_base(const struct job *job, struct err *err)
{
	const struct profile *p = job->profile;
	const struct lock *lock = &job->lock;
	const char *image = p->base.image ? p->base.sha256 : NULL;

	if (strcmp(lock->profile, p->name) != 0)
		return err_set(err, ERR_VERIFY, "lock '%s' is of profile '%s'", job->lock_file,
			       lock->profile);
	if (strcmp(lock->image ? lock->image : "", image ? image : "") != 0)
		return err_set(err, ERR_VERIFY, "lock '%s' is for another base.image",
			       job->lock_file);
	if (strcmp(lock->distribution, p->base.distribution) != 0 ||
	    strcmp(lock->release, p->base.release) != 0 ||
	    strcmp(lock->architecture, p->base.architecture) != 0)
		return err_set(
			err, ERR_VERIFY, "lock '%s' is for %s %s %s, and the profile for %s %s %s",
			job->lock_file, lock->distribution, lock->release, lock->architecture,
			p->base.distribution, p->base.release, p->base.architecture);
	return 0;
}

/* Appends the names that are in a and not in b. */
static void add_missing(const struct strv *a, const struct strv *b, const char *text, size_t *count,
			struct str *ret)
{
	for (size_t i = 0; i < a->count; i++)
		if (!strv_has(b, a->items[i]) && (*count)++ < EXPLAIN_MAX)
			str_addf(ret, "\n    %s: %s", a->items[i], text);
}

static int check_requested(const struct job *job, struct err *err)
{
	CLEANUP(strv_free) struct strv names = {0};
	CLEANUP(str_free) struct str text = {0};
	size_t count = 0;

	packages_requested(job->profile, &names);
	add_missing(&names, &job->lock.requested,
		    "the profile wants it, and the lock was made without", &count, &text);
	add_missing(&job->lock.requested, &names, "the profile does not want it any more", &count,
		    &text);
	if (count > EXPLAIN_MAX)
		str_addf(&text, "\n    and %zu more", count - EXPLAIN_MAX);
	if (count > 0)
		return err_set(err, ERR_VERIFY,
			       "lock '%s' was made for other packages than the profile wants:%s",
			       job->lock_file, text.data);
	return 0;
}

static int open_repositories(struct job *job, struct err *err)
{
	const struct lock *lock = &job->lock;
	CLEANUP_FREE struct repository *items = mem_alloc_array(lock->suite_count, sizeof(*items));
	const struct repositories locked = {.items = items, .count = lock->suite_count};

	for (size_t i = 0; i < lock->suite_count; i++)
		items[i] = (struct repository){.suite = lock->suites[i].name,
					       .digest = lock->suites[i].inrelease,
					       .date = lock->suites[i].date};
	return packages_repositories_locked(job->cache, job->profile, &locked, &job->repos, err);
}

int build_lock_open(struct job *job, struct err *err)
{
	job->lock_file = job->options->lock ? mem_strdup(job->options->lock)
					    : lock_path(job->profile->source);
	if (lock_read(job->lock_file, &job->lock, &job->lock_digest, err) < 0)
		return -1;
	job->has_lock = true;
	if (check_base(job, err) < 0 || check_requested(job, err) < 0)
		return hint(job, err);
	if (open_repositories(job, err) < 0) {
		err_wrap(err, "lock '%s'", job->lock_file);
		return err && err->code == ERR_VERIFY ? hint(job, err) : -1;
	}
	return 0;
}

/* What the lock has besides would be in no image; what it lacks was refused when images were resolved. */
static int check_containers(const struct job *job, struct err *err)
{
	struct lock now = {.containers = oci_resolved_lock(job->resolved,
							   job->profile->containers.image_count)};
	CLEANUP_JSON json_t *changes = lock_compare_containers(&job->lock, &now);
	CLEANUP(str_free) struct str text = {0};

	lock_free(&now);
	if (json_array_size(changes) == 0)
		return 0;
	lock_describe_containers(changes, EXPLAIN_MAX, &text);
	err_set(err, ERR_VERIFY, "the container images of '%s' are not as lock '%s' says:%s",
		job->profile->name, job->lock_file, text.data);
	return hint(job, err);
}

int build_lock_check(struct job *job, struct err *err)
{
	CLEANUP_JSON json_t *changes = NULL;
	CLEANUP(str_free) struct str text = {0};
	struct lock now = {0};

	if (!job->has_lock)
		return 0;
	if (check_containers(job, err) < 0 || build_open_layer(job, err) < 0)
		return -1;
	now.packages = job->layer.packages;
	now.build_packages = job->layer.build_packages;
	changes = lock_compare(&job->lock, &now);
	if (json_array_size(changes) == 0)
		return 0;
	pins_describe_all(changes, EXPLAIN_MAX, &text);
	err_set(err, ERR_VERIFY, "%zu packages of '%s' are not as lock '%s' says:%s",
		json_array_size(changes), job->profile->name, job->lock_file, text.data);
	return hint(job, err);
}

int build_lock_explain(const struct job *job, struct err *err)
{
	if (!job->has_lock || !err || err->code != ERR_VERIFY)
		return -1;
	err_wrap(err, "lock '%s'", job->lock_file);
	return hint(job, err);
}

void build_lock_take(const struct job *job, struct lock *ret)
{
	const struct profile *p = job->profile;

	*ret = (struct lock){
		.profile = mem_strdup(p->name),
		.distribution = mem_strdup(p->base.distribution),
		.release = mem_strdup(p->base.release),
		.architecture = mem_strdup(p->base.architecture),
		.image = p->base.image ? mem_strdup(p->base.sha256) : NULL,
		.suites = mem_alloc_array(job->repos.count, sizeof(*ret->suites)),
		.suite_count = job->repos.count,
		.packages = lock_rows(job->layer.packages),
		.build_packages = lock_rows(job->layer.build_packages),
		.containers = oci_resolved_lock(job->resolved, p->containers.image_count),
	};
	for (size_t i = 0; i < job->repos.count; i++)
		ret->suites[i] = (struct lock_suite){
			.name = mem_strdup(job->repos.items[i].suite),
			.inrelease = job->repos.items[i].digest,
			.date = job->repos.items[i].date,
		};
	packages_requested(p, &ret->requested);
}
