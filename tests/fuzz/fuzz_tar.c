/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a tar stream: refused, or a tree with clean paths only, whose index reads back and whose
 * tar is imported again without a change.
 */
#include "demand.h"
#include "base/mem.h"
#include "base/path.h"
#include "tree/archive.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int check_node(const struct tree_node *node, const char *path, void *context,
		      struct err *err)
{
	const struct tree_data *data = &node->inode->data;
	const uint64_t *size = context;

	(void)err;
	demand(!node->parent || path_is_clean(path), "paths are clean");
	demand(node->inode->type == TREE_DIR || !node->child_count, "only folders have entries");
	demand(node->inode->type != TREE_FILE || data->offset + data->size <= *size,
	       "contents are in the tar");
	return 0;
}

static void check(const struct tree *tree, int out, const struct digest *digest)
{
	CLEANUP(tree_cleanup) struct tree *indexed = tree_new(), *again = tree_new();
	CLEANUP(str_free) struct str text = {0}, text2 = {0};
	struct err err = {0};
	struct digest d;
	uint64_t size = (uint64_t)lseek(out, 0, SEEK_END);
	int out2 = memfd_create("again", MFD_CLOEXEC);

	tree_walk(tree, check_node, &size, NULL);
	demand(tree_write_index(tree, &text, &err) == 0, "the index is written");
	demand(tree_read_index(text.data, text.len, out, size, "x", indexed, &err) == 0,
	       "the index is read");
	demand(tree_write_index(indexed, &text2, &err) == 0, "the index is written again");
	demand(text.len == text2.len && memcmp(text.data, text2.data, text.len) == 0,
	       "both are the same");
	lseek(out, 0, SEEK_SET);
	demand(tree_import_tar(out, out2, again, "x", &d, NULL, NULL, &err) == 0,
	       "our tar is imported");
	demand(memcmp(d.bytes, digest->bytes, DIGEST_SIZE) == 0, "it is the same then");
	close(out2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	const struct rlimit limit = {1u << 26, 1u << 26};
	int in = memfd_create("in", MFD_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC);
	struct err err = {0};
	struct digest digest;

	/* A small bomb is a full disk; that is an error like any other. */
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	demand(write(in, data, size) == (ssize_t)size && lseek(in, 0, SEEK_SET) == 0, "memory");
	if (tree_import_tar(in, out, tree, "x", &digest, NULL, NULL, &err) == 0)
		check(tree, out, &digest);
	else
		demand(err.code && err.msg[0], "an error says why");
	close(in);
	close(out);
	return 0;
}
