/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done to a tree as a whole: shorthands for putting, removal, moves, merging one tree over
 * another, the walk that writers use, and reading a small file.
 */
#include "base/fd.h"
#include "base/str.h"
#include "tree/layer.h"
#include "tree/node.h"
#include "tree/tree.h"

#include <string.h>

int tree_put_file(struct tree *tree, const char *path, uint32_t mode, const void *bytes, size_t len,
		  const char *origin, struct err *err)
{
	struct tree_inode inode = {.type = TREE_FILE, .mode = mode, .origin = origin};

	inode.data = (struct tree_data){.size = len, .fd = -1};
	inode.data.bytes = tree_keep(tree, bytes ? bytes : "", len);
	return tree_put(tree, path, &inode, err) ? 0 : -1;
}

int tree_put_symlink(struct tree *tree, const char *path, const char *target, const char *origin,
		     struct err *err)
{
	struct tree_inode inode = {.type = TREE_SYMLINK, .mode = 0777, .origin = origin};

	inode.target = target;
	return tree_put(tree, path, &inode, err) ? 0 : -1;
}

int tree_put_dir(struct tree *tree, const char *path, uint32_t mode, const char *origin,
		 struct err *err)
{
	struct tree_inode inode = {.type = TREE_DIR, .mode = mode, .origin = origin};

	return tree_put(tree, path, &inode, err) ? 0 : -1;
}

int tree_put_link(struct tree *tree, const char *path, const char *existing, struct err *err)
{
	const struct tree_node *target = tree_find(tree, existing);

	if (!target)
		return err_set(err, ERR_PROFILE, "cannot link '%s' to '%s': it does not exist",
			       path, existing);
	if (target->inode->type == TREE_DIR)
		return err_set(err, ERR_PROFILE, "cannot link '%s' to '%s': it is a folder", path,
			       existing);
	if (tree_find(tree, path) == target)
		return 0;
	return node_put_inode(tree, path, target->inode, err) ? 0 : -1;
}

/* Takes a node out of its folder's list; what it holds stays as it is. */
static void detach(struct tree_node *node)
{
	struct tree_node *dir = node->parent;
	size_t at;

	node_find_child(dir, node->name, strlen(node->name), &at);
	memmove(dir->children + at, dir->children + at + 1,
		(dir->child_count - at - 1) * sizeof(struct tree_node *));
	dir->child_count--;
}

void tree_remove(struct tree *tree, const char *path)
{
	struct tree_node *node = tree_find(tree, path);

	if (!node || !node->parent)
		return;
	node_drop(tree, node);
	tree->count--;
	detach(node);
}

void tree_clear(struct tree *tree, const char *path)
{
	struct tree_node *node = tree_find(tree, path);

	if (!node || node->inode->type != TREE_DIR)
		return;
	node->inode->links++; /* node_drop gives it back */
	node_drop(tree, node);
}

int tree_move(struct tree *tree, const char *from, const char *to, struct err *err)
{
	struct tree_node *node = tree_find(tree, from), *dir, *there;
	const char *name;
	size_t at;

	if (!node || !node->parent)
		return err_set(err, ERR_PROFILE, "cannot move '%s': it does not exist", from);
	dir = node_make_parent(tree, to, node->inode, &name, err);
	if (!dir)
		return err_wrap(err, "cannot move '%s'", from);
	for (const struct tree_node *n = dir; n; n = n->parent)
		if (n == node)
			return err_set(err, ERR_PROFILE, "cannot move '%s' into itself ('%s')",
				       from, to);
	there = node_find_child(dir, name, strlen(name), &at);
	if (there == node)
		return 0;
	/* Before the target goes, for it may be a folder above the source. */
	detach(node);
	there = node_find_child(dir, name, strlen(name), &at);
	if (there) {
		node_drop(tree, there);
		node->name = there->name;
		dir->children[at] = node;
		node->parent = dir;
		tree->count--;
		return 0;
	}
	/* The new node takes over what the old one held, so that node_insert keeps the counts. */
	there = node_insert(tree, dir, at, name, strlen(name), node->inode, err);
	if (!there)
		return -1;
	node->inode->links--;
	tree->count--;
	there->children = node->children;
	there->child_count = node->child_count;
	there->child_room = node->child_room;
	for (size_t i = 0; i < there->child_count; i++)
		there->children[i]->parent = there;
	return 0;
}

/* Inodes with several links, from the tree that is laid over to the one below. */
struct link_map {
	struct link_pair {
		const struct tree_inode *from;
		struct tree_inode *to;
	} * slots;
	size_t count, room; /* room is a power of two */
};

static struct link_pair *map_slot(struct link_pair *slots, size_t room,
				  const struct tree_inode *from)
{
	size_t at = ((uintptr_t)from >> 4) * 0x9e3779b97f4a7c15u >> 20 & (room - 1);

	while (slots[at].from && slots[at].from != from)
		at = (at + 1) & (room - 1);
	return &slots[at];
}

static struct tree_inode *map_inode(struct tree *tree, struct link_map *map,
				    const struct tree_inode *from)
{
	struct link_pair *slot;

	if (from->links < 2 || from->type == TREE_DIR)
		return node_copy_inode(tree, from);
	if (map->count * 2 >= map->room) {
		size_t room = map->room ? map->room * 2 : 256;
		struct link_pair *grown = mem_alloc_array(room, sizeof(*grown));

		for (size_t i = 0; i < map->room; i++)
			if (map->slots[i].from)
				*map_slot(grown, room, map->slots[i].from) = map->slots[i];
		free(map->slots);
		map->slots = grown;
		map->room = room;
	}
	slot = map_slot(map->slots, map->room, from);
	if (!slot->from) {
		*slot = (struct link_pair){from, node_copy_inode(tree, from)};
		map->count++;
	}
	return slot->to;
}

