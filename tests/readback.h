/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every reader of disk images has to do with a good one, for the tests of output/.
 */
#ifndef TESTS_READBACK_H
#define TESTS_READBACK_H

#include "tap.h"

#include "base/mem.h"
#include "output/image.h"

/* The image at path is of that format, has size bytes, and starts with the len bytes at want: read at once, and
 * backwards in odd pieces, across the borders of whatever the format is made of. */
static inline void check_readback(const char *path, const char *format, const uint8_t *want,
				  uint64_t len, uint64_t size)
{
	static const uint64_t pieces[] = {70001, 170001};
	struct err err = {0};
	CLEANUP(image_close) struct image *image = image_open(path, &err);
	CLEANUP_FREE uint8_t *got = mem_alloc(len);

	CHECK_OK_PTR(image, &err);
	CHECK_STR(image->format, format);
	CHECK_U64(image->size, size);
	CHECK_OK(image->pread(image, got, len, 0, &err), &err);
	CHECK_MEM(got, want, len);
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++)
		for (uint64_t at = len; at > pieces[i]; at -= pieces[i]) {
			uint64_t from = at - pieces[i];

			CHECK_OK(image->pread(image, got, pieces[i], from, &err), &err);
			CHECK_MEM(got, want + from, pieces[i]);
		}
	CHECK_ERR(image->pread(image, got, 2, size - 1, &err), &err, ERR_VERIFY, "beyond the end");
	CHECK_ERR(image->pread(image, got, 1, UINT64_MAX, &err), &err, ERR_VERIFY,
		  "beyond the end");
}

#endif
