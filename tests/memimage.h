/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes in memory as a struct image, and small helpers, for the tests of disk/ and output/ and for
 * their fuzz targets.
 */
#ifndef TESTS_MEMIMAGE_H
#define TESTS_MEMIMAGE_H

#include "base/fd.h"
#include "base/image.h"
#include "base/proc.h"
#include "base/region.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct memimage {
	struct image image;
	const uint8_t *bytes;
};

static int memimage_pread(struct image *image, void *bytes, size_t len, uint64_t offset,
			  struct err *err)
{
	struct memimage *m = (struct memimage *)image;

	if (offset > image->size || len > image->size - offset)
		return err_set(err, ERR_VERIFY, "beyond the end");
	if (len > 0)
		memcpy(bytes, m->bytes + offset, len);
	return 0;
}

static void memimage_close(struct image *image)
{
	(void)image;
}

/* Borrows the bytes. */
__attribute__((unused)) static struct memimage memimage(const void *bytes, uint64_t size)
{
	return (struct memimage){.image = {.size = size,
					   .format = "memory",
					   .name = "memory",
					   .pread = memimage_pread,
					   .close = memimage_close},
				 .bytes = bytes};
}

/* Writes the regions to a sparse file of its own, without the code of output/. Returns 0 or -1. */
__attribute__((unused)) static int spew_regions(const char *path, const struct region_list *list)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), ret = -1;

	if (fd < 0 || ftruncate(fd, (off_t)list->size) < 0)
		goto out;
	for (size_t i = 0; i < list->count; i++) {
		const struct region *r = &list->items[i];

		for (uint64_t at = 0, n; at < r->length; at += n) {
			uint8_t buffer[65536];

			n = r->length - at < sizeof(buffer) ? r->length - at : sizeof(buffer);

			if (r->bytes)
				memcpy(buffer, (const uint8_t *)r->bytes + at, n);
			else if (pread(r->fd, buffer, n, (off_t)(r->source_offset + at)) !=
				 (ssize_t)n)
				goto out;
			if (pwrite(fd, buffer, n, (off_t)(r->offset + at)) != (ssize_t)n)
				goto out;
		}
	}
	ret = 0;
out:
	if (fd >= 0)
		close(fd);
	return ret;
}

/* Runs a program; its output goes to output (may be NULL). */
__attribute__((unused)) static int run_tool(struct str *output, struct err *err,
					    const char *const argv[])
{
	struct str unused = {0};
	struct proc proc = {.argv = argv, .output = output ? output : &unused};
	int ret;

	proc_fix_path();
	ret = proc_run(&proc, err);
	str_free(&unused);
	return ret;
}

#define RUN(output, err, ...) run_tool(output, err, (const char *const[]){__VA_ARGS__, NULL})

/* The same bytes for the same seed, of no pattern. */
__attribute__((unused)) static void fill_random(uint8_t *bytes, size_t len, uint64_t seed)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15ull + 1;

	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		bytes[i] = (uint8_t)(x >> 24);
	}
}

#endif
