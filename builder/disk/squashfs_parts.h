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

/* The files of one archive, and where their content is in the file system. */
struct squashfs_part {
	struct digest key;
	size_t *items; /* places in the list of inodes, by offset in the archive */
	size_t count, room;
	uint64_t bytes;             /* of content, uncompressed */
	uint64_t start, end;        /* in the file system; whole blocks of SQUASHFS_PAD */
	size_t fragment, fragments; /* the first of its fragment blocks, and how many */
	bool reused;                /* came from the store */
	struct digest digest;       /* of its bytes: as found by squashfs_hash */
	struct digest expected;     /* reused: as its record says */
	struct str record;          /* for the store, without digest until the end */
};

struct squashfs_parts {
	struct squashfs_part
		*items; /* those of the archives that have content, then all other files */
	size_t count;   /* without the last one, which is no segment */
};

/* Sorts the regular files by their archives and computes the segments' keys. Free with squashfs_parts_free, also
 * on error; ERR_OTHER when an fd is named twice. */
int squashfs_parts_make(const struct squashfs_inodes *inodes,
			const struct squashfs_options *options, struct squashfs_parts *ret,
			struct err *err);

/* Frees and clears it. */
void squashfs_parts_free(struct squashfs_parts *parts);

/* Fills part->record: where the content of its files and its fragments are, relative to its start. Its files'
 * inodes are those of the block processor still. */
void squashfs_record_save(struct squashfs_part *part, const struct squashfs_inodes *inodes,
			  sqfs_frag_table_t *fragments);

/* Completes the record by the digest of the segment, which squashfs_hash found. */
void squashfs_record_seal(struct squashfs_part *part);

/* Makes the inodes of the part's files, adds its fragments and sets its end and its expected digest from the
 * record of a segment, for a copy of it at part->start. Returns 1, or 0 when the record is not one of this
 * segment (then nothing has changed), or -1. */
int squashfs_record_load(const struct squashfs_segment *segment, struct squashfs_part *part,
			 struct squashfs_inodes *inodes, uint32_t block,
			 sqfs_frag_table_t *fragments, const struct squashfs_file *file,
			 struct err *err);

/* Writes the inode, directory, id and xattr tables behind the content (the fragment table between them
 * by way of fragments) and fills in the superblock. */
int squashfs_write_metadata(struct squashfs_inodes *inodes, struct squashfs_file *file,
			    sqfs_compressor_t *compressor, sqfs_frag_table_t *fragments,
			    sqfs_super_t *super, struct err *err);

/* The hash tree of the finished file and the digests of its segments (those only with options->store), by
 * options->jobs threads that read it from the page cache. */
int squashfs_hash(const struct squashfs_file *file, const struct squashfs_options *options,
		  struct squashfs_parts *parts, struct squashfs_result *ret, struct err *err);

#endif
