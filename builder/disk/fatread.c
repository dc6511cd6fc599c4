/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FAT32, read-only. The cluster chain of a file is read once when it is opened; its length is
 * bounded by the file's size, a folder's by its number of entries, so that loops end.
 */
#include "disk/fatread.h"

#include "base/mem.h"
#include "base/str.h"
#include "disk/endian.h"
#include "disk/fat.h"
#include "disk/fatname.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FOLDER_ENTRIES_MAX 65536 /* of 32 bytes, what the specification allows */
#define LIST_MAX 4096
#define DEPTH_MAX 32
#define FAT_PAGE 4096 /* bytes of the FAT that are read at once */

struct fatread {
	struct image *image;
	uint32_t cluster_size, clusters, root;
	uint64_t fat_offset, data_offset; /* bytes */
	uint8_t page[FAT_PAGE];
	uint64_t page_at; /* bytes into the FAT; UINT64_MAX: none */
};

struct fat_file {
	struct image image;
	struct fatread *fat;
	uint32_t *chain;
	size_t chain_count;
	char *name;
};

static int damaged(const struct fatread *fat, const char *what, struct err *err)
{
	return err_set(err, ERR_VERIFY, "cannot read '%s': damaged FAT32 file system: %s",
		       fat->image->name, what);
}

static int parse_boot_sector(struct fatread *fat, const uint8_t *b, struct err *err)
{
	uint64_t sectors = get_le32(b + 32), reserved = get_le16(b + 14), fats = b[16];
	uint64_t fat_sectors = get_le32(b + 36), per = b[13], clusters;

	if (get_le16(b + 510) != 0xaa55 || get_le16(b + 11) != FAT_SECTOR ||
	    get_le16(b + 22) != 0 || get_le16(b + 17) != 0)
		return err_set(err, ERR_VERIFY,
			       "cannot read '%s': no FAT32 file system with 512-byte sectors",
			       fat->image->name);
	if (per == 0 || (per & (per - 1)) != 0 || fats == 0 || reserved == 0 || fat_sectors == 0)
		return damaged(fat, "wrong boot sector", err);
	if (sectors > fat->image->size / FAT_SECTOR || reserved + fats * fat_sectors >= sectors)
		return damaged(fat, "it is larger than its partition", err);
	clusters = (sectors - reserved - fats * fat_sectors) / per;
	if (clusters == 0 || clusters > FAT_CLUSTERS_MAX || fat_sectors * 128 < clusters + 2)
		return damaged(fat, "the allocation table is too small", err);
	fat->cluster_size = (uint32_t)per * FAT_SECTOR;
	fat->clusters = (uint32_t)clusters;
	fat->root = get_le32(b + 44);
	fat->fat_offset = reserved * FAT_SECTOR;
	fat->data_offset = (reserved + fats * fat_sectors) * FAT_SECTOR;
	fat->page_at = UINT64_MAX;
	return 0;
}

struct fatread *fatread_open(struct image *image, struct err *err)
{
	struct fatread *fat = mem_alloc(sizeof(*fat));
	uint8_t sector[FAT_SECTOR];

	fat->image = image;
	if (image->pread(image, sector, sizeof(sector), 0, err) < 0 ||
	    parse_boot_sector(fat, sector, err) < 0) {
		free(fat);
		return NULL;
	}
	return fat;
}

void fatread_close(struct fatread *fat)
{
	free(fat);
}

/* What the allocation table says about a cluster, which is a valid one. */
static int get_cluster(struct fatread *fat, uint32_t cluster, uint32_t *ret, struct err *err)
{
	uint64_t at = (uint64_t)cluster * 4, page = at - at % FAT_PAGE;
	uint64_t fat_size = fat->data_offset - fat->fat_offset;

	if (fat->page_at != page) {
		size_t len = fat_size - page < FAT_PAGE ? (size_t)(fat_size - page) : FAT_PAGE;

		fat->page_at = UINT64_MAX;
		if (fat->image->pread(fat->image, fat->page, len, fat->fat_offset + page, err) < 0)
			return -1;
		fat->page_at = page;
	}
	*ret = get_le32(fat->page + (at - page)) & 0x0fffffff;
	return 0;
}

