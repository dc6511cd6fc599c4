/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The EFI system partition: a new FAT32 file system (Microsoft FAT specification 1.03) with long
 * names, 512-byte sectors and no hole between the files, planned as regions. Own code because the
 * bytes must not depend on the version of an installed tool.
 */
#ifndef INGOT_DISK_ESP_H
#define INGOT_DISK_ESP_H

#include "base/err.h"
#include "base/region.h"

#include <stddef.h>
#include <stdint.h>

#define ESP_SIZE_MIN ((uint64_t)34 << 20)

struct esp_file {
	const char *path; /* "EFI/BOOT/BOOTX64.EFI", clean and relative; folders are made */
	const struct region *regions; /* the content: sorted; what none covers is zero */
	size_t region_count;
	uint64_t size; /* of the file, bytes, less than 4 GiB */
};

struct esp_options {
	uint64_t size;     /* of the partition, bytes: a multiple of 1 MiB, ESP_SIZE_MIN to 1 TiB */
	uint64_t reserve;  /* bytes that must stay free (a second UKI) */
	uint32_t serial;   /* volume serial number */
	const char *label; /* up to 11 characters of A-Z 0-9 _ */
	int64_t time;      /* of all files: seconds since 1970 */
};

/* The file system as regions. It borrows the files' regions. */
struct esp {
	struct region_list regions; /* size is that of the partition */
	uint64_t used;              /* bytes in clusters that are taken */
	uint64_t room;              /* bytes in all clusters */
	void *buffer;               /* what the regions of our own point into */
};

/* Plans the file system; the same input gives the same bytes in any order of the files. Content
 * that does not fit is ERR_SPACE with a hint; a bad path, a name used twice (FAT ignores case) or a
 * bad size is ERR_OTHER. Free with esp_free. */
int esp_plan(const struct esp_file *files, size_t count, const struct esp_options *options,
	     struct esp *ret, struct err *err);

/* Frees what esp_plan allocated and clears the struct. Usable with CLEANUP(). */
void esp_free(struct esp *esp);

#endif
