/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC-64 by ISA-L where it is installed, else by tables, eight bytes at a time.
 */
#include "tree/crc64.h"

#ifdef HAVE_ISAL
#include <isa-l.h>

uint64_t crc64_add(uint64_t crc, const void *bytes, size_t len)
{
	return crc64_iso_refl(crc, bytes, len);
}
#else
#include <endian.h>
#include <pthread.h>
#include <string.h>

#define POLYNOMIAL 0xd800000000000000u /* reflected */

static uint64_t tables[8][256];

static void make_tables(void)
{
	for (unsigned i = 0; i < 256; i++) {
		uint64_t v = i;

		for (int bit = 0; bit < 8; bit++)
			v = v >> 1 ^ (v & 1 ? POLYNOMIAL : 0);
		tables[0][i] = v;
	}
	for (unsigned i = 0; i < 256; i++)
		for (int k = 1; k < 8; k++)
			tables[k][i] = tables[0][tables[k - 1][i] & 255] ^ tables[k - 1][i] >> 8;
}

uint64_t crc64_add(uint64_t crc, const void *bytes, size_t len)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const uint8_t *p = bytes;

	pthread_once(&once, make_tables);
	crc = ~crc;
	for (; len >= 8; len -= 8, p += 8) {
		uint64_t v;

		memcpy(&v, p, 8);
		v = le64toh(v) ^ crc;
		crc = tables[7][v & 255] ^ tables[6][v >> 8 & 255] ^ tables[5][v >> 16 & 255] ^
		      tables[4][v >> 24 & 255] ^ tables[3][v >> 32 & 255] ^
		      tables[2][v >> 40 & 255] ^ tables[1][v >> 48 & 255] ^ tables[0][v >> 56];
	}
	for (; len; len--, p++)
		crc = tables[0][(crc ^ *p) & 255] ^ crc >> 8;
	return ~crc;
}
#endif
