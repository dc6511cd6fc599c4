/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk as a value: regions that say where each byte comes from. disk/ plans them, output/ writes
 * them; what no region covers is zero.
 */
#ifndef INGOT_BASE_REGION_H
#define INGOT_BASE_REGION_H

#include <stddef.h>
#include <stdint.h>

struct image;

struct region {
	uint64_t offset, length; /* bytes on the disk; regions are sorted and do not overlap */
	const void *bytes;       /* the content, or NULL when it is in fd or image; borrowed */
	int fd;                  /* open for reading when bytes and image are NULL; borrowed */
	struct image *image;     /* the content; only output/ reads such regions; borrowed */
	uint64_t source_offset;  /* bytes from the start of the file in fd, or of the image */
	const char *name;        /* "gpt", "esp", "root", ...; borrowed */
};

struct region_list {
	struct region *items;
	size_t count, room;
	uint64_t size; /* of the whole disk in bytes */
};

#endif
