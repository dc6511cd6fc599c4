/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers of VMware's sparse extents ("Virtual Disk Format 5.0") that writer and reader share. All
 * fields on disk are little-endian, all places are counted in sectors.
 */
#ifndef INGOT_OUTPUT_VMDK_H
#define INGOT_OUTPUT_VMDK_H

#include "disk/endian.h"

#include <stdint.h>

#define VMDK_SECTOR 512
#define VMDK_MAGIC 0x564d444bu     /* "KDMV" */
#define VMDK_TABLE_ENTRIES 512     /* grains of a grain table */
#define VMDK_TABLE_SECTORS 4       /* of VMDK_TABLE_ENTRIES x 4 bytes */
#define VMDK_AT_END (~(uint64_t)0) /* grain directory: see the footer */
#define VMDK_ENTRY_ZERO 1          /* grain table entry: all zero (with VMDK_FLAG_ZERO) */

#define VMDK_FLAG_NEWLINES (1u << 0) /* the bytes that tell a text transfer are there */
#define VMDK_FLAG_REDUNDANT (1u << 1)
#define VMDK_FLAG_ZERO (1u << 2)
#define VMDK_FLAG_COMPRESSED (1u << 16)
#define VMDK_FLAG_MARKERS (1u << 17)

/* Programs go on with "File" or " File". */
#define VMDK_DESCRIPTOR_START "# Disk Descriptor"

#define VMDK_NEWLINES "\n \r\n"
#define VMDK_DEFLATE 1

/* Offsets of the header's fields, and the header's size. */
enum {
	VMDK_VERSION = 4,
	VMDK_FLAGS = 8,
	VMDK_CAPACITY = 12,
	VMDK_GRAIN = 20,
	VMDK_DESCRIPTOR = 28,
	VMDK_DESCRIPTOR_SIZE = 36,
	VMDK_ENTRIES = 44,
	VMDK_RGD = 48,
	VMDK_GD = 56,
	VMDK_OVERHEAD = 64,
	VMDK_UNCLEAN = 72,
	VMDK_NEWLINES_AT = 73,
	VMDK_COMPRESSION = 77,
};

/* A compressed grain: u64 first sector of the disk, u32 length, then the bytes (RFC 1950). */
#define VMDK_MARKER 12
/* Other markers, a sector each: u64 sectors that follow, u32 zero, u32 type. */
enum { VMDK_MARKER_TABLE = 1, VMDK_MARKER_DIRECTORY, VMDK_MARKER_FOOTER };

#endif
