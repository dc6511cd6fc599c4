/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Little-endian numbers at any address: GPT, FAT and PE are made of them.
 */
#ifndef INGOT_DISK_ENDIAN_H
#define INGOT_DISK_ENDIAN_H

#include <stddef.h>
#include <stdint.h>

/* Reads 16 bits, little-endian, at any address. */
static inline uint16_t get_le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

/* Reads 32 bits, little-endian, at any address. */
static inline uint32_t get_le32(const uint8_t *p)
{
	return get_le16(p) | (uint32_t)get_le16(p + 2) << 16;
}

/* Reads 64 bits, little-endian, at any address. */
static inline uint64_t get_le64(const uint8_t *p)
{
	return get_le32(p) | (uint64_t)get_le32(p + 4) << 32;
}

/* Writes 16 bits, little-endian, at any address. */
static inline void put_le16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

/* Writes 32 bits, little-endian, at any address. */
static inline void put_le32(uint8_t *p, uint32_t v)
{
	put_le16(p, (uint16_t)v);
	put_le16(p + 2, (uint16_t)(v >> 16));
}

/* Writes 64 bits, little-endian, at any address. */
static inline void put_le64(uint8_t *p, uint64_t v)
{
	put_le32(p, (uint32_t)v);
	put_le32(p + 4, (uint32_t)(v >> 32));
}

/* Copies the characters of text, without its NUL, to a field of at least that size. */
static inline void put_text(uint8_t *to, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = (uint8_t)text[i];
}

#endif
