/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree as a value: nodes, lookup and insertion. All memory is the arena's; children that are put in
 * sorted order are appended without a search, others found by bisection.
 */
#include "tree/tree.h"

#include "base/path.h"
#include "tree/node.h"

#include <string.h>

#define SYMLINKS_MAX 40 /* as Linux */

struct tree *tree_new(void)
{
	struct tree *tree = mem_alloc(sizeof(*tree));

	tree->arena = mem_arena_new();
	tree->origin = "";
	tree->root = mem_arena_alloc(tree->arena, sizeof(*tree->root));
	tree->root->name = "";
	tree->root->inode = mem_arena_alloc(tree->arena, sizeof(*tree->root->inode));
	*tree->root->inode = (struct tree_inode){
		.type = TREE_DIR, .mode = 0755, .links = 1, .origin = "", .data.fd = -1};
	tree->count = 1;
	return tree;
}

void tree_free(struct tree *tree)
{
	if (!tree)
		return;
	mem_arena_free(tree->arena);
	free(tree);
}

struct tree_node *tree_root(const struct tree *tree)
{
	return tree->root;
}

size_t tree_count(const struct tree *tree)
{
	return tree->count;
}

void *tree_keep(struct tree *tree, const void *bytes, size_t len)
{
	return mem_arena_strndup(tree->arena, bytes, len);
}

/* Orders a NUL-ended name against len bytes, bytewise. */
static int compare(const char *have, const char *name, size_t len)
{
	int order = strncmp(have, name, len);

	return order ? order : have[len] != '\0';
}

struct tree_node *node_find_child(const struct tree_node *dir, const char *name, size_t len,
				  size_t *ret_at)
{
	size_t low = 0, high = dir->child_count;

	if (high && compare(dir->children[high - 1]->name, name, len) < 0) {
		*ret_at = high;
		return NULL;
	}
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = compare(dir->children[mid]->name, name, len);

		if (order == 0) {
			*ret_at = mid;
			return dir->children[mid];
		}
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*ret_at = low;
	return NULL;
}

struct tree_node *tree_find(const struct tree *tree, const char *path)
{
	struct tree_node *node = tree->root;

	if (*path == '/')
		path++;
	while (*path && node) {
		size_t len = strcspn(path, "/"), at;

		node = node_find_child(node, path, len, &at);
		path += len;
		if (*path == '/')
			path++;
	}
	return node;
}

struct tree_node *tree_resolve(const struct tree *tree, const char *path)
{
	struct tree_node *node = tree->root;
	CLEANUP_FREE char *rest = mem_strdup(path);
	char *p = rest;
	unsigned links = 0;

	while (node) {
		struct tree_node *child;
		size_t len, at;
		char *joined;

		p += strspn(p, "/");
		if (!*p)
			return node;
		if (node->inode->type != TREE_DIR)
			return NULL;
		len = strcspn(p, "/");
		if (len == 1 && p[0] == '.') {
			p += len;
			continue;
		}
		if (len == 2 && p[0] == '.' && p[1] == '.') {
			node = node->parent ? node->parent : node;
			p += len;
			continue;
		}
		child = node_find_child(node, p, len, &at);
		p += len;
		if (!child || child->inode->type != TREE_SYMLINK) {
			node = child;
			continue;
		}
		if (++links > SYMLINKS_MAX || strlen(p) > PATH_IMAGE_MAX)
			return NULL;
		if (child->inode->target[0] == '/')
			node = tree->root;
		joined = mem_printf("%s/%s", child->inode->target, p);
		free(rest);
		p = rest = joined;
	}
	return NULL;
}

char *tree_path(const struct tree_node *node)
{
	size_t len = 0;
	char *path, *p;

	if (!node->parent)
		return mem_strdup("/");
	for (const struct tree_node *n = node; n->parent; n = n->parent)
		len += strlen(n->name) + 1;
	path = mem_alloc(len + 1);
	p = path + len;
	for (const struct tree_node *n = node; n->parent; n = n->parent) {
		size_t part = strlen(n->name);

		p -= part;
		memcpy(p, n->name, part);
		*--p = '/';
	}
	return path;
}

/* Few per inode, so insertion sort; equal bytes in any order of arrival give equal trees. */
static void copy_xattrs(struct tree *tree, struct tree_inode *inode, const struct tree_inode *from)
{
	struct tree_xattr *to =
		mem_arena_alloc(tree->arena, from->xattr_count * sizeof(*from->xattrs));

	for (size_t i = 0; i < from->xattr_count; i++) {
		const struct tree_xattr *x = &from->xattrs[i];
		size_t at = i;

		for (; at > 0 && strcmp(to[at - 1].name, x->name) > 0; at--)
			to[at] = to[at - 1];
		to[at].name = mem_arena_strdup(tree->arena, x->name);
		to[at].value = mem_arena_strndup(tree->arena, x->value, x->len);
		to[at].len = x->len;
	}
	inode->xattrs = to;
}

struct tree_inode *node_copy_inode(struct tree *tree, const struct tree_inode *from)
{
	struct tree_inode *inode = mem_arena_alloc(tree->arena, sizeof(*inode));
	const char *origin = from->origin ? from->origin : "";

	*inode = *from;
	inode->links = 0;
	inode->mark = 0;
	inode->mode &= 07777;
	inode->xattrs = NULL;
	if (inode->type != TREE_FILE)
		inode->data = (struct tree_data){.fd = -1};
	if (inode->type != TREE_CHAR && inode->type != TREE_BLOCK)
		inode->major = inode->minor = 0;
	inode->target =
		inode->type == TREE_SYMLINK ? mem_arena_strdup(tree->arena, from->target) : NULL;
	if (from->xattr_count)
		copy_xattrs(tree, inode, from);
	if (!tree->origin || strcmp(tree->origin, origin) != 0)
		tree->origin = mem_arena_strndup(tree->arena, origin, strlen(origin));
	inode->origin = tree->origin;
	return inode;
}

