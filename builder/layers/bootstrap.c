/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Installing packages: mmdebstrap in a sandbox writes a tar to a pipe, a thread makes the layer of it.
 */
#include "layers/bootstrap.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"
#include "layers/dpkg.h"
#include "tree/archive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct job {
	struct bootstrap_input input;
	struct bootstrap_messages messages;
	struct sandbox box;
	char *program, *debs, *new_debs; /* owned; also in input */
	/* The import thread's. */
	int pipe_fd, tar_fd;
	struct tree *tree;
	struct digest digest;
	struct err err;
	atomic_bool failed;
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
	struct proc proc = {.line = bootstrap_take_line, .context = &job->messages};
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

/* Moves the downloads to where the next build finds them; losing some is no error. */
static void keep_debs(const struct job *job)
{
	DIR *d = opendir(job->new_debs);

	if (!d)
		return;
	for (struct dirent *e; (e = readdir(d));) {
		CLEANUP_FREE char *from = path_join(job->new_debs, e->d_name);
		CLEANUP_FREE char *to = path_join(job->debs, e->d_name);

		if (!str_has_suffix(e->d_name, ".deb"))
			continue;
		if (access(to, F_OK) == 0)
			utimensat(AT_FDCWD, to, NULL, 0); /* "used now" for gc */
		else if (rename(from, to) < 0)
			log_debug("cannot keep '%s'", e->d_name);
	}
	closedir(d);
}

static int write_info(const struct job *job, const char *dir, struct err *err)
{
	CLEANUP_FREE char *path = path_join(dir, BOOTSTRAP_INFO);
	CLEANUP_JSON json_t *packages = dpkg_list(job->tree, err);
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
	info = json_pack("{s:i, s:s, s:I, s:O, s:O}", "format", 1, "digest",
			 digest_hex(&job->digest, hex), "epoch",
			 (json_int_t)job->input.repositories->epoch, "suites", suites, "packages",
			 packages);
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

static int make_debs_folder(const struct cache *cache, struct job *job, struct err *err)
{
	const struct profile *p = job->input.profile;

	job->debs = mem_printf("%s/debs/%s-%s-%s", cache_dir(cache), p->base.distribution,
			       p->base.release, p->base.architecture);
	job->new_debs = path_join(job->box.dir, "debs");
	job->input.debs = job->debs;
	job->input.new_debs = job->new_debs;
	if (path_make_dirs(job->debs, err) < 0 || path_make_dirs(job->new_debs, err) < 0)
		return -1;
	/* mmdebstrap splits the hook into words as a shell would. */
	if (strpbrk(job->debs, " \t'\"\\$`\n")) {
		err_set(err, ERR_USAGE, "cannot install packages: '%s' has blanks or quotes",
			cache_dir(cache));
		return err_hint(err, "use --cache with another folder");
	}
	return 0;
}

static int fill_entry(struct job *job, const char *dir, struct err *err)
{
	CLEANUP_FREE char *tar = path_join(dir, BOOTSTRAP_TAR);
	CLEANUP_FD int fd = open(tar, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(err, errno, "cannot make '%s'", tar);
	job->tar_fd = fd;
	if (install(job, err) < 0)
		return -1;
	keep_debs(job);
	if (check_inrelease(job, err) < 0 || write_info(job, dir, err) < 0 ||
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
}

int packages_build(struct cache *cache, const struct profile *profile,
		   const struct repositories *repositories, const char *data, const char *dir,
		   struct log_step *step, struct err *err)
{
	struct job job CLEANUP(free_job) = {
		.input = {.profile = profile, .repositories = repositories, .data = data},
		.messages = {.step = step},
		.box = SANDBOX_NONE,
		.pipe_fd = -1,
	};

	if (sandbox_check(err) < 0)
		return -1;
	job.tree = tree_new();
	job.input.program = job.program = proc_find("mmdebstrap");
	if (sandbox_open(cache, &job.box, err) < 0 || make_debs_folder(cache, &job, err) < 0)
		return -1;
	return fill_entry(&job, dir, err);
}
