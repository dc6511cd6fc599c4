/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as an initrd: refused, or a tree with clean paths whose archive is written, read and written
 * again without a change.
 */
#include "demand.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "tree/archive.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int check_node(const struct tree_node *node, const char *path, void *context,
		      struct err *err)
{
	uint64_t *size = context;
	const struct tree_data *data = &node->inode->data;

	(void)err;
	demand(!node->parent || path_is_clean(path), "paths are clean");
	if (node->inode->type == TREE_FILE)
		demand(data->size <= *size && data->offset <= *size - data->size,
		       "contents are in the archive");
	return 0;
}

static int write_tree(const struct tree *tree, struct digest *ret)
{
	int fd = memfd_create("cpio", MFD_CLOEXEC);
	char path[64];
	struct err err = {0};

	demand(tree_write_cpio(tree, 0, fd, "x", &err) == 0, "the archive is written");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	demand(digest_file(path, ret, &err) == 0, "its digest");
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new(), *again = tree_new();
	CLEANUP_FD int in = memfd_create("in", MFD_CLOEXEC), one = -1, two = -1;
	struct digest first, second;
	struct err err = {0};
	uint64_t limit = size;

	demand(write(in, data, size) == (ssize_t)size, "memory");
	if (tree_read_cpio(in, 0, size, "x", tree, &err) < 0) {
		demand(err.code == ERR_VERIFY && err.msg[0], "an error says why");
		return 0;
	}
	tree_walk(tree, check_node, &limit, NULL);
	one = write_tree(tree, &first);
	demand(tree_read_cpio(one, 0, (uint64_t)lseek(one, 0, SEEK_END), "x", again, &err) == 0,
	       "our archive is read");
	two = write_tree(again, &second);
	demand(memcmp(first.bytes, second.bytes, DIGEST_SIZE) == 0, "both are the same");
	return 0;
}
