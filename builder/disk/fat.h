/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers and rules of FAT32 (Microsoft FAT specification 1.03) that its writer and its reader
 * share.
 */
#ifndef INGOT_DISK_FAT_H
#define INGOT_DISK_FAT_H

#include <stddef.h>
#include <stdint.h>

#define FAT_SECTOR 512
#define FAT_ENTRY_SIZE 32
#define FAT_END 0x0fffffffu     /* marks the last cluster of a file */
#define FAT_END_MIN 0x0ffffff8u /* this and all above it do */
#define FAT_CLUSTERS_MIN 65525u /* fewer: it is FAT16 */
#define FAT_CLUSTERS_MAX 0x0ffffff5u
#define FAT_DIRECTORY 0x10
#define FAT_VOLUME 0x08
#define FAT_ARCHIVE 0x20
#define FAT_LONG 0x0f
#define FAT_LONG_UNITS 13 /* UTF-16 units in one long name entry */
#define FAT_NAME_MAX 255

/* The checksum of a short name that its long name entries carry. */
static inline uint8_t fat_checksum(const uint8_t name[11])
{
	uint8_t sum = 0;

	for (int i = 0; i < 11; i++)
		sum = (uint8_t)((sum << 7 | sum >> 1) + name[i]);
	return sum;
}

/* Where unit n of a long name entry lies in the entry, bytes. */
static inline size_t fat_long_at(unsigned n)
{
	return n < 5 ? 1 + 2 * n : n < 11 ? 14 + 2 * (n - 5) : 28 + 2 * (n - 11);
}

#endif
