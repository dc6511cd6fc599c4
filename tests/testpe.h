/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small PE32+ images for tests: a stub with two sections, a kernel.
 */
#ifndef TESTS_TESTPE_H
#define TESTS_TESTPE_H

#include "disk/endian.h"

#include <string.h>

#define TESTPE_SIZE 4096
#define TESTPE_COFF 68u
#define TESTPE_OPTIONAL (TESTPE_COFF + 20)
#define TESTPE_TABLE (TESTPE_OPTIONAL + 240)
#define TESTPE_NX 0x0100

static void testpe_section(uint8_t *h, const char *name, uint32_t size, uint32_t address,
			   uint32_t offset, uint32_t flags)
{
	memset(h, 0, 40);
	memcpy(h, name, strlen(name));
	put_le32(h + 8, size);
	put_le32(h + 12, address);
	put_le32(h + 16, (size + 511) / 512 * 512);
	put_le32(h + 20, offset);
	put_le32(h + 36, flags);
}

/* A PE32+ EFI application of TESTPE_SIZE bytes with .text and .sbat, room for headers up to 1536. */
__attribute__((unused)) static void testpe_stub(uint8_t *p)
{
	uint8_t *coff = p + TESTPE_COFF, *o = p + TESTPE_OPTIONAL;

	memset(p, 0, TESTPE_SIZE);
	memcpy(p, "MZ", 2);
	put_le32(p + 60, TESTPE_COFF - 4);
	memcpy(p + TESTPE_COFF - 4, "PE\0", 4);
	put_le16(coff, 0x8664);
	put_le16(coff + 2, 2);
	put_le32(coff + 4, 1700000000); /* TimeDateStamp */
	put_le16(coff + 16, 240);
	put_le16(coff + 18, 0x22e);
	put_le16(o, 0x20b);
	put_le32(o + 8, 0x20);            /* SizeOfInitializedData */
	put_le32(o + 16, 0x1000);         /* entry point */
	put_le64(o + 24, 0x140000000ull); /* image base */
	put_le32(o + 32, 0x1000);
	put_le32(o + 36, 0x200);
	put_le32(o + 56, 0x3000); /* SizeOfImage */
	put_le32(o + 60, 1536);   /* SizeOfHeaders */
	put_le32(o + 64, 0x1234); /* checksum */
	put_le16(o + 68, 10);     /* EFI application */
	put_le16(o + 70, 0x0060 | TESTPE_NX);
	put_le32(o + 108, 16);
	testpe_section(p + TESTPE_TABLE, ".text", 0x600, 0x1000, 1536, 0x60000020);
	testpe_section(p + TESTPE_TABLE + 40, ".sbat", 0x220, 0x2000, 3072, 0x40000040);
	memset(p + 1536, 0xc3, 0x600);
	memcpy(p + 3072, "sbat,1\n", 7);
}

/* A kernel: the same, with the x86 boot header and the version string where it belongs. */
__attribute__((unused)) static void testpe_kernel(uint8_t *p, const char *version)
{
	testpe_stub(p);
	memset(p + 0x200, 0, 0x20);
	memcpy(p + 0x202, "HdrS", 4);
	put_le16(p + 0x20e, 0xc00 - 0x200);
	memcpy(p + 0xc00, version, strlen(version) + 1);
}

#endif
