/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Visits everything in a squashfs. Folders that contain themselves or are in two places are damage, so a
 * walk ends after as many folders as the superblock names.
 */
#include "disk/squashread_parts.h"

#include "base/mem.h"
#include "base/str.h"

#include <sqfs/dir.h>
#include <sqfs/error.h>
#include <sqfs/inode.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A walk through all folders. */
struct walk {
	struct squashread *r;
	uint8_t *seen; /* a bit for each inode number of a folder */
	char path[SQUASHREAD_PATH];
	size_t entries;
	int (*visit)(const char *path, const struct squashread_stat *stat, void *context,
		     struct err *err);
	void *context;
};

static bool name_is_good(const sqfs_dir_entry_t *entry)
{
	size_t len = (size_t)entry->size + 1;
	const char *name = (const char *)entry->name;

	return strlen(name) == len && !strchr(name, '/') && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

static int walk_inode(struct walk *w, const sqfs_inode_generic_t *inode, uint64_t ref, size_t depth,
		      struct err *err);

static int walk_child(struct walk *w, uint64_t ref, size_t depth, struct err *err)
{
	sqfs_inode_generic_t *inode = NULL;
	int result;

	if (squashread_get_inode(w->r, ref, &inode, err) < 0)
		return -1;
	result = walk_inode(w, inode, ref, depth, err);
	sqfs_free(inode);
	return result;
}

/* Goes to an entry, whose name is put behind the first len bytes of the path. */
static int walk_entry(struct walk *w, const sqfs_dir_entry_t *entry, uint64_t ref, size_t len,
		      size_t depth, struct err *err)
{
	const char *name = (const char *)entry->name;

	if (!name_is_good(entry) || ++w->entries > TREE_NODES_MAX)
		return squashread_damaged(w->r, SQFS_ERROR_CORRUPTED, err);
	if (len + strlen(name) + 2 > sizeof(w->path))
		return squashread_damaged(w->r, SQFS_ERROR_OVERFLOW, err);
	w->path[len] = '/';
	strcpy(w->path + len + 1, name);
	return walk_child(w, ref, depth + 1, err);
}

/* The reader of folders goes to the place of each state, so several can be read at a time. */
static int walk_children(struct walk *w, const sqfs_inode_generic_t *dir, size_t depth,
			 struct err *err)
{
	size_t len = strlen(w->path), number = dir->base.inode_number;
	sqfs_readdir_state_t state;
	int more;

	if (number == 0 || number > w->r->info.inodes || w->seen[number / 8] & 1 << number % 8 ||
	    depth == SQUASHREAD_DEPTH)
		return squashread_damaged(w->r, SQFS_ERROR_LINK_LOOP, err);
	w->seen[number / 8] |= (uint8_t)(1 << number % 8);
	if (squashread_open_dir(w->r, dir, &state, err) < 0)
		return -1;
	if (len == 1)
		len = 0; /* the root's slash is the first of the child's path */
	do {
		sqfs_dir_entry_t *entry = NULL;
		uint64_t ref;

		more = squashread_next(w->r, &state, &entry, &ref, err);
		if (more == 1 && walk_entry(w, entry, ref, len, depth, err) < 0)
			more = -1;
		sqfs_free(entry);
	} while (more == 1);
	w->path[len ? len : 1] = 0;
	return more;
}

static int walk_inode(struct walk *w, const sqfs_inode_generic_t *inode, uint64_t ref, size_t depth,
		      struct err *err)
{
	CLEANUP_FREE char *target = NULL;
	struct squashread_stat st;

	if (squashread_fill_stat(w->r, inode, &st, err) < 0)
		return -1;
	if (S_ISLNK(st.mode))
		target = mem_strndup((const char *)inode->extra, inode->data.slink.target_size);
	st.target = target;
	st.ref = ref;
	if (w->visit(w->path, &st, w->context, err) < 0)
		return -1;
	return S_ISDIR(st.mode) ? walk_children(w, inode, depth, err) : 0;
}

int squashread_walk(struct squashread *r,
		    int (*visit)(const char *path, const struct squashread_stat *stat,
				 void *context, struct err *err),
		    void *context, struct err *err)
{
	CLEANUP_FREE struct walk *w = mem_alloc(sizeof(*w));
	CLEANUP_FREE uint8_t *seen = mem_alloc((size_t)r->info.inodes / 8 + 1);

	*w = (struct walk){.r = r, .seen = seen, .path = "/", .visit = visit, .context = context};
	return walk_child(w, r->super.root_inode_ref, 0, err);
}
