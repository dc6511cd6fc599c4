/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file tree as a value: the metadata is in memory, file contents stay where they are (in a layer's
 * tar, a file on disk, or bytes) until the image is written. Children are kept sorted bytewise.
 */
#ifndef INGOT_TREE_TREE_H
#define INGOT_TREE_TREE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TREE_NODES_MAX ((size_t)4 << 20) /* more entries than this are refused */
#define TREE_XATTRS_MAX 64               /* per inode */
#define TREE_XATTR_VALUE_MAX 65536       /* bytes */

enum tree_type { TREE_DIR, TREE_FILE, TREE_SYMLINK, TREE_CHAR, TREE_BLOCK, TREE_FIFO };

struct tree_xattr {
	const char *name; /* with its namespace: "security.capability" */
	const void *value;
	size_t len;
};

/* Where a regular file's content is. */
struct tree_data {
	uint64_t size;     /* bytes */
	const void *bytes; /* the content, or NULL when it is in fd; borrowed, outlives the tree */
	int fd;            /* open for reading, borrowed */
	uint64_t offset;   /* bytes from the start of the file in fd */
};

/* What hard links share. */
struct tree_inode {
	enum tree_type type;
	uint32_t mode; /* 07777 */
	uint32_t uid, gid;
	int64_t mtime;         /* seconds since 1970 */
	uint32_t major, minor; /* TREE_CHAR, TREE_BLOCK */
	const char *target;    /* TREE_SYMLINK */
	struct tree_data data; /* TREE_FILE */
	struct tree_xattr *xattrs;
	size_t xattr_count;
	uint32_t links;     /* nodes that share it */
	const char *origin; /* which layer, overlay or profile key it came from; for messages */
	uint32_t mark;      /* for the user of the tree (inode numbers of writers) */
};

struct tree_node {
	const char *name; /* "" for the root */
	struct tree_node *parent;
	struct tree_inode *inode;
	struct tree_node **children; /* sorted bytewise by name; TREE_DIR only */
	size_t child_count, child_room;
};

struct tree;

/* Makes a tree with a root folder (0755, root:root, time 0). Free with tree_free. */
struct tree *tree_new(void);

/* Frees the tree with everything in it; NULL is allowed. */
void tree_free(struct tree *tree);

/* For CLEANUP(). */
static inline void tree_cleanup(struct tree **tree)
{
	tree_free(*tree);
}

/* The root folder; owned by the tree. */
struct tree_node *tree_root(const struct tree *tree);

/* Number of nodes, the root included. */
size_t tree_count(const struct tree *tree);

/* Copies bytes into memory that lives as long as the tree (ended by NUL). */
void *tree_keep(struct tree *tree, const void *bytes, size_t len);

/* Finds a path ("/" or "" is the root; leading slash optional) without following links; NULL when
 * absent. */
struct tree_node *tree_find(const struct tree *tree, const char *path);

/* Like tree_find, but follows symbolic links inside the tree (at most 40). NULL when absent. */
struct tree_node *tree_resolve(const struct tree *tree, const char *path);

/* Writes the node's path with a leading slash into a fresh string; the caller frees it. */
char *tree_path(const struct tree_node *node);

/* Puts an entry at path. Missing parents are made (0755, root:root, mtime of the entry). A folder put
 * over a folder keeps its children; anything else replaces what is there, children included. Strings
 * and xattrs of the template are copied, data stays borrowed. A path that is not clean
 * (path_is_clean), or whose parent is no folder, is ERR_PROFILE. "/" changes the root folder itself.
 * Returns the node or NULL. */
struct tree_node *tree_put(struct tree *tree, const char *path, const struct tree_inode *inode,
			   struct err *err);

/* Puts a regular file root:root with a copy of the bytes. */
int tree_put_file(struct tree *tree, const char *path, uint32_t mode, const void *bytes, size_t len,
		  const char *origin, struct err *err);

/* Puts a symbolic link root:root. */
int tree_put_symlink(struct tree *tree, const char *path, const char *target, const char *origin,
		     struct err *err);

/* Puts a folder root:root. */
int tree_put_dir(struct tree *tree, const char *path, uint32_t mode, const char *origin,
		 struct err *err);

/* Makes path a hard link to the regular file (or other non-folder) at existing. */
int tree_put_link(struct tree *tree, const char *path, const char *existing, struct err *err);

/* Removes the path with all below it; an absent path is fine. */
void tree_remove(struct tree *tree, const char *path);

/* Removes all below a folder but keeps the folder. */
void tree_clear(struct tree *tree, const char *path);

/* Moves from to to (parents are made; a target that exists is replaced). */
int tree_move(struct tree *tree, const char *from, const char *to, struct err *err);

/* Lays everything of over upon tree (folders merge and take over's attributes; hard links inside over
 * are kept; contents stay borrowed). over is unchanged. A folder over a symbolic link that leads to a
 * folder is ERR_PROFILE: it would hide all that is there (a merged /usr). */
int tree_merge(struct tree *tree, const struct tree *over, struct err *err);

/* Sets every mtime that is later than epoch to epoch. */
void tree_clamp_times(struct tree *tree, int64_t epoch);

/* Calls visit for each node in sorted depth-first order, a folder before its children, path with a
 * leading slash ("/" for the root). visit returns 0 to go on, -1 with err to stop. */
int tree_walk(const struct tree *tree,
	      int (*visit)(const struct tree_node *node, const char *path, void *context,
			   struct err *err),
	      void *context, struct err *err);

/* Sets the mark of every inode to 0. Who uses marks clears them first. */
void tree_clear_marks(const struct tree *tree);

/* Reads the content of a regular file of at most max bytes into fresh memory (ended by NUL); the
 * caller frees it. */
int tree_read(const struct tree_node *node, size_t max, char **ret_bytes, size_t *ret_len,
	      struct err *err);

#endif
