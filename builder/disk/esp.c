/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planning a FAT32 file system. Folders come first, in the order of their paths, then the files;
 * each takes consecutive clusters, so a file is a few regions and the FAT is a handful of runs.
 */
#include "disk/esp_parts.h"

#include "base/mem.h"
#include "base/path.h"
#include "base/size.h"
#include "base/str.h"
#include "disk/fat.h"
#include "disk/fatname.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define RESERVED_SECTORS 32 /* at least; more when that aligns the clusters */
#define DATA_ALIGN 4096
#define NODES_MAX 4096

static void free_layout(struct esp_layout *layout)
{
	for (size_t i = 0; i < layout->count; i++)
		free(layout->nodes[i].path);
	free(layout->nodes);
	free(layout->files);
}

static uint64_t cluster_at(const struct esp_layout *layout, uint32_t cluster)
{
	return ((uint64_t)layout->reserved + 2 * (uint64_t)layout->fat_sectors) * FAT_SECTOR +
	       (uint64_t)(cluster - 2) * layout->cluster_size;
}

/* The largest clusters up to 4 KiB that leave enough of them to be FAT32. */
static int set_geometry(struct esp_layout *layout, struct err *err)
{
	uint64_t sectors = layout->options->size / FAT_SECTOR;

	if (layout->options->size < ESP_SIZE_MIN || layout->options->size % MIB != 0 ||
	    layout->options->size > 1024 * GIB)
		return err_set(err, ERR_OTHER,
			       "its size must be whole MiB, between 34 MiB and 1 TiB");
	for (layout->cluster_size = 4096; layout->cluster_size >= FAT_SECTOR;
	     layout->cluster_size /= 2) {
		uint64_t per = layout->cluster_size / FAT_SECTOR, count = sectors / per, used;

		layout->fat_sectors = (uint32_t)(((count + 2) * 4 + FAT_SECTOR - 1) / FAT_SECTOR);
		used = RESERVED_SECTORS + 2 * (uint64_t)layout->fat_sectors;
		used = size_align(used, DATA_ALIGN / FAT_SECTOR);
		layout->reserved = (uint32_t)(used - 2 * (uint64_t)layout->fat_sectors);
		count = (sectors - used) / per;
		/* Drivers differ by a few in where they draw the line. */
		if (count >= FAT_CLUSTERS_MIN + 16 && count <= FAT_CLUSTERS_MAX - 16) {
			layout->clusters = (uint32_t)count;
			return 0;
		}
	}
	return err_set(err, ERR_OTHER, "FAT32 cannot have that size");
}

/* FAT dates count from 1980, in steps of two seconds; UTC, so that no time zone matters. */
static void set_time(struct esp_layout *layout)
{
	int64_t first = 315532800, last = 4354819198; /* 1980-01-01, 2107-12-31 */
	time_t t = layout->options->time < first  ? first
		   : layout->options->time > last ? last
						  : layout->options->time;
	struct tm tm;

	gmtime_r(&t, &tm);
	layout->date = (uint16_t)((tm.tm_year - 80) << 9 | (tm.tm_mon + 1) << 5 | tm.tm_mday);
	layout->time = (uint16_t)(tm.tm_hour << 11 | tm.tm_min << 5 | tm.tm_sec / 2);
}

static size_t add_node(struct esp_layout *layout, const char *path, size_t len, size_t parent,
		       const struct esp_file *file)
{
	struct esp_node node = {.path = mem_strndup(path, len), .parent = parent, .file = file};

	node.name = path_base(node.path);
	node.size = file ? file->size : 0;
	VEC_ADD(layout->nodes, layout->count, layout->room, node);
	return layout->count - 1;
}

/* The entry with that name in a folder, whatever the case; 0 (the root) when there is none. */
static size_t find_node(const struct esp_layout *layout, size_t parent, const char *name,
			size_t len)
{
	for (size_t i = 1; i < layout->count; i++)
		if (layout->nodes[i].parent == parent && strlen(layout->nodes[i].name) == len &&
		    strncasecmp(layout->nodes[i].name, name, len) == 0)
			return i;
	return 0;
}

static int add_file(struct esp_layout *layout, const struct esp_file *file, struct err *err)
{
	size_t parent = 0;
	const char *part = file->path, *slash;

	if (!path_is_clean(file->path) || file->path[0] == '/')
		return err_set(err, ERR_OTHER, "'%s' is no clean relative path", file->path);
	if (file->size > UINT32_MAX)
		return err_set(err, ERR_SPACE, "'%s' is larger than 4 GiB", file->path);
	while ((slash = strchr(part, '/'))) {
		size_t found = find_node(layout, parent, part, (size_t)(slash - part));

		if (found && (layout->nodes[found].file || strncmp(layout->nodes[found].name, part,
								   (size_t)(slash - part)) != 0))
			return err_set(err, ERR_OTHER, "'%s' and '%s' cannot both exist",
				       layout->nodes[found].path, file->path);
		if (!found)
			found = add_node(layout, file->path, (size_t)(slash - file->path), parent,
					 NULL);
		parent = found;
		part = slash + 1;
	}
	if (find_node(layout, parent, part, strlen(part)))
		return err_set(err, ERR_OTHER, "'%s' exists twice", file->path);
	add_node(layout, file->path, strlen(file->path), parent, file);
	if (layout->count > NODES_MAX)
		return err_set(err, ERR_OTHER, "more than %d files", NODES_MAX);
	return 0;
}

static int compare_files(const void *a, const void *b)
{
	const struct esp_file *x = a, *y = b;

	return strcmp(x->path, y->path);
}

