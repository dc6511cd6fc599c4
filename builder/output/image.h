/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading disk image files: which format a file has is told by its content, not its name.
 */
#ifndef INGOT_OUTPUT_IMAGE_H
#define INGOT_OUTPUT_IMAGE_H

#include "base/err.h"
#include "base/image.h"

/* Opens a raw or qcow2 file for reading; the content may be hostile. ERR_VERIFY for a qcow2 file
 * that is damaged, encrypted or needs another file. Close with image_close. One thread at a time
 * may read from it. */
struct image *image_open(const char *path, struct err *err);

/* Opens the file in fd (it is taken over, also on error) as qcow2 v2 or v3 (QEMU docs/interop/
 * qcow2.txt), zlib or zstd clusters. Else as image_open. */
struct image *image_open_qcow2(int fd, const char *path, struct err *err);

/* Opens the file or block device in fd (taken over, also on error) as raw. */
struct image *image_open_raw(int fd, const char *path, struct err *err);

#endif
