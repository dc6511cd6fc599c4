/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What esp.c (where everything lies) and esptables.c (the bytes of the tables) share. Private to them.
 */
#ifndef INGOT_DISK_ESP_PARTS_H
#define INGOT_DISK_ESP_PARTS_H

#include "disk/esp.h"

#include <stddef.h>
#include <stdint.h>

/* A file or folder. nodes[0] is the root. */
struct esp_node {
	char *path; /* owned */
	const char *name;
	size_t parent;
	const struct esp_file *file; /* NULL: a folder */
	uint64_t size;               /* bytes; of a folder: of its entries */
	uint32_t cluster, clusters;  /* cluster 0: empty file */
	uint8_t short_name[11];
	uint8_t *entries; /* of a folder: where they are, in the buffer */
	size_t written;   /* bytes of entries so far */
};

struct esp_layout {
	const struct esp_options *options;
	struct esp_file *files; /* of the caller, sorted by path */
	struct esp_node *nodes;
	size_t count, room;
	uint32_t cluster_size, fat_sectors, clusters, next;
	uint32_t reserved; /* sectors in front of the first FAT */
	uint16_t date, time;
};

/* Writes boot sector, FSInfo and their backups: the first 8 sectors. to is zeroed. */
void esptables_boot(const struct esp_layout *layout, uint8_t *to);

/* Writes the allocation table up to the last cluster in use. to is zeroed. */
void esptables_fat(const struct esp_layout *layout, uint8_t *to);

/* Writes the entries of all folders; to is where cluster 2 begins, zeroed. */
void esptables_folders(struct esp_layout *layout, uint8_t *to);

#endif
