/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies what a tree has and another lacks, so that a power cut at any moment leaves either no
 * entry or a complete one: first everything is built under temporary names, then one sync of the
 * file system, then the renames. The source is the image's own /var, so it is small and trusted.
 */
#include "helper.h"
#include "seed.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Prefix of an entry that is not complete yet. */
static const char temp_prefix[] = ".ingot-new.";

enum { DEPTH_MAX = 64, ATTR_LIST_MAX = 4096, ATTR_VALUE_MAX = 65536 };

static int temp_name(char *out, size_t size, const char *name, struct err *err)
{
	if ((size_t)snprintf(out, size, "%s%s", temp_prefix, name) >= size)
		return helper_fail(err, "cannot copy '%s': name too long", name);
	return 0;
}

static int open_sub(int dirfd, const char *name)
{
	return openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* A directory stream of its own, so that the caller's descriptor keeps its place. */
static DIR *list_dir(int fd, struct err *err)
{
	int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = own < 0 ? NULL : fdopendir(own);

	if (!dir) {
		helper_fail_errno(err, "cannot list a directory");
		if (own >= 0)
			close(own);
	}
	return dir;
}

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int seed_remove(int dirfd, const char *name, struct err *err)
{
	struct dirent *entry;
	DIR *dir;
	int fd;
	int rc = 0;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return helper_fail_errno(err, "cannot remove '%s'", name);
	fd = open_sub(dirfd, name);
	if (fd < 0)
		return helper_fail_errno(err, "cannot open '%s'", name);
	dir = list_dir(fd, err);
	if (!dir)
		rc = -1;
	while (rc == 0 && dir && (entry = readdir(dir))) {
		if (!is_dot(entry->d_name))
			rc = seed_remove(fd, entry->d_name, err);
	}
	if (dir)
		closedir(dir);
	close(fd);
	if (rc == 0 && unlinkat(dirfd, name, AT_REMOVEDIR) < 0)
		rc = helper_fail_errno(err, "cannot remove '%s'", name);
	return rc;
}

static int copy_xattrs(int from, int to, const char *name, struct err *err)
{
	char list[ATTR_LIST_MAX];
	char *value;
	ssize_t len = flistxattr(from, list, sizeof(list));
	int rc = 0;

	if (len < 0 && errno != EOPNOTSUPP)
		return helper_fail_errno(err, "cannot list the attributes of '%s'", name);
	if (len <= 0)
		return 0;
	value = (char *)malloc(ATTR_VALUE_MAX);
	if (!value)
		return helper_fail_errno(err, "cannot copy the attributes of '%s'", name);
	for (char *key = list; rc == 0 && key < list + len; key += strlen(key) + 1) {
		ssize_t size = fgetxattr(from, key, value, ATTR_VALUE_MAX);

		if (size < 0 || fsetxattr(to, key, value, (size_t)size, 0) < 0)
			rc = helper_fail_errno(err, "cannot copy attribute %s of '%s'", key, name);
	}
	free(value);
	return rc;
}

/* Owner before mode: chown clears the set-user-id bits. */
static int copy_attributes(int from, int to, const struct stat *st, const char *name,
			   struct err *err)
{
	struct timespec times[2] = {st->st_atim, st->st_mtim};

	if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0)
		return helper_fail_errno(err, "cannot set owner and mode of '%s'", name);
	if (copy_xattrs(from, to, name, err) < 0)
		return -1;
	if (futimens(to, times) < 0)
		return helper_fail_errno(err, "cannot set the times of '%s'", name);
	return 0;
}

