/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC-64 of ISO 3309 (reflected, polynomial 0x1b), which tar-split keeps for each file's content.
 */
#ifndef INGOT_TREE_CRC64_H
#define INGOT_TREE_CRC64_H

#include <stddef.h>
#include <stdint.h>

/* Returns the checksum of what crc (0 at first) stands for, with len more bytes behind it. */
uint64_t crc64_add(uint64_t crc, const void *bytes, size_t len);

#endif
