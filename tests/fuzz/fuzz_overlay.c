/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as the manifest of an overlay, and behind a NUL any text as the image's passwd and group: it
 * either fails with file:line:column, or leaves a tree with clean paths and modes in range.
 */
#include "demand.h"
#include "base/mem.h"
#include "base/path.h"
#include "tree/overlay.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int check_node(const struct tree_node *node, const char *path, void *context,
		      struct err *err)
{
	(void)context;
	(void)err;
	demand(!node->parent || path_is_clean(path), "paths are clean");
	demand(node->inode->mode <= 07777, "modes are in range");
	demand(node->inode->uid != UINT32_MAX && node->inode->gid != UINT32_MAX,
	       "owners are in range");
	return 0;
}

static void put_file(struct tree *tree, const char *path, const char *text)
{
	struct err err = {0};

	demand(tree_put_file(tree, path, 0644, text, strlen(text), "x", &err) == 0, "a file");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(tree_cleanup) struct tree *tree = tree_new(), *base = tree_new();
	CLEANUP_FREE char *text = mem_strndup((const char *)data, size);
	const char *users = strlen(text) < size ? text + strlen(text) + 1 : "";
	struct err err = {0};

	put_file(base, "etc/passwd", users);
	put_file(base, "etc/group", users);
	put_file(tree, "etc/a b", "x");
	put_file(tree, "usr/bin/tool", "x");
	demand(tree_put_symlink(tree, "etc/link", "a", "x", &err) == 0, "a link");
	if (overlay_apply_manifest(tree, size % 2 ? base : NULL, "m", text, &err) < 0)
		demand(err.code == ERR_PROFILE && err.msg[0], "an error says why");
	tree_walk(tree, check_node, NULL, NULL);
	return 0;
}
