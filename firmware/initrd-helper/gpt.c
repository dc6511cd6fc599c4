/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the var partition in a disk's own partition table. The kernel's PARTNAME is not used:
 * partitions that systemd-repart has just added through BLKPG have none until the next boot.
 * Specification: UEFI 2.10, section 5.3.
 */
#include "helper.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bounds for what a table may claim about itself; repart and sfdisk write 128 entries of 128. */
enum { GPT_ENTRIES_MAX = 1024, GPT_ENTRY_SIZE_MIN = 128, GPT_ENTRY_SIZE_MAX = 4096 };

/* 4d21b016-b534-45c2-a9fb-5c16e091fd2d, in the mixed byte order of a GPT. */
static const unsigned char type_var[16] = {0x16, 0xb0, 0x21, 0x4d, 0x34, 0xb5, 0xc2, 0x45,
					   0xa9, 0xfb, 0x5c, 0x16, 0xe0, 0x91, 0xfd, 0x2d};

/* The label "var" in UTF-16LE, the rest of the 72 bytes being zero. */
static const unsigned char name_var[72] = {'v', 0, 'a', 0, 'r', 0};

static uint32_t crc32_of(const unsigned char *data, size_t len)
{
	uint32_t crc = 0xffffffffu;

	for (size_t i = 0; i < len; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (0xedb88320u & -(crc & 1));
	}
	return ~crc;
}

static uint32_t get32(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static int read_at(int fd, void *buf, size_t len, uint64_t offset)
{
	unsigned char *p = (unsigned char *)buf;

	while (len > 0) {
		ssize_t n = pread(fd, p, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		p += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* Reads and checks one copy of the table. Returns the entries (the caller frees them) or NULL. */
static unsigned char *load_table(int fd, uint32_t sector, uint64_t bytes, uint64_t lba,
				 uint32_t *count, uint32_t *entry_size)
{
	unsigned char head[512];
	uint32_t head_size, crc;
	unsigned char *entries;
	uint64_t start;
	size_t len;

	if (bytes / sector <= lba || read_at(fd, head, sizeof(head), lba * sector) < 0)
		return NULL;
	head_size = get32(head + 12);
	if (memcmp(head, "EFI PART", 8) != 0 || head_size < 92 || head_size > sizeof(head))
		return NULL;
	crc = get32(head + 16);
	memset(head + 16, 0, 4);
	if (crc32_of(head, head_size) != crc || get64(head + 24) != lba)
		return NULL;
	start = get64(head + 72);
	*count = get32(head + 80);
	*entry_size = get32(head + 84);
	if (*count == 0 || *count > GPT_ENTRIES_MAX || *entry_size < GPT_ENTRY_SIZE_MIN ||
	    *entry_size > GPT_ENTRY_SIZE_MAX || start >= bytes / sector)
		return NULL;
	len = (size_t)*count * *entry_size;
	entries = (unsigned char *)malloc(len);
	if (!entries)
		return NULL;
	if (read_at(fd, entries, len, start * sector) < 0 ||
	    crc32_of(entries, len) != get32(head + 88)) {
		free(entries);
		return NULL;
	}
	return entries;
}

long gpt_find_var(int fd, uint32_t sector, uint64_t bytes, struct err *err)
{
	uint32_t count, entry_size;
	unsigned char *entries;
	long found = 0;

	if (sector < 512 || sector > 65536 || bytes < (uint64_t)sector * 3)
		return helper_fail(err, "cannot read the partition table: disk too small");
	entries = load_table(fd, sector, bytes, 1, &count, &entry_size);
	if (!entries) {
		helper_log(4, "the primary partition table is damaged, using the backup");
		entries = load_table(fd, sector, bytes, bytes / sector - 1, &count, &entry_size);
	}
	if (!entries)
		return helper_fail(err, "cannot read the partition table: no valid copy");
	for (uint32_t i = 0; i < count; i++) {
		const unsigned char *entry = entries + (size_t)i * entry_size;

		if (memcmp(entry, type_var, sizeof(type_var)) != 0 ||
		    memcmp(entry + 56, name_var, sizeof(name_var)) != 0)
			continue;
		if (found != 0) {
			free(entries);
			return helper_fail(err, "two partitions are labelled 'var': %ld and %u",
					   found, i + 1);
		}
		found = (long)i + 1;
	}
	free(entries);
	return found;
}
