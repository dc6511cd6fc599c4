/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A part of an image as an image of its own: a partition of a disk.
 */
#ifndef INGOT_DISK_SLICE_H
#define INGOT_DISK_SLICE_H

#include "base/err.h"
#include "base/image.h"

#include <stdint.h>

/* Makes an image of size bytes from offset on; parent is borrowed and must live longer, name (for
 * messages) is copied. ERR_VERIFY when the range leaves the parent. Free with image_close. */
struct image *slice_open(struct image *parent, uint64_t offset, uint64_t size, const char *name,
			 struct err *err);

#endif
