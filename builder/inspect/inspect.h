/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in a finished image, read from its bytes alone, without root.
 */
#ifndef INGOT_INSPECT_INSPECT_H
#define INGOT_INSPECT_INSPECT_H

#include "base/err.h"
#include "base/json.h"

#include <stdbool.h>

/* Reads an image file of any format that image_open knows; it may be hostile. Returns an object:
 *   file, format, size (of the disk), bytes (of the file), allocated (what it takes on this disk),
 *   table {uuid, from_backup, partitions [{number, type, label, uuid, offset, size, used,
 *   read_only}]}, entries [{file, size, kernel, cmdline, root_hash, root, tries_left, tries_done}]
 *   (the unified kernel images on the ESP; root is the number of the partition that the hash
 *   belongs to), root_hash, kernel, os_release {KEY: value}, root
 *   {compression, block, inodes}, packages (their number), containers [as containers_read], verified,
 *   problems [text]. What is not known is null.
 * With verify the data of each entry's root are checked against its root hash, which takes a second
 * per 700 MB; a mismatch is ERR_VERIFY. Caller decrefs. */
json_t *inspect_image(const char *path, bool verify, struct err *err);

/* Parses the KEY=value lines of os-release(5), quotes taken off: an object. Caller decrefs. */
json_t *inspect_os_release(const char *text);

#endif
