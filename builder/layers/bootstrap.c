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
#include "layers/packages.h"
#include "layers/sandbox.h"
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

#define SCRIPT_MAX ((size_t)64 << 10) /* a script is one word of a command line */
#define DEBS "/var/cache/apt/archives"
#define MARK "ingot-inrelease: "
#define ERRORS_MAX 6
#define SUITES_MAX 32

enum { SETUP, ESSENTIAL, CUSTOMIZE, PATH_EXCLUDE };

const char *const bootstrap_scripts[] = {[SETUP] = "setup",
					 [ESSENTIAL] = "essential",
					 [CUSTOMIZE] = "customize",
					 [PATH_EXCLUDE] = "path-exclude",
					 NULL};

/* What apt saw, for comparing with what the key says. */
static const char print_inrelease[] =
	"cd \"$1\"/var/lib/apt/lists && sha256sum -- *_InRelease | sed 's/^/" MARK "/' >&2";

/* A name that apt does not know is found before anything is installed, not after a minute. */
static const char check_names[] =
	"APT_CONFIG=\"$MMDEBSTRAP_APT_CONFIG\" apt-get --simulate --yes install $INGOT_PACKAGES "
	">/dev/null";

/* What a line of apt or dpkg says about the kind of failure; the first that matches counts. */
struct cause {
	const char *text;
	int code;
	const char *hint;
};

static const struct cause causes[] = {
	{"No space left on device", ERR_SPACE, "make room in the folder of the cache"},
	{"E: Unable to locate package ", ERR_PROFILE,
	 "check the names under packages: in the profile"},
	{" has no installation candidate", ERR_PROFILE,
	 "check the names under packages: in the profile"},
	{" is not signed", ERR_VERIFY, "give the repository's key as base.keyring"},
	{"NO_PUBKEY", ERR_VERIFY, "give the repository's key as base.keyring"},
	{" is not valid yet", ERR_VERIFY, "set the clock of this machine"},
	{"E: Failed to fetch ", ERR_NETWORK, "check the network and run again"},
	{"E: Some index files failed to download", ERR_NETWORK, "check the network and run again"},
};

struct job {
	const struct profile *profile;
	const struct repositories *repositories;
	const char *data;
	struct log_step *step;
	struct sandbox box;
	char *program;  /* the mmdebstrap that the key names: the sandbox has a PATH of its own */
	char *debs;     /* downloads kept in the cache */
	char *new_debs; /* where the sandbox leaves those that it used */
	/* The import thread's. */
	int pipe_fd, tar_fd;
	struct tree *tree;
	struct digest digest;
	struct err err;
	atomic_bool failed;
	/* From mmdebstrap's messages. */
	struct strv errors;
	char seen[SUITES_MAX][DIGEST_HEX_SIZE];
	size_t seen_count;
	const struct cause *cause;
};

void bootstrap_packages(const struct profile *profile, struct strv *names)
{
	CLEANUP(strv_free) struct strv all = {0};

	for (size_t i = 0; i < profile->packages.count; i++)
		strv_add(&all, profile->packages.items[i]);
	if (profile->kernel.package)
		strv_add(&all, profile->kernel.package);
	strv_sort(&all);
	for (size_t i = 0; i < all.count; i++)
		if (i == 0 || strcmp(all.items[i], all.items[i - 1]) != 0)
			strv_add(names, all.items[i]);
}

static void tell(struct job *job, const char *detail)
{
	if (job->step)
		log_step_progress(job->step, job->step->bytes, 0, detail);
}

/* Turns "Unpacking docker.io (26.1.5) ..." into "unpacking docker.io". */
static bool tell_about(struct job *job, const char *text, const char *prefix, const char *verb)
{
	char detail[96];

	if (!str_has_prefix(text, prefix))
		return false;
	text += strlen(prefix);
	snprintf(detail, sizeof(detail), "%s %.*s", verb, (int)strcspn(text, " "), text);
	tell(job, detail);
	return true;
}

