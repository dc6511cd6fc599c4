/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unified kernel images (UAPI specification "UKI"): systemd-stub with the kernel, initrd, command
 * line and os-release as further PE sections. Planned as regions, so that kernel and initrd are
 * read only once, when the disk is written.
 */
#ifndef INGOT_DISK_UKI_H
#define INGOT_DISK_UKI_H

#include "base/err.h"
#include "base/image.h"
#include "base/region.h"

#include <stddef.h>
#include <stdint.h>

/* In all regions of the input the offset is not looked at. */
struct uki_input {
	const void *stub; /* linuxx64.efi.stub of the image's own release */
	size_t stub_size;
	const char *osrel, *cmdline, *uname; /* text */
	struct region kernel;                /* bzImage or EFI-stub Image */
	const struct region *initrds;        /* cpio archives, in this order; padded to 4 bytes */
	size_t initrd_count;
};

/* The file as regions. It borrows stub, kernel and initrds of the input; texts are copied. */
struct uki {
	struct region_list regions; /* size is that of the file */
	void *head;                 /* own buffers that the regions point into */
	void *texts;
};

/* Lays out the file as systemd's ukify does (same bytes, with .sbat the stub's own). A stub that is
 * no PE32+ image, is signed, or has no room for the section headers is ERR_VERIFY. Reads the first
 * bytes of the kernel. Free with uki_free. */
int uki_plan(const struct uki_input *input, struct uki *ret, struct err *err);

/* Frees what uki_plan allocated and clears the struct. Usable with CLEANUP(). */
void uki_free(struct uki *uki);

/* Writes the file at fd's current position; name is for messages. Blocks. */
int uki_write(const struct uki *uki, int fd, const char *name, struct err *err);

/* The version string of a Linux bzImage (x86 boot protocol, offset 0x20e, its first word) of size
 * bytes from the start of the file. ERR_VERIFY when it has none. Caller frees *ret. */
int uki_kernel_version(const void *bytes, size_t size, char **ret, struct err *err);

struct uki_section {
	char name[9];
	uint64_t offset, size; /* of the data in the file, bytes; without padding */
	uint32_t address;      /* virtual, relative to the image base */
};

#define UKI_SECTIONS_MAX 96

/* Reads the section table of a PE image, which may be hostile: every section lies inside the file.
 * ERR_VERIFY otherwise. *ret_count is at most UKI_SECTIONS_MAX. */
int uki_sections(struct image *image, struct uki_section ret[UKI_SECTIONS_MAX], size_t *ret_count,
		 struct err *err);

/* Reads a text section (".cmdline", ".osrel", ".uname") of at most 64 KiB; NULs at the end are cut
 * off, others are ERR_VERIFY. *ret is NULL when there is no such section. Caller frees *ret. */
int uki_read_text(struct image *image, const char *section, char **ret, struct err *err);

#endif
