/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the entries of a layer go. The engines unpack into a folder that is the root for the time, so
 * names and links cannot lead out of it; here the tree is the folder.
 */
#include "tree/layerparts.h"

#include <string.h>

int layer_clean_path(const char *raw, char *to)
{
	size_t used = 0;

	to[0] = '\0';
	for (const char *p = raw; *p;) {
		size_t len = strcspn(p, "/");

		if (len && !(len == 1 && p[0] == '.')) {
			if (used + len + 2 > PATH_IMAGE_MAX)
				return -1;
			if (used)
				to[used++] = '/';
			memcpy(to + used, p, len);
			used += len;
			to[used] = '\0';
		}
		p += len + (p[len] == '/');
	}
	if (!used)
		return raw[0] ? 0 : -1;
	return path_is_clean(to) ? 0 : -1;
}

bool layer_is_whiteout(const struct tree_node *node)
{
	const struct tree_inode *inode = node->inode;

	/* Nothing else is one: entries with this number are refused. */
	return inode->type == TREE_CHAR && inode->major == 0 && inode->minor == 0;
}

bool layer_is_opaque(const struct tree_inode *inode)
{
	for (size_t i = 0; i < inode->xattr_count; i++)
		if (strcmp(inode->xattrs[i].name, LAYER_OPAQUE_XATTR) == 0)
			return true;
	return false;
}

int layer_set_opaque(struct layer_import *l, const char *path, const struct tree_inode *folder,
		     struct err *err)
{
	struct tree_inode opaque = *folder;
	struct tree_xattr xattrs[TREE_XATTRS_MAX];

	if (layer_is_opaque(folder))
		return 0;
	if (folder->xattr_count == TREE_XATTRS_MAX)
		return import_broken(&l->im, path, "too many extended attributes", err);
	if (folder->xattr_count)
		memcpy(xattrs, folder->xattrs, folder->xattr_count * sizeof(*xattrs));
	xattrs[opaque.xattr_count++] = (struct tree_xattr){LAYER_OPAQUE_XATTR, "y", 1};
	opaque.xattrs = xattrs;
	/* Again in our tar, for the folder may be in it without the attribute. */
	return tree_put(l->im.tree, path, &opaque, err) &&
			       pax_header(l->im.out, path, &opaque, NULL, err) == 0
		       ? 0
		       : -1;
}

/* Writes where a link leads, and what is behind it in path, to path. */
static struct tree_node *follow(struct layer_import *l, char *path, size_t len, const char **ret_p,
				struct err *err)
{
	char rest[PATH_IMAGE_MAX];
	CLEANUP_FREE char *target = NULL;
	struct tree_node *node;

	memcpy(rest, path + len, strlen(path + len) + 1);
	path[len] = '\0';
	node = tree_resolve(l->im.tree, path);
	if (!node || node->inode->type != TREE_DIR) {
		import_broken(&l->im, path,
			      "a link that leads to no folder of the layer, and below it an entry",
			      err);
		return NULL;
	}
	target = tree_path(node);
	/* "/a/b" or "/", without its slash in front. */
	len = strlen(target) - 1;
	if (len + strlen(rest) >= PATH_IMAGE_MAX) {
		import_broken(&l->im, rest, "path too long", err);
		return NULL;
	}
	memcpy(path, target + 1, len);
	/* rest starts with the slash behind the link. */
	memcpy(path + len, rest + (len == 0), strlen(rest + (len == 0)) + 1);
	*ret_p = path + len + (len != 0);
	return node;
}

struct tree_node *layer_make_parent(struct layer_import *l, char *path,
				    const struct tree_inode *like, struct err *err)
{
	const struct tree_inode folder = {.type = TREE_DIR,
					  .mode = 0755,
					  .mtime = like->mtime,
					  .origin = l->im.origin,
					  .data.fd = -1};
	struct tree_node *dir = tree_root(l->im.tree);
	const char *p = path;

	for (;;) {
		size_t len = strcspn(p, "/"), at;
		struct tree_node *child;

		if (!p[len])
			return dir;
		child = node_find_child(dir, p, len, &at);
		if (!child) {
			child = node_insert(l->im.tree, dir, at, p, len,
					    node_copy_inode(l->im.tree, &folder), err);
			if (!child)
				return NULL;
		} else if (layer_is_whiteout(child)) {
			CLEANUP_FREE char *here = mem_strndup(path, (size_t)(p + len - path));

			/* Gone below, and a folder here: what is below stays gone. */
			if (layer_set_opaque(l, here, &folder, err) < 0)
				return NULL;
		} else if (child->inode->type == TREE_SYMLINK) {
			dir = follow(l, path, (size_t)(p + len - path), &p, err);
			if (!dir)
				return NULL;
			continue;
		}
		if (child->inode->type != TREE_DIR) {
			import_broken(&l->im, path, "below something that is no folder", err);
			return NULL;
		}
		dir = child;
		p += len + 1;
	}
}
