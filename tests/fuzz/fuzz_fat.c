/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a FAT32 file system: folders are walked and files read, or an error is told; names
 * are printable.
 */
#include "demand.h"
#include "memimage.h"

#include "base/mem.h"
#include "disk/fatread.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_file(struct fatread *fat, const char *path)
{
	static uint8_t buffer[65536];
	struct err err = {0};
	CLEANUP(image_close) struct image *file = fatread_open_file(fat, path, &err);

	if (!file) {
		demand(err.msg[0], "an error is told");
		return;
	}
	for (uint64_t at = 0, n; at < file->size; at += n) {
		n = file->size - at < sizeof(buffer) ? file->size - at : sizeof(buffer);
		demand(file->pread(file, buffer, n, at, &err) == 0, "a file is as long as it says");
	}
}

static void walk(struct fatread *fat, const char *path, int depth)
{
	CLEANUP_FREE struct fatread_entry *items = NULL;
	struct err err = {0};
	size_t count;

	if (fatread_list(fat, path, &items, &count, &err) < 0) {
		demand(err.code == ERR_VERIFY && err.msg[0], "an error is told");
		return;
	}
	/* A hostile tree has no end: three levels of eight entries do. */
	for (size_t i = 0; i < count && i < 8; i++) {
		CLEANUP_FREE char *sub =
			mem_printf("%s%s%s", path, *path ? "/" : "", items[i].name);

		for (const char *p = items[i].name; *p; p++)
			demand((unsigned char)*p >= ' ' && *p != 0x7f && *p != '/',
			       "names are printable");
		if (!items[i].is_folder)
			read_file(fat, sub);
		else if (depth < 3 && items[i].name[0])
			walk(fat, sub, depth + 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memimage image = memimage(data, size);
	struct err err = {0};
	struct fatread *fat = fatread_open(&image.image, &err);
	uint64_t used, room;

	if (!fat) {
		demand(err.code == ERR_VERIFY && err.msg[0], "an error is told");
		return 0;
	}
	if (fatread_usage(fat, &used, &room, &err) == 0)
		demand(used <= room, "not more is used than there is");
	walk(fat, "", 0);
	fatread_close(fat);
	return 0;
}
