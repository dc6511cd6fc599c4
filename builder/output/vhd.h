/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The footer of a VHD file (Virtual Hard Disk Image Format Specification 1.0, Microsoft), as writer
 * and reader use it. All fields on disk are big-endian.
 */
#ifndef INGOT_OUTPUT_VHD_H
#define INGOT_OUTPUT_VHD_H

#include <stdint.h>

#define VHD_FOOTER 512 /* bytes */
#define VHD_COOKIE "conectix"
#define VHD_VERSION 0x00010000u

/* Offsets of fields. */
enum {
	VHD_AT_FEATURES = 8,
	VHD_AT_VERSION = 12,
	VHD_AT_DATA = 16, /* of the header that a dynamic disk has; all ones: there is none */
	VHD_AT_TIME = 24, /* seconds since 2000-01-01 UTC */
	VHD_AT_CREATOR = 28,
	VHD_AT_CREATOR_VERSION = 32,
	VHD_AT_CREATOR_OS = 36,
	VHD_AT_ORIGINAL_SIZE = 40,
	VHD_AT_SIZE = 48,
	VHD_AT_GEOMETRY = 56, /* cylinders (2 bytes), heads, sectors per track */
	VHD_AT_TYPE = 60,
	VHD_AT_CHECKSUM = 64,
	VHD_AT_UUID = 68,
};

enum { VHD_FIXED = 2, VHD_DYNAMIC = 3, VHD_DIFFERENCING = 4 };

/* Ones' complement of the sum of all bytes but those of the checksum itself. */
static inline uint32_t vhd_checksum(const uint8_t footer[VHD_FOOTER])
{
	uint32_t sum = 0;

	for (int i = 0; i < VHD_FOOTER; i++)
		if (i < VHD_AT_CHECKSUM || i >= VHD_AT_CHECKSUM + 4)
			sum += footer[i];
	return ~sum;
}

#endif
