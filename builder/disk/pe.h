/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The headers of a PE32+ image (Microsoft PE format specification): found and checked once, for
 * writing and for reading unified kernel images.
 */
#ifndef INGOT_DISK_PE_H
#define INGOT_DISK_PE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PE_SECTION_SIZE 40 /* bytes of a section header */
#define PE_SECTIONS_MAX 96
#define PE_HEAD_MAX ((size_t)65536) /* headers that end behind this are refused */

/* Offsets in bytes from the start of the file. */
struct pe {
	size_t coff, optional, section_table;
	size_t section_count;               /* 1 to PE_SECTIONS_MAX */
	uint32_t file_align, section_align; /* powers of two, 16 to 64 KiB */
	uint32_t headers_size;
	uint32_t symbols;    /* offset of the symbol table, 0: none */
	uint64_t first_data; /* lowest offset of a section's data */
	bool is_signed;
};

/* Parses the headers in the first len bytes of a file of file_size bytes (hostile input). All
 * sections' data lies inside the file and behind the section table. ERR_VERIFY otherwise. */
int pe_parse(const void *bytes, size_t len, uint64_t file_size, struct pe *ret, struct err *err);

#endif