/* In the order of the paths, so that the caller's order does not matter. */
static int add_files(struct esp_layout *layout, const struct esp_file *files, size_t count,
		     struct err *err)
{
	struct esp_file *sorted = layout->files = mem_alloc_array(count, sizeof(*sorted));

	for (size_t i = 0; i < count; i++)
		sorted[i] = files[i];
	qsort(sorted, count, sizeof(*sorted), compare_files);
	add_node(layout, "", 0, 0, NULL);
	for (size_t i = 0; i < count; i++)
		if (add_file(layout, &sorted[i], err) < 0)
			return -1;
	for (size_t i = 1; i < layout->count; i++)
		if (fatname_check(layout->nodes[i].name, err) < 0)
			return -1;
	return 0;
}

static bool short_name_taken(const struct esp_layout *layout, const struct esp_node *node)
{
	for (const struct esp_node *n = layout->nodes + 1; n < node; n++)
		if (n->parent == node->parent &&
		    memcmp(n->short_name, node->short_name, sizeof(n->short_name)) == 0)
			return true;
	return false;
}

/* Short names and the sizes of the folders: "." and "..", or the label in the root. */
static void set_names(struct esp_layout *layout)
{
	layout->nodes[0].size = FAT_ENTRY_SIZE;
	for (struct esp_node *n = layout->nodes + 1; n < layout->nodes + layout->count; n++) {
		unsigned tail = 0;

		while (fatname_short(n->name, tail, n->short_name) < 0 ||
		       short_name_taken(layout, n))
			tail++;
		if (!n->file)
			n->size += (size_t)2 * FAT_ENTRY_SIZE;
		layout->nodes[n->parent].size += fatname_entries(n->name) * FAT_ENTRY_SIZE;
	}
}

static void place(struct esp_layout *layout, struct esp_node *node)
{
	if (node->size == 0)
		return;
	node->cluster = layout->next;
	node->clusters =
		(uint32_t)(size_align(node->size, layout->cluster_size) / layout->cluster_size);
	layout->next += node->clusters;
}

static int place_all(struct esp_layout *layout, struct esp *ret, struct err *err)
{
	uint64_t need = 0, room = (uint64_t)layout->clusters * layout->cluster_size;

	for (size_t i = 0; i < layout->count; i++)
		need += size_align(layout->nodes[i].size, layout->cluster_size);
	if (need > room || layout->options->reserve > room - need) {
		char has[16], wants[16];

		err_set(err, ERR_SPACE,
			"it has room for %s, the files and the next version need %s",
			size_format(room, has),
			size_format(need + layout->options->reserve, wants));
		return err_hint(err, "make 'disk.esp' in the profile larger");
	}
	layout->next = 2;
	for (size_t i = 0; i < layout->count; i++)
		if (!layout->nodes[i].file)
			place(layout, &layout->nodes[i]);
	for (size_t i = 0; i < layout->count; i++)
		if (layout->nodes[i].file)
			place(layout, &layout->nodes[i]);
	ret->used = need;
	ret->room = room;
	return 0;
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
static void add_tables(struct esp_layout *layout, struct esp *ret)
{
	size_t boot = (size_t)8 * FAT_SECTOR,
	       fat = size_align(4 * (size_t)layout->next, FAT_SECTOR);
	size_t folders = 0;
	uint8_t *p;

	for (size_t i = 0; i < layout->count; i++)
		if (!layout->nodes[i].file)
			folders += (size_t)layout->nodes[i].clusters * layout->cluster_size;
	ret->buffer = p = mem_alloc(boot + fat + folders);
	esptables_boot(layout, p);
	esptables_fat(layout, p + boot);
	esptables_folders(layout, p + boot + fat);
	add_region(ret, own_bytes(p, boot), 0);
	for (uint64_t copy = 0; copy < 2; copy++)
		add_region(ret, own_bytes(p + boot, fat),
			   (layout->reserved + copy * layout->fat_sectors) * FAT_SECTOR);
	add_region(ret, own_bytes(p + boot + fat, folders), cluster_at(layout, 2));
}

static int add_contents(const struct esp_layout *layout, struct esp *ret, struct err *err)
{
	for (size_t i = 0; i < layout->count; i++) {
		const struct esp_node *n = &layout->nodes[i];
		uint64_t end = 0;

		for (size_t k = 0; n->file && k < n->file->region_count; k++) {
			const struct region *r = &n->file->regions[k];

			if (r->offset < end || r->offset > n->size ||
			    r->length > n->size - r->offset)
				return err_set(err, ERR_OTHER, "'%s' has wrong regions", n->path);
			end = r->offset + r->length;
			add_region(ret, *r, cluster_at(layout, n->cluster) + r->offset);
		}
	}
	return 0;
}

int esp_plan(const struct esp_file *files, size_t count, const struct esp_options *options,
	     struct esp *ret, struct err *err)
{
	CLEANUP(free_layout) struct esp_layout layout = {.options = options};

	*ret = (struct esp){0};
	if (strlen(options->label) == 0 || strlen(options->label) > 11 ||
	    strspn(options->label, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") !=
		    strlen(options->label)) {
		err_set(err, ERR_OTHER, "'%s' cannot be its label", options->label);
		goto fail;
	}
	if (set_geometry(&layout, err) < 0 || add_files(&layout, files, count, err) < 0)
		goto fail;
	set_time(&layout);
	set_names(&layout);
	if (place_all(&layout, ret, err) < 0)
		goto fail;
	add_tables(&layout, ret);
	if (add_contents(&layout, ret, err) < 0)
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
