/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Installing packages: mmdebstrap in a sandbox writes a tar to a pipe, a thread makes the layer of it.
 */
#include "layers/bootstrap.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"
#include "layers/debs.h"
#include "layers/dpkg.h"
#include "layers/guestroot.h"
#include "layers/pins.h"
#include "layers/records.h"
#include "tree/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATUS_MAX ((size_t)64 << 20)
#define EXPLAIN_MAX 5 /* packages in a message */

/* What is known of a .deb beside what dpkg says. */
static const char *const origin_fields[] = {"sha256", "size",      "origin",
					    "suite",  "component", "path"};

struct job {
	struct bootstrap_input input;
	const struct packages_pins *pins; /* or NULL; borrowed */
	struct bootstrap_messages messages;
	struct sandbox box;
	char *program, *debs, *new_debs, *records, *image; /* owned; also in input */
	/* The import thread's. */
	int pipe_fd, tar_fd;
	struct tree *tree;
	struct digest digest;
	struct err err;
	atomic_bool failed;
	bool damaged; /* a download is not what the repository has */
};

static void on_bytes(uint64_t bytes, void *context)
{
	struct job *job = context;

	if (job->messages.step)
		log_step_progress(job->messages.step, bytes, 0, "reading the tree");
}

static void *import(void *context)
{
	struct job *job = context;

	if (tree_import_tar(job->pipe_fd, job->tar_fd, job->tree, "packages", &job->digest,
			    on_bytes, job, &job->err) < 0)
		atomic_store(&job->failed, true);
	/* mmdebstrap must not wait for ever for a reader that has given up. */
	fd_close(&job->pipe_fd);
	return NULL;
}

/* Runs mmdebstrap and the import beside it. */
static int install(struct job *job, struct err *err)
{
	CLEANUP(strv_free) struct strv argv = {0};
	int pair[2], r;
	/* mmdebstrap sends SIGHUP to its process group when its output cannot be written: without a group of its
	 * own that would be the whole pipeline that runs us. */
	struct proc proc = {
		.line = bootstrap_take_line, .context = &job->messages, .own_group = true};
	pthread_t thread;

	if (bootstrap_command(&job->input, &job->box, &argv, err) < 0)
		return -1;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return err_sys(err, errno, "cannot make a pipe");
	job->pipe_fd = pair[0];
	r = pthread_create(&thread, NULL, import, job);
	if (r != 0) {
		fd_close(&pair[0]);
		fd_close(&pair[1]);
		return err_sys(err, r, "cannot start a thread");
	}
	proc.argv = (const char *const *)argv.items;
	proc.stdout_fd = pair[1];
	r = proc_run(&proc, err);
	/* The import sees the end of the tar only now; if it failed before, that was the cause. */
	bool first = atomic_load(&job->failed);
	fd_close(&pair[1]);
	pthread_join(thread, NULL);
	if (first || (r == 0 && atomic_load(&job->failed))) {
		if (err)
			*err = job->err;
		return err_wrap(err, "cannot make the package layer");
	}
	return r < 0 ? bootstrap_explain(&job->messages, err) : 0;
}

/* The suites that apt used must be those that the key names. */
static int check_inrelease(const struct job *job, struct err *err)
{
	for (size_t i = 0; i < job->input.repositories->count; i++) {
		const struct repository *r = &job->input.repositories->items[i];
		char hex[DIGEST_HEX_SIZE];
		bool found = false;

		digest_hex(&r->digest, hex);
		for (size_t k = 0; k < job->messages.seen_count; k++)
			found |= strcmp(hex, job->messages.seen[k]) == 0;
		if (found)
			continue;
		err_set(err, ERR_NETWORK,
			"repository suite '%s' changed while packages were installed", r->suite);
		return err_hint(err, "run again");
	}
	return 0;
}

static const json_t *find_package(const json_t *list, const json_t *wanted);

