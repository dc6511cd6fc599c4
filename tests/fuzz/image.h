/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fuzz targets of readers of disk images share: bytes as a file, and reading all over the disk.
 */
#ifndef TESTS_FUZZ_IMAGE_H
#define TESTS_FUZZ_IMAGE_H

#include "demand.h"
#include "memimage.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

/* There is nothing behind the end. */
static inline void demand_end(struct image *image)
{
	uint8_t bytes[2];
	struct err err = {0};

	demand(image->pread(image, bytes, 1, image->size, &err) < 0, "the disk ends");
	demand(image->pread(image, bytes, 2, UINT64_MAX, &err) < 0, "offsets do not wrap");
}

static inline void read_some(struct image *image)
{
	static uint8_t buffer[300000];
	struct err err = {0};
	size_t len = image->size < sizeof(buffer) ? (size_t)image->size : sizeof(buffer);

	for (uint64_t part = 0; part < 4; part++) {
		uint64_t at = (image->size - len) / 3 * part;

		if (image->pread(image, buffer, len, at, &err) < 0)
			demand(err.code == ERR_VERIFY && err.msg[0], "an error is told");
	}
	demand_end(image);
}

/* The bytes as an image, or NULL when they are refused with a reason. */
static inline struct image *open_bytes(const uint8_t *data, size_t size,
				       struct image *(*open_image)(int fd, const char *path,
								   struct err *err))
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct err err = {0};
	struct image *image;

	demand(fd >= 0 && fd_pwrite(fd, data, size, 0, "image", &err) == 0, "memory for a file");
	image = open_image(fd, "image", &err);
	demand(image || (err.code == ERR_VERIFY && err.msg[0]), "an error is told");
	return image;
}

/* The bytes as an image: refused with a reason, or it can be read or tells why not. */
static inline void try_image(const uint8_t *data, size_t size,
			     struct image *(*open_image)(int fd, const char *path, struct err *err))
{
	struct image *image = open_bytes(data, size, open_image);

	if (!image)
		return;
	demand(image->size > 0, "a disk has a size");
	read_some(image);
	image_close(&image);
}

#endif
