/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers of zstd frames (RFC 8878) and of the seekable format (zstd, contrib/seekable_format) that writer
 * and reader share. All fields are little-endian.
 */
#ifndef INGOT_OUTPUT_ZST_H
#define INGOT_OUTPUT_ZST_H

#include <stdint.h>

#define ZST_FRAME_MAGIC 0xfd2fb528u
#define ZST_SKIPPABLE_MAGIC 0x184d2a50u /* the last four bits may be anything */
#define ZST_TABLE_MAGIC 0x184d2a5eu     /* the skippable frame that is the seek table */
#define ZST_SEEKABLE_MAGIC 0x8f92eab1u  /* its last four bytes */
#define ZST_SKIPPABLE_HEADER 8          /* bytes: magic, length */
#define ZST_TABLE_FOOTER 9              /* bytes: number of frames, descriptor, magic */
#define ZST_TABLE_SUMS 0x80             /* in the descriptor: entries have a checksum */
#define ZST_TABLE_RESERVED 0x7c         /* in the descriptor: must be zero */
/* Of a file that we read or write: at 1 MiB each a disk of 8 TiB, with 64 MiB of memory. */
#define ZST_FRAMES_MAX ((uint64_t)8 << 20)

#endif