int fatread_usage(struct fatread *fat, uint64_t *ret_used, uint64_t *ret_room, struct err *err)
{
	uint32_t value;

	*ret_used = 0;
	*ret_room = (uint64_t)fat->clusters * fat->cluster_size;
	for (uint32_t i = 2; i < fat->clusters + 2; i++) {
		if (get_cluster(fat, i, &value, err) < 0)
			return -1;
		if (value != 0)
			*ret_used += fat->cluster_size;
	}
	return 0;
}

/* The cluster behind this one, which is a valid one; FAT_END at the end. */
static int next_cluster(struct fatread *fat, uint32_t cluster, uint32_t *ret, struct err *err)
{
	if (get_cluster(fat, cluster, ret, err) < 0)
		return -1;
	if (*ret >= FAT_END_MIN) {
		*ret = FAT_END;
		return 0;
	}
	if (*ret < 2 || *ret - 2 >= fat->clusters)
		return damaged(fat, "a cluster chain leaves the file system", err);
	return 0;
}

/* Reads the chain from cluster on, at most max clusters; longer ones are an error. */
static int read_chain(struct fatread *fat, uint32_t cluster, uint64_t max, uint32_t **ret,
		      size_t *ret_count, struct err *err)
{
	CLEANUP_FREE uint32_t *chain = NULL;
	size_t count = 0, room = 0;

	if (cluster != 0 && (cluster < 2 || cluster - 2 >= fat->clusters))
		return damaged(fat, "a file begins outside of the file system", err);
	while (cluster != 0 && cluster != FAT_END) {
		if (count == max)
			return damaged(fat, "a cluster chain is too long", err);
		VEC_ADD(chain, count, room, cluster);
		if (next_cluster(fat, cluster, &cluster, err) < 0)
			return -1;
	}
	*ret = MEM_STEAL(chain);
	*ret_count = count;
	return 0;
}

static int file_pread(struct image *image, void *bytes, size_t len, uint64_t offset,
		      struct err *err)
{
	struct fat_file *file = (struct fat_file *)image;
	struct fatread *fat = file->fat;
	uint8_t *to = bytes;

	if (offset > image->size || len > image->size - offset)
		return err_set(err, ERR_VERIFY, "cannot read '%s': beyond the end", file->name);
	while (len > 0) {
		size_t i = (size_t)(offset / fat->cluster_size), from = offset % fat->cluster_size;
		size_t n = fat->cluster_size - from, k = i;

		/* Clusters that follow each other are read at once. */
		while (n < len && k + 1 < file->chain_count &&
		       file->chain[k + 1] == file->chain[k] + 1) {
			n += fat->cluster_size;
			k++;
		}
		n = n < len ? n : len;
		if (fat->image->pread(fat->image, to, n,
				      fat->data_offset +
					      (uint64_t)(file->chain[i] - 2) * fat->cluster_size +
					      from,
				      err) < 0)
			return -1;
		to += n;
		len -= n;
		offset += n;
	}
	return 0;
}

static void file_close(struct image *image)
{
	struct fat_file *file = (struct fat_file *)image;

	free(file->chain);
	free(file->name);
	free(file);
}

/* Opens a file, or a folder whose size is that of its clusters. */
static struct image *open_entry(struct fatread *fat, const struct fatread_entry *entry,
				struct err *err)
{
	uint64_t clusters = (entry->size + fat->cluster_size - 1) / fat->cluster_size;
	struct fat_file *file = mem_alloc(sizeof(*file));

