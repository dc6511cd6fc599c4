/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /etc: an overlay over the image's own, forgotten at the next boot, with the few paths of the
 * persist list bind-mounted from /var. Files are bind-mounted too, not linked or copied: a program
 * that replaces the file by a rename gets EBUSY at once, where a copy would lose the change
 * silently at the next boot. Name the directory for such programs.
 */
#include "helper.h"
#include "seed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PERSIST_PATH_MAX = 255, PERSIST_PARTS_MAX = 16, PERSIST_LIST_MAX = 65536 };

static int make_dir(const char *path, mode_t mode, struct err *err)
{
	struct stat st;

	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return helper_fail_errno(err, "cannot make directory '%s'", path);
	if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return helper_fail(err, "cannot use '%s': not a directory", path);
	return 0;
}

int etc_mount_overlay(const char *root, bool persistent, struct err *err)
{
	char lower[256], base[256], upper[300], work[300], options[1024];
	struct stat st;

	snprintf(lower, sizeof(lower), "%s/etc", root);
	if (persistent)
		snprintf(base, sizeof(base), "%s/var/lib/ingot/etc-overlay", root);
	else
		snprintf(base, sizeof(base), "/run/ingot-initrd/etc");
	snprintf(upper, sizeof(upper), "%s/upper", base);
	snprintf(work, sizeof(work), "%s/work", base);
	if (stat(lower, &st) < 0)
		return helper_fail_errno(err, "cannot stat '%s'", lower);
	if (make_dir(base, 0700, err) < 0 || make_dir(upper, 0755, err) < 0 ||
	    make_dir(work, 0700, err) < 0)
		return -1;
	/* The upper directory's own attributes are those of the merged /etc. */
	if (chown(upper, st.st_uid, st.st_gid) < 0 || chmod(upper, st.st_mode & 07777) < 0)
		return helper_fail_errno(err, "cannot set owner and mode of '%s'", upper);
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", lower, upper,
		 work);
	if (mount("overlay", lower, "overlay", MS_NOSUID | MS_NODEV, options) < 0)
		return helper_fail_errno(err, "cannot mount the overlay on '%s'", lower);
	return 0;
}

bool etc_path_valid(const char *path)
{
	size_t len = strlen(path);
	const char *part = path;
	int parts = 0;

	if (len == 0 || len > PERSIST_PATH_MAX || path[0] == '/')
		return false;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)path[i] <= ' ' || (unsigned char)path[i] >= 127)
			return false;
	}
	while (*part) {
		size_t n = strcspn(part, "/");

		if (n == 0 || (n == 1 && part[0] == '.') ||
		    (n == 2 && part[0] == '.' && part[1] == '.') || ++parts > PERSIST_PARTS_MAX)
			return false;
		part += n;
		if (*part == '/')
			part++;
	}
	return true;
}

/* Makes store/leaf from what the image has at etc/leaf, or an empty directory. */
static int make_stored(int etc, int store, const char *leaf, bool in_image, struct err *err)
{
	if (in_image)
		return seed_copy_one(etc, leaf, store, err);
	if (mkdirat(store, leaf, 0755) < 0 || fchmodat(store, leaf, 0755, 0) < 0 ||
	    fsync(store) < 0)
		return helper_fail_errno(err, "cannot make directory '%s' on /var", leaf);
	return 0;
}

static int make_mount_point(int etc, const char *leaf, bool directory, struct err *err)
{
	int fd;

	if (directory) {
		if (mkdirat(etc, leaf, 0755) < 0)
			return helper_fail_errno(err, "cannot make directory '%s' in /etc", leaf);
		return 0;
	}
	fd = openat(etc, leaf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return helper_fail_errno(err, "cannot make file '%s' in /etc", leaf);
	close(fd);
	return 0;
}

static int bind_leaf(int store, int etc, const char *leaf, struct err *err)
{
	int tree =
		open_tree(store, leaf, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);

	if (tree < 0)
		return helper_fail_errno(err, "cannot open '%s' on /var for a bind mount", leaf);
	if (move_mount(tree, "", etc, leaf, MOVE_MOUNT_F_EMPTY_PATH) < 0) {
		helper_fail_errno(err, "cannot bind-mount '%s' in /etc", leaf);
		close(tree);
		return -1;
	}
	close(tree);
	return 0;
}

static int persist_leaf(int etc, int store, const char *leaf, struct err *err)
{
	struct stat image, kept;
	bool in_image = fstatat(etc, leaf, &image, AT_SYMLINK_NOFOLLOW) == 0;

	if (!in_image && errno != ENOENT)
		return helper_fail_errno(err, "cannot stat '%s'", leaf);
	if (in_image && !S_ISDIR(image.st_mode) && !S_ISREG(image.st_mode))
		return helper_fail(err, "cannot persist '%s': not a file or directory", leaf);
	if (fstatat(store, leaf, &kept, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return helper_fail_errno(err, "cannot stat '%s' on /var", leaf);
		if (make_stored(etc, store, leaf, in_image, err) < 0)
			return -1;
		if (fstatat(store, leaf, &kept, AT_SYMLINK_NOFOLLOW) < 0)
			return helper_fail_errno(err, "cannot stat '%s' on /var", leaf);
	}
	if (!S_ISDIR(kept.st_mode) && !S_ISREG(kept.st_mode))
		return helper_fail(err, "cannot persist '%s': not a file or directory on /var",
				   leaf);
	if (in_image && S_ISDIR(image.st_mode) != S_ISDIR(kept.st_mode))
		return helper_fail(err,
				   "cannot persist '%s': file in one place, directory in the "
				   "other",
				   leaf);
	if (!in_image && make_mount_point(etc, leaf, S_ISDIR(kept.st_mode), err) < 0)
		return -1;
	return bind_leaf(store, etc, leaf, err);
}

static int persist_path(int etc, int store, const char *path, struct err *err)
{
	char copy[PERSIST_PATH_MAX + 1];
	const char *parent = ".";
	char *leaf = copy;
	char *slash;
	size_t len;
	int rc = -1;
	int e, s;

	snprintf(copy, sizeof(copy), "%s", path);
	len = strlen(copy);
	if (copy[len - 1] == '/')
		copy[len - 1] = '\0';
	slash = strrchr(copy, '/');
	if (slash) {
		*slash = '\0';
		parent = copy;
		leaf = slash + 1;
	}
	e = helper_open_dir(etc, parent, true, err);
	if (e < 0)
		return -1;
	s = helper_open_dir(store, parent, true, err);
	if (s >= 0) {
		rc = persist_leaf(e, s, leaf, err);
		close(s);
	}
	close(e);
	return rc;
}

static int persist_all(int etc, int store, char *text, struct err *err)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (line[0] == '#')
			continue;
		if (!etc_path_valid(line))
			return helper_fail(err, "bad path in the persist list: '%.80s'", line);
		if (persist_path(etc, store, line, err) < 0)
			return -1;
	}
	return 0;
}

int etc_persist(const char *root, int var, const char *list, struct err *err)
{
	static char text[PERSIST_LIST_MAX];
	char path[256];
	int etc, store;
	int rc;

	if (helper_read_file(AT_FDCWD, list, text, sizeof(text), err) < 0)
		return errno == ENOENT ? 0 : -1;
	snprintf(path, sizeof(path), "%s/etc", root);
	etc = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (etc < 0)
		return helper_fail_errno(err, "cannot open '%s'", path);
	store = helper_open_dir(var, "lib/ingot/etc", true, err);
	rc = store < 0 ? -1 : persist_all(etc, store, text, err);
	if (store >= 0)
		close(store);
	close(etc);
	return rc;
}
