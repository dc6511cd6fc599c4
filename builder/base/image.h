/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random read access to a disk's bytes, whatever the container format. output/ opens raw and qcow2
 * files as such; disk/ reads partitions and file systems through it.
 */
#ifndef INGOT_BASE_IMAGE_H
#define INGOT_BASE_IMAGE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct image {
	uint64_t size;      /* of the disk, bytes */
	const char *format; /* "raw", "qcow2", ... */
	const char *name;   /* for messages */
	/* Reads exactly len bytes at offset; holes give zeros; beyond the end is ERR_VERIFY. */
	int (*pread)(struct image *image, void *bytes, size_t len, uint64_t offset,
		     struct err *err);
	/* Frees the image; NULL is allowed where image_close is used. */
	void (*close)(struct image *image);
};

/* Closes an image; NULL is allowed. For CLEANUP(). */
static inline void image_close(struct image **image)
{
	if (*image)
		(*image)->close(*image);
}

#endif
