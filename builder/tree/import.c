/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A foreign tar stream becomes a tree and a tar of our own in one pass. Whatever the stream says,
 * nothing leaves the tree: paths are checked before anything is made of them.
 */
#include "base/mem.h"
#include "base/path.h"
#include "tree/archive.h"
#include "tree/node.h"
#include "tree/pax.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define READ_BLOCK ((size_t)1 << 20)
#define TAR_MAX ((uint64_t)1 << 40) /* a bomb fills no more than this */

struct import {
	struct archive *in;
	struct archive_entry *entry;
	struct tree *tree;
	struct pax *out;
	int tar_fd;
	const char *origin;
	char path[PATH_IMAGE_MAX];
	struct tree_xattr xattrs[TREE_XATTRS_MAX];
};

static int broken(const struct import *im, const char *path, const char *why, struct err *err)
{
	return err_set(err, ERR_VERIFY, "cannot read %s: entry '%.200s': %s", im->origin,
		       path ? path : "", why);
}

/* An error of the library; what the entry was called may help. */
static int archive_failed(const struct import *im, struct err *err)
{
	const char *text = archive_error_string(im->in);
	int errnum = archive_errno(im->in);

	if (errnum == EIO || errnum == EBADF || errnum == EISDIR)
		return err_sys(err, errnum, "cannot read %s", im->origin);
	return err_set(err, ERR_VERIFY, "cannot read %s: %s", im->origin,
		       text ? text : "broken archive");
}

/* Warnings come for names that the C locale cannot show (their bytes are kept as they are, which is
 * what we want) and for attributes that were dropped (which we do not want). */
static bool harmless_warning(struct archive *in)
{
	const char *text = archive_error_string(in);

	return text && strstr(text, "can't be converted");
}

static int clean(const struct import *im, const char *raw, char *to, struct err *err)
{
	if (!raw || node_clean_path(raw, to) < 0)
		return broken(im, raw, "not a path below the root", err);
	return 0;
}

static int get_xattrs(struct import *im, struct tree_inode *inode, struct err *err)
{
	const char *name;
	const void *value;
	size_t len, count = 0;

	archive_entry_xattr_reset(im->entry);
	while (archive_entry_xattr_next(im->entry, &name, &value, &len) == ARCHIVE_OK) {
		if (!name || !*name || strlen(name) > 255 || strchr(name, '=') ||
		    !node_target_is_clean(name))
			return broken(im, im->path, "bad name of an extended attribute", err);
		if (count == TREE_XATTRS_MAX || len > TREE_XATTR_VALUE_MAX)
			return broken(im, im->path, "too many or too large extended attributes",
				      err);
		for (size_t i = 0; i < count; i++)
			if (strcmp(im->xattrs[i].name, name) == 0)
				return broken(im, im->path, "extended attribute given twice", err);
		im->xattrs[count++] = (struct tree_xattr){name, value ? value : "", len};
	}
	inode->xattrs = im->xattrs;
	inode->xattr_count = count;
	return 0;
}

static int get_type(struct import *im, struct tree_inode *inode, struct err *err)
{
	struct archive_entry *e = im->entry;

	switch (archive_entry_filetype(e)) {
	case AE_IFREG:
		inode->type = TREE_FILE;
		if (archive_entry_size(e) < 0)
			return broken(im, im->path, "bad size", err);
		inode->data.size = (uint64_t)archive_entry_size(e);
		return 0;
	case AE_IFDIR:
		inode->type = TREE_DIR;
		return 0;
	case AE_IFLNK:
		inode->type = TREE_SYMLINK;
		inode->target = archive_entry_symlink(e);
		if (!inode->target || !node_target_is_clean(inode->target))
			return broken(im, im->path, "bad target of a symbolic link", err);
		return 0;
	case AE_IFCHR:
	case AE_IFBLK:
		inode->type = archive_entry_filetype(e) == AE_IFCHR ? TREE_CHAR : TREE_BLOCK;
		inode->major = (uint32_t)archive_entry_rdevmajor(e);
		inode->minor = (uint32_t)archive_entry_rdevminor(e);
		if (inode->major > 0xfff || inode->minor > 0xfffff)
			return broken(im, im->path, "bad device number", err);
		return 0;
	case AE_IFIFO:
		inode->type = TREE_FIFO;
		return 0;
	}
	return broken(im, im->path, "type of entry not supported", err);
}

static int get_inode(struct import *im, struct tree_inode *inode, struct err *err)
{
	int64_t uid = archive_entry_uid(im->entry), gid = archive_entry_gid(im->entry);
	int64_t mtime = archive_entry_mtime(im->entry);

	*inode = (struct tree_inode){.origin = im->origin, .data.fd = im->tar_fd};
	if (uid < 0 || uid > UINT32_MAX || gid < 0 || gid > UINT32_MAX)
		return broken(im, im->path, "bad owner", err);
	/* 2^33 is far away and still fits ustar's eleven digits. */
	if (mtime < 0 || mtime >= (int64_t)1 << 33)
		return broken(im, im->path, "bad time", err);
	inode->mode = archive_entry_perm(im->entry) & 07777;
	inode->uid = (uint32_t)uid;
	inode->gid = (uint32_t)gid;
	inode->mtime = mtime;
	if (get_type(im, inode, err) < 0)
		return -1;
	return get_xattrs(im, inode, err);
}

