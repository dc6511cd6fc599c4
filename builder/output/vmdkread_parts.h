/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open VMDK, for the two files that read it. Private to output/.
 */
#ifndef INGOT_OUTPUT_VMDKREAD_PARTS_H
#define INGOT_OUTPUT_VMDKREAD_PARTS_H

#include "base/image.h"

#include <stddef.h>
#include <stdint.h>

#define VMDK_CACHE 8

/* A grain table or a grain that was read, by its number. */
struct cached {
	uint64_t number; /* UINT64_MAX: empty */
	uint64_t used;   /* age */
	uint8_t *bytes;
};

struct vmdk_image {
	struct image image;
	int fd;
	char *name;
	uint64_t base, size; /* the extent's part of the file, bytes */
	uint32_t flags;
	uint64_t sectors;
	uint64_t grain; /* sectors */
	uint64_t overhead;
	uint64_t gd, rgd; /* sectors; rgd 0: none */
	uint64_t descriptor, descriptor_size;
	size_t table_count;
	uint32_t *tables;    /* sectors of the grain tables, 0: absent */
	uint32_t *redundant; /* of their copies, or NULL */
	uint64_t clock;
	struct cached cached_tables[VMDK_CACHE], cached_grains[VMDK_CACHE];
	uint8_t *packed; /* room for a compressed grain */
};

/* Says what is damaged (ERR_VERIFY); -1. */
int vmdk_damaged(const struct vmdk_image *v, const char *what, struct err *err);

/* Reads len bytes of the extent at offset (bytes); "what" is damaged when they are not all there. */
int vmdk_read_at(struct vmdk_image *v, void *to, size_t len, uint64_t offset, const char *what,
		 struct err *err);

/* Among the grains, the directory (VMDK_MARKER_DIRECTORY) and its tables (VMDK_MARKER_TABLE) at that sector
 * have a marker before them that tells what they are: checks that it does. */
int vmdk_check_marker(struct vmdk_image *v, uint64_t sector, uint32_t type, struct err *err);

/* Reads and checks all but tables and grains, and fills v, of which fd, name, base and size are set. */
int vmdk_read_front(struct vmdk_image *v, struct err *err);

#endif