/* What an image brought along has no .deb that could be digested, and came from nowhere else. *ret_ours are
 * the other rows; caller decrefs. */
static int set_brought_apart(const struct job *job, const json_t *all, json_t **ret_ours,
			     struct err *err)
{
	CLEANUP_FREE char *path = path_join(job->records, RECORDS_IMAGE_STATUS);
	CLEANUP(str_free) struct str text = {0};
	CLEANUP_JSON json_t *brought = NULL;
	json_t *package;
	size_t i;

	if (job->image) {
		if (fd_read_file(path, STATUS_MAX, &text, err) < 0)
			return -1;
		brought = dpkg_parse(text.data ? text.data : "", text.len, err);
		if (!brought)
			return -1;
	}
	*ret_ours = json_array();
	json_array_foreach(all, i, package)
	{
		if (!find_package(brought, package)) {
			json_array_append(*ret_ours, package);
			continue;
		}
		for (size_t k = 0; k < ARRAY_SIZE(origin_fields); k++)
			json_object_set_new(package, origin_fields[k], json_null());
	}
	return 0;
}

/* What was installed before the build's own packages were taken out, with digest and origin of each. */
static json_t *list_installed(struct job *job, struct err *err)
{
	CLEANUP_FREE char *path = path_join(job->records, RECORDS_STATUS);
	CLEANUP(records_free) struct records records = {0};
	CLEANUP(str_free) struct str text = {0};
	CLEANUP_JSON json_t *all = NULL;
	CLEANUP_JSON json_t *ours = NULL;

	if (fd_read_file(path, STATUS_MAX, &text, err) < 0)
		return NULL;
	all = dpkg_parse(text.data ? text.data : "", text.len, err);
	if (!all || set_brought_apart(job, all, &ours, err) < 0 ||
	    debs_digest(job->new_debs, ours, err) < 0 ||
	    records_read(job->records, ours, job->input.repositories, &records, err) < 0)
		return NULL;
	if (records_complete(&records, ours, err) < 0) {
		/* apt takes a kept download of the right size as it is. */
		debs_forget(job->debs, all);
		job->damaged = true;
		return NULL;
	}
	return MEM_STEAL(all);
}

static const json_t *find_package(const json_t *list, const json_t *wanted)
{
	static const char *const names[] = {"name", "version", "architecture"};
	json_t *package;
	size_t i;

	json_array_foreach(list, i, package)
	{
		bool same = true;

		for (size_t k = 0; k < ARRAY_SIZE(names); k++)
			same &= json_equal(json_object_get(package, names[k]),
					   json_object_get(wanted, names[k]));
		if (same)
			return package;
	}
	return NULL;
}

/* The packages that the tree has get what is known of them; *ret_build are those that are not in it. */
static json_t *list_packages(const struct job *job, const json_t *all, json_t **ret_build,
			     struct err *err)
{
	CLEANUP_JSON json_t *list = dpkg_list(job->tree, err);
	json_t *build, *package;
	size_t i;

	json_array_foreach(list, i, package)
	{
		const json_t *known = find_package(all, package);

		if (!known) {
			err_set(err, ERR_OTHER, "cannot tell where package '%s' %s came from",
				json_member_string(package, "name"),
				json_member_string(package, "version"));
			return NULL;
		}
		for (size_t k = 0; k < ARRAY_SIZE(origin_fields); k++)
			json_object_set(package, origin_fields[k],
					json_object_get(known, origin_fields[k]));
	}
	if (!list)
		return NULL;
	build = json_array();
	json_array_foreach(all, i, package)
	{
		if (!find_package(list, package))
			json_array_append(build, package);
	}
	*ret_build = build;
	return MEM_STEAL(list);
}

/* Where a package comes from may change while it stays the same, when an update moves from one suite to
 * another: then what the lock says is as true, and same key, same bytes. */
