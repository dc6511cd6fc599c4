/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parsing PE32+ headers. Only the fields that matter here are looked at; each is checked before it
 * is used.
 */
#include "disk/pe.h"

#include "disk/endian.h"

#include <string.h>

#define COFF_SIZE 20
#define OPTIONAL_SIZE_MIN 112 /* up to the data directories */
#define SECURITY_DIRECTORY 4

static bool is_alignment(uint32_t n)
{
	return n >= 16 && n <= 65536 && (n & (n - 1)) == 0;
}

static int parse_sections(const uint8_t *p, uint64_t file_size, struct pe *ret, struct err *err)
{
	uint64_t table_end = ret->section_table + ret->section_count * PE_SECTION_SIZE;

	ret->first_data = UINT64_MAX;
	for (size_t i = 0; i < ret->section_count; i++) {
		const uint8_t *h = p + ret->section_table + i * PE_SECTION_SIZE;
		uint64_t raw = get_le32(h + 16), at = get_le32(h + 20);

		if (raw == 0)
			continue;
		if (at < table_end || at > file_size || raw > file_size - at)
			return err_set(err, ERR_VERIFY, "section %zu leaves the file", i + 1);
		if (at < ret->first_data)
			ret->first_data = at;
	}
	return 0;
}

int pe_parse(const void *bytes, size_t len, uint64_t file_size, struct pe *ret, struct err *err)
{
	const uint8_t *p = bytes;
	size_t optional_size;

	*ret = (struct pe){0};
	if (len < 64 || memcmp(p, "MZ", 2) != 0)
		return err_set(err, ERR_VERIFY, "no PE image");
	ret->coff = (size_t)get_le32(p + 60) + 4;
	if (ret->coff < 64 || ret->coff > PE_HEAD_MAX || ret->coff + COFF_SIZE > len ||
	    memcmp(p + ret->coff - 4, "PE\0", 4) != 0)
		return err_set(err, ERR_VERIFY, "no PE image");
	ret->section_count = get_le16(p + ret->coff + 2);
	ret->symbols = get_le32(p + ret->coff + 8);
	optional_size = get_le16(p + ret->coff + 16);
	ret->optional = ret->coff + COFF_SIZE;
	ret->section_table = ret->optional + optional_size;
	if (ret->section_count == 0 || ret->section_count > PE_SECTIONS_MAX)
		return err_set(err, ERR_VERIFY, "a PE image with %zu sections", ret->section_count);
	if (optional_size < OPTIONAL_SIZE_MIN || ret->section_table > PE_HEAD_MAX ||
	    ret->section_table + ret->section_count * PE_SECTION_SIZE > len)
		return err_set(err, ERR_VERIFY, "truncated PE headers");

	const uint8_t *o = p + ret->optional;
	uint32_t directories = get_le32(o + 108);

	if (get_le16(o) != 0x20b)
		return err_set(err, ERR_VERIFY, "no 64-bit PE image");
	ret->section_align = get_le32(o + 32);
	ret->file_align = get_le32(o + 36);
	ret->headers_size = get_le32(o + 60);
	if (!is_alignment(ret->section_align) || !is_alignment(ret->file_align))
		return err_set(err, ERR_VERIFY, "a PE image with odd alignment");
	if (ret->headers_size > PE_HEAD_MAX || ret->headers_size > file_size)
		return err_set(err, ERR_VERIFY, "a PE image with %u bytes of headers",
			       (unsigned)ret->headers_size);
	if (directories > SECURITY_DIRECTORY &&
	    optional_size >= OPTIONAL_SIZE_MIN + (SECURITY_DIRECTORY + 1) * 8)
		ret->is_signed = get_le32(o + OPTIONAL_SIZE_MIN + SECURITY_DIRECTORY * 8) != 0;
	return parse_sections(p, file_size, ret, err);
}
