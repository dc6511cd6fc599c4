/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a VHD image: it is refused, or its disk is the bytes before the footer. The checksum is
 * made right for every second input, as no fuzzer guesses one.
 */
#include "fuzz/image.h"

#include "base/mem.h"
#include "output/bigendian.h"
#include "output/formats.h"
#include "output/vhd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte says whether; the rest is the file. */
static uint8_t *make_file(const uint8_t *data, size_t size)
{
	uint8_t *file = mem_alloc(size);

	memcpy(file, data + 1, size - 1);
	if (data[0] & 1 && size - 1 >= VHD_FOOTER) {
		uint8_t *footer = file + (size - 1 - VHD_FOOTER);

		put_be32(footer + VHD_AT_CHECKSUM, vhd_checksum(footer));
	}
	return file;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE uint8_t *file = NULL, *got = NULL;
	struct err err = {0};
	struct image *image;

	if (size < 1)
		return 0;
	file = make_file(data, size);
	image = open_bytes(file, size - 1, vhd_read);
	if (!image)
		return 0;
	demand(image->size == size - 1 - VHD_FOOTER, "the disk is what is before the footer");
	got = mem_alloc((size_t)image->size);
	demand(image->pread(image, got, (size_t)image->size, 0, &err) == 0, "all can be read");
	demand(memcmp(got, file, (size_t)image->size) == 0, "its bytes are those of the file");
	demand_end(image);
	image_close(&image);
	return 0;
}
