/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the squashfs writer share. Private to disk/squashfs*.c: other code uses
 * disk/squashfs.h and never sees libsquashfs.
 */
#ifndef INGOT_DISK_SQUASHFS_PARTS_H
#define INGOT_DISK_SQUASHFS_PARTS_H

#include "disk/squashfs.h"

#include <sqfs/compressor.h>
#include <sqfs/io.h>
#include <sqfs/predef.h>
#include <sqfs/super.h>

#define SQUASHFS_PAD 4096 /* bytes; whole blocks for dm-verity */

/* The file that libsquashfs writes to. It passes on numbers only, so the first failure stays here. */
struct squashfs_file {
	sqfs_file_t base; /* first, so that a sqfs_file_t * is also one of these */
	int fd;
	const char *name;
	uint64_t size;
	struct err err;
};

/* One inode of the file system; its number is its place in the list + 1. */
struct squashfs_entry {
	struct tree_inode *inode;
	const struct tree_node *node; /* the first of its names */
	sqfs_inode_generic_t *file;   /* TREE_FILE: made while the content is written */
	uint64_t ref;                 /* where its metadata is, once they are written */
	uint32_t links, subfolders;
	bool archived; /* its content is in an archive */
};

struct squashfs_inodes {
	struct squashfs_entry *items;
	size_t count, room;
	uint64_t content; /* bytes of all regular files */
};

/* Makes fd (empty) the target; nothing to free, the fd stays the caller's. */
void squashfs_file_init(struct squashfs_file *file, int fd, const char *name);

/* Sets err for a libsquashfs error number: the file's own failure if there was one, else "cannot <what>
 * 'name': ...". Returns -1. */
int squashfs_failed(const struct squashfs_file *file, int number, const char *what,
		    struct err *err);

/* Checks compression, level and block size (ERR_PROFILE) and makes a compressor and its opposite. A
 * compression that libsquashfs was built without is ERR_TOOL. Free both with sqfs_destroy, also on
 * error. */
int squashfs_compressors_make(const struct squashfs_options *options,
			      sqfs_compressor_t **ret_compressor,
			      sqfs_compressor_t **ret_uncompressor, struct err *err);

/* Numbers the inodes so that everything in a folder comes before the folder and next to each other, and
 * checks that the format can hold them (ERR_PROFILE). Free with squashfs_inodes_free, also on error. */
int squashfs_inodes_number(const struct tree *tree, struct squashfs_inodes *ret, struct err *err);

/* True for attributes that Linux does not keep in a squashfs: access control lists and others of
 * system. (mksquashfs leaves them out too). */
bool squashfs_leaves_out(const char *xattr);

/* Frees the list and the inodes that the content writer made. */
void squashfs_inodes_free(struct squashfs_inodes *inodes);

/* The archived files in the order in which their content is written. */
struct squashfs_archived {
	struct squashfs_inodes *inodes; /* borrowed */
	size_t *items;                  /* places in inodes->items */
	size_t count, room;
	uint64_t bytes; /* of content */
};

/* Lists the archived files and marks their entries. Free items. */
int squashfs_archived_list(const struct tree *tree, struct squashfs_inodes *inodes,
			   struct squashfs_archived *ret, struct err *err);

/* Appends to text where the content of the archived files and the fragments are in file, whose end is the
 * end of this content. */
void squashfs_content_save(const struct squashfs_archived *archived,
			   const struct squashfs_options *options, const struct squashfs_file *file,
			   sqfs_frag_table_t *fragments, struct str *text);

/* Copies the content of the archived files from options->earlier. Returns 1, or 0 when that does not fit
 * (nothing has changed then), or -1. */
int squashfs_content_restore(const struct squashfs_archived *archived,
			     const struct squashfs_options *options, struct squashfs_file *file,
			     sqfs_frag_table_t *fragments, struct err *err);

/* Writes the inode, directory, id and xattr tables behind the content (the fragment table between them
 * by way of fragments) and fills in the superblock. */
int squashfs_write_metadata(struct squashfs_inodes *inodes, struct squashfs_file *file,
			    sqfs_compressor_t *compressor, sqfs_frag_table_t *fragments,
			    sqfs_super_t *super, struct err *err);

/* Digest and hash tree of the finished file: reads it from the page cache in two threads. */
int squashfs_hash(const struct squashfs_file *file, const struct squashfs_options *options,
		  struct squashfs_result *ret, struct err *err);

#endif