/* A folder over a link to a folder would hide all that the link leads to (a merged /usr): refuse. */
static int check_over_link(const struct tree *tree, const struct tree_node *node,
			   const struct tree_node *over, struct err *err)
{
	CLEANUP_FREE char *path = NULL;
	const struct tree_node *end;

	if (over->inode->type != TREE_DIR || node->inode->type != TREE_SYMLINK)
		return 0;
	path = tree_path(node);
	end = tree_resolve(tree, path);
	if (!end || end->inode->type != TREE_DIR)
		return 0;
	err_set(err, ERR_PROFILE, "cannot lay folder '%s' (from %s) over the symbolic link to '%s'",
		path, over->inode->origin, node->inode->target);
	return err_hint(err, "put its files below the folder that the link names");
}

static int merge(struct tree *tree, struct tree_node *dir, const struct tree_node *over,
		 struct link_map *map, struct err *err)
{
	for (size_t i = 0; i < over->child_count; i++) {
		const struct tree_node *from = over->children[i];
		struct tree_inode *inode;
		struct tree_node *node;
		size_t at;

		node = node_find_child(dir, from->name, strlen(from->name), &at);
		if (node && check_over_link(tree, node, from, err) < 0)
			return -1;
		inode = map_inode(tree, map, from->inode);
		if (!node) {
			node = node_insert(tree, dir, at, from->name, strlen(from->name), inode,
					   err);
			if (!node)
				return -1;
		} else {
			inode->links++;
			if (inode->type == TREE_DIR && node->inode->type == TREE_DIR)
				node->inode->links--;
			else
				node_drop(tree, node);
			node->inode = inode;
		}
		if (from->child_count && merge(tree, node, from, map, err) < 0)
			return -1;
	}
	return 0;
}

int tree_merge(struct tree *tree, const struct tree *over, struct err *err)
{
	struct link_map map = {0};
	int r;

	tree->root->inode = node_copy_inode(tree, over->root->inode);
	tree->root->inode->links = 1;
	r = merge(tree, tree->root, over->root, &map, err);
	free(map.slots);
	return r;
}

int tree_graft(struct tree *tree, const char *path, const struct tree *over, struct err *err)
{
	struct link_map map = {0};
	struct tree_node *node;
	int r;

	tree_remove(tree, path);
	tree_clear(tree, path);
	node = tree_put(tree, path, over->root->inode, err);
	if (!node)
		return -1;
	r = merge(tree, node, over->root, &map, err);
	free(map.slots);
	return r;
}

static void clamp(struct tree_node *node, int64_t epoch)
{
	if (node->inode->mtime > epoch)
		node->inode->mtime = epoch;
	for (size_t i = 0; i < node->child_count; i++)
		clamp(node->children[i], epoch);
}

void tree_clamp_times(struct tree *tree, int64_t epoch)
{
	clamp(tree->root, epoch);
}

struct walk {
	int (*visit)(const struct tree_node *node, const char *path, void *context,
		     struct err *err);
	void *context;
	struct str path;
};

static int walk(struct walk *w, const struct tree_node *dir, struct err *err)
{
	size_t len = w->path.len;

	for (size_t i = 0; i < dir->child_count; i++) {
		const struct tree_node *node = dir->children[i];

		str_add(&w->path, "/");
		str_add(&w->path, node->name);
		if (w->visit(node, w->path.data, w->context, err) < 0 || walk(w, node, err) < 0)
			return -1;
		w->path.len = len;
	}
	return 0;
}

int tree_walk(const struct tree *tree,
	      int (*visit)(const struct tree_node *node, const char *path, void *context,
			   struct err *err),
	      void *context, struct err *err)
{
	struct walk w = {visit, context, {0}};
	int r = visit(tree->root, "/", context, err);

	if (r == 0)
		r = walk(&w, tree->root, err);
	str_free(&w.path);
	return r;
}

static void clear_marks(const struct tree_node *node)
{
	node->inode->mark = 0;
	for (size_t i = 0; i < node->child_count; i++)
		clear_marks(node->children[i]);
}

void tree_clear_marks(const struct tree *tree)
{
	clear_marks(tree->root);
}

int tree_read(const struct tree_node *node, size_t max, char **ret_bytes, size_t *ret_len,
	      struct err *err)
{
	const struct tree_data *data = &node->inode->data;
	CLEANUP_FREE char *path = tree_path(node);
	CLEANUP_FREE char *bytes = NULL;

	if (node->inode->type != TREE_FILE)
		return err_set(err, ERR_OTHER, "cannot read '%s': not a regular file", path);
	if (data->size > max)
		return err_set(err, ERR_OTHER, "cannot read '%s': larger than %zu bytes", path,
			       max);
	bytes = mem_alloc((size_t)data->size + 1);
	if (data->bytes)
		memcpy(bytes, data->bytes, (size_t)data->size);
	else if (data->size &&
		 fd_pread(data->fd, bytes, (size_t)data->size, data->offset, path, err) < 0)
		return -1;
	*ret_len = (size_t)data->size;
	*ret_bytes = MEM_STEAL(bytes);
	return 0;
}
