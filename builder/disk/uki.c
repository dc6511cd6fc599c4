/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Laying out a unified kernel image: the stub with more sections behind its own, at the addresses
 * that ukify of systemd 257 gives them. Field offsets: Microsoft PE format specification.
 */
#include "disk/uki.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "disk/endian.h"
#include "disk/pe.h"

#include <stdio.h>
#include <string.h>

#define STUB_MAX ((size_t)16 << 20)
#define PART_MAX ((uint64_t)1 << 30)
#define COPY_STEP ((size_t)1 << 20)
#define INITRD_ALIGN 4

#define MEM_READ 0x40000000u
#define CODE 0x00000020u
#define DATA 0x00000040u
#define NX_COMPAT 0x0100u

struct builder {
	struct uki *uki;
	uint8_t *head; /* the stub, its header changed; part of uki */
	struct pe pe;
	uint64_t end;     /* of the file so far */
	uint64_t address; /* of the next section, not yet rounded */
	uint64_t data;    /* added to SizeOfInitializedData */
	size_t sections;
};

static uint64_t round_up(uint64_t n, uint64_t step)
{
	return step > 1 ? (n + step - 1) / step * step : n;
}

static void add_region(struct builder *b, struct region region, uint64_t offset, const char *name)
{
	struct region_list *list = &b->uki->regions;

	region.offset = offset;
	region.name = name;
	if (region.length > 0)
		VEC_ADD(list->items, list->count, list->room, region);
}

/* Appends the header of a section with size bytes; its content goes to *ret_offset. */
static int add_section(struct builder *b, const char *name, uint64_t size, uint32_t flags,
		       uint64_t *ret_offset, struct err *err)
{
	uint64_t at = b->pe.section_table + b->sections * PE_SECTION_SIZE;
	uint64_t raw = round_up(size, b->pe.file_align);
	uint8_t *h = b->head + at;

	/* As ukify: one header more must fit, so that a signing tool finds room. */
	if (at + 2 * PE_SECTION_SIZE > b->pe.headers_size)
		return err_set(err, ERR_VERIFY, "the stub has no room for the section '%s'", name);
	b->address = round_up(b->address, b->pe.section_align);
	if (b->address + size > UINT32_MAX || b->end + raw > UINT32_MAX)
		return err_set(err, ERR_OTHER, "it would be larger than 4 GiB");
	memset(h, 0, PE_SECTION_SIZE);
	put_text(h, name, strlen(name));
	put_le32(h + 8, (uint32_t)size);
	put_le32(h + 12, (uint32_t)b->address);
	put_le32(h + 16, (uint32_t)raw);
	put_le32(h + 20, (uint32_t)b->end);
	put_le32(h + 36, flags | MEM_READ);
	*ret_offset = b->end;
	b->sections++;
	b->data += size;
	b->address += size;
	b->end += raw;
	return 0;
}

static int add_text(struct builder *b, const char *name, const char *text, uint8_t **next,
		    struct err *err)
{
	size_t len = strlen(text);
	uint64_t offset = 0;

	memcpy(*next, text, len);
	if (add_section(b, name, len, DATA, &offset, err) < 0)
		return -1;
	add_region(b, (struct region){.length = len, .bytes = *next, .fd = -1}, offset, name);
	*next += len;
	return 0;
}

static int read_region(const struct region *region, void *to, size_t len, struct err *err)
{
	if (region->bytes) {
		memcpy(to, region->bytes, len);
		return 0;
	}
	return fd_pread(region->fd, to, len, region->source_offset,
			region->name ? region->name : "kernel", err);
}

/* The stub may claim to work with non-executable data only when the kernel does. */
static int check_kernel(struct builder *b, const struct region *kernel, struct err *err)
{
	uint8_t start[4096] = {0};
	size_t len = kernel->length < sizeof(start) ? (size_t)kernel->length : sizeof(start);
	struct pe pe;

	if (kernel->length == 0 || kernel->length > PART_MAX)
		return err_set(err, ERR_VERIFY, "the kernel is empty or larger than 1 GiB");
	if (read_region(kernel, start, len, err) < 0)
		return -1;
	if (pe_parse(start, len, kernel->length, &pe, err) < 0)
		return err_wrap(err, "the kernel cannot be started by UEFI");
	if (!(get_le16(start + pe.optional + 70) & NX_COMPAT)) {
		uint8_t *flags = b->head + b->pe.optional + 70;

		put_le16(flags, (uint16_t)(get_le16(flags) & ~NX_COMPAT));
	}
	return 0;
}

static int add_kernel(struct builder *b, const struct uki_input *input, struct err *err)
{
	uint64_t offset = 0, size = 0;

	if (check_kernel(b, &input->kernel, err) < 0 ||
	    add_section(b, ".linux", input->kernel.length, CODE, &offset, err) < 0)
		return -1;
	add_region(b, input->kernel, offset, ".linux");

	for (size_t i = 0; i < input->initrd_count; i++) {
		if (input->initrds[i].length > PART_MAX)
			return err_set(err, ERR_OTHER, "an initrd is larger than 1 GiB");
		size = round_up(size, INITRD_ALIGN) + input->initrds[i].length;
	}
	if (add_section(b, ".initrd", size, DATA, &offset, err) < 0)
		return -1;
	for (size_t i = 0; i < input->initrd_count; i++) {
		offset = round_up(offset, INITRD_ALIGN);
		add_region(b, input->initrds[i], offset, ".initrd");
		offset += input->initrds[i].length;
	}
	return 0;
}

