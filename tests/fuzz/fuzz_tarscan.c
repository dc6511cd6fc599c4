/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a tar that is read where it lies: refused, or files whose content is inside of it.
 */
#include "tree/archive.h"

#include "base/fd.h"

#include <stdlib.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bounds {
	int fd;
	uint64_t size;
};

static int check_node(const struct tree_node *node, const char *path, void *context,
		      struct err *err)
{
	const struct bounds *bounds = context;
	const struct tree_data *content = &node->inode->data;

	(void)path, (void)err;
	if (node->inode->type != TREE_FILE)
		return 0;
	if (content->fd != bounds->fd || content->offset > bounds->size ||
	    content->size > bounds->size - content->offset)
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	struct bounds bounds = {.size = size};
	CLEANUP_FD int fd = memfd_create("tar", MFD_CLOEXEC);
	struct err err = {0};

	bounds.fd = fd;
	if (fd_pwrite(fd, data, size, 0, "tar", &err) < 0)
		abort();
	if (tree_scan_tar(fd, "the tar", tree, &err) < 0) {
		if (err.code != ERR_VERIFY || !err.msg[0])
			abort();
		return 0;
	}
	return tree_walk(tree, check_node, &bounds, &err);
}
