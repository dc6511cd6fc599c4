/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dm-verity hash trees (kernel Documentation/admin-guide/device-mapper/verity.rst, format version 1):
 * SHA-256, blocks of 4096 bytes, the salt before the data. The same bytes that `veritysetup format`
 * writes.
 */
#ifndef INGOT_DISK_VERITY_H
#define INGOT_DISK_VERITY_H

#include "base/digest.h"
#include "base/image.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

#define VERITY_BLOCK 4096
#define VERITY_SALT_MAX 256 /* bytes */

struct verity;

/* Starts a tree; salt (salt_len <= VERITY_SALT_MAX) and uuid are copied. Free with verity_free. */
struct verity *verity_new(const uint8_t *salt, size_t salt_len, const uint8_t uuid[16]);

/* Frees it; NULL is allowed. */
void verity_free(struct verity *verity);

/* Adds the next bytes of the data, any number. */
void verity_add(struct verity *verity, const void *bytes, size_t len);

/* Adds the data of another tree, which becomes empty, behind those of this one. Both have the same salt and so
 * far whole blocks: parts of the data can be hashed by several threads. */
void verity_join(struct verity *verity, struct verity *next);

/* Completes the tree: the root hash and the content of the hash partition (superblock, then the levels
 * from the top). The data must be whole blocks, at least one; ERR_OTHER otherwise. */
int verity_finish(struct verity *verity, struct digest *ret_root, struct str *ret_hash_area,
		  uint64_t *ret_data_blocks, struct err *err);

/* Checks the whole data at [data_offset, data_offset + data_size) of the image against root by way of
 * the superblock at hash_offset: recomputes the tree. ERR_VERIFY names the first data block that differs
 * from the stored tree, or says that the tree itself does. Reads all of it. */
int verity_check(struct image *image, uint64_t data_offset, uint64_t data_size,
		 uint64_t hash_offset, uint64_t hash_size, const struct digest *root,
		 struct err *err);

#endif
