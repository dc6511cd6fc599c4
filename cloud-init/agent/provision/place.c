/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that user-data names. Each part of a path is opened by itself and without following links: what openat2(2)
 * calls RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, on every kernel.
 */
#include "agent/provision/place.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Links that the image itself has in front of writable folders, see settings.c and Debian's base-files. */
static const struct {
	const char *link, *target;
} known_links[] = {
	{"/home", "/var/home"},
	{"/var/run", "/run"},
	{"/var/lock", "/run/lock"},
};

static const char *const writable[] = {"/etc/", "/var/", "/run/", "/tmp/"};
static const char *const own[] = {"/var/lib/ingot/", "/run/ingot/", "/etc/machine-id"};

/* The path behind the links that are known; caller frees. */
static char *real_path(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(known_links); i++) {
		size_t len = strlen(known_links[i].link);

		if (str_has_prefix(path, known_links[i].link) && (!path[len] || path[len] == '/'))
			return mem_printf("%s%s", known_links[i].target, path + len);
	}
	return mem_strdup(path);
}

bool place_allowed(const char *path, const char **ret_why)
{
	CLEANUP_FREE char *real = real_path(path);

	if (*path != '/' || !path_is_clean(path)) {
		*ret_why = "it is no clean absolute path";
		return false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (str_has_prefix(real, own[i])) {
			*ret_why = "it is the agent's own";
			return false;
		}
	for (size_t i = 0; i < ARRAY_SIZE(writable); i++)
		if (str_has_prefix(real, writable[i]))
			return true;
	*ret_why = "the root of this image is read-only: use /etc, /var or /run, or put it into "
		   "the image";
	return false;
}

bool place_transient(const struct agent *agent, const char *path)
{
	CLEANUP_FREE char *real = real_path(path);
	CLEANUP_FREE char *mode = NULL;

	if (!str_has_prefix(real, "/etc/"))
		return str_has_prefix(real, "/run/") || str_has_prefix(real, "/tmp/");
	mode = agent_read_line(agent, "/usr/lib/ingot/etc-mode");
	return !mode || strcmp(mode, "persistent") != 0;
}

static int open_part(int folder, const char *name, bool make)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(folder, name, flags);

	if (fd >= 0 || errno != ENOENT || !make)
		return fd;
	if (mkdirat(folder, name, 0755) < 0 && errno != EEXIST)
		return -1;
	fd = openat(folder, name, flags);
	if (fd >= 0 && fchmod(fd, 0755) < 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

int place_open_folder(const struct agent *agent, const char *path, bool make, struct err *err)
{
	CLEANUP_FREE char *real = real_path(path);
	CLEANUP_FD int fd =
		open(*agent->root ? agent->root : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *save = NULL;

	if (fd < 0)
		return err_sys(err, errno, "cannot open '%s'", agent->root);
	for (char *part = strtok_r(real, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
		int next;

		if (strcmp(part, ".") == 0 || strcmp(part, "..") == 0)
			return err_set(err, ERR_OTHER, "cannot open folder '%s': not clean", path);
		next = open_part(fd, part, make);
		if (next < 0 && (errno == ELOOP || errno == ENOTDIR))
			return err_set(err, ERR_OTHER,
				       "cannot open folder '%s': '%s' in it is a link or a file",
				       path, part);
		if (next < 0)
			return err_sys(err, errno, "cannot open folder '%s'", path);
		fd_close(&fd);
		fd = next;
	}
	return fd_steal(&fd);
}

/* What the file holds now, "" when there is none. Only a regular file is read. */
static int read_old(int folder, const char *name, const char *path, struct str *text,
		    struct err *err)
{
	CLEANUP_FD int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "cannot append to '%s'", path);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > PLACE_FILE_MAX)
		return err_set(err, ERR_OTHER,
			       "cannot append to '%s': no regular file of at most %zu bytes", path,
			       PLACE_FILE_MAX);
	for (;;) {
		char buffer[8192];
		ssize_t n = read(fd, buffer, sizeof(buffer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "cannot read '%s'", path);
		if (n == 0 || text->len > PLACE_FILE_MAX)
			return 0;
		str_add_bytes(text, buffer, (size_t)n);
	}
}

/* Owner before mode: chown clears the set-user-id bits. An owner that is right already needs no privilege. */
static int set_owner(int fd, const struct place *place, const char *path, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "cannot stat '%s'", path);
	if ((st.st_uid != place->uid || st.st_gid != place->gid) &&
	    fchown(fd, place->uid, place->gid) < 0 && (geteuid() == 0 || errno != EPERM))
		return err_sys(err, errno, "cannot set the owner of '%s'", path);
	if (fchmod(fd, place->mode) < 0)
		return err_sys(err, errno, "cannot set the mode of '%s'", path);
	return 0;
}

static int write_temp(int folder, const char *temp, const struct str *old, const void *bytes,
		      size_t len, const struct place *place, const char *path, struct err *err)
{
	CLEANUP_FD int fd =
		openat(folder, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(err, errno, "cannot write '%s'", path);
	if (fd_write(fd, old->data ? old->data : "", old->len, path, err) < 0 ||
	    fd_write(fd, bytes, len, path, err) < 0 || set_owner(fd, place, path, err) < 0)
		return -1;
	if (place->sync && fsync(fd) < 0)
		return err_sys(err, errno, "cannot sync '%s'", path);
	return 0;
}

int place_write(const struct agent *agent, const char *path, const void *bytes, size_t len,
		const struct place *place, struct err *err)
{
	CLEANUP_FREE char *parent = path_parent(path);
	CLEANUP_FREE char *temp = mem_printf(".%.200s.ingot-new", path_base(path));
	CLEANUP_FD int folder = place_open_folder(agent, parent, true, err);
	CLEANUP(str_free) struct str old = {0};
	int r;

	if (folder < 0)
		return -1;
	if (place->append && read_old(folder, path_base(path), path, &old, err) < 0)
		return -1;
	/* Written before, by this boot or by one that was cut off. */
	if (place->append && len && old.len >= len &&
	    memcmp(old.data + old.len - len, bytes, len) == 0)
		len = 0;
	/* What a killed agent left. */
	if (unlinkat(folder, temp, 0) < 0 && errno != ENOENT)
		return err_sys(err, errno, "cannot write '%s'", path);
	r = write_temp(folder, temp, &old, bytes, len, place, path, err);
	if (r == 0 && renameat(folder, temp, folder, path_base(path)) < 0)
		r = err_sys(err, errno, "cannot write '%s'", path);
	if (r < 0)
		unlinkat(folder, temp, 0);
	else if (place->sync && fsync(folder) < 0)
		r = err_sys(err, errno, "cannot sync the folder of '%s'", path);
	if (old.data)
		mem_wipe(old.data, old.len);
	return r;
}

int place_text(const struct agent *agent, const char *path, const char *text, mode_t mode,
	       struct err *err)
{
	const struct place place = {.mode = mode};

	return place_write(agent, path, text, strlen(text), &place, err);
}

int place_link(const struct agent *agent, const char *path, const char *target, struct err *err)
{
	CLEANUP_FREE char *parent = path_parent(path);
	CLEANUP_FREE char *temp = mem_printf(".%.200s.ingot-new", path_base(path));
	CLEANUP_FD int folder = place_open_folder(agent, parent, true, err);

	if (folder < 0)
		return -1;
	if ((unlinkat(folder, temp, 0) < 0 && errno != ENOENT) ||
	    symlinkat(target, folder, temp) < 0 ||
	    renameat(folder, temp, folder, path_base(path)) < 0)
		return err_sys(err, errno, "cannot make the link '%s'", path);
	return 0;
}

int place_folder(const struct agent *agent, const char *path, const struct place *place,
		 bool *ret_made, struct err *err)
{
	CLEANUP_FREE char *parent = path_parent(path);
	CLEANUP_FD int folder = place_open_folder(agent, parent, true, err);
	CLEANUP_FD int fd = -1;
	bool made;

	if (folder < 0)
		return -1;
	made = mkdirat(folder, path_base(path), 0700) == 0;
	if (!made && errno != EEXIST)
		return err_sys(err, errno, "cannot make folder '%s'", path);
	fd = openat(folder, path_base(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "cannot open folder '%s'", path);
	if (ret_made)
		*ret_made = made;
	return made ? set_owner(fd, place, path, err) : 0;
}
