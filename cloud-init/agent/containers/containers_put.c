/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files, links and folders that are written only when they are not right. After a power cut or a crash any of them may
 * be empty: what is read back and compared at each boot, before anybody else reads it, needs neither sync nor a
 * temporary name.
 */
#include "agent/containers/containers_parts.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNFINISHED ".ingot"

/* Compares with what fd has; closes it. */
static bool has_bytes(int from, const char *name, const void *bytes, size_t len)
{
	char small[512];
	CLEANUP_FREE char *large = len > sizeof(small) ? mem_alloc(len) : NULL;
	CLEANUP_FD int fd = from;
	char *have = large ? large : small;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (size_t)st.st_size != len)
		return false;
	return fd_pread(fd, have, len, 0, name, NULL) == 0 && memcmp(have, bytes, len) == 0;
}

static int create_file(int dir, const char *name, const void *bytes, size_t len, mode_t mode,
		       struct err *err)
{
	CLEANUP_FD int fd =
		openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

	if (fd < 0)
		return err_sys(err, errno, "cannot create '%s'", name);
	if (fd_write(fd, bytes, len, name, err) == 0)
		return 0;
	unlinkat(dir, name, 0);
	return -1;
}

int containers_put_file(int dir, const char *name, const void *bytes, size_t len, mode_t mode,
			size_t *written, struct err *err)
{
	CLEANUP_FREE char *temp = NULL;
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 && errno == ENOENT) {
		/* Half of it would be seen by the next boot. A rename for each file takes as long as
		 * all the rest. */
		++*written;
		return create_file(dir, name, bytes, len, mode, err);
	}
	if (has_bytes(fd, name, bytes, len))
		return 0;
	temp = mem_printf("%s" UNFINISHED, name);
	unlinkat(dir, temp, 0); /* what is left of a crash; open says what is wrong otherwise */
	if (create_file(dir, temp, bytes, len, mode, err) < 0)
		return -1;
	if (renameat(dir, temp, dir, name) < 0) {
		err_sys(err, errno, "cannot write '%s'", name);
		unlinkat(dir, temp, 0);
		return -1;
	}
	++*written;
	return 0;
}

int containers_put_link(int dir, const char *name, const char *target, size_t *written,
			struct err *err)
{
	char have[PATH_IMAGE_MAX];
	ssize_t len = readlinkat(dir, name, have, sizeof(have));
	CLEANUP_FREE char *temp = NULL;

	if (len >= 0 && (size_t)len == strlen(target) && memcmp(have, target, (size_t)len) == 0)
		return 0;
	++*written;
	if (len < 0 && errno == ENOENT)
		return symlinkat(target, dir, name) < 0
			       ? err_sys(err, errno, "cannot create the link '%s'", name)
			       : 0;
	temp = mem_printf("%s" UNFINISHED, name);
	unlinkat(dir, temp, 0);
	if (symlinkat(target, dir, temp) < 0)
		return err_sys(err, errno, "cannot create the link '%s'", name);
	if (renameat(dir, temp, dir, name) < 0) {
		err_sys(err, errno, "cannot create the link '%s'", name);
		unlinkat(dir, temp, 0);
		return -1;
	}
	return 0;
}

static int open_folder(int dir, const char *name)
{
	return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int containers_put_folder(int dir, const char *name, mode_t mode, int *ret, size_t *written,
			  struct err *err)
{
	*ret = open_folder(dir, name);
	if (*ret >= 0)
		return 0;
	if (errno == ENOENT && mkdirat(dir, name, mode) == 0) {
		++*written;
		*ret = open_folder(dir, name);
	}
	return *ret < 0 ? err_sys(err, errno, "cannot open the folder '%s'", name) : 0;
}

int containers_put_path(const char *path, mode_t mode, int *ret, size_t *written, struct err *err)
{
	CLEANUP_FREE char *parent = path_parent(path);

	/* Here links are followed: where docker keeps its files is the administrator's business. */
	*ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*ret >= 0)
		return 0;
	if (errno == ENOENT && path_make_dirs(parent, err) == 0 && mkdir(path, mode) == 0) {
		++*written;
		*ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (*ret < 0 && (!err || err->code == 0))
		err_sys(err, errno, "cannot open the folder '%s'", path);
	return *ret < 0 ? -1 : 0;
}

int containers_put_begin(int dir, const char *name, mode_t mode, int *ret, bool *ret_new,
			 struct err *err)
{
	CLEANUP_FREE char *temp = NULL;
	size_t made = 0;

	*ret_new = false;
	*ret = open_folder(dir, name);
	if (*ret >= 0)
		return 0;
	if (errno != ENOENT)
		return err_sys(err, errno, "cannot open the folder '%s'", name);
	*ret_new = true;
	temp = mem_printf("%s" UNFINISHED, name);
	/* One that a crash left is filled up: each file in it is compared. */
	return containers_put_folder(dir, temp, mode, ret, &made, err);
}

int containers_put_done(int dir, const char *name, struct err *err)
{
	CLEANUP_FREE char *temp = mem_printf("%s" UNFINISHED, name);

	if (renameat(dir, temp, dir, name) < 0)
		return err_sys(err, errno, "cannot create the folder '%s'", name);
	return 0;
}

int containers_put_remove(int dir, const char *path, const char *name, size_t *removed,
			  struct err *err)
{
	CLEANUP_FREE char *temp = mem_printf("%s" UNFINISHED, name);
	const char *const names[] = {name, temp};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CLEANUP_FREE char *full = path_join(path, names[i]);

		if (faccessat(dir, names[i], F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
			continue;
		if (path_remove_all(full, err) < 0)
			return -1;
		++*removed;
	}
	return 0;
}