static int check_pins(const struct job *job, json_t *all, struct err *err)
{
	CLEANUP_JSON json_t *wanted = NULL;
	CLEANUP_JSON json_t *changes = NULL;
	CLEANUP(str_free) struct str text = {0};
	json_t *package;
	size_t i;

	if (!job->pins)
		return check_inrelease(job, err);
	wanted = pins_join(job->pins->packages, job->pins->build_packages);
	changes = pins_compare(wanted, all);
	pins_describe_all(changes, EXPLAIN_MAX, &text);
	if (text.len > 0)
		return err_set(err, ERR_VERIFY, "what was installed is not what the lock says:%s",
			       text.data);
	json_array_foreach(all, i, package)
	{
		const json_t *pin = find_package(wanted, package);

		for (size_t k = 0; k < ARRAY_SIZE(origin_fields); k++)
			json_object_set(package, origin_fields[k],
					json_object_get(pin, origin_fields[k]));
	}
	return 0;
}

static int write_info(const struct job *job, const json_t *all, const char *dir, struct err *err)
{
	CLEANUP_FREE char *path = path_join(dir, BOOTSTRAP_INFO);
	CLEANUP_JSON json_t *build = NULL;
	CLEANUP_JSON json_t *packages = list_packages(job, all, &build, err);
	CLEANUP_JSON json_t *suites = json_array();
	CLEANUP_JSON json_t *info = NULL;
	char hex[DIGEST_HEX_SIZE];

	if (!packages)
		return -1;
	for (size_t i = 0; i < job->input.repositories->count; i++) {
		const struct repository *r = &job->input.repositories->items[i];

		json_array_append_new(suites, json_pack("{s:s, s:s, s:I}", "suite", r->suite,
							"inrelease", digest_hex(&r->digest, hex),
							"date", (json_int_t)r->date));
	}
	info = json_pack("{s:i, s:s, s:I, s:O, s:O, s:O}", "format", 2, "digest",
			 digest_hex(&job->digest, hex), "epoch",
			 (json_int_t)job->input.repositories->epoch, "suites", suites, "packages",
			 packages, "build_packages", build);
	return json_write_file(path, info, true, err);
}

static int write_index(const struct job *job, const char *dir, struct err *err)
{
	CLEANUP_FREE char *path = path_join(dir, BOOTSTRAP_INDEX);
	CLEANUP(str_free) struct str text = {0};

	if (tree_write_index(job->tree, &text, err) < 0)
		return -1;
	return outfile_write(path, text.data, text.len, true, err);
}

static int make_folders(const struct cache *cache, struct job *job, struct err *err)
{
	CLEANUP_JSON json_t *wanted = NULL;

	job->debs = debs_folder(cache, job->input.profile);
	job->new_debs = path_join(job->box.dir, "debs");
	job->records = path_join(job->box.dir, "records");
	job->input.debs = job->debs;
	job->input.new_debs = job->new_debs;
	job->input.records = job->records;
	if (path_make_dirs(job->debs, err) < 0 || path_make_dirs(job->new_debs, err) < 0 ||
	    path_make_dirs(job->records, err) < 0)
		return -1;
	/* mmdebstrap splits the hook into words as a shell would. */
	if (strpbrk(job->debs, " \t'\"\\$`\n")) {
		err_set(err, ERR_USAGE, "cannot install packages: '%s' has blanks or quotes",
			cache_dir(cache));
		return err_hint(err, "use --cache with another folder");
	}
	if (!job->pins)
		return 0;
	wanted = pins_join(job->pins->packages, job->pins->build_packages);
	return pins_write(job->records, wanted, err);
}

/* Why apt did not install what the lock says, if the repositories are the cause. */
static int explain_pins(const struct job *job, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};
	struct err ignored = {0};
	size_t count = 0;

	if (job->pins &&
	    pins_explain(job->records, job->pins, job->input.repositories, EXPLAIN_MAX, &text,
			 &count, &ignored) == 0 &&
	    count > 0) {
		if (count > EXPLAIN_MAX)
			str_addf(&text, "\n    and %zu more", count - EXPLAIN_MAX);
		return err_set(err, ERR_VERIFY,
			       "the repositories do not offer what the lock says:%s", text.data);
	}
	return -1;
}

