/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file format of bbolt, for its reader and its writer: sizes, flags and little-endian numbers.
 * A file is a row of pages. Pages 0 and 1 are meta pages, of which the valid one with the higher transaction counts.
 */
#ifndef INGOT_AGENT_BOLT_PARTS_H
#define INGOT_AGENT_BOLT_PARTS_H

#include "agent/containers/bolt.h"

#include "base/mem.h"

#include <endian.h>
#include <string.h>

#define BOLT_PAGE_SIZE 4096 /* of what is written; any power of two is read */
#define BOLT_HEADER_SIZE 16 /* of a page: id (8), flags (2), count (2), overflow (4) */
#define BOLT_ELEMENT_SIZE \
	16 /* leaf: flags, pos, key, value (4 each); branch: pos, key (4 each), page (8) */
#define BOLT_BUCKET_SIZE \
	16 /* value of a bucket: root page (8; 0: inline page follows), sequence (8) */
#define BOLT_META_SIZE 64    /* behind the header of a meta page */
#define BOLT_META_CHECKED 56 /* bytes of it that its checksum covers */
#define BOLT_MAGIC 0xED0CDAEDU
#define BOLT_VERSION 2
#define BOLT_COUNT_MAX 0xFFFE /* elements of a page: 0xFFFF has a meaning in freelists */

enum { BOLT_BRANCH = 1, BOLT_LEAF = 2, BOLT_META = 4, BOLT_FREELIST = 16 };
enum { BOLT_ELEMENT_BUCKET = 1 };

/* The database, made by bolt_new. */
struct bolt {
	struct mem_arena *arena;
	struct str file; /* what was read, when bolt_read did it */
	struct bolt_bucket *root;
	size_t entries; /* that reading found */
	bool changed;
};

/* Reads a number of 16 bits, little-endian; p need not be aligned. */
static inline uint16_t bolt_get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

/* Reads a number of 32 bits, little-endian; p need not be aligned. */
static inline uint32_t bolt_get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

/* Reads a number of 64 bits, little-endian; p need not be aligned. */
static inline uint64_t bolt_get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

/* Writes a number of 16 bits, little-endian; p need not be aligned. */
static inline void bolt_set16(uint8_t *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof(v));
}

/* Writes a number of 32 bits, little-endian; p need not be aligned. */
static inline void bolt_set32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

/* Writes a number of 64 bits, little-endian; p need not be aligned. */
static inline void bolt_set64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

/* FNV-1a, 64 bits, of the checked part of a meta page. */
static inline uint64_t bolt_checksum(const uint8_t *meta)
{
	uint64_t hash = 0xcbf29ce484222325U;

	for (size_t i = 0; i < BOLT_META_CHECKED; i++)
		hash = (hash ^ meta[i]) * 0x100000001b3U;
	return hash;
}

/* Appends an entry, whose key must be behind all others, without a copy of its bytes. */
void bolt_append(struct bolt_bucket *bucket, const struct bolt_entry *entry);

/* Makes an empty bucket of this database. */
struct bolt_bucket *bolt_new_bucket(struct bolt *bolt);

#endif
