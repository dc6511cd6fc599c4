/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder of the repository as a tree. Who owns the files on this machine and when they were checked
 * out does not matter; git keeps no owners and hardly any modes, so these come from a manifest.
 */
#include "tree/overlay.h"

#include "base/fd.h"
#include "base/path.h"
#include "tree/archive.h"
#include "tree/node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRIES_MAX 65536
#define FILE_MAX ((uint64_t)256 << 20)
#define DEPTH_MAX 64 /* each keeps a descriptor open */
#define MANIFEST_MAX ((size_t)1 << 20)

struct scan {
	const char *dir; /* as given, for messages */
	struct tree *tree;
	unsigned depth;
	struct str manifest;
	bool has_manifest;
};

static int scan_dir(struct scan *s, int fd, const char *path, struct err *err);

static int unreadable(const struct scan *s, const char *path, struct err *err)
{
	return err_sys(err, errno, "cannot read '%s/%s'", s->dir, path);
}

static int read_content(struct scan *s, int dirfd, const char *name, const char *path,
			struct tree_data *data, struct err *err)
{
	CLEANUP_FD int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	CLEANUP_FREE char *shown = mem_printf("%s/%s", s->dir, path);
	struct stat st;
	char *bytes;

	if (fd < 0 || fstat(fd, &st) < 0)
		return unreadable(s, path, err);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_PROFILE, "cannot read '%s': it changed meanwhile", shown);
	if ((uint64_t)st.st_size > FILE_MAX)
		return err_set(err, ERR_PROFILE,
			       "cannot use '%s': files of an overlay are at most %llu MiB", shown,
			       (unsigned long long)(FILE_MAX >> 20));
	bytes = mem_arena_alloc(s->tree->arena, (size_t)st.st_size + 1);
	*data = (struct tree_data){.size = (uint64_t)st.st_size, .bytes = bytes, .fd = -1};
	return fd_pread(fd, bytes, (size_t)st.st_size, 0, shown, err);
}

static int scan_link(struct scan *s, int dirfd, const char *name, const char *path, struct err *err)
{
	char target[4096];
	ssize_t len = readlinkat(dirfd, name, target, sizeof(target));

	if (len < 0)
		return unreadable(s, path, err);
	if (len == sizeof(target))
		return err_set(err, ERR_PROFILE, "cannot use '%s/%s': link target too long", s->dir,
			       path);
	target[len] = '\0';
	if (!node_target_is_clean(target))
		return err_set(err, ERR_PROFILE,
			       "cannot use '%s/%s': control characters in its target", s->dir,
			       path);
	return tree_put_symlink(s->tree, path, target, s->dir, err);
}

static int scan_file(struct scan *s, int dirfd, const char *name, const char *path,
		     const struct stat *st, struct err *err)
{
	struct tree_inode inode = {
		.type = TREE_FILE, .mode = st->st_mode & S_IXUSR ? 0755 : 0644, .origin = s->dir};

	if (read_content(s, dirfd, name, path, &inode.data, err) < 0)
		return -1;
	/* Only the one at the top is a manifest. */
	if (strcmp(path, OVERLAY_MANIFEST) == 0) {
		if (inode.data.size > MANIFEST_MAX)
			return err_set(err, ERR_PROFILE, "cannot read '%s/%s': too large", s->dir,
				       path);
		str_add_bytes(&s->manifest, inode.data.bytes, (size_t)inode.data.size);
		s->has_manifest = true;
		return 0;
	}
	return tree_put(s->tree, path, &inode, err) ? 0 : -1;
}

static int scan_entry(struct scan *s, int dirfd, const char *name, const char *path,
		      struct err *err)
{
	struct stat st;

	if (!path_is_clean(path))
		return err_set(err, ERR_PROFILE,
			       "cannot use '%s/%s': control characters in its name, or too long",
			       s->dir, path);
	if (tree_count(s->tree) > ENTRIES_MAX)
		return err_set(err, ERR_PROFILE, "cannot use '%s': more than %d entries", s->dir,
			       ENTRIES_MAX);
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return unreadable(s, path, err);
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return scan_file(s, dirfd, name, path, &st, err);
	case S_IFLNK:
		return scan_link(s, dirfd, name, path, err);
	case S_IFDIR: {
		int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (fd < 0)
			return unreadable(s, path, err);
		if (tree_put_dir(s->tree, path, 0755, s->dir, err) < 0) {
			fd_close(&fd);
			return -1;
		}
		return scan_dir(s, fd, path, err);
	}
	}
	return err_set(err, ERR_PROFILE,
		       "cannot use '%s/%s': expected a file, a folder or a symbolic link", s->dir,
		       path);
}

/* Takes over fd. */
static int scan_dir(struct scan *s, int fd, const char *path, struct err *err)
{
	CLEANUP(strv_free) struct strv names = {0};
	struct dirent *entry;
	DIR *dir = fdopendir(fd);
	int r = 0;

	if (!dir) {
		fd_close(&fd);
		return unreadable(s, path, err);
	}
	errno = 0;
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			strv_add(&names, entry->d_name);
		if (names.count > ENTRIES_MAX)
			break;
		errno = 0;
	}
	if (!entry && errno)
		r = unreadable(s, path, err);
	else if (++s->depth > DEPTH_MAX)
		r = err_set(err, ERR_PROFILE, "cannot use '%s/%s': more than %d folders deep",
			    s->dir, path, DEPTH_MAX);
	strv_sort(&names);
	for (size_t i = 0; r == 0 && i < names.count; i++) {
		CLEANUP_FREE char *below = path_join(path, names.items[i]);

		r = scan_entry(s, dirfd(dir), names.items[i], below, err);
	}
	s->depth--;
	closedir(dir);
	return r;
}

/* A folder that the overlay only passes through keeps what the image says about it. */
static void inherit(struct tree *tree, struct tree_node *node, const struct tree_node *base)
{
	if (!base || base->inode->type != TREE_DIR || node->inode->type != TREE_DIR)
		return;
	if (!node->inode->mark) {
		node->inode = node_copy_inode(tree, base->inode);
		node->inode->links = 1;
	}
	for (size_t i = 0; i < node->child_count; i++) {
		const char *name = node->children[i]->name;
		size_t at;

		inherit(tree, node->children[i], node_find_child(base, name, strlen(name), &at));
	}
}

int tree_scan_overlay(const char *dir, const struct tree *base, struct tree *tree, struct err *err)
{
	struct scan s = {.dir = mem_arena_strdup(tree->arena, dir), .tree = tree};
	CLEANUP_FREE char *file = path_join(dir, OVERLAY_MANIFEST);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (fd < 0)
		return err_sys(err, errno, "cannot read overlay '%s'", dir);
	r = scan_dir(&s, fd, "", err);
	if (r == 0 && s.has_manifest) {
		if (strlen(s.manifest.data) != s.manifest.len)
			r = err_set(err, ERR_PROFILE, "cannot read '%s': it has NUL bytes", file);
		else
			r = overlay_apply_manifest(tree, base, file, s.manifest.data, err);
	}
	if (r == 0 && base)
		inherit(tree, tree->root, base->root);
	tree_clear_marks(tree);
	str_free(&s.manifest);
	return r;
}
