/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as an archive of Google Cloud: it is refused, or its disk can be read, twice with the same
 * result. An input is a gzip file, or a tar file that is put into one here, with the header's checksum and
 * gzip's CRC made right, as no fuzzer guesses them.
 */
#include "fuzz/image.h"

#include "base/mem.h"
#include "base/size.h"
#include "disk/endian.h"
#include "output/formats.h"
#include "output/oldtar.h"

#include <zlib.h>

#define STORED 60000
#define TAR_MAX 200000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fix_checksum(uint8_t *tar)
{
	unsigned sum = 0;

	memset(tar + OLDTAR_AT_CHECKSUM, ' ', 8);
	for (size_t i = 0; i < OLDTAR_BLOCK; i++)
		sum += tar[i];
	for (size_t i = 6; i > 0; i--, sum >>= 3)
		tar[OLDTAR_AT_CHECKSUM + i - 1] = (uint8_t)('0' + (sum & 7));
}

/* As stored blocks of deflate. Returns the length of the file. */
static size_t wrap(const uint8_t *tar, size_t len, uint8_t *to)
{
	static const uint8_t header[10] = {0x1f, 0x8b, 8};
	size_t n = sizeof(header), at = 0;

	memcpy(to, header, sizeof(header));
	do {
		size_t part = len - at < STORED ? len - at : STORED;

		to[n] = at + part == len;
		put_le16(to + n + 1, (uint16_t)part);
		put_le16(to + n + 3, (uint16_t)~part);
		memcpy(to + n + 5, tar + at, part);
		n += 5 + part;
		at += part;
	} while (at < len);
	put_le32(to + n, (uint32_t)crc32(0, tar, (uInt)len));
	put_le32(to + n + 4, (uint32_t)len);
	return n + 8;
}

static void read_twice(struct image *image)
{
	static uint8_t one[100000], two[100000];
	size_t len = image->size < sizeof(one) ? (size_t)image->size : sizeof(one);
	struct err err = {0};

	for (uint64_t part = 0; part < 4; part++) {
		uint64_t at = (image->size - len) / 3 * part;

		demand(image->pread(image, one, len, at, &err) == 0,
		       "what was checked can be read");
	}
	for (uint64_t part = 0; part < 4; part += 3) {
		uint64_t at = (image->size - len) / 3 * part;

		demand(image->pread(image, two, len, at, &err) == 0, "it can be read again");
		demand(part == 0 || memcmp(one, two, len) == 0, "with the same result");
	}
	demand_end(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE uint8_t *tar = NULL, *file = NULL;
	struct image *image;

	if (size < 1 || size > TAR_MAX)
		return 0;
	tar = mem_alloc(size);
	memcpy(tar, data + 1, --size);
	file = mem_alloc(size + 1000);
	if (data[0] & 1) {
		if (size >= OLDTAR_BLOCK)
			fix_checksum(tar);
		size = wrap(tar, size, file);
	} else {
		memcpy(file, tar, size);
	}
	image = open_bytes(file, size, gcp_read);
	if (!image)
		return 0;
	demand(image->size > 0, "a disk has a size");
	read_twice(image);
	image_close(&image);
	return 0;
}
