/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the pass that makes an index of a gzip file (gzscan.c) and the reading by it (gzindex.c) share.
 */
#ifndef INGOT_OUTPUT_GZINDEX_PARTS_H
#define INGOT_OUTPUT_GZINDEX_PARTS_H

#include "output/gzindex.h"

#include <stdbool.h>
#include <zlib.h>

#define GZ_WINDOW ((size_t)32768) /* how far back deflate refers */
#define GZ_BLOCK ((size_t)65536)  /* bytes that are expanded and kept at once */
#define GZ_BLOCKS 64              /* that are kept */

/* Where expansion can start. */
struct gzpoint {
	uint64_t out;    /* offset in the expanded bytes */
	uint64_t in;     /* offset in the file of the first whole byte */
	uint8_t *window; /* the GZ_WINDOW bytes before; NULL: nothing behind refers to them */
	uint8_t bits;    /* how many bits of the byte before in belong to it */
};

struct gzblock {
	uint64_t number; /* offset / GZ_BLOCK */
	uint64_t used;   /* age */
	uint8_t *bytes;  /* NULL: nothing yet */
	size_t len;      /* 0: nothing in it */
};

struct gzindex {
	int fd;
	const char *name;
	uint64_t file_size;
	uint64_t size; /* of the expanded bytes */
	struct gzpoint *points;
	size_t count, room;

	/* The expansion as it stands. */
	z_stream z;
	uint64_t in;    /* offset in the file of what is read next into input */
	uint64_t out;   /* offset of the next expanded byte */
	uint8_t *input; /* GZ_BLOCK */

	uint64_t clock;
	struct gzblock blocks[GZ_BLOCKS];
};

/* Sets "cannot read NAME: damaged gzip file: WHAT". Returns -1. */
int gzindex_damaged(const struct gzindex *index, const char *what, struct err *err);

/* Reads the next input when z has none left. ERR_VERIFY at the end of the file. */
int gzindex_fill(struct gzindex *index, struct err *err);

/* Sets z, in and out to the point. */
int gzindex_start(struct gzindex *index, const struct gzpoint *point, struct err *err);

/* The pass over the file: finds the points and the size. */
int gzindex_scan(struct gzindex *index, const struct gzindex_sink *sink, struct err *err);

#endif
