/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes tar-split data (github.com/vbatts/tar-split, tar/storage): what assembles a tar again, byte for
 * byte, from the files that came out of it. Lines of JSON, gzip-compressed. Private to this folder.
 */
#ifndef INGOT_TREE_SPLIT_H
#define INGOT_TREE_SPLIT_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct split;

/* A file entry whose name has lost its content since: a later entry took its place. */
struct split_lost {
	uint64_t position; /* what split_file returned */
	uint64_t offset;   /* of its content in the other file, bytes */
	uint64_t size;     /* bytes */
};

/* Starts at fd's current position; fd and name (for messages) are borrowed. */
struct split *split_new(int fd, const char *name);

/* Frees; NULL is allowed. */
void split_free(struct split *s);

/* Appends bytes of the stream that no file has. */
int split_raw(struct split *s, const void *bytes, size_t len, struct err *err);

/* Appends the content of the file at path (relative to the layer's folder, no links in it), with its CRC-64.
 * *ret_position is the line's number. A name may come once only. */
int split_file(struct split *s, const char *path, uint64_t size, uint64_t crc,
	       uint64_t *ret_position, struct err *err);

/* Appends a line of other tar-split data, without its newline; its position is counted anew. */
int split_line(struct split *s, const char *line, size_t len, struct err *err);

/* Writes what is left. */
int split_finish(struct split *s, struct err *err);

/* Puts content in the place of the files in lost (in order of position): reads the finished data in fd, a
 * regular file open for reading and writing, from its start to its end and writes them again, with bytes of
 * content_fd. */
int split_replace(int fd, const struct split_lost *lost, size_t count, int content_fd,
		  const char *name, struct err *err);

#endif
