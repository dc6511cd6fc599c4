/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading disk image files: which format a file has is told by its content, not its name.
 */
#ifndef INGOT_OUTPUT_IMAGE_H
#define INGOT_OUTPUT_IMAGE_H

#include "base/err.h"
#include "base/image.h"

/* Opens an image file of any format of the table that has a reader; the content may be hostile.
 * ERR_VERIFY for a file that is damaged, encrypted or needs another file. Close with image_close. One
 * thread at a time may read from it. Some formats take a second per GiB to open (a gzip stream has no
 * index). Raw block devices can be read too. */
struct image *image_open(const char *path, struct err *err);

#endif
