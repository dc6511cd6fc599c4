/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The EFI system partition as part of an inventory: its files, and the parts of the kernel image that do not
 * change with every root.
 */
#include "inspect/inventory_parts.h"

#include "disk/fatread.h"
#include "disk/slice.h"
#include "disk/uki.h"

#include <string.h>
#include <sys/stat.h>

#define ESP_NAME \
	"ESP:" /* before the paths of its files: they are never taken for those of the root */
#define ESP_DEPTH 16
#define ESP_PIECE ((size_t)1 << 20)

static int hash_range(struct image *file, uint64_t from, uint64_t size, struct digest *ret,
		      struct err *err)
{
	CLEANUP_FREE char *bytes = mem_alloc(ESP_PIECE);
	struct digest_ctx *ctx = digest_start();
	uint64_t n;

	for (uint64_t at = from; at < from + size; at += n) {
		n = from + size - at < ESP_PIECE ? from + size - at : ESP_PIECE;
		if (file->pread(file, bytes, n, at, err) < 0) {
			digest_ctx_free(ctx);
			return -1;
		}
		digest_add(ctx, bytes, n);
	}
	digest_finish(ctx, ret);
	return 0;
}

static int add_esp_file(struct inventory *inv, struct fatread *fat, const char *path,
			const struct fatread_entry *entry, struct err *err)
{
	CLEANUP_FREE char *name = mem_printf(ESP_NAME "/%s", path);
	struct inventory_file file = {.path = name, .mode = S_IFDIR | 0755};
	CLEANUP(image_close) struct image *content = NULL;
	struct digest digest;

	if (!entry->is_folder) {
		content = fatread_open_file(fat, path, err);
		if (!content || hash_range(content, 0, content->size, &digest, err) < 0)
			return -1;
		file.mode = S_IFREG | 0755;
		file.size = content->size;
		file.digest = &digest;
	}
	return inventory_add(inv, &file, err);
}

static int add_esp_folder(struct inventory *inv, struct fatread *fat, const char *folder,
			  unsigned depth, struct err *err)
{
	CLEANUP_FREE struct fatread_entry *items = NULL;
	size_t count;

	if (depth > ESP_DEPTH)
		return err_set(err, ERR_VERIFY,
			       "cannot read the ESP of '%s': too many folders "
			       "in each other",
			       inv->name);
	if (fatread_list(fat, folder, &items, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		CLEANUP_FREE char *path =
			mem_printf("%s%s%s", folder, *folder ? "/" : "", items[i].name);

		if (add_esp_file(inv, fat, path, &items[i], err) < 0 ||
		    (items[i].is_folder && add_esp_folder(inv, fat, path, depth + 1, err) < 0))
			return -1;
	}
	return 0;
}

/* The kernel image changes with the root hash in it; that kernel and initrd are the same is worth knowing. */
static int add_uki(struct inventory *inv, struct fatread *fat, const char *path, struct err *err)
{
	static const struct {
		const char *section, *name;
	} parts[] = {{".linux", "kernel_image"}, {".initrd", "initrd"}};
	CLEANUP(image_close) struct image *file = fatread_open_file(fat, path, err);
	struct uki_section sections[UKI_SECTIONS_MAX];
	char hex[DIGEST_HEX_SIZE];
	struct digest digest;
	size_t count;

	if (!file || uki_sections(file, sections, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(parts); k++) {
			if (strcmp(sections[i].name, parts[k].section) != 0)
				continue;
			if (hash_range(file, sections[i].offset, sections[i].size, &digest, err) <
				    0 ||
			    inventory_set(inv, "image", parts[k].name,
					  json_string(digest_hex(&digest, hex)), err) < 0)
				return -1;
		}
	}
	return 0;
}

int inventory_read_esp(struct inventory *inv, uint64_t offset, uint64_t size, const char *uki,
		       struct err *err)
{
	CLEANUP(image_close) struct image *part = slice_open(inv->image, offset, size, "ESP", err);
	CLEANUP(fatread_cleanup) struct fatread *fat = part ? fatread_open(part, err) : NULL;

	if (!fat || add_esp_folder(inv, fat, "", 0, err) < 0 ||
	    (uki && add_uki(inv, fat, uki, err) < 0))
		return err_wrap(err, "'%s'", inv->name);
	return 0;
}
