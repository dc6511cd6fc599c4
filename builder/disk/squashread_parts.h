/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the squashfs reader share. Private to disk/squashread*.c: other code uses
 * disk/squashread.h.
 */
#ifndef INGOT_DISK_SQUASHREAD_PARTS_H
#define INGOT_DISK_SQUASHREAD_PARTS_H

#include "disk/squashfs_parts.h"
#include "disk/squashread.h"

#include <sqfs/meta_reader.h>

#define SQUASHREAD_DEPTH 256 /* folders in each other, at most */
#define SQUASHREAD_PATH 8192 /* bytes, with what links add to it */

struct squashread {
	struct squashfs_file file; /* only its base and err are used */
	struct image *image;
	uint64_t offset;
	sqfs_super_t super;
	struct squashread_info info;
	sqfs_compressor_t *compressor;
	sqfs_id_table_t *ids;
	sqfs_meta_reader_t *inodes, *entries;
	sqfs_meta_reader_t *attributes; /* made when the first are read */
	sqfs_data_reader_t *data;
};

/* Sets err for a libsquashfs error number: the image's own error, or ERR_VERIFY as all else is the fault
 * of the file system. Returns -1. */
int squashread_damaged(struct squashread *reader, int number, struct err *err);

/* Reads the inode at ref; the caller frees it with sqfs_free. */
int squashread_get_inode(struct squashread *reader, uint64_t ref, sqfs_inode_generic_t **ret,
			 struct err *err);

/* Goes to the start of a folder. */
int squashread_open_dir(struct squashread *reader, const sqfs_inode_generic_t *dir,
			sqfs_readdir_state_t *state, struct err *err);

/* Reads the next entry (the caller frees it with sqfs_free) and where its inode is. Returns 1, or 0 at the
 * end, or -1. */
int squashread_next(struct squashread *reader, sqfs_readdir_state_t *state, sqfs_dir_entry_t **ret,
		    uint64_t *ret_ref, struct err *err);

/* Fills in all but target; ERR_VERIFY when the inode makes no sense. */
int squashread_fill_stat(struct squashread *reader, const sqfs_inode_generic_t *inode,
			 struct squashread_stat *ret, struct err *err);

#endif
