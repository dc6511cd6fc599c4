/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One digest for a whole tree: every field is fed with its length, so that different trees never give
 * the same stream of bytes.
 */
#include "base/fd.h"
#include "tree/archive.h"
#include "tree/node.h"

#include <string.h>

#define BUFFER ((size_t)1 << 18)

struct feed {
	struct digest_ctx *digest;
	uint32_t next;
	char buffer[BUFFER];
};

static void feed_number(struct feed *f, uint64_t value)
{
	uint8_t bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	digest_add(f->digest, bytes, sizeof(bytes));
}

static void feed_bytes(struct feed *f, const void *bytes, size_t len)
{
	feed_number(f, len);
	digest_add(f->digest, bytes, len);
}

static int feed_data(struct feed *f, const struct tree_data *data, const char *path,
		     struct err *err)
{
	uint64_t done = 0;

	if (data->bytes) {
		feed_bytes(f, data->bytes, (size_t)data->size);
		return 0;
	}
	feed_number(f, data->size);
	while (done < data->size) {
		size_t n = data->size - done < BUFFER ? (size_t)(data->size - done) : BUFFER;

		if (fd_pread(data->fd, f->buffer, n, data->offset + done, path, err) < 0)
			return -1;
		digest_add(f->digest, f->buffer, n);
		done += n;
	}
	return 0;
}

static int feed_node(const struct tree_node *node, const char *path, void *context, struct err *err)
{
	struct feed *f = context;
	struct tree_inode *inode = node->inode;

	feed_bytes(f, path, strlen(path));
	/* The number of the inode says which paths are links of one file. */
	feed_number(f, inode->mark);
	if (inode->mark)
		return 0;
	inode->mark = ++f->next;
	feed_number(f, inode->type);
	feed_number(f, inode->mode);
	feed_number(f, inode->uid);
	feed_number(f, inode->gid);
	feed_number(f, (uint64_t)inode->mtime);
	feed_number(f, inode->major);
	feed_number(f, inode->minor);
	feed_number(f, inode->xattr_count);
	for (size_t i = 0; i < inode->xattr_count; i++) {
		feed_bytes(f, inode->xattrs[i].name, strlen(inode->xattrs[i].name));
		feed_bytes(f, inode->xattrs[i].value, inode->xattrs[i].len);
	}
	if (inode->type == TREE_SYMLINK)
		feed_bytes(f, inode->target, strlen(inode->target));
	return inode->type == TREE_FILE ? feed_data(f, &inode->data, path, err) : 0;
}

int tree_digest(const struct tree *tree, struct digest *ret, struct err *err)
{
	struct feed *f = mem_alloc(sizeof(*f));
	int r;

	f->digest = digest_start();
	tree_clear_marks(tree);
	r = tree_walk(tree, feed_node, f, err);
	tree_clear_marks(tree);
	digest_finish(f->digest, ret);
	free(f);
	return r;
}
