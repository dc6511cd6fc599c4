/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox is made by util-linux' setpriv and unshare: when this process dies, however it dies,
 * the kernel kills everything inside and forgets its mounts.
 */
#include "layers/sandbox.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "sandbox"
#define SUBIDS_MIN 65536ul
#define SUBID_FILE_MAX ((size_t)1 << 20)

static int check_program(const char *name, const char *package, struct err *err)
{
	CLEANUP_FREE char *path = proc_find(name);

	if (path)
		return 0;
	err_set(err, ERR_TOOL, "cannot install packages: '%s' is not installed", name);
	return err_hint(err, "install the package %s", package);
}

/* True when a line "user:start:count" of the file gives the user enough ids. */
static bool has_subids(const char *path, const char *user)
{
	CLEANUP(str_free) struct str text = {0};
	char *save = NULL;

	if (fd_read_file(path, SUBID_FILE_MAX, &text, NULL) < 0 || !text.data)
		return false;
	for (char *line = strtok_r(text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char name[128] = "";
		unsigned long start, count;

		if (sscanf(line, "%127[^:]:%lu:%lu", name, &start, &count) == 3 &&
		    strcmp(name, user) == 0 && count >= SUBIDS_MIN)
			return true;
	}
	return false;
}

int sandbox_check(struct err *err)
{
	const struct passwd *pw;
	char number[32];

	if (check_program("mmdebstrap", "mmdebstrap", err) < 0 ||
	    check_program("unshare", "util-linux", err) < 0 ||
	    check_program("setpriv", "util-linux", err) < 0)
		return -1;
	if (geteuid() == 0)
		return 0;
	if (check_program("newuidmap", "uidmap", err) < 0)
		return -1;
	pw = getpwuid(geteuid());
	snprintf(number, sizeof(number), "%lu", (unsigned long)geteuid());
	for (size_t i = 0; i < 2; i++) {
		const char *file = i ? "/etc/subgid" : "/etc/subuid";

		if ((pw && has_subids(file, pw->pw_name)) || has_subids(file, number))
			continue;
		err_set(err, ERR_TOOL,
			"cannot install packages as an ordinary user: '%s' gives user %s no "
			"subordinate ids",
			file, pw ? pw->pw_name : number);
		return err_hint(err,
				"run as root: usermod --add-subuids 100000-165535 --add-subgids "
				"100000-165535 %s",
				pw ? pw->pw_name : "USER");
	}
	return 0;
}

/* Adds NAME=value if the variable is set. */
static void pass(struct strv *argv, const char *name)
{
	const char *value = getenv(name);

	if (value)
		strv_addf(argv, "%s=%s", name, value);
}

void sandbox_command(const struct sandbox *box, struct strv *argv)
{
	static const char *const proxies[] = {"http_proxy", "https_proxy", "HTTPS_PROXY",
					      "no_proxy",   "NO_PROXY",    "all_proxy",
					      "ALL_PROXY"};
	const char *temp = box ? box->dir : getenv("TMPDIR");

	strv_add(argv, "env");
	strv_add(argv, "-i");
	strv_add(argv, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	strv_add(argv, "LC_ALL=C.UTF-8");
	strv_add(argv, "TZ=UTC");
	strv_add(argv, "HOME=/root");
	strv_addf(argv, "TMPDIR=%s", temp && temp[0] ? temp : "/tmp");
	for (size_t i = 0; i < ARRAY_SIZE(proxies); i++)
		pass(argv, proxies[i]);
	strv_add(argv, "setpriv");
	strv_add(argv, "--pdeathsig");
	strv_add(argv, "KILL");
	strv_add(argv, "unshare");
	if (geteuid() != 0) {
		strv_add(argv, "--user");
		strv_add(argv, "--map-root-user");
		strv_add(argv, "--map-auto");
	}
	strv_add(argv, "--mount");
	strv_add(argv, "--pid");
	strv_add(argv, "--fork");
	strv_add(argv, "--kill-child");
}

/* Removes a folder whose files may belong to subordinate ids. --one-file-system: should anything be
 * mounted below it in spite of the namespaces, it stays. */
static int remove_folder(const char *path, struct err *err)
{
	CLEANUP(strv_free) struct strv argv = {0};
	struct proc proc = {0};

	sandbox_command(NULL, &argv);
	strv_add(&argv, "rm");
	strv_add(&argv, "-rf");
	strv_add(&argv, "--one-file-system");
	strv_add(&argv, "--");
	strv_add(&argv, path);
	proc.argv = (const char *const *)argv.items;
	return proc_run(&proc, err);
}

/* A folder is a leftover when nobody holds its lock. */
void sandbox_sweep(const struct cache *cache)
{
	CLEANUP_FREE char *all = path_join(cache_dir(cache), FOLDER);
	DIR *d = opendir(all);

	if (!d)
		return;
	for (struct dirent *e; (e = readdir(d));) {
		CLEANUP_FREE char *path = path_join(all, e->d_name);
		CLEANUP_FD int fd = -1;
		struct err err = {0};

		if (e->d_name[0] == '.')
			continue;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
			continue;
		log_debug("removing what a killed build left in '%s'", path);
		if (remove_folder(path, &err) < 0)
			log_warn("%s", err.msg);
	}
	closedir(d);
}

int sandbox_open(const struct cache *cache, struct sandbox *box, struct err *err)
{
	CLEANUP_FREE char *all = path_join(cache_dir(cache), FOLDER);

	*box = SANDBOX_NONE;
	/* apt fetches as the user _apt, who has to get through to its folder. */
	if ((mkdir(all, 0711) < 0 && errno != EEXIST) || chmod(all, 0711) < 0)
		return err_sys(err, errno, "cannot make folder '%s'", all);
	sandbox_sweep(cache);
	for (;;) {
		CLEANUP_FREE char *dir = path_join(all, "XXXXXX");
		CLEANUP_FD int fd = -1;
		struct stat st;

		if (!mkdtemp(dir))
			return err_sys(err, errno, "cannot make a folder in '%s'", all);
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 && errno != ENOENT)
			return err_sys(err, errno, "cannot open folder '%s'", dir);
		/* Between the calls another build may take it for a leftover: then another try. */
		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 ||
		    st.st_nlink == 0)
			continue;
		if (fchmod(fd, 0711) < 0)
			return err_sys(err, errno, "cannot change the mode of '%s'", dir);
		box->dir = MEM_STEAL(dir);
		box->lock_fd = fd_steal(&fd);
		return 0;
	}
}

void sandbox_close(struct sandbox *box)
{
	struct err err = {0};

	/* mmdebstrap removes what it made; what it left after a failure goes here. */
	if (box->dir && rmdir(box->dir) < 0 && errno != ENOENT && remove_folder(box->dir, &err) < 0)
		log_warn("%s", err.msg);
	fd_close(&box->lock_fd);
	free(box->dir);
	*box = SANDBOX_NONE;
}
