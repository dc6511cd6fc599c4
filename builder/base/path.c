/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path helpers. Removal walks with open folders, so a swapped link cannot lead it astray.
 */
#include "base/path.h"

#include "base/fd.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REMOVE_DEPTH_MAX 512

char *path_join(const char *a, const char *b)
{
	size_t len = strlen(a);

	if (b[0] == '/' || len == 0)
		return mem_strdup(b);
	return mem_printf("%s%s%s", a, a[len - 1] == '/' ? "" : "/", b);
}

char *path_parent(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return mem_strdup(".");
	if (slash == path)
		return mem_strdup("/");
	return mem_strndup(path, (size_t)(slash - path));
}

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int path_make_dirs(const char *path, struct err *err)
{
	CLEANUP_FREE char *copy = mem_strdup(path);
	struct stat st;

	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, 0777) < 0 && errno != EEXIST)
			return err_sys(err, errno, "cannot create folder '%s'", copy);
		*p = '/';
	}
	if (mkdir(copy, 0777) < 0 && errno != EEXIST)
		return err_sys(err, errno, "cannot create folder '%s'", path);
	if (stat(path, &st) < 0)
		return err_sys(err, errno, "cannot create folder '%s'", path);
	if (!S_ISDIR(st.st_mode))
		return err_sys(err, ENOTDIR, "cannot create folder '%s'", path);
	return 0;
}

int path_sync_parent(const char *path, struct err *err)
{
	CLEANUP_FREE char *parent = path_parent(path);
	CLEANUP_FD int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* Some network file systems cannot sync folders; they answer EINVAL. */
	if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL))
		return err_sys(err, errno, "cannot sync folder '%s'", parent);
	return 0;
}

bool path_is_clean(const char *path)
{
	const char *p = path[0] == '/' ? path + 1 : path;
	size_t part = 0;

	if (strlen(path) >= PATH_IMAGE_MAX || !*p)
		return false;
	for (;; p++) {
		if (*p && *p != '/') {
			if ((unsigned char)*p < 0x20 || *p == 0x7f)
				return false;
			if (++part > 255)
				return false;
			continue;
		}
		if (part == 0 || (part == 1 && p[-1] == '.') ||
		    (part == 2 && p[-1] == '.' && p[-2] == '.'))
			return false;
		part = 0;
		if (!*p)
			return true;
	}
}

static int remove_at(int parent, const char *name, int depth)
{
	int fd, r = 0;
	struct dirent *entry;
	DIR *dir;

	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;
	if (depth > REMOVE_DEPTH_MAX) {
		errno = ELOOP;
		return -1;
	}
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	dir = fdopendir(fd);
	if (!dir) {
		fd_close(&fd);
		return -1;
	}
	while (r == 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = remove_at(fd, entry->d_name, depth + 1);
	closedir(dir);
	return r < 0 ? r : unlinkat(parent, name, AT_REMOVEDIR);
}

int path_remove_all(const char *path, struct err *err)
{
	if (remove_at(AT_FDCWD, path, 0) < 0)
		return err_sys(err, errno, "cannot remove '%s'", path);
	return 0;
}