/* Copies the content; holes of sparse entries become zeros. */
static int copy_data(struct import *im, uint64_t size, struct err *err)
{
	uint64_t done = 0;

	for (;;) {
		const void *bytes;
		size_t len;
		int64_t offset;
		int r = archive_read_data_block(im->in, &bytes, &len, &offset);

		if (r == ARCHIVE_EOF)
			break;
		if (r != ARCHIVE_OK)
			return archive_failed(im, err);
		if (offset < 0 || (uint64_t)offset < done || (uint64_t)offset > size ||
		    len > size - (uint64_t)offset)
			return broken(im, im->path, "content does not fit its size", err);
		if (pax_zeros(im->out, (uint64_t)offset - done, err) < 0 ||
		    pax_data(im->out, bytes, len, err) < 0)
			return -1;
		done = (uint64_t)offset + len;
	}
	if (pax_zeros(im->out, size - done, err) < 0)
		return -1;
	return pax_end_data(im->out, err);
}

static int add_link(struct import *im, const char *raw, struct err *err)
{
	char target[PATH_IMAGE_MAX];
	const struct tree_node *node;

	if (clean(im, raw, target, err) < 0)
		return -1;
	node = tree_find(im->tree, target);
	if (!node || node->inode->type == TREE_DIR)
		return broken(im, im->path, "hard link to something that is not there", err);
	if (tree_put_link(im->tree, im->path, target, err) < 0)
		return -1;
	return pax_header(im->out, im->path, node->inode, target, err);
}

static int add_entry(struct import *im, struct err *err)
{
	struct tree_inode inode;
	const char *link = archive_entry_hardlink(im->entry);
	struct tree_node *node;

	if (clean(im, archive_entry_pathname(im->entry), im->path, err) < 0)
		return -1;
	if (link)
		return *im->path ? add_link(im, link, err)
				 : broken(im, "./", "the root must be a folder", err);
	if (get_inode(im, &inode, err) < 0)
		return -1;
	node = tree_put(im->tree, im->path, &inode, err);
	if (!node || pax_header(im->out, im->path, node->inode, NULL, err) < 0)
		return -1;
	if (inode.type != TREE_FILE)
		return 0;
	node->inode->data.offset = pax_offset(im->out);
	return copy_data(im, inode.data.size, err);
}

static int add_all(struct import *im, void (*progress)(uint64_t bytes, void *context),
		   void *context, struct err *err)
{
	uint64_t told = 0;

	for (;;) {
		int r = archive_read_next_header(im->in, &im->entry);

		if (r == ARCHIVE_EOF)
			return 0;
		if (r != ARCHIVE_OK && !(r == ARCHIVE_WARN && harmless_warning(im->in)))
			return archive_failed(im, err);
		if (archive_entry_size(im->entry) > (int64_t)(TAR_MAX - pax_offset(im->out)))
			return broken(im, archive_entry_pathname(im->entry), "archive too large",
				      err);
		if (add_entry(im, err) < 0) {
			/* What the tree refuses here is the stream's fault, not the profile's. */
			if (err && err->code == ERR_PROFILE) {
				err->code = ERR_VERIFY;
				err_wrap(err, "cannot read %s", im->origin);
			}
			return -1;
		}
		if (progress && pax_offset(im->out) - told >= READ_BLOCK) {
			told = pax_offset(im->out);
			progress(told, context);
		}
	}
}

/* In the C locale libarchive keeps the bytes of names; with UTF-8 it would compose accents. */
static locale_t enter_c_locale(locale_t *ret_saved)
{
	locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);

	*ret_saved = uselocale(c);
	return c;
}

int tree_import_tar(int in_fd, int tar_fd, struct tree *tree, const char *origin,
		    struct digest *ret_digest, void (*progress)(uint64_t bytes, void *context),
		    void *context, struct err *err)
{
	struct import *im = mem_alloc(sizeof(*im));
	locale_t saved, c = enter_c_locale(&saved);
	int r = -1;

	/* A wider pipe saves switches between us and the writer; not being one is fine. */
	(void)fcntl(in_fd, F_SETPIPE_SZ, (int)READ_BLOCK);
	*im = (struct import){.in = archive_read_new(), .tree = tree, .tar_fd = tar_fd};
	im->origin = mem_arena_strdup(tree->arena, origin);
	im->out = pax_new(tar_fd, origin);
	/* Not all that the library knows: some of its filters run programs. */
	archive_read_support_filter_gzip(im->in);
	archive_read_support_filter_bzip2(im->in);
	archive_read_support_filter_xz(im->in);
	archive_read_support_filter_zstd(im->in);
	archive_read_support_filter_lz4(im->in);
	archive_read_support_format_tar(im->in);
	if (archive_read_open_fd(im->in, in_fd, READ_BLOCK) != ARCHIVE_OK)
		archive_failed(im, err);
	else if (add_all(im, progress, context, err) == 0)
		r = pax_finish(im->out, ret_digest, err);
	if (r == 0 && progress)
		progress(pax_offset(im->out), context);
	archive_read_free(im->in);
	pax_free(im->out);
	uselocale(saved);
	freelocale(c);
	free(im);
	return r;
}
