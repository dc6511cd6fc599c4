/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planning a FAT32 file system. Folders come first, in the order of their paths, then the files;
 * each takes consecutive clusters, so a file is a few regions and the FAT is a handful of runs.
 */
#include "disk/esp.h"

#include "base/mem.h"
#include "base/path.h"
#include "base/size.h"
#include "base/str.h"
#include "disk/endian.h"
#include "disk/fat.h"
#include "disk/fatname.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define RESERVED_SECTORS 32 /* at least; more when that aligns the clusters */
#define DATA_ALIGN 4096
#define NODES_MAX 4096

/* A file or folder. nodes[0] is the root. */
struct node {
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

struct plan {
	const struct esp_options *options;
	struct node *nodes;
	size_t count, room;
	uint32_t cluster_size, fat_sectors, clusters, next;
	uint32_t reserved; /* sectors in front of the first FAT */
	uint16_t date, time;
};

static void free_plan(struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		free(plan->nodes[i].path);
	free(plan->nodes);
}

static uint64_t cluster_at(const struct plan *plan, uint32_t cluster)
{
	return ((uint64_t)plan->reserved + 2 * (uint64_t)plan->fat_sectors) * FAT_SECTOR +
	       (uint64_t)(cluster - 2) * plan->cluster_size;
}

/* The largest clusters up to 4 KiB that leave enough of them to be FAT32. */
static int set_geometry(struct plan *plan, struct err *err)
{
	uint64_t sectors = plan->options->size / FAT_SECTOR;

	if (plan->options->size < ESP_SIZE_MIN || plan->options->size % MIB != 0 ||
	    plan->options->size > 1024 * GIB)
		return err_set(err, ERR_OTHER,
			       "its size must be whole MiB, between 34 MiB and 1 TiB");
	for (plan->cluster_size = 4096; plan->cluster_size >= FAT_SECTOR; plan->cluster_size /= 2) {
		uint64_t per = plan->cluster_size / FAT_SECTOR, count = sectors / per, used;

		plan->fat_sectors = (uint32_t)(((count + 2) * 4 + FAT_SECTOR - 1) / FAT_SECTOR);
		used = RESERVED_SECTORS + 2 * (uint64_t)plan->fat_sectors;
		used = size_align(used, DATA_ALIGN / FAT_SECTOR);
		plan->reserved = (uint32_t)(used - 2 * (uint64_t)plan->fat_sectors);
		count = (sectors - used) / per;
		/* Drivers differ by a few in where they draw the line. */
		if (count >= FAT_CLUSTERS_MIN + 16 && count <= FAT_CLUSTERS_MAX - 16) {
			plan->clusters = (uint32_t)count;
			return 0;
		}
	}
	return err_set(err, ERR_OTHER, "FAT32 cannot have that size");
}

/* FAT dates count from 1980, in steps of two seconds; UTC, so that no time zone matters. */
static void set_time(struct plan *plan)
{
	int64_t first = 315532800, last = 4354819198; /* 1980-01-01, 2107-12-31 */
	time_t t = plan->options->time < first  ? first
		   : plan->options->time > last ? last
						: plan->options->time;
	struct tm tm;

	gmtime_r(&t, &tm);
	plan->date = (uint16_t)((tm.tm_year - 80) << 9 | (tm.tm_mon + 1) << 5 | tm.tm_mday);
	plan->time = (uint16_t)(tm.tm_hour << 11 | tm.tm_min << 5 | tm.tm_sec / 2);
}

static size_t add_node(struct plan *plan, const char *path, size_t len, size_t parent,
		       const struct esp_file *file)
{
	struct node node = {.path = mem_strndup(path, len), .parent = parent, .file = file};

	node.name = path_base(node.path);
	node.size = file ? file->size : 0;
	VEC_ADD(plan->nodes, plan->count, plan->room, node);
	return plan->count - 1;
}

/* The entry with that name in a folder, whatever the case; 0 (the root) when there is none. */
static size_t find_node(const struct plan *plan, size_t parent, const char *name, size_t len)
{
	for (size_t i = 1; i < plan->count; i++)
		if (plan->nodes[i].parent == parent && strlen(plan->nodes[i].name) == len &&
		    strncasecmp(plan->nodes[i].name, name, len) == 0)
			return i;
	return 0;
}

static int add_file(struct plan *plan, const struct esp_file *file, struct err *err)
{
	size_t parent = 0;
	const char *part = file->path, *slash;

	if (!path_is_clean(file->path) || file->path[0] == '/')
		return err_set(err, ERR_OTHER, "'%s' is no clean relative path", file->path);
	if (file->size > UINT32_MAX)
		return err_set(err, ERR_SPACE, "'%s' is larger than 4 GiB", file->path);
	while ((slash = strchr(part, '/'))) {
		size_t found = find_node(plan, parent, part, (size_t)(slash - part));

		if (found && (plan->nodes[found].file ||
			      strncmp(plan->nodes[found].name, part, (size_t)(slash - part)) != 0))
			return err_set(err, ERR_OTHER, "'%s' and '%s' cannot both exist",
				       plan->nodes[found].path, file->path);
		if (!found)
			found = add_node(plan, file->path, (size_t)(slash - file->path), parent,
					 NULL);
		parent = found;
		part = slash + 1;
	}
	if (find_node(plan, parent, part, strlen(part)))
		return err_set(err, ERR_OTHER, "'%s' exists twice", file->path);
	add_node(plan, file->path, strlen(file->path), parent, file);
	if (plan->count > NODES_MAX)
		return err_set(err, ERR_OTHER, "more than %d files", NODES_MAX);
	return 0;
}

static int compare_files(const void *a, const void *b)
{
	const struct esp_file *const *x = a, *const *y = b;

	return strcmp((*x)->path, (*y)->path);
}

/* In the order of the paths, so that the caller's order does not matter. */
static int add_files(struct plan *plan, const struct esp_file *files, size_t count, struct err *err)
{
	CLEANUP_FREE const struct esp_file **sorted = mem_alloc_array(count, sizeof(*sorted));

	for (size_t i = 0; i < count; i++)
		sorted[i] = &files[i];
	qsort(sorted, count, sizeof(*sorted), compare_files);
	add_node(plan, "", 0, 0, NULL);
	for (size_t i = 0; i < count; i++)
		if (add_file(plan, sorted[i], err) < 0)
			return -1;
	for (size_t i = 1; i < plan->count; i++)
		if (fatname_check(plan->nodes[i].name, err) < 0)
			return -1;
	return 0;
}

static bool short_name_taken(const struct plan *plan, const struct node *node)
{
	for (const struct node *n = plan->nodes + 1; n < node; n++)
		if (n->parent == node->parent &&
		    memcmp(n->short_name, node->short_name, sizeof(n->short_name)) == 0)
			return true;
	return false;
}

/* Short names and the sizes of the folders: "." and "..", or the label in the root. */
static void set_names(struct plan *plan)
{
	plan->nodes[0].size = FAT_ENTRY_SIZE;
	for (struct node *n = plan->nodes + 1; n < plan->nodes + plan->count; n++) {
		unsigned tail = 0;

		while (fatname_short(n->name, tail, n->short_name) < 0 || short_name_taken(plan, n))
			tail++;
		if (!n->file)
			n->size += (size_t)2 * FAT_ENTRY_SIZE;
		plan->nodes[n->parent].size += fatname_entries(n->name) * FAT_ENTRY_SIZE;
	}
}

static void place(struct plan *plan, struct node *node)
{
	if (node->size == 0)
		return;
	node->cluster = plan->next;
	node->clusters =
		(uint32_t)(size_align(node->size, plan->cluster_size) / plan->cluster_size);
	plan->next += node->clusters;
}

static int place_all(struct plan *plan, struct esp *ret, struct err *err)
{
	uint64_t need = 0, room = (uint64_t)plan->clusters * plan->cluster_size;

	for (size_t i = 0; i < plan->count; i++)
		need += size_align(plan->nodes[i].size, plan->cluster_size);
	if (need > room || plan->options->reserve > room - need) {
		char has[16], wants[16];

		err_set(err, ERR_SPACE,
			"it has room for %s, the files and the next version need %s",
			size_format(room, has), size_format(need + plan->options->reserve, wants));
		return err_hint(err, "make 'disk.esp' in the profile larger");
	}
	plan->next = 2;
	for (size_t i = 0; i < plan->count; i++)
		if (!plan->nodes[i].file)
			place(plan, &plan->nodes[i]);
	for (size_t i = 0; i < plan->count; i++)
		if (plan->nodes[i].file)
			place(plan, &plan->nodes[i]);
	ret->used = need;
	ret->room = room;
	return 0;
}

static void put_boot_sector(const struct plan *plan, uint8_t *to)
{
	const struct esp_options *o = plan->options;

	memcpy(to, "\xeb\x58\x90INGOT   ", 11);
	put_le16(to + 11, FAT_SECTOR);
	to[13] = (uint8_t)(plan->cluster_size / FAT_SECTOR);
	put_le16(to + 14, (uint16_t)plan->reserved);
	to[16] = 2;    /* FATs */
	to[21] = 0xf8; /* fixed disk */
	put_le16(to + 24, 63);
	put_le16(to + 26, 255);
	put_le32(to + 32, (uint32_t)(o->size / FAT_SECTOR));
	put_le32(to + 36, plan->fat_sectors);
	put_le32(to + 44, 2); /* cluster of the root folder */
	put_le16(to + 48, 1); /* FSInfo */
	put_le16(to + 50, 6); /* backup of the boot sector */
	to[64] = 0x80;
	to[66] = 0x29;
	put_le32(to + 67, o->serial);
	memset(to + 71, ' ', 11);
	memcpy(to + 71, o->label, strlen(o->label));
	memcpy(to + 82, "FAT32   ", 8);
	put_le16(to + 510, 0xaa55);
}

static void put_info_sector(const struct plan *plan, uint8_t *to)
{
	put_le32(to, 0x41615252);
	put_le32(to + 484, 0x61417272);
	put_le32(to + 488, plan->clusters - (plan->next - 2));
	put_le32(to + 492, plan->next);
	put_le32(to + 508, 0xaa550000);
}

static void put_fat(const struct plan *plan, uint8_t *fat)
{
	put_le32(fat, 0x0ffffff8);
	put_le32(fat + 4, FAT_END);
	for (size_t i = 0; i < plan->count; i++) {
		const struct node *n = &plan->nodes[i];

		for (uint32_t k = 0; k < n->clusters; k++)
			put_le32(fat + 4 * (size_t)(n->cluster + k),
				 k + 1 < n->clusters ? n->cluster + k + 1 : FAT_END);
	}
}

static void put_entry(const struct plan *plan, uint8_t *to, const struct node *node)
{
	to[11] = node->file ? FAT_ARCHIVE : FAT_DIRECTORY;
	put_le16(to + 14, plan->time);
	put_le16(to + 16, plan->date);
	put_le16(to + 18, plan->date);
	put_le16(to + 20, (uint16_t)(node->cluster >> 16));
	put_le16(to + 22, plan->time);
	put_le16(to + 24, plan->date);
	put_le16(to + 26, (uint16_t)node->cluster);
	put_le32(to + 28, node->file ? (uint32_t)node->size : 0);
}

/* "." and ".."; the root counts as cluster 0 there. */
static void put_dots(const struct plan *plan, struct node *node)
{
	struct node self = {.cluster = node->cluster};
	struct node up = {.cluster = node->parent ? plan->nodes[node->parent].cluster : 0};

	memcpy(node->entries, ".          ", 11);
	put_entry(plan, node->entries, &self);
	memcpy(node->entries + FAT_ENTRY_SIZE, "..         ", 11);
	put_entry(plan, node->entries + FAT_ENTRY_SIZE, &up);
	node->written = (size_t)2 * FAT_ENTRY_SIZE;
}

static void put_label(const struct plan *plan, struct node *root)
{
	uint8_t *to = root->entries;

	memset(to, ' ', 11);
	memcpy(to, plan->options->label, strlen(plan->options->label));
	to[11] = FAT_VOLUME;
	put_le16(to + 22, plan->time);
	put_le16(to + 24, plan->date);
	root->written = FAT_ENTRY_SIZE;
}

static void put_folders(struct plan *plan, uint8_t *to)
{
	for (struct node *n = plan->nodes; n < plan->nodes + plan->count; n++) {
		uint8_t *entry;
		struct node *parent = &plan->nodes[n->parent];

		if (!n->file)
			n->entries = to + (uint64_t)(n->cluster - 2) * plan->cluster_size;
		if (n == plan->nodes) {
			put_label(plan, n);
			continue;
		}
		if (!n->file)
			put_dots(plan, n);
		/* A parent always comes before what is in it. */
		entry = fatname_write(n->name, n->short_name, parent->entries + parent->written);
		put_entry(plan, entry, n);
		parent->written += fatname_entries(n->name) * FAT_ENTRY_SIZE;
	}
}

static void add_region(struct esp *esp, struct region region, uint64_t offset)
{
	struct region_list *list = &esp->regions;

	region.offset = offset;
	region.name = "esp";
	if (region.length > 0)
		VEC_ADD(list->items, list->count, list->room, region);
}

static struct region own_bytes(const uint8_t *bytes, size_t len)
{
	return (struct region){.length = len, .bytes = bytes, .fd = -1};
}

/* The tables and folders in one buffer: 8 sectors, one FAT, the folders' clusters. */
static void add_tables(struct plan *plan, struct esp *ret)
{
	size_t boot = (size_t)8 * FAT_SECTOR, fat = size_align(4 * (size_t)plan->next, FAT_SECTOR);
	size_t folders = 0;
	uint8_t *p;

	for (size_t i = 0; i < plan->count; i++)
		if (!plan->nodes[i].file)
			folders += (size_t)plan->nodes[i].clusters * plan->cluster_size;
	ret->buffer = p = mem_alloc(boot + fat + folders);
	put_boot_sector(plan, p);
	put_info_sector(plan, p + FAT_SECTOR);
	put_le16(p + 2 * FAT_SECTOR + 510, 0xaa55);
	memcpy(p + (size_t)6 * FAT_SECTOR, p, (size_t)2 * FAT_SECTOR);
	put_fat(plan, p + boot);
	put_folders(plan, p + boot + fat);
	add_region(ret, own_bytes(p, boot), 0);
	for (uint64_t copy = 0; copy < 2; copy++)
		add_region(ret, own_bytes(p + boot, fat),
			   (plan->reserved + copy * plan->fat_sectors) * FAT_SECTOR);
	add_region(ret, own_bytes(p + boot + fat, folders), cluster_at(plan, 2));
}

static int add_contents(const struct plan *plan, struct esp *ret, struct err *err)
{
	for (size_t i = 0; i < plan->count; i++) {
		const struct node *n = &plan->nodes[i];
		uint64_t end = 0;

		for (size_t k = 0; n->file && k < n->file->region_count; k++) {
			const struct region *r = &n->file->regions[k];

			if (r->offset < end || r->offset > n->size ||
			    r->length > n->size - r->offset)
				return err_set(err, ERR_OTHER, "'%s' has wrong regions", n->path);
			end = r->offset + r->length;
			add_region(ret, *r, cluster_at(plan, n->cluster) + r->offset);
		}
	}
	return 0;
}

int esp_plan(const struct esp_file *files, size_t count, const struct esp_options *options,
	     struct esp *ret, struct err *err)
{
	CLEANUP(free_plan) struct plan plan = {.options = options};

	*ret = (struct esp){0};
	if (strlen(options->label) == 0 || strlen(options->label) > 11 ||
	    strspn(options->label, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") !=
		    strlen(options->label)) {
		err_set(err, ERR_OTHER, "'%s' cannot be its label", options->label);
		goto fail;
	}
	if (set_geometry(&plan, err) < 0 || add_files(&plan, files, count, err) < 0)
		goto fail;
	set_time(&plan);
	set_names(&plan);
	if (place_all(&plan, ret, err) < 0)
		goto fail;
	add_tables(&plan, ret);
	if (add_contents(&plan, ret, err) < 0)
		goto fail;
	ret->regions.size = options->size;
	return 0;
fail:
	esp_free(ret);
	return err_wrap(err, "cannot make the EFI system partition");
}

void esp_free(struct esp *esp)
{
	if (!esp)
		return;
	free(esp->regions.items);
	free(esp->buffer);
	*esp = (struct esp){0};
}
