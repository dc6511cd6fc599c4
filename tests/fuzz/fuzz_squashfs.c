/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: a squashfs of unknown origin is opened, walked, searched and read.
 */
#include "base/mem.h"
#include "disk/squashread.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX 65536 /* bytes */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memory {
	struct image base;
	const uint8_t *bytes;
};

static int memory_pread(struct image *image, void *bytes, size_t len, uint64_t offset,
			struct err *err)
{
	if (offset > image->size || len > image->size - offset)
		return err_set(err, ERR_VERIFY, "cannot read '%s': truncated", image->name);
	memcpy(bytes, ((struct memory *)image)->bytes + offset, len);
	return 0;
}

/* The first few regular files are read after the walk. */
struct found {
	char *paths[4];
	size_t count;
};

static int visit(const char *path, const struct squashread_stat *stat, void *context,
		 struct err *err)
{
	struct found *found = context;

	(void)err;
	/* Names hold no slash and no NUL, so a path is what it seems. */
	if (path[0] != '/' || strstr(path, "//") || strstr(path, "/../"))
		abort();
	if (stat->size && found->count < ARRAY_SIZE(found->paths))
		found->paths[found->count++] = mem_strdup(path);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory memory = {
		.base = {.size = size, .format = "raw", .name = "input", .pread = memory_pread},
		.bytes = data,
	};
	CLEANUP(squashread_cleanup) struct squashread *reader = NULL;
	struct squashread_stat stat;
	struct found found = {0};
	struct err err = {0};

	reader = squashread_open(&memory.base, 0, size, &err);
	if (!reader)
		return 0;
	squashread_walk(reader, visit, &found, &err);
	squashread_find(reader, "/etc/../etc/link", &stat, &err);
	for (size_t i = 0; i < found.count; i++) {
		CLEANUP_FREE char *bytes = NULL;
		size_t len;

		if (squashread_file(reader, found.paths[i], FILE_MAX, &bytes, &len, &err) == 0 &&
		    bytes && bytes[len])
			abort();
		free(found.paths[i]);
	}
	return 0;
}