static int copy_bytes(int from, int to, const char *name, struct err *err)
{
	char buf[65536];

	for (;;) {
		ssize_t n = read(from, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return helper_fail_errno(err, "cannot read '%s'", name);
		if (n == 0)
			return 0;
		for (ssize_t done = 0; done < n;) {
			ssize_t w = write(to, buf + done, (size_t)(n - done));

			if (w < 0 && errno != EINTR)
				return helper_fail_errno(err, "cannot write '%s'", name);
			done += w < 0 ? 0 : w;
		}
	}
}

static int copy_regular(int src, const char *name, int dst, const char *as, struct err *err)
{
	int from = openat(src, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int rc = -1;
	int to;

	if (from < 0)
		return helper_fail_errno(err, "cannot open '%s'", name);
	to = openat(dst, as, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0 || fstat(from, &st) < 0)
		helper_fail_errno(err, "cannot create '%s'", as);
	else if (copy_bytes(from, to, name, err) == 0)
		rc = copy_attributes(from, to, &st, name, err);
	if (to >= 0)
		close(to);
	close(from);
	return rc;
}

static int copy_symlink(int src, const char *name, int dst, const char *as, const struct stat *st,
			struct err *err)
{
	char target[4096];
	ssize_t len = readlinkat(src, name, target, sizeof(target));

	if (len < 0 || len == (ssize_t)sizeof(target))
		return helper_fail_errno(err, "cannot read the link '%s'", name);
	target[len] = '\0';
	if (symlinkat(target, dst, as) < 0 ||
	    fchownat(dst, as, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return helper_fail_errno(err, "cannot create the link '%s'", as);
	return 0;
}

static int copy_entry(int src, const char *name, int dst, const char *as, int depth,
		      struct err *err);

static int copy_directory(int src, const char *name, int dst, const char *as, int depth,
			  struct err *err)
{
	int from = open_sub(src, name);
	int to = mkdirat(dst, as, 0700) < 0 ? -1 : open_sub(dst, as);
	struct dirent *entry;
	DIR *dir = NULL;
	struct stat st = {0};
	int rc = 0;

	if (from < 0 || to < 0 || fstat(from, &st) < 0)
		rc = helper_fail_errno(err, "cannot copy directory '%s'", name);
	else if (!(dir = list_dir(from, err)))
		rc = -1;
	while (rc == 0 && dir && (entry = readdir(dir))) {
		if (!is_dot(entry->d_name))
			rc = copy_entry(from, entry->d_name, to, entry->d_name, depth + 1, err);
	}
	if (rc == 0)
		rc = copy_attributes(from, to, &st, name, err);
	if (dir)
		closedir(dir);
	if (to >= 0)
		close(to);
	if (from >= 0)
		close(from);
	return rc;
}

static int copy_entry(int src, const char *name, int dst, const char *as, int depth,
		      struct err *err)
{
	struct stat st;

	if (depth > DEPTH_MAX)
		return helper_fail(err, "cannot copy '%s': more than %d levels", name, DEPTH_MAX);
	if (fstatat(src, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return helper_fail_errno(err, "cannot stat '%s'", name);
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return copy_regular(src, name, dst, as, err);
	case S_IFDIR:
		return copy_directory(src, name, dst, as, depth, err);
	case S_IFLNK:
		return copy_symlink(src, name, dst, as, &st, err);
	default:
		return helper_fail(err, "cannot copy '%s': not a file, directory or link", name);
	}
}

int seed_copy_one(int src, const char *name, int dst, struct err *err)
{
	char temp[256];

	if (temp_name(temp, sizeof(temp), name, err) < 0 || seed_remove(dst, temp, err) < 0 ||
	    copy_entry(src, name, dst, temp, 0, err) < 0)
		return -1;
	if (syncfs(dst) < 0)
		return helper_fail_errno(err, "cannot sync the copy of '%s'", name);
	if (renameat(dst, temp, dst, name) < 0 || fsync(dst) < 0)
		return helper_fail_errno(err, "cannot rename '%s' to '%s'", temp, name);
	return 0;
}

/* What to do with an entry of the source that the destination lacks, in one of the two passes. */
static int handle_missing(int src, int dst, const char *name, bool publish, struct err *err)
{
	char temp[256];

	if (temp_name(temp, sizeof(temp), name, err) < 0)
		return -1;
	if (!publish) {
		if (seed_remove(dst, temp, err) < 0)
			return -1;
		return copy_entry(src, name, dst, temp, 0, err);
	}
	if (renameat(dst, temp, dst, name) < 0)
		return helper_fail_errno(err, "cannot rename '%s' to '%s'", temp, name);
	return 0;
}

static int walk(int src, int dst, bool publish, int depth, struct err *err);

static int walk_entry(int src, int dst, const char *name, bool publish, int depth, struct err *err)
{
	struct stat from, to;
	int rc = -1;
	int s, d;

	if (fstatat(dst, name, &to, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return helper_fail_errno(err, "cannot stat '%s'", name);
		return handle_missing(src, dst, name, publish, err);
	}
	if (fstatat(src, name, &from, AT_SYMLINK_NOFOLLOW) < 0)
		return helper_fail_errno(err, "cannot stat '%s'", name);
	if (!S_ISDIR(from.st_mode) || !S_ISDIR(to.st_mode))
		return 0;
	s = open_sub(src, name);
	d = open_sub(dst, name);
	if (s < 0 || d < 0)
		helper_fail_errno(err, "cannot open '%s'", name);
	else
		rc = walk(s, d, publish, depth + 1, err);
	if (s >= 0)
		close(s);
	if (d >= 0)
		close(d);
	return rc;
}

static int walk(int src, int dst, bool publish, int depth, struct err *err)
{
	struct dirent *entry;
	int rc = 0;
	DIR *dir;

	if (depth > DEPTH_MAX)
		return helper_fail(err, "cannot copy: more than %d levels", DEPTH_MAX);
	dir = list_dir(src, err);
	if (!dir)
		return -1;
	while (rc == 0 && dir && (entry = readdir(dir))) {
		if (!is_dot(entry->d_name))
			rc = walk_entry(src, dst, entry->d_name, publish, depth, err);
	}
	closedir(dir);
	return rc;
}

int seed_copy(int src, int dst, struct err *err)
{
	if (walk(src, dst, false, 0, err) < 0)
		return -1;
	if (syncfs(dst) < 0)
		return helper_fail_errno(err, "cannot sync the new files");
	if (walk(src, dst, true, 0, err) < 0)
		return -1;
	if (syncfs(dst) < 0)
		return helper_fail_errno(err, "cannot sync the renamed files");
	return 0;
}
