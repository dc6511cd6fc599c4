/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VMDK as part of a file: what vmdk and ova share. Private to output/.
 */
#ifndef INGOT_OUTPUT_VMDK_PARTS_H
#define INGOT_OUTPUT_VMDK_PARTS_H

#include "base/digest.h"
#include "base/image.h"
#include "base/str.h"
#include "output/output.h"

#include <stdint.h>

/* The largest disk: sectors of the file have 32 bits, so most of what is larger would not fit. */
#define VMDK_SIZE_MAX ((uint64_t)2 << 40)

/* Writes one streamOptimized extent. */
struct vmdk_writer;

/* Starts an extent at base (a multiple of 512) of the file fd, which is borrowed and was not written
 * to behind base. path is for messages, name (letters, digits and "-._+~" only) is the file name in the
 * descriptor, disk_size a multiple of OUTPUT_CLUSTER and at most VMDK_SIZE_MAX bytes. Free with
 * vmdk_writer_free. */
struct vmdk_writer *vmdk_writer_new(int fd, const char *path, const char *name, uint64_t base,
				    uint64_t disk_size, bool no_sync);

/* Adds the next chunk of the disk, with its grains. Blocks. */
int vmdk_writer_add(struct vmdk_writer *writer, const struct output_chunk *chunk, struct err *err);

/* Completes the extent; its content ID comes from the digest of the disk. Tells its size in bytes, a
 * multiple of 512, and how many bytes of the disk it has. Blocks. */
int vmdk_writer_finish(struct vmdk_writer *writer, const struct digest *disk, uint64_t *ret_size,
		       uint64_t *ret_populated, struct err *err);

/* Frees the writer; NULL is allowed. */
void vmdk_writer_free(struct vmdk_writer *writer);

/* The file name of path as a name for vmdk_writer_new: without suffix (may be NULL) when it has that,
 * other characters replaced by '_'. The caller frees it. */
char *vmdk_safe_name(const char *path, const char *suffix);

/* Opens the extent that is the size bytes at base of the file fd, which it takes; the content may be
 * hostile. path is for messages, format for image->format. ERR_VERIFY as image_open. */
struct image *vmdk_read_part(int fd, const char *path, const char *format, uint64_t base,
			     uint64_t size, struct err *err);

/* Checks the text that describes the extents of a disk: one sparse extent of so many sectors (grain of
 * them are kept together) in the file itself, compressed or not, and no parent. Returns NULL or what is
 * wrong with it, static. */
const char *vmdk_check_descriptor(const char *text, uint64_t sectors, uint64_t grain,
				  bool compressed);

#endif
