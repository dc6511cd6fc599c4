/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of inodes of a squashfs in the order of their numbers. Folders come after what is in them,
 * because their entries point to inodes that must have been written; a hard link shares one entry.
 */
#include "disk/squashfs_parts.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <sqfs/xattr.h>

#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 255
#define TARGET_MAX_BYTES 4095

bool squashfs_leaves_out(const char *xattr)
{
	return str_has_prefix(xattr, "system.");
}

static int refuse(const struct tree_node *node, struct err *err, const char *what)
{
	CLEANUP_FREE char *path = tree_path(node);

	return err_set(err, ERR_PROFILE, "cannot put '%s' into a squashfs: %s", path, what);
}

static int check(const struct tree_node *node, struct err *err)
{
	const struct tree_inode *inode = node->inode;

	if (strlen(node->name) > NAME_MAX_BYTES)
		return refuse(node, err, "the name is longer than 255 bytes");
	if (inode->type == TREE_SYMLINK &&
	    (!*inode->target || strlen(inode->target) > TARGET_MAX_BYTES))
		return refuse(node, err, "the link's target has no bytes or more than 4095");
	if ((inode->type == TREE_CHAR || inode->type == TREE_BLOCK) &&
	    (inode->major > 0xfff || inode->minor > 0xfffff))
		return refuse(node, err, "the device number is out of range");
	for (size_t i = 0; i < inode->xattr_count; i++) {
		const struct tree_xattr *x = &inode->xattrs[i];

		if (squashfs_leaves_out(x->name)) {
			CLEANUP_FREE char *path = tree_path(node);

			log_debug("%s: squashfs cannot hold %s, left out", path, x->name);
		} else if (sqfs_get_xattr_prefix_id(x->name) < 0) {
			refuse(node, err, "extended attributes are user., trusted. or security.");
			return err_hint(err, "Remove the attribute '%s'.", x->name);
		}
	}
	return 0;
}

static int add(struct squashfs_inodes *list, const struct tree_node *node, struct err *err)
{
	struct squashfs_entry entry = {.inode = node->inode, .node = node};

	if (check(node, err) < 0)
		return -1;
	VEC_ADD(list->items, list->count, list->room, entry);
	node->inode->mark = (uint32_t)list->count;
	if (node->inode->type == TREE_FILE)
		list->content += node->inode->data.size;
	return 0;
}

/* Numbers all that is below the folder, but not the folder itself. */
static int number_below(struct squashfs_inodes *list, const struct tree_node *dir, struct err *err)
{
	for (size_t i = 0; i < dir->child_count; i++)
		if (dir->children[i]->inode->type == TREE_DIR &&
		    number_below(list, dir->children[i], err) < 0)
			return -1;
	for (size_t i = 0; i < dir->child_count; i++) {
		const struct tree_node *child = dir->children[i];

		if (child->inode->mark == 0 && add(list, child, err) < 0)
			return -1;
		list->items[child->inode->mark - 1].links++;
	}
	return 0;
}

static void count_subfolders(struct squashfs_inodes *list)
{
	for (size_t i = 0; i < list->count; i++) {
		struct squashfs_entry *entry = &list->items[i];

		if (entry->inode->type != TREE_DIR)
			continue;
		for (size_t k = 0; k < entry->node->child_count; k++)
			entry->subfolders += entry->node->children[k]->inode->type == TREE_DIR;
	}
}

int squashfs_inodes_number(const struct tree *tree, struct squashfs_inodes *ret, struct err *err)
{
	const struct tree_node *root = tree_root(tree);

	tree_clear_marks(tree);
	if (number_below(ret, root, err) < 0 || add(ret, root, err) < 0)
		return -1;
	count_subfolders(ret);
	return 0;
}

void squashfs_inodes_free(struct squashfs_inodes *inodes)
{
	for (size_t i = 0; i < inodes->count; i++)
		sqfs_free(inodes->items[i].file);
	free(inodes->items);
	*inodes = (struct squashfs_inodes){0};
}
