/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree as a squashfs file system, with its dm-verity tree. The same tree and options give the same bytes,
 * whatever the number of jobs and whatever is taken over from earlier ones.
 */
#ifndef INGOT_DISK_SQUASHFS_H
#define INGOT_DISK_SQUASHFS_H

#include "base/digest.h"
#include "base/str.h"
#include "tree/tree.h"

#include <stdbool.h>

struct squashfs_options {
	const char *compression; /* "zstd", "lz4", "xz", "gzip" */
	uint32_t level;          /* of the compression; ignored by lz4 */
	uint32_t block;          /* bytes, a power of two, 4096 to 1 MiB */
	int64_t time;            /* of the file system, seconds since 1970 */
	unsigned jobs;           /* threads that compress, at least 1; does not change the bytes */
	const uint8_t *salt;     /* of the hash tree */
	size_t salt_len;
	const uint8_t *uuid; /* of the hash tree, 16 bytes */
	/* Archives that files of the tree lie in, in the order of their content in the file system; each fd
	 * once. Files whose fd is not among them are as those in memory. */
	const struct squashfs_archive *archives;
	size_t archive_count;
	const struct squashfs_store *store; /* or NULL; does not change the bytes */
};

/* An archive (a layer's tar): struct tree_data names it by its fd. */
struct squashfs_archive {
	int fd;               /* open for reading */
	struct digest digest; /* of what is in it */
};

/* The compressed content of one archive: a segment. It depends on nothing but the archive, where in it the
 * files of the tree are, the compression and its libraries; that is what its key says. */
struct squashfs_segment {
	struct digest key;
	int fd;                  /* whose bytes at [offset, offset + length) it is */
	uint64_t offset, length; /* multiples of 4096 */
	struct str record;       /* what lies where in it */
};

/* Where segments are kept from one call to another. One that is damaged is noticed (every byte is digested) and
 * made again. The calls come from the thread of squashfs_write. */
struct squashfs_store {
	/* Fills in all but the key of the segment that has this key. When true squashfs_write closes
	 * segment->fd and frees segment->record. */
	bool (*find)(void *context, struct squashfs_segment *segment);
	/* Offers the segments that are new in a file of size bytes; fd is the same for all. They and the file
	 * are complete, and never written to again. */
	void (*keep)(void *context, const struct squashfs_segment *segments, size_t count,
		     uint64_t size);
	/* Says that what find gave is damaged. */
	void (*discard)(void *context, const struct digest *key);
	void *context;
};

struct squashfs_result {
	uint64_t size; /* bytes, padded to 4096 */
	struct digest root_hash;
	struct str hash_area; /* content of the hash partition; free with str_free */
	uint64_t data_blocks; /* of 4096 bytes */
	uint64_t inodes;
	size_t segments; /* archives that have content in the tree */
	size_t reused;   /* of them: taken from options->store */
};

/* What the bytes depend on besides the input, as an input of cache keys: the build ids of libsquashfs
 * and of the compression libraries that are loaded. Static. */
const char *squashfs_version(void);

/* Writes the tree to fd (empty, read-write); name is for messages. progress (may be NULL) gets bytes of
 * content read, from this thread. Content comes archive by archive, each read from its start to its end, then
 * that of all other files; what a content lacks is ERR_VERIFY. The marks of the tree's inodes are overwritten.
 * Times before 1970 and after 2106 become the nearest that the format has; attributes of system. (access
 * control lists) are left out, as Linux does not read them. Options out of range, attributes outside of
 * user., trusted. and security., names over 255 and link targets over 4095 bytes are ERR_PROFILE; a full disk
 * is ERR_SPACE. On success free ret->hash_area. Blocks. */
int squashfs_write(const struct tree *tree, const struct squashfs_options *options, int fd,
		   const char *name, void (*progress)(uint64_t done, uint64_t total, void *context),
		   void *context, struct squashfs_result *ret, struct err *err);

#endif
