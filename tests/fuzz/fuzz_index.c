/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the index of a layer: refused, or a tree that stays inside the tar and is written and
 * read again without a change.
 */
#include "demand.h"
#include "base/mem.h"
#include "base/path.h"
#include "tree/archive.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TAR_SIZE 100000

static int check_node(const struct tree_node *node, const char *path, void *context,
		      struct err *err)
{
	const struct tree_data *data = &node->inode->data;
	size_t *count = context;

	(void)err;
	(*count)++;
	demand(!node->parent || path_is_clean(path), "paths are clean");
	demand(node->inode->type == TREE_DIR || !node->child_count, "only folders have entries");
	demand(node->inode->type != TREE_FILE ||
		       (data->size <= TAR_SIZE && data->offset <= TAR_SIZE - data->size),
	       "contents are in the tar");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new(), *again = tree_new();
	CLEANUP(str_free) struct str text = {0}, text2 = {0};
	struct err err = {0};
	size_t count = 0;

	if (tree_read_index((const char *)data, size, 99, TAR_SIZE, "x", tree, &err) < 0) {
		demand(err.code == ERR_VERIFY && err.msg[0], "an error says why");
		return 0;
	}
	tree_walk(tree, check_node, &count, NULL);
	demand(count == tree_count(tree), "the count is right");
	demand(tree_write_index(tree, &text, &err) == 0, "the index is written");
	demand(tree_read_index(text.data, text.len, 99, TAR_SIZE, "x", again, &err) == 0,
	       "the index is read");
	demand(tree_write_index(again, &text2, &err) == 0, "the index is written again");
	demand(text.len == text2.len && memcmp(text.data, text2.data, text.len) == 0,
	       "both are the same");
	return 0;
}