/* A finished image is no stub: the loader would take its kernel or command line for ours. */
static bool is_ours(const uint8_t *name)
{
	static const char *const names[] = {".osrel", ".cmdline", ".uname", ".linux", ".initrd"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strncmp((const char *)name, names[i], 8) == 0)
			return true;
	return false;
}

static int start(struct builder *b, const struct uki_input *input, struct err *err)
{
	uint64_t end;

	if (input->stub_size > STUB_MAX)
		return err_set(err, ERR_VERIFY, "the stub is larger than 16 MiB");
	if (pe_parse(input->stub, input->stub_size, input->stub_size, &b->pe, err) < 0)
		return err_wrap(err, "bad stub");
	if (b->pe.symbols != 0)
		return err_set(err, ERR_VERIFY, "the stub has a symbol table");
	if (b->pe.is_signed)
		return err_set(err, ERR_VERIFY, "the stub is signed: a signature covers it all");
	b->sections = b->pe.section_count;
	for (size_t i = 0; i < b->pe.section_count; i++) {
		const uint8_t *h =
			(const uint8_t *)input->stub + b->pe.section_table + i * PE_SECTION_SIZE;

		if (get_le32(h + 16) % b->pe.file_align != 0 ||
		    get_le32(h + 20) % b->pe.file_align != 0)
			return err_set(err, ERR_VERIFY, "the stub's sections are not aligned");
		if (is_ours(h))
			return err_set(err, ERR_VERIFY, "the stub has a section '%.8s' already",
				       (const char *)h);
		end = (uint64_t)get_le32(h + 12) + get_le32(h + 8);
		if (end > b->address)
			b->address = end;
	}
	b->uki->head = b->head = mem_alloc(round_up(input->stub_size, b->pe.file_align));
	memcpy(b->head, input->stub, input->stub_size);
	b->pe.headers_size = (uint32_t)round_up(b->pe.headers_size, b->pe.file_align);
	if (b->pe.headers_size > b->pe.first_data)
		return err_set(err, ERR_VERIFY, "the stub's headers reach into its sections");
	b->end = round_up(input->stub_size, b->pe.file_align);
	add_region(b, (struct region){.length = b->end, .bytes = b->head, .fd = -1}, 0, "stub");
	return 0;
}

static void finish(struct builder *b)
{
	uint8_t *coff = b->head + b->pe.coff, *optional = b->head + b->pe.optional;

	put_le16(coff + 2, (uint16_t)b->sections);
	put_le32(optional + 8, get_le32(optional + 8) + (uint32_t)b->data);
	put_le32(optional + 56, (uint32_t)round_up(b->address, b->pe.section_align));
	put_le32(optional + 60, b->pe.headers_size);
	put_le32(optional + 64, 0); /* checksum */
	b->uki->regions.size = b->end;
}

int uki_plan(const struct uki_input *input, struct uki *ret, struct err *err)
{
	struct builder b = {.uki = ret};
	uint8_t *next;

	*ret = (struct uki){0};
	next = ret->texts =
		mem_alloc(strlen(input->osrel) + strlen(input->cmdline) + strlen(input->uname) + 1);
	if (start(&b, input, err) < 0 || add_text(&b, ".osrel", input->osrel, &next, err) < 0 ||
	    add_text(&b, ".cmdline", input->cmdline, &next, err) < 0 ||
	    add_text(&b, ".uname", input->uname, &next, err) < 0 ||
	    add_kernel(&b, input, err) < 0) {
		uki_free(ret);
		return err_wrap(err, "cannot make the unified kernel image");
	}
	finish(&b);
	return 0;
}

void uki_free(struct uki *uki)
{
	if (!uki)
		return;
	free(uki->regions.items);
	free(uki->head);
	free(uki->texts);
	*uki = (struct uki){0};
}

static int write_zeros(int fd, uint64_t len, const char *name, struct err *err)
{
	static const uint8_t zeros[4096];

	for (uint64_t n; len > 0; len -= n) {
		n = len < sizeof(zeros) ? len : sizeof(zeros);
		if (fd_write(fd, zeros, n, name, err) < 0)
			return -1;
	}
	return 0;
}

int uki_write(const struct uki *uki, int fd, const char *name, struct err *err)
{
	CLEANUP_FREE uint8_t *buffer = mem_alloc(COPY_STEP);
	uint64_t at = 0;

	for (size_t i = 0; i < uki->regions.count; i++) {
		const struct region *r = &uki->regions.items[i];

		if (write_zeros(fd, r->offset - at, name, err) < 0)
			return -1;
		for (uint64_t done = 0, n; done < r->length; done += n) {
			n = r->length - done < COPY_STEP ? r->length - done : COPY_STEP;
			if (r->bytes)
				memcpy(buffer, (const uint8_t *)r->bytes + done, n);
			else if (fd_pread(r->fd, buffer, n, r->source_offset + done, r->name, err) <
				 0)
				return -1;
			if (fd_write(fd, buffer, n, name, err) < 0)
				return -1;
		}
		at = r->offset + r->length;
	}
	return write_zeros(fd, uki->regions.size - at, name, err);
}
