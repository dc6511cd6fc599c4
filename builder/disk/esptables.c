/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a new FAT32 file system besides the files' content. Numbers in the code are offsets
 * in bytes, as the specification gives them.
 */
#include "disk/esp_parts.h"

#include "disk/endian.h"
#include "disk/fat.h"
#include "disk/fatname.h"

#include <string.h>

static void put_boot_sector(const struct esp_layout *layout, uint8_t *to)
{
	const struct esp_options *o = layout->options;

	put_text(to, "\xeb\x58\x90INGOT   ", 11);
	put_le16(to + 11, FAT_SECTOR);
	to[13] = (uint8_t)(layout->cluster_size / FAT_SECTOR);
	put_le16(to + 14, (uint16_t)layout->reserved);
	to[16] = 2;    /* FATs */
	to[21] = 0xf8; /* fixed disk */
	put_le16(to + 24, 63);
	put_le16(to + 26, 255);
	put_le32(to + 32, (uint32_t)(o->size / FAT_SECTOR));
	put_le32(to + 36, layout->fat_sectors);
	put_le32(to + 44, 2); /* cluster of the root folder */
	put_le16(to + 48, 1); /* FSInfo */
	put_le16(to + 50, 6); /* backup of the boot sector */
	to[64] = 0x80;
	to[66] = 0x29;
	put_le32(to + 67, o->serial);
	memset(to + 71, ' ', 11);
	put_text(to + 71, o->label, strlen(o->label));
	put_text(to + 82, "FAT32   ", 8);
	put_le16(to + 510, 0xaa55);
}

static void put_info_sector(const struct esp_layout *layout, uint8_t *to)
{
	put_le32(to, 0x41615252);
	put_le32(to + 484, 0x61417272);
	put_le32(to + 488, layout->clusters - (layout->next - 2));
	put_le32(to + 492, layout->next);
	put_le32(to + 508, 0xaa550000);
}

void esptables_boot(const struct esp_layout *layout, uint8_t *to)
{
	put_boot_sector(layout, to);
	put_info_sector(layout, to + FAT_SECTOR);
	put_le16(to + (size_t)2 * FAT_SECTOR + 510, 0xaa55);
	memcpy(to + (size_t)6 * FAT_SECTOR, to, (size_t)2 * FAT_SECTOR);
}

void esptables_fat(const struct esp_layout *layout, uint8_t *fat)
{
	put_le32(fat, 0x0ffffff8);
	put_le32(fat + 4, FAT_END);
	for (size_t i = 0; i < layout->count; i++) {
		const struct esp_node *n = &layout->nodes[i];

		for (uint32_t k = 0; k < n->clusters; k++)
			put_le32(fat + 4 * (size_t)(n->cluster + k),
				 k + 1 < n->clusters ? n->cluster + k + 1 : FAT_END);
	}
}

static void put_entry(const struct esp_layout *layout, uint8_t *to, const struct esp_node *node)
{
	to[11] = node->file ? FAT_ARCHIVE : FAT_DIRECTORY;
	put_le16(to + 14, layout->time);
	put_le16(to + 16, layout->date);
	put_le16(to + 18, layout->date);
	put_le16(to + 20, (uint16_t)(node->cluster >> 16));
	put_le16(to + 22, layout->time);
	put_le16(to + 24, layout->date);
	put_le16(to + 26, (uint16_t)node->cluster);
	put_le32(to + 28, node->file ? (uint32_t)node->size : 0);
}

/* "." and ".."; the root counts as cluster 0 there. */
static void put_dots(const struct esp_layout *layout, struct esp_node *node)
{
	struct esp_node self = {.cluster = node->cluster};
	struct esp_node up = {.cluster = node->parent ? layout->nodes[node->parent].cluster : 0};

	put_text(node->entries, ".          ", 11);
	put_entry(layout, node->entries, &self);
	put_text(node->entries + FAT_ENTRY_SIZE, "..         ", 11);
	put_entry(layout, node->entries + FAT_ENTRY_SIZE, &up);
	node->written = (size_t)2 * FAT_ENTRY_SIZE;
}

static void put_label(const struct esp_layout *layout, struct esp_node *root)
{
	uint8_t *to = root->entries;

	memset(to, ' ', 11);
	put_text(to, layout->options->label, strlen(layout->options->label));
	to[11] = FAT_VOLUME;
	put_le16(to + 22, layout->time);
	put_le16(to + 24, layout->date);
	root->written = FAT_ENTRY_SIZE;
}

void esptables_folders(struct esp_layout *layout, uint8_t *to)
{
	for (struct esp_node *n = layout->nodes; n < layout->nodes + layout->count; n++) {
		uint8_t *entry;
		struct esp_node *parent = &layout->nodes[n->parent];

		if (!n->file)
			n->entries = to + (uint64_t)(n->cluster - 2) * layout->cluster_size;
		if (n == layout->nodes) {
			put_label(layout, n);
			continue;
		}
		if (!n->file)
			put_dots(layout, n);
		/* A parent always comes before what is in it. */
		entry = fatname_write(n->name, n->short_name, parent->entries + parent->written);
		put_entry(layout, entry, n);
		parent->written += fatname_entries(n->name) * FAT_ENTRY_SIZE;
	}
}
