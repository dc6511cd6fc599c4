/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What writer and reader of OVA files share: the description of the machine, and the tar headers
 * (POSIX ustar). Private to output/.
 */
#ifndef INGOT_OUTPUT_OVA_PARTS_H
#define INGOT_OUTPUT_OVA_PARTS_H

#include "base/str.h"

#include <stdint.h>

#define TAR_BLOCK 512

/* Offsets of fields in a tar header. */
enum {
	TAR_NAME = 0,
	TAR_MODE = 100,
	TAR_UID = 108,
	TAR_GID = 116,
	TAR_SIZE = 124,
	TAR_MTIME = 136,
	TAR_CHECKSUM = 148,
	TAR_TYPE = 156,
	TAR_MAGIC = 257,
	TAR_VERSION = 263,
};

#define TAR_NAME_SIZE 100
#define TAR_SIZE_SIZE 12
#define TAR_CHECKSUM_SIZE 8

/* The sum of a header's bytes, with its checksum field taken as spaces. */
static inline uint32_t tar_sum(const uint8_t header[TAR_BLOCK])
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < TAR_BLOCK; i++)
		sum += i >= TAR_CHECKSUM && i < TAR_CHECKSUM + TAR_CHECKSUM_SIZE ? ' ' : header[i];
	return sum;
}

/* Fills the header of a member of size bytes, name of at most 99 characters: a file of root, of no time,
 * readable by all. From 8 GiB on the size is binary, as GNU tar and libarchive have it. */
void ova_member_header(uint8_t h[TAR_BLOCK], const char *name, uint64_t size);

/* A machine with one disk. */
struct ovf {
	const char *name;   /* of the machine, any text */
	const char *disk;   /* file name of the disk, needs no escapes */
	uint64_t file_size; /* of that file, bytes */
	uint64_t capacity;  /* of the disk, bytes */
	uint64_t populated; /* bytes of the disk that are not zero */
};

/* Appends the machine's descriptor, an envelope of OVF 1.1 (DMTF DSP0243). Its length depends on name
 * and disk only: spaces at the end make up for shorter numbers. */
void ovf_write(struct str *text, const struct ovf *ovf);

#endif
