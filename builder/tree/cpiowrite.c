/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes initrds: one newc cpio archive, compressed with zstd on the way out. The same tree gives the
 * same bytes.
 */
#include "base/fd.h"
#include "tree/archive.h"
#include "tree/node.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zstd.h>

#define BUFFER ((size_t)1 << 18)

struct cpio_out {
	int fd;
	const char *name;
	ZSTD_CCtx *zstd; /* NULL: not compressed */
	uint64_t pos;    /* uncompressed bytes so far */
	uint32_t next_ino;
	uint32_t *left; /* by inode number: links that are not written yet */
	size_t left_room;
	char in[BUFFER], out[BUFFER];
};

static int put(struct cpio_out *c, const void *bytes, size_t len, ZSTD_EndDirective mode,
	       struct err *err)
{
	ZSTD_inBuffer in = {bytes, len, 0};
	size_t left;

	c->pos += len;
	if (!c->zstd)
		return fd_write(c->fd, bytes, len, c->name, err);
	do {
		ZSTD_outBuffer out = {c->out, BUFFER, 0};

		left = ZSTD_compressStream2(c->zstd, &out, &in, mode);
		if (ZSTD_isError(left))
			return err_set(err, ERR_OTHER, "cannot compress '%s': %s", c->name,
				       ZSTD_getErrorName(left));
		if (fd_write(c->fd, c->out, out.pos, c->name, err) < 0)
			return -1;
	} while (in.pos < in.size || (mode == ZSTD_e_end && left));
	return 0;
}

static int pad(struct cpio_out *c, uint64_t to, struct err *err)
{
	static const char zeros[512];

	return put(c, zeros, (size_t)(-c->pos & (to - 1)), ZSTD_e_continue, err);
}

static int header(struct cpio_out *c, const char *name, const struct tree_inode *inode,
		  uint32_t mode, uint32_t nlink, uint32_t size, struct err *err)
{
	char text[111];
	size_t len = strlen(name) + 1;
	int64_t mtime = inode->mtime < 0 ? 0 : inode->mtime;

	snprintf(text, sizeof(text), "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		 inode->mark, mode, inode->uid, inode->gid, nlink,
		 mtime > UINT32_MAX ? UINT32_MAX : (uint32_t)mtime, size, 0, 0, 0, 0, (unsigned)len,
		 0);
	if (put(c, text, 110, ZSTD_e_continue, err) < 0 ||
	    put(c, name, len, ZSTD_e_continue, err) < 0)
		return -1;
	return pad(c, 4, err);
}

static int content(struct cpio_out *c, const struct tree_data *data, const char *path,
		   struct err *err)
{
	uint64_t done = 0;

	if (data->bytes && put(c, data->bytes, (size_t)data->size, ZSTD_e_continue, err) < 0)
		return -1;
	while (!data->bytes && done < data->size) {
		size_t n = data->size - done < BUFFER ? (size_t)(data->size - done) : BUFFER;

		if (fd_pread(data->fd, c->in, n, data->offset + done, path, err) < 0 ||
		    put(c, c->in, n, ZSTD_e_continue, err) < 0)
			return -1;
		done += n;
	}
	return pad(c, 4, err);
}

static uint32_t folder_links(const struct tree_node *node)
{
	uint32_t links = 2;

	for (size_t i = 0; i < node->child_count; i++)
		links += node->children[i]->inode->type == TREE_DIR;
	return links;
}

/* Numbers the inode when it is met first. */
static void number(struct cpio_out *c, struct tree_inode *inode)
{
	if (inode->mark)
		return;
	inode->mark = c->next_ino++;
	if (inode->mark >= c->left_room) {
		c->left_room = c->left_room ? c->left_room * 2 : 4096;
		c->left = mem_resize(c->left, c->left_room, sizeof(*c->left));
	}
	c->left[inode->mark] = inode->links;
}

static int write_node(const struct tree_node *node, const char *path, void *context,
		      struct err *err)
{
	struct cpio_out *c = context;
	struct tree_inode *inode = node->inode;
	const char *name = path[1] ? path + 1 : ".";

	if (inode->type == TREE_CHAR || inode->type == TREE_BLOCK)
		return 0;
	number(c, inode);
	switch (inode->type) {
	case TREE_DIR:
		return header(c, name, inode, S_IFDIR | inode->mode, folder_links(node), 0, err);
	case TREE_SYMLINK: {
		size_t len = strlen(inode->target);

		if (header(c, name, inode, S_IFLNK | inode->mode, inode->links, (uint32_t)len,
			   err) < 0 ||
		    put(c, inode->target, len, ZSTD_e_continue, err) < 0)
			return -1;
		return pad(c, 4, err);
	}
	case TREE_FILE:
		if (inode->data.size > UINT32_MAX)
			return err_set(err, ERR_OTHER,
				       "cannot write '%s': '%s' is too large for a cpio archive",
				       c->name, path);
		/* All but the last link are without content, as GNU cpio writes them. */
		if (--c->left[inode->mark])
			return header(c, name, inode, S_IFREG | inode->mode, inode->links, 0, err);
		if (header(c, name, inode, S_IFREG | inode->mode, inode->links,
			   (uint32_t)inode->data.size, err) < 0)
			return -1;
		return content(c, &inode->data, path, err);
	default:
		return header(c, name, inode, S_IFIFO | inode->mode, inode->links, 0, err);
	}
}

static int start_zstd(struct cpio_out *c, int level, struct err *err)
{
	c->zstd = ZSTD_createCCtx();
	/* The number of workers is fixed since with none of them the bytes are others. */
	if (!c->zstd ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_compressionLevel, level)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_checksumFlag, 1)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_nbWorkers, 2)))
		return err_set(err, ERR_TOOL, "cannot compress '%s': libzstd has no threads",
			       c->name);
	return 0;
}

int tree_write_cpio(const struct tree *tree, int level, int fd, const char *name, struct err *err)
{
	static const struct tree_inode nobody;
	struct cpio_out *c = mem_alloc(sizeof(*c));
	int r = 0;

	c->fd = fd;
	c->name = name;
	c->next_ino = 1;
	if (level)
		r = start_zstd(c, level, err);
	tree_clear_marks(tree);
	if (r == 0)
		r = tree_walk(tree, write_node, c, err);
	if (r == 0)
		r = header(c, "TRAILER!!!", &nobody, 0, 1, 0, err);
	if (r == 0)
		r = pad(c, 512, err);
	if (r == 0)
		r = put(c, "", 0, ZSTD_e_end, err);
	tree_clear_marks(tree);
	ZSTD_freeCCtx(c->zstd);
	free(c->left);
	free(c);
	return r;
}
