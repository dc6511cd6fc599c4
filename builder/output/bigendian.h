/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Big-endian numbers at any address: qcow2 and VHD are made of them. Those of the other order are in
 * disk/endian.h.
 */
#ifndef INGOT_OUTPUT_BIGENDIAN_H
#define INGOT_OUTPUT_BIGENDIAN_H

#include <stdint.h>

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