static void take_line(const char *text, void *context)
{
	struct job *job = context;

	log_debug("mmdebstrap: %s", text);
	for (size_t i = 0; i < ARRAY_SIZE(causes) && !job->cause; i++)
		if (strstr(text, causes[i].text))
			job->cause = &causes[i];
	if (str_has_prefix(text, MARK)) {
		if (job->seen_count < SUITES_MAX)
			snprintf(job->seen[job->seen_count++], DIGEST_HEX_SIZE, "%s",
				 text + strlen(MARK));
	} else if (str_has_prefix(text, "E: ") || str_has_prefix(text, "error: ") ||
		   str_has_prefix(text, "dpkg: error")) {
		if (job->errors.count < ERRORS_MAX)
			strv_add(&job->errors, text);
	} else if (!tell_about(job, text, "Unpacking ", "unpacking") &&
		   !tell_about(job, text, "Setting up ", "configuring") &&
		   str_has_prefix(text, "I: ") && !str_has_prefix(text, "I: running --")) {
		tell(job, text + 3);
	}
}

static void on_bytes(uint64_t bytes, void *context)
{
	struct job *job = context;

	if (job->step)
		log_step_progress(job->step, bytes, 0, "reading the tree");
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

static int add_script(struct strv *argv, const char *option, const struct job *job, int script,
		      struct err *err)
{
	CLEANUP_FREE char *path =
		mem_printf("%s/firmware/packages/%s", job->data, bootstrap_scripts[script]);
	CLEANUP(str_free) struct str text = {0};

	if (fd_read_file(path, SCRIPT_MAX, &text, err) < 0)
		return -1;
	/* The text, not the path: it works wherever the sandbox can read. */
	strv_addf(argv, "%s=%s", option, text.data ? text.data : "");
	return 0;
}

static int add_path_options(struct strv *argv, const struct job *job, struct err *err)
{
	CLEANUP_FREE char *path =
		mem_printf("%s/firmware/packages/%s", job->data, bootstrap_scripts[PATH_EXCLUDE]);
	CLEANUP(str_free) struct str text = {0};
	char *save = NULL;

	if (fd_read_file(path, SCRIPT_MAX, &text, err) < 0)
		return -1;
	for (char *line = strtok_r(text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (line[0] == '+')
			strv_addf(argv, "--dpkgopt=path-include=%s", line + 1);
		else if (line[0] == '/')
			strv_addf(argv, "--dpkgopt=path-exclude=%s", line);
	}
	return 0;
}

static int add_hooks(struct strv *argv, const struct job *job, struct err *err)
{
	if (add_script(argv, "--setup-hook", job, SETUP, err) < 0)
		return -1;
	strv_addf(argv, "--setup-hook=sync-in %s " DEBS, job->debs);
	strv_addf(argv, "--extract-hook=%s", check_names);
	if (add_script(argv, "--essential-hook", job, ESSENTIAL, err) < 0)
		return -1;
	/* Before our own script cleans up. */
	strv_addf(argv, "--customize-hook=sync-out " DEBS " %s", job->new_debs);
	strv_addf(argv, "--customize-hook=%s", print_inrelease);
	return add_script(argv, "--customize-hook", job, CUSTOMIZE, err);
}

/* Tells the hooks what is to be installed. */
static void add_names(struct strv *argv, const struct strv *names)
{
	CLEANUP(str_free) struct str text = {0};

	for (size_t i = 0; i < names->count; i++)
		str_addf(&text, "%s%s", i ? " " : "", names->items[i]);
	strv_addf(argv, "INGOT_PACKAGES=%s", text.data ? text.data : "");
}

static int make_command(const struct job *job, struct strv *argv, struct err *err)
{
	static const char *const options[] = {
		"--mode=root", /* of its namespace */
		"--variant=essential",
		"--format=tar",
		"--verbose",
		"--skip=download/empty", /* the downloads that were put there */
		"--skip=essential/unlink",
		"--skip=cleanup",    /* our own script has cleaned more by then */
		"--skip=output/dev", /* devtmpfs brings them */
		"--aptopt=APT::Install-Recommends \"false\"",
		"--aptopt=Acquire::Languages \"none\"",
		"--aptopt=Acquire::Retries \"3\"",
		"--dpkgopt=force-unsafe-io",
	};
	const struct profile *p = job->profile;
	CLEANUP(strv_free) struct strv names = {0};

	bootstrap_packages(p, &names);
	sandbox_command(&job->box, argv);
	strv_add(argv, "env");
	add_names(argv, &names);
	strv_addf(argv, "SOURCE_DATE_EPOCH=%lld", (long long)job->repositories->epoch);
	strv_addf(argv, "INGOT_VAR_FILESYSTEM=%s", p->disk.var.filesystem);
	strv_add(argv, job->program);
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		strv_add(argv, options[i]);
	strv_addf(argv, "--architectures=%s", p->base.architecture);
	if (p->base.keyring)
		strv_addf(argv, "--keyring=%s", p->base.keyring);
	for (size_t i = 0; i < names.count; i++)
		strv_addf(argv, "--include=%s", names.items[i]);
	if (add_path_options(argv, job, err) < 0 || add_hooks(argv, job, err) < 0)
		return -1;
	strv_add(argv, p->base.release);
	strv_add(argv, "-");
	for (size_t i = 0; i < job->repositories->count; i++)
		strv_add(argv, job->repositories->items[i].line);
	return 0;
}

/* A better message than the last lines of all that apt printed. */
static int explain(const struct job *job, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};

	if (job->errors.count > 0) {
		for (size_t i = 0; i < job->errors.count; i++)
			str_addf(&text, "\n    %.300s", job->errors.items[i]);
		err_set(err, ERR_OTHER, "cannot install packages:%s", text.data);
		err_hint(err, "-vv shows everything that apt and dpkg print");
	} else {
		err_wrap(err, "cannot install packages");
	}
	if (job->cause && err) {
		err->code = job->cause->code;
		err_hint(err, "%s", job->cause->hint);
	}
	return -1;
}

/* Runs mmdebstrap and the import beside it. */
static int install(struct job *job, struct err *err)
{
	CLEANUP(strv_free) struct strv argv = {0};
	int pair[2], r;
	struct proc proc = {.line = take_line, .context = job};
	pthread_t thread;

	if (make_command(job, &argv, err) < 0)
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
	return r < 0 ? explain(job, err) : 0;
}

/* The suites that apt used must be those that the key names. */
static int check_inrelease(const struct job *job, struct err *err)
{
	for (size_t i = 0; i < job->repositories->count; i++) {
		const struct repository *r = &job->repositories->items[i];
		char hex[DIGEST_HEX_SIZE];
		bool found = false;

		digest_hex(&r->digest, hex);
		for (size_t k = 0; k < job->seen_count; k++)
			found |= strcmp(hex, job->seen[k]) == 0;
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
	for (size_t i = 0; i < job->repositories->count; i++) {
		const struct repository *r = &job->repositories->items[i];

		json_array_append_new(suites, json_pack("{s:s, s:s, s:I}", "suite", r->suite,
							"inrelease", digest_hex(&r->digest, hex),
							"date", (json_int_t)r->date));
	}
	info = json_pack("{s:i, s:s, s:I, s:O, s:O}", "format", 1, "digest",
			 digest_hex(&job->digest, hex), "epoch",
			 (json_int_t)job->repositories->epoch, "suites", suites, "packages",
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
	const struct profile *p = job->profile;

	job->debs = mem_printf("%s/debs/%s-%s-%s", cache_dir(cache), p->base.distribution,
			       p->base.release, p->base.architecture);
	job->new_debs = path_join(job->box.dir, "debs");
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
	strv_free(&job->errors);
	free(job->program);
	free(job->debs);
	free(job->new_debs);
}

int packages_build(struct cache *cache, const struct profile *profile,
		   const struct repositories *repositories, const char *data,
		   const struct digest *key, struct log_step *step, struct err *err)
{
	struct cache_entry entry CLEANUP(cache_abandon) = {.lock_fd = -1};
	struct job job CLEANUP(free_job) = {.profile = profile,
					    .repositories = repositories,
					    .data = data,
					    .step = step,
					    .box = SANDBOX_NONE,
					    .pipe_fd = -1};

	if (sandbox_check(err) < 0 || cache_begin(cache, PACKAGES_KIND, key, &entry, err) < 0)
		return -1;
	if (!entry.dir)
		return 0;
	job.tree = tree_new();
	job.program = proc_find("mmdebstrap");
	if (sandbox_open(cache, &job.box, err) < 0 || make_debs_folder(cache, &job, err) < 0 ||
	    fill_entry(&job, entry.dir, err) < 0)
		return -1;
	return cache_commit(&entry, err);
}
