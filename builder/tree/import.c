/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A foreign tar stream becomes a tree and a tar of our own in one pass. Whatever the stream says,
 * nothing leaves the tree: paths are checked before anything is made of them.
 */
#include "base/mem.h"
#include "tree/archive.h"
#include "tree/importparts.h"
#include "tree/node.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PADDING_MAX ((size_t)1 << 20) /* behind the end of the archive; tar pads to 10 KiB */
#define READ_BLOCK ((size_t)1 << 20)
#define TAR_MAX ((uint64_t)1 << 40) /* a bomb fills no more than this */

static int clean(const struct import *im, const char *raw, char *to, struct err *err)
{
	if (!raw || node_clean_path(raw, to) < 0)
		return import_broken(im, raw, "not a path below the root", err);
	return 0;
}

static int get_inode(struct import *im, struct tree_inode *inode, struct err *err)
{
	*inode = (struct tree_inode){.data.fd = im->tar_fd};
	if (import_get_owner(im, inode, err) < 0 || import_get_type(im, inode, err) < 0)
		return -1;
	return import_get_xattrs(im, inode, err);
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
			return import_archive_failed(im, err);
		if (offset < 0 || (uint64_t)offset < done || (uint64_t)offset > size ||
		    len > size - (uint64_t)offset)
			return import_broken(im, im->path, "content does not fit its size", err);
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
		return import_broken(im, im->path, "hard link to something that is not there", err);
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
				 : import_broken(im, "./", "the root must be a folder", err);
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
	int r;

	while ((r = import_next(im, err)) > 0) {
		if (archive_entry_size(im->entry) > (int64_t)(TAR_MAX - pax_offset(im->out)))
			return import_broken(im, archive_entry_pathname(im->entry),
					     "archive too large", err);
		if (add_entry(im, err) < 0)
			return import_blame_stream(im, err);
		if (progress && pax_offset(im->out) - told >= READ_BLOCK) {
			told = pax_offset(im->out);
			progress(told, context);
		}
	}
	return r;
}

/* Reads what pads the archive behind its end: who writes it must not find the pipe closed. */
static int drain(const struct import *im, int fd, struct err *err)
{
	char buffer[16384];
	size_t left = PADDING_MAX;

	for (;;) {
		ssize_t n = read(fd, buffer, sizeof(buffer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "cannot read %s", im->origin);
		if (n == 0)
			return 0;
		if ((size_t)n > left)
			return err_set(err, ERR_VERIFY,
				       "cannot read %s: data behind the end of the archive",
				       im->origin);
		left -= (size_t)n;
	}
}

int tree_import_tar(int in_fd, int tar_fd, struct tree *tree, const char *origin,
		    struct digest *ret_digest, void (*progress)(uint64_t bytes, void *context),
		    void *context, struct err *err)
{
	struct import *im = mem_alloc(sizeof(*im));
	locale_t saved, c = import_enter_locale(&saved);
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
		import_archive_failed(im, err);
	else if (add_all(im, progress, context, err) == 0 && drain(im, in_fd, err) == 0)
		r = pax_finish(im->out, ret_digest, err);
	if (r == 0 && progress)
		progress(pax_offset(im->out), context);
	archive_read_free(im->in);
	pax_free(im->out);
	import_leave_locale(c, saved);
	free(im);
	return r;
}