static int fill_entry(struct job *job, const char *dir, struct err *err)
{
	CLEANUP_FREE char *tar = path_join(dir, BOOTSTRAP_TAR);
	CLEANUP_FD int fd = open(tar, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CLEANUP_JSON json_t *all = NULL;

	if (fd < 0)
		return err_sys(err, errno, "cannot make '%s'", tar);
	job->tar_fd = fd;
	if (install(job, err) < 0)
		return explain_pins(job, err);
	all = list_installed(job, err);
	if (!all)
		return -1;
	debs_keep(job->new_debs, job->debs);
	if (check_pins(job, all, err) < 0 || write_info(job, all, dir, err) < 0 ||
	    write_index(job, dir, err) < 0)
		return -1;
	/* Dear to make, so it is worth the wait (the cache itself does not sync). */
	return fsync(fd) < 0 ? err_sys(err, errno, "cannot write '%s'", tar) : 0;
}

static void free_job(struct job *job)
{
	sandbox_close(&job->box);
	tree_free(job->tree);
	bootstrap_messages_free(&job->messages);
	free(job->program);
	free(job->debs);
	free(job->new_debs);
	free(job->records);
	free(job->image);
}

/* The image's files were put into the cache before. */
static int find_image(struct cache *cache, struct job *job, struct err *err)
{
	CLEANUP_FREE char *dir = NULL;
	struct digest key;

	if (!job->input.profile->base.image)
		return 0;
	guestroot_key(job->input.profile, &key);
	dir = cache_find(cache, GUESTROOT_KIND, &key);
	if (!dir)
		return err_set(err, ERR_OTHER, "the cache does not have the files of '%s'",
			       job->input.profile->base.image);
	job->input.image = job->image = path_join(dir, GUESTROOT_TAR);
	return guestroot_check(dir, job->input.profile, err);
}

static int build_once(struct cache *cache, const struct bootstrap_input *input,
		      const struct packages_pins *pins, const char *dir, struct log_step *step,
		      bool *ret_damaged, struct err *err)
{
	struct job job CLEANUP(free_job) = {
		.input = *input,
		.pins = pins,
		.messages = {.step = step},
		.box = SANDBOX_NONE,
		.pipe_fd = -1,
	};
	int r;

	job.tree = tree_new();
	job.input.program = job.program = proc_find("mmdebstrap");
	if (find_image(cache, &job, err) < 0 || sandbox_open(cache, &job.box, err) < 0 ||
	    make_folders(cache, &job, err) < 0)
		return -1;
	r = fill_entry(&job, dir, err);
	*ret_damaged = job.damaged;
	return r;
}

int packages_build(struct cache *cache, const struct profile *profile,
		   const struct repositories *repositories, const struct packages_pins *pins,
		   const char *data, const char *dir, struct log_step *step, struct err *err)
{
	const struct bootstrap_input input = {
		.profile = profile, .repositories = repositories, .data = data};
	CLEANUP_FREE char *tar = path_join(dir, BOOTSTRAP_TAR);
	struct err why = {0};
	bool damaged = false;
	int r;

	if (sandbox_check(err) < 0)
		return -1;
	r = build_once(cache, &input, pins, dir, step, &damaged, &why);
	/* A download that the cache has kept is no reason to fail: it can be fetched again. Once. */
	if (r < 0 && damaged) {
		log_warn("%s; the kept downloads are fetched again", why.msg);
		err_clear(&why);
		if (unlink(tar) < 0 && errno != ENOENT)
			return err_sys(err, errno, "cannot remove '%s'", tar);
		r = build_once(cache, &input, pins, dir, step, &damaged, &why);
	}
	if (r < 0 && err)
		*err = why;
	return r;
}
