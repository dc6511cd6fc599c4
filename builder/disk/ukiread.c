/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading unified kernel images, and the version of a kernel. The files may be hostile.
 */
#include "disk/uki.h"

#include "base/mem.h"
#include "disk/endian.h"
#include "disk/pe.h"

#include <stdio.h>
#include <string.h>

#define TEXT_MAX ((uint64_t)65536)

_Static_assert(UKI_SECTIONS_MAX == PE_SECTIONS_MAX, "both limits are one");

int uki_sections(struct image *image, struct uki_section ret[UKI_SECTIONS_MAX], size_t *ret_count,
		 struct err *err)
{
	size_t len = image->size < PE_HEAD_MAX ? (size_t)image->size : PE_HEAD_MAX;
	CLEANUP_FREE uint8_t *head = mem_alloc(len);
	struct pe pe;

	if (image->pread(image, head, len, 0, err) < 0)
		return -1;
	if (pe_parse(head, len, image->size, &pe, err) < 0)
		return err_wrap(err, "cannot read '%s'", image->name);
	for (size_t i = 0; i < pe.section_count; i++) {
		const uint8_t *h = head + pe.section_table + i * PE_SECTION_SIZE;
		struct uki_section *s = &ret[i];
		uint32_t virtual_size = get_le32(h + 8), raw = get_le32(h + 16);

		*s = (struct uki_section){.offset = raw ? get_le32(h + 20) : 0,
					  .size = virtual_size < raw ? virtual_size : raw,
					  .address = get_le32(h + 12)};
		memcpy(s->name, h, 8);
	}
	*ret_count = pe.section_count;
	return 0;
}

int uki_read_text(struct image *image, const char *section, char **ret, struct err *err)
{
	struct uki_section sections[UKI_SECTIONS_MAX];
	size_t count = 0, len;

	*ret = NULL;
	if (uki_sections(image, sections, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		const struct uki_section *s = &sections[i];
		CLEANUP_FREE char *text = NULL;

		if (strcmp(s->name, section) != 0)
			continue;
		if (s->size > TEXT_MAX)
			return err_set(err, ERR_VERIFY,
				       "cannot read '%s': section '%s' is larger than 64 KiB",
				       image->name, section);
		text = mem_alloc(s->size + 1);
		if (image->pread(image, text, s->size, s->offset, err) < 0)
			return -1;
		len = s->size;
		while (len > 0 && text[len - 1] == 0)
			len--;
		if (strlen(text) != len)
			return err_set(err, ERR_VERIFY,
				       "cannot read '%s': section '%s' holds a NUL", image->name,
				       section);
		*ret = MEM_STEAL(text);
		return 0;
	}
	return 0;
}

int uki_kernel_version(const void *bytes, size_t size, char **ret, struct err *err)
{
	const uint8_t *p = bytes;
	size_t at, len = 0;

	/* The pointer at 0x20e counts from 0x200 (Linux Documentation/arch/x86/boot.rst). */
	if (size < 0x210 || memcmp(p + 0x202, "HdrS", 4) != 0)
		return err_set(err, ERR_VERIFY, "the kernel is no bzImage");
	at = (size_t)get_le16(p + 0x20e) + 0x200;
	if (get_le16(p + 0x20e) == 0 || at >= size)
		return err_set(err, ERR_VERIFY, "the kernel does not tell its version");
	while (at + len < size && len < 256 && p[at + len] > ' ' && p[at + len] < 0x7f)
		len++;
	if (len == 0 || len == 256 || at + len == size)
		return err_set(err, ERR_VERIFY, "the kernel does not tell its version");
	*ret = mem_strndup((const char *)p + at, len);
	return 0;
}