struct tree_node *node_insert(struct tree *tree, struct tree_node *dir, size_t at, const char *name,
			      size_t len, struct tree_inode *inode, struct err *err)
{
	struct tree_node *node;

	if (tree->count >= TREE_NODES_MAX) {
		err_set(err, ERR_PROFILE, "cannot put '%.*s': more than %zu entries", (int)len,
			name, TREE_NODES_MAX);
		return NULL;
	}
	if (dir->child_count == dir->child_room) {
		size_t room = dir->child_room ? dir->child_room * 2 : 4;
		struct tree_node **grown =
			mem_arena_alloc(tree->arena, room * sizeof(struct tree_node *));

		if (dir->child_count)
			memcpy(grown, dir->children, dir->child_count * sizeof(struct tree_node *));
		dir->children = grown;
		dir->child_room = room;
	}
	node = mem_arena_alloc(tree->arena, sizeof(*node));
	node->name = mem_arena_strndup(tree->arena, name, len);
	node->parent = dir;
	node->inode = inode;
	inode->links++;
	memmove(dir->children + at + 1, dir->children + at,
		(dir->child_count - at) * sizeof(struct tree_node *));
	dir->children[at] = node;
	dir->child_count++;
	tree->count++;
	return node;
}

void node_drop(struct tree *tree, struct tree_node *node)
{
	for (size_t i = 0; i < node->child_count; i++) {
		node_drop(tree, node->children[i]);
		tree->count--;
	}
	node->child_count = 0;
	node->inode->links--;
}

/* A path through a link is a mistake that is easy to make with a merged /usr: say the right path. */
static int refuse_parent(const char *path, const struct tree_node *node, struct err *err)
{
	CLEANUP_FREE char *where = tree_path(node);

	if (node->inode->type != TREE_SYMLINK)
		return err_set(err, ERR_PROFILE, "cannot put '%s': '%s' is no folder", path, where);
	err_set(err, ERR_PROFILE, "cannot put '%s': '%s' is a symbolic link to '%s'", path, where,
		node->inode->target);
	return err_hint(err, "put it below the folder that the link names");
}

struct tree_node *node_make_parent(struct tree *tree, const char *path,
				   const struct tree_inode *like, const char **ret_name,
				   struct err *err)
{
	const struct tree_inode folder = {.type = TREE_DIR,
					  .mode = 0755,
					  .mtime = like->mtime,
					  .origin = like->origin,
					  .data.fd = -1};
	struct tree_node *dir = tree->root;
	const char *p = path[0] == '/' ? path + 1 : path;

	if (!path_is_clean(path)) {
		err_set(err, ERR_PROFILE, "cannot put '%s': not a clean path", path);
		return NULL;
	}
	for (;;) {
		size_t len = strcspn(p, "/"), at;
		struct tree_node *child;

		if (!p[len]) {
			*ret_name = p;
			return dir;
		}
		child = node_find_child(dir, p, len, &at);
		if (!child)
			child = node_insert(tree, dir, at, p, len, node_copy_inode(tree, &folder),
					    err);
		if (!child)
			return NULL;
		if (child->inode->type != TREE_DIR) {
			refuse_parent(path, child, err);
			return NULL;
		}
		dir = child;
		p += len + 1;
	}
}

struct tree_node *node_put_inode(struct tree *tree, const char *path, struct tree_inode *inode,
				 struct err *err)
{
	const char *name;
	struct tree_node *dir, *node;
	size_t at;

	if (strcmp(path, "/") == 0 || !*path) {
		if (inode->type != TREE_DIR) {
			err_set(err, ERR_PROFILE, "cannot put '/': the root must be a folder");
			return NULL;
		}
		inode->links = 1;
		tree->root->inode = inode;
		return tree->root;
	}
	dir = node_make_parent(tree, path, inode, &name, err);
	if (!dir)
		return NULL;
	node = node_find_child(dir, name, strlen(name), &at);
	if (!node)
		return node_insert(tree, dir, at, name, strlen(name), inode, err);
	inode->links++;
	if (node->inode->type == TREE_DIR && inode->type == TREE_DIR)
		node->inode->links--;
	else
		node_drop(tree, node);
	node->inode = inode;
	return node;
}

struct tree_node *tree_put(struct tree *tree, const char *path, const struct tree_inode *inode,
			   struct err *err)
{
	return node_put_inode(tree, path, node_copy_inode(tree, inode), err);
}

int node_clean_path(const char *raw, char *to)
{
	const char *p = raw;
	size_t len;

	while (p[0] == '.' && p[1] == '/')
		p += 2 + strspn(p + 2, "/");
	len = strlen(p);
	while (len && p[len - 1] == '/')
		len--;
	to[0] = '\0';
	if (len == 0 || (len == 1 && p[0] == '.'))
		return raw[0] == '.' ? 0 : -1;
	if (len >= PATH_IMAGE_MAX)
		return -1;
	memcpy(to, p, len);
	to[len] = '\0';
	return to[0] != '/' && path_is_clean(to) ? 0 : -1;
}

bool node_target_is_clean(const char *target)
{
	size_t len = 0;

	for (; target[len]; len++)
		if ((unsigned char)target[len] < 0x20 || target[len] == 0x7f || len + 1 >= 4096)
			return false;
	return len > 0;
}
