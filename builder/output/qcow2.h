/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers of the qcow2 format (QEMU docs/interop/qcow2.txt) that writer and reader share. All
 * fields on disk are big-endian.
 */
#ifndef INGOT_OUTPUT_QCOW2_H
#define INGOT_OUTPUT_QCOW2_H

#include <stdint.h>

#define QCOW2_MAGIC 0x514649fbu
#define QCOW2_HEADER_V2 72
#define QCOW2_HEADER_V3 104
#define QCOW2_COPIED ((uint64_t)1 << 63)
#define QCOW2_COMPRESSED ((uint64_t)1 << 62)
#define QCOW2_ZERO ((uint64_t)1)
#define QCOW2_OFFSET_MASK 0x00fffffffffffe00ull
#define QCOW2_INCOMPATIBLE_DIRTY ((uint64_t)1 << 0)
#define QCOW2_INCOMPATIBLE_COMPRESSION ((uint64_t)1 << 3)

/* Reads 32 bits, big-endian, at any address. */
static inline uint32_t get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Reads 64 bits, big-endian, at any address. */
static inline uint64_t get_be64(const uint8_t *p)
{
	return (uint64_t)get_be32(p) << 32 | get_be32(p + 4);
}

/* Writes 16 bits, big-endian, at any address. */
static inline void put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* Writes 32 bits, big-endian, at any address. */
static inline void put_be32(uint8_t *p, uint32_t v)
{
	put_be16(p, (uint16_t)(v >> 16));
	put_be16(p + 2, (uint16_t)v);
}

/* Writes 64 bits, big-endian, at any address. */
static inline void put_be64(uint8_t *p, uint64_t v)
{
	put_be32(p, (uint32_t)(v >> 32));
	put_be32(p + 4, (uint32_t)v);
}

#endif
