/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading files of a FAT32 file system: what is on an EFI system partition, whoever wrote it.
 */
#ifndef INGOT_DISK_FATREAD_H
#define INGOT_DISK_FATREAD_H

#include "base/err.h"
#include "base/image.h"
#include "disk/fatname.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fatread;

struct fatread_entry {
	char name[FATNAME_TEXT_SIZE];
	uint64_t size;    /* bytes */
	uint32_t cluster; /* the first one; 0: none */
	bool is_folder;
};

/* Opens the file system in an image (a partition), which may be hostile and must live longer.
 * ERR_VERIFY when it is not FAT32 with 512-byte sectors or is damaged. Free with fatread_close. */
struct fatread *fatread_open(struct image *image, struct err *err);

/* Frees it; NULL is allowed. */
void fatread_close(struct fatread *fat);

/* As fatread_close, for CLEANUP(). */
static inline void fatread_cleanup(struct fatread **fat)
{
	fatread_close(*fat);
}

/* Counts the bytes in clusters that are taken, and in all. Reads the whole allocation table. */
int fatread_usage(struct fatread *fat, uint64_t *ret_used, uint64_t *ret_room, struct err *err);

/* Lists a folder ("" is the root, "EFI/Linux") without "." and "..", at most 4096 entries, in the
 * order on disk. Names are compared without case. A folder that does not exist gives *ret_count 0.
 * Caller frees *ret. */
int fatread_list(struct fatread *fat, const char *path, struct fatread_entry **ret,
		 size_t *ret_count, struct err *err);

/* Opens a file for reading; fat must live longer. ERR_OTHER when there is none, ERR_VERIFY when its
 * clusters are damaged. Free with image_close. */
struct image *fatread_open_file(struct fatread *fat, const char *path, struct err *err);

#endif