	file->fat = fat;
	file->name = mem_strdup(entry->name);
	file->image = (struct image){
		.format = "file", .name = file->name, .pread = file_pread, .close = file_close};
	if (entry->is_folder)
		clusters = (uint64_t)FOLDER_ENTRIES_MAX * FAT_ENTRY_SIZE / fat->cluster_size + 1;
	if (read_chain(fat, entry->cluster, clusters, &file->chain, &file->chain_count, err) < 0)
		goto fail;
	if (!entry->is_folder && file->chain_count < clusters) {
		damaged(fat, "a file is shorter than it says", err);
		goto fail;
	}
	file->image.size =
		entry->is_folder ? (uint64_t)file->chain_count * fat->cluster_size : entry->size;
	return &file->image;
fail:
	file_close(&file->image);
	return NULL;
}

static void fill_entry(const uint8_t *e, const struct fatname_long *name, struct fatread_entry *ret)
{
	*ret = (struct fatread_entry){
		.size = get_le32(e + 28),
		.cluster = (uint32_t)get_le16(e + 20) << 16 | get_le16(e + 26),
		.is_folder = e[11] & FAT_DIRECTORY,
	};
	fatname_read(e, name, ret->name);
}

static int list_folder(struct fatread *fat, const struct fatread_entry *folder,
		       struct fatread_entry **ret, size_t *ret_count, struct err *err)
{
	CLEANUP(image_close) struct image *image = open_entry(fat, folder, err);
	CLEANUP_FREE uint8_t *bytes = NULL;
	CLEANUP_FREE struct fatread_entry *items = NULL;
	size_t count = 0, room = 0;
	struct fatname_long name = {0};

	if (!image)
		return -1;
	bytes = mem_alloc(image->size);
	if (image->pread(image, bytes, image->size, 0, err) < 0)
		return -1;
	for (const uint8_t *e = bytes; e < bytes + image->size && e[0] != 0; e += FAT_ENTRY_SIZE) {
		struct fatread_entry entry;

		if (e[0] != 0xe5 && (e[11] & 0x3f) == FAT_LONG) {
			fatname_add_long(&name, e);
			continue;
		}
		if (e[0] != 0xe5 && e[0] != '.' && !(e[11] & FAT_VOLUME)) {
			if (count == LIST_MAX)
				return damaged(fat, "a folder has too many entries", err);
			fill_entry(e, &name, &entry);
			VEC_ADD(items, count, room, entry);
		}
		name = (struct fatname_long){0};
	}
	*ret = MEM_STEAL(items);
	*ret_count = count;
	return 0;
}

/* Walks from the root. *ret_found is false when a part does not exist. */
static int find(struct fatread *fat, const char *path, struct fatread_entry *ret, bool *ret_found,
		struct err *err)
{
	*ret = (struct fatread_entry){.cluster = fat->root, .is_folder = true};
	*ret_found = true;
	for (int depth = 0; *path; depth++) {
		CLEANUP_FREE struct fatread_entry *items = NULL;
		size_t len = strcspn(path, "/"), count, i;

		if (!ret->is_folder || depth == DEPTH_MAX) {
			*ret_found = false;
			return 0;
		}
		if (list_folder(fat, ret, &items, &count, err) < 0)
			return -1;
		for (i = 0; i < count; i++)
			if (strlen(items[i].name) == len &&
			    strncasecmp(items[i].name, path, len) == 0)
				break;
		if (i == count) {
			*ret_found = false;
			return 0;
		}
		*ret = items[i];
		path += len + (path[len] == '/');
	}
	return 0;
}

int fatread_list(struct fatread *fat, const char *path, struct fatread_entry **ret,
		 size_t *ret_count, struct err *err)
{
	struct fatread_entry folder;
	bool found;

	*ret = NULL;
	*ret_count = 0;
	if (find(fat, path, &folder, &found, err) < 0)
		return -1;
	if (!found || !folder.is_folder)
		return 0;
	return list_folder(fat, &folder, ret, ret_count, err);
}

struct image *fatread_open_file(struct fatread *fat, const char *path, struct err *err)
{
	struct fatread_entry entry;
	bool found;

	if (find(fat, path, &entry, &found, err) < 0)
		return NULL;
	if (!found || entry.is_folder) {
		err_set(err, ERR_OTHER, "there is no file '%s' in '%s'", path, fat->image->name);
		return NULL;
	}
	return open_entry(fat, &entry, err);
}
