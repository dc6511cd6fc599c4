/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree as a squashfs file system, with its digest and its dm-verity tree. The same tree and options
 * give the same bytes, whatever the number of jobs.
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
	/* Which archives the data.fd of the tree are (the digest of the layer), or NULL: then no content
	 * is taken from an earlier result and none is offered to a later one. */
	const struct digest *archives;
	const struct squashfs_earlier *earlier; /* or NULL */
};

/* What squashfs_write may take compressed content from. The bytes that it writes are the same with and
 * without it; one that does not fit is ignored. */
struct squashfs_earlier {
	int fd; /* an earlier file system, open for reading, trusted like the archives */
	const char *content; /* the content of its result */
	size_t content_len;
};

struct squashfs_result {
	uint64_t size;        /* bytes, padded to 4096 */
	struct digest digest; /* of the whole file */
	struct digest root_hash;
	struct str hash_area; /* content of the hash partition; free with str_free */
	uint64_t data_blocks; /* of 4096 bytes */
	uint64_t inodes;
	struct str content; /* for squashfs_earlier, with options->archives; free with str_free */
	bool reused;        /* content was taken from options->earlier */
};

/* What the bytes depend on besides the input, as an input of cache keys: the build ids of libsquashfs
 * and of the compression libraries that are loaded. Static. */
const char *squashfs_version(void);

/* What the compressed content of the tree's archived files (those whose data are in an fd) depends on: two
 * trees and options with the same key can share it by way of squashfs_earlier. Needs options->archives.
 * Overwrites the inodes' marks. */
int squashfs_content_key(const struct tree *tree, const struct squashfs_options *options,
			 struct digest *ret, struct err *err);

/* Writes the tree to fd (empty, read-write); name is for messages. progress (may be NULL) gets bytes of
 * content read, from this thread. Each content is read once, in the order of tree_walk, archived files
 * before all others; what a content lacks is ERR_VERIFY. The marks of the tree's inodes are overwritten. Times before 1970 and after 2106
 * become the nearest that the format has; attributes of system. (access control lists) are left out,
 * as Linux does not read them. Options out of range, attributes outside of user., trusted. and
 * security., names over 255 and link targets over 4095 bytes are ERR_PROFILE; a full disk is ERR_SPACE.
 * On success free ret->hash_area and ret->content. Blocks. */
int squashfs_write(const struct tree *tree, const struct squashfs_options *options, int fd,
		   const char *name, void (*progress)(uint64_t done, uint64_t total, void *context),
		   void *context, struct squashfs_result *ret, struct err *err);

#endif
