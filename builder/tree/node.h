/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of struct tree, shared by the files of this folder only: insertion below a known folder
 * for readers that need not look up the whole path again for each entry.
 */
#ifndef INGOT_TREE_NODE_H
#define INGOT_TREE_NODE_H

#include "base/mem.h"
#include "tree/tree.h"

struct tree {
	struct mem_arena *arena;
	struct tree_node *root;
	size_t count;
	const char *origin; /* the one stored last; most entries of a layer share it */
};

/* Looks for the child whose name is the first len bytes of name. *ret_at is its index, or where it
 * would be inserted. NULL when absent. */
struct tree_node *node_find_child(const struct tree_node *dir, const char *name, size_t len,
				  size_t *ret_at);

/* Copies a template (strings, xattrs sorted by name) into the arena, links 0. */
struct tree_inode *node_copy_inode(struct tree *tree, const struct tree_inode *from);

/* Inserts a new node at index at of dir, sharing inode (whose links it counts). Fails with
 * ERR_PROFILE when the tree is full. */
struct tree_node *node_insert(struct tree *tree, struct tree_node *dir, size_t at, const char *name,
			      size_t len, struct tree_inode *inode, struct err *err);

/* Forgets the node's children and its link to the inode; the node itself stays in its folder. */
void node_drop(struct tree *tree, struct tree_node *node);

/* Finds or makes the folder that holds path and says where its last part starts. New folders take
 * mtime and origin of like. */
struct tree_node *node_make_parent(struct tree *tree, const char *path,
				   const struct tree_inode *like, const char **ret_name,
				   struct err *err);

/* Puts a node with this (arena-owned, maybe shared) inode at path, replacing what is there. */
struct tree_node *node_put_inode(struct tree *tree, const char *path, struct tree_inode *inode,
				 struct err *err);

/* Writes the path of an archive's entry without "./" in front and "/" behind to to (PATH_IMAGE_MAX bytes);
 * "" is the root. Returns -1 when it is absolute or not clean. */
int node_clean_path(const char *raw, char *to);

/* True when the target of a symbolic link is 1 to 4095 bytes without control characters. */
bool node_target_is_clean(const char *target);

#endif
