/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a file in zstd: it is refused, or its disk can be read wherever it says that it has
 * something, or an error is told.
 */
#include "memimage.h"

#include "base/mem.h"
#include "output/formats.h"

#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "violated: %s\n", what);
	abort();
}

static void read_some(struct image *image)
{
	static uint8_t buffer[300000];
	struct err err = {0};
	size_t len = image->size < sizeof(buffer) ? (size_t)image->size : sizeof(buffer);

	for (uint64_t part = 0; part < 4; part++) {
		uint64_t at = (image->size - len) / 3 * part;

		if (image->pread(image, buffer, len, at, &err) < 0)
			demand(err.code == ERR_VERIFY && err.msg[0], "an error is told");
	}
	demand(image->pread(image, buffer, 1, image->size, &err) < 0, "the disk ends");
	demand(image->pread(image, buffer, 2, UINT64_MAX, &err) < 0, "offsets do not wrap");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct err err = {0};
	struct image *image;

	demand(fd >= 0 && fd_pwrite(fd, data, size, 0, "image", &err) == 0, "memory for a file");
	image = zst_read(fd, "image", &err);
	if (!image) {
		demand(err.code == ERR_VERIFY && err.msg[0], "an error is told");
		return 0;
	}
	demand(image->size > 0, "a disk has a size");
	read_some(image);
	image_close(&image);
	return 0;
}
