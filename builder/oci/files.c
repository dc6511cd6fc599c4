/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a folder or of a tar. A plain tar is read where it lies: only its headers are gone through. A compressed
 * one has no places to read from, so that it is unpacked into the cache.
 */
#include "oci/files.h"

#include "base/digest.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "oci/parts.h"
#include "tree/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARCHIVE_NAME "archive.tar"
#define ARCHIVE_VERSION "1"

struct oci_files {
	char *path;        /* for messages; of the folder or file */
	int fd;            /* the folder, or the plain tar */
	struct tree *tree; /* of the tar; NULL for a folder */
};

/* The first bytes of what tree_import_tar can uncompress. */
static bool is_compressed(int fd)
{
	static const struct {
		const char *magic;
		size_t len;
	} known[] = {{"\x1f\x8b", 2},
		     {"\x28\xb5\x2f\xfd", 4},
		     {"\xfd"
		      "7zXZ",
		      5},
		     {"BZh", 3}};
	char first[8] = {0};

	if (pread(fd, first, sizeof(first), 0) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (memcmp(first, known[i].magic, known[i].len) == 0)
			return true;
	return false;
}

static int unpack(int fd, const char *path, const char *dir, struct err *err)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	CLEANUP_FREE char *to = path_join(dir, ARCHIVE_NAME);
	CLEANUP_FREE char *origin = mem_printf("'%s'", path);
	CLEANUP_FD int tar = open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct digest ignored;

	if (tar < 0)
		return err_sys(err, errno, "cannot make '%s'", to);
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(err, errno, "cannot read '%s'", path);
	return tree_import_tar(fd, tar, tree, origin, &ignored, NULL, NULL, err);
}

/* Exchanges files->fd for the plain tar in the cache. */
static int uncompress(struct oci_files *files, struct cache *cache, struct err *err)
{
	struct cache_entry entry CLEANUP(cache_abandon) = {.lock_fd = -1};
	struct cache_key inputs CLEANUP(cache_key_free) = {0};
	CLEANUP_FREE char *tar = NULL;
	struct digest content, key;
	int fd;

	if (digest_file(files->path, &content, err) < 0)
		return -1;
	cache_key_add(&inputs, "format", ARCHIVE_VERSION);
	cache_key_add_digest(&inputs, "archive", &content);
	cache_key_digest(&inputs, OCI_KIND_ARCHIVE, &key);
	if (cache_begin(cache, OCI_KIND_ARCHIVE, &key, &entry, err) < 0)
		return -1;
	if (entry.dir) {
		log_debug("unpacking '%s' into the cache", files->path);
		if (unpack(files->fd, files->path, entry.dir, err) < 0 ||
		    cache_commit(&entry, err) < 0)
			return -1;
	}
	tar = path_join(entry.final, ARCHIVE_NAME);
	fd = open(tar, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "cannot open '%s'", tar);
	fd_close(&files->fd);
	files->fd = fd;
	return 0;
}

static int open_archive(struct oci_files *files, struct cache *cache, struct err *err)
{
	CLEANUP_FREE char *origin = mem_printf("'%s'", files->path);

	if (is_compressed(files->fd) && uncompress(files, cache, err) < 0)
		return -1;
	files->tree = tree_new();
	return tree_scan_tar(files->fd, origin, files->tree, err);
}

struct oci_files *oci_files_open(struct cache *cache, const char *path, struct err *err)
{
	struct oci_files *files = mem_alloc(sizeof(*files));
	struct stat st;

	files->path = mem_strdup(path);
	/* A pipe would block here for ever. */
	files->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (files->fd < 0 || fstat(files->fd, &st) < 0) {
		err_sys(err, errno, "cannot open container image '%s'", path);
		if (err && errno == ENOENT)
			err->code = ERR_PROFILE;
	} else if (S_ISDIR(st.st_mode)) {
		return files;
	} else if (!S_ISREG(st.st_mode)) {
		err_set(err, ERR_PROFILE,
			"cannot open container image '%s': it is neither a folder nor a file",
			path);
	} else if (open_archive(files, cache, err) == 0) {
		return files;
	}
	oci_files_free(files);
	return NULL;
}

void oci_files_free(struct oci_files *files)
{
	if (!files)
		return;
	tree_free(files->tree);
	fd_close(&files->fd);
	free(files->path);
	free(files);
}

bool oci_files_have(const struct oci_files *files, const char *name)
{
	const struct tree_node *node;

	if (!files->tree)
		return faccessat(files->fd, name, F_OK, 0) == 0;
	node = tree_resolve(files->tree, name);
	return node && node->inode->type == TREE_FILE;
}

static int find_in_folder(const struct oci_files *files, const char *name, struct oci_file *ret,
			  struct err *err)
{
	struct stat st;

	ret->fd = openat(files->fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ret->own = true;
	if (ret->fd < 0 || fstat(ret->fd, &st) < 0) {
		err_sys(err, errno, "cannot read '%s/%s'", files->path, name);
		if (err && errno == ENOENT)
			err->code = ERR_VERIFY;
		return -1;
	}
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_VERIFY, "cannot read '%s/%s': it is no regular file",
			       files->path, name);
	ret->size = (uint64_t)st.st_size;
	return 0;
}

int oci_files_find(const struct oci_files *files, const char *name, struct oci_file *ret,
		   struct err *err)
{
	const struct tree_node *node;

	*ret = OCI_FILE_NONE;
	if (str_has_prefix(name, "./"))
		name += 2;
	if (!path_is_clean(name) || name[0] == '/')
		return err_set(err, ERR_VERIFY, "bad container image '%s': a path that leaves it",
			       files->path);
	if (!files->tree)
		return find_in_folder(files, name, ret, err);
	node = tree_resolve(files->tree, name);
	if (!node || node->inode->type != TREE_FILE)
		return err_set(err, ERR_VERIFY, "cannot read '%s' in '%s': it is not there", name,
			       files->path);
	ret->fd = files->fd;
	ret->offset = node->inode->data.offset;
	ret->size = node->inode->data.size;
	return 0;
}

void oci_file_close(struct oci_file *file)
{
	if (file->own)
		fd_close(&file->fd);
	*file = OCI_FILE_NONE;
}

int oci_files_read(const struct oci_files *files, const char *name, size_t max, struct str *ret,
		   struct err *err)
{
	struct oci_file file CLEANUP(oci_file_close) = OCI_FILE_NONE;
	CLEANUP_FREE char *bytes = NULL;

	if (oci_files_find(files, name, &file, err) < 0)
		return -1;
	if (file.size > max)
		return err_set(err, ERR_VERIFY, "bad container image '%s': '%s' is too large",
			       files->path, name);
	bytes = mem_alloc(file.size + 1);
	if (fd_pread(file.fd, bytes, file.size, file.offset, files->path, err) < 0)
		return -1;
	str_add_bytes(ret, bytes, file.size);
	return 0;
}
