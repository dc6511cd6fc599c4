/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding the disk in an OVA, which may be hostile: the headers of its tar archive are read, one after
 * the other, and the member that is a VMDK is opened where it is.
 */
#include "output/ova_parts.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/size.h"
#include "output/formats.h"
#include "output/vmdk_parts.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MEMBERS_MAX 1000
#define EXTENSION_MAX ((uint64_t)64 << 10) /* of a header that goes before a member */

struct archive {
	int fd;
	const char *path;
	uint64_t size, at;
	/* What extension headers say of the next member. */
	char *next_name;
	bool has_size;
	uint64_t next_size;
	/* The disk. */
	uint64_t disk_at, disk_size;
	size_t disks, files;
};

static int damaged(const struct archive *a, const char *what, struct err *err)
{
	return err_set(err, ERR_VERIFY, "cannot read '%s': damaged OVA: %s", a->path, what);
}

/* Octal digits with blanks around them, or, with the top bit of the first byte, binary. */
static bool parse_number(const uint8_t *field, size_t len, uint64_t *ret)
{
	size_t i = 0;

	*ret = 0;
	if (field[0] & 0x80) {
		/* Negative or beyond 64 bits: not ours. */
		if (field[0] != 0x80)
			return false;
		for (i = 1; i < len; i++) {
			if (*ret >> 56)
				return false;
			*ret = *ret << 8 | field[i];
		}
		return true;
	}
	while (i < len && field[i] == ' ')
		i++;
	for (; i < len && field[i] >= '0' && field[i] <= '7'; i++)
		*ret = *ret << 3 | (uint64_t)(field[i] - '0');
	return i == len || field[i] == ' ' || field[i] == 0;
}

static bool is_header(const uint8_t *h)
{
	uint64_t sum;

	return memcmp(h + TAR_MAGIC, "ustar", 5) == 0 &&
	       parse_number(h + TAR_CHECKSUM, TAR_CHECKSUM_SIZE, &sum) && sum == tar_sum(h);
}

bool ova_is(const uint8_t *head, const uint8_t *tail)
{
	char name[TAR_NAME_SIZE + 1];

	(void)tail;
	if (!is_header(head))
		return false;
	memcpy(name, head + TAR_NAME, TAR_NAME_SIZE);
	name[TAR_NAME_SIZE] = 0;
	return str_has_suffix(name, ".ovf") || head[TAR_TYPE] == 'x' || head[TAR_TYPE] == 'g' ||
	       head[TAR_TYPE] == 'L';
}

/* One record of a pax header: "LENGTH KEY=VALUE\n". Returns its length, 0 when it is none. */
static size_t take_record(struct archive *a, const char *text, size_t len)
{
	size_t all = 0, i = 0, key;
	char *value;

	for (; i < len && text[i] >= '0' && text[i] <= '9' && all <= EXTENSION_MAX; i++)
		all = all * 10 + (size_t)(text[i] - '0');
	if (i == 0 || i >= len || text[i] != ' ' || all > len || all < i + 4 ||
	    text[all - 1] != '\n')
		return 0;
	key = i + 1;
	value = memchr(text + key, '=', all - key);
	if (!value)
		return 0;
	value = mem_printf("%.*s", (int)(text + all - 1 - value) - 1, value + 1);
	if (strncmp(text + key, "path=", 5) == 0) {
		free(a->next_name);
		a->next_name = MEM_STEAL(value);
	} else if (strncmp(text + key, "size=", 5) == 0) {
		char *end;

		a->has_size = true;
		a->next_size = strtoull(value, &end, 10);
		if (*value < '0' || *value > '9' || *end)
			all = 0;
	}
	free(value);
	return all;
}

/* A header for the next one: pax (x) or GNU's long name (L). */
static int read_extension(struct archive *a, uint8_t type, uint64_t at, uint64_t size,
			  struct err *err)
{
	CLEANUP_FREE char *text = NULL;

	if (size > EXTENSION_MAX)
		return damaged(a, "a header is too long", err);
	text = mem_alloc(size + 1);
	if (fd_pread(a->fd, text, size, at, a->path, err) < 0)
		return -1;
	if (type == 'L') {
		free(a->next_name);
		a->next_name = MEM_STEAL(text);
		return 0;
	}
	for (size_t i = 0, n; i < size; i += n) {
		n = take_record(a, text + i, size - i);
		if (n == 0)
			return damaged(a, "a pax header cannot be read", err);
	}
	return 0;
}

static int take_file(struct archive *a, const char *name, uint64_t at, uint64_t size,
		     struct err *err)
{
	size_t len = strlen(name);

	if (a->files++ == 0 && !str_has_suffix(name, ".ovf"))
		return err_set(err, ERR_VERIFY,
			       "cannot read '%s': no OVA: its first member is no descriptor",
			       a->path);
	if (len < 5 || strcasecmp(name + len - 5, ".vmdk") != 0)
		return 0;
	a->disks++;
	a->disk_at = at;
	a->disk_size = size;
	return 0;
}

static int read_member(struct archive *a, const uint8_t *h, struct err *err)
{
	char short_name[TAR_NAME_SIZE + 1] = {0};
	CLEANUP_FREE char *name = NULL;
	uint64_t size, at = a->at + TAR_BLOCK;
	uint8_t type = h[TAR_TYPE];

	if (!is_header(h))
		return damaged(a, "a header is wrong", err);
	if (!parse_number(h + TAR_SIZE, TAR_SIZE_SIZE, &size))
		return damaged(a, "the size of a member is no number", err);
	if (a->has_size && type != 'x' && type != 'g' && type != 'L')
		size = a->next_size;
	if (size > a->size - at)
		return damaged(a, "a member is longer than the file", err);
	/* Not behind the end: the padding of the last one may be missing. */
	a->at = size_align(at + size, TAR_BLOCK);
	if (type == 'x' || type == 'L')
		return read_extension(a, type, at, size, err);
	if (type == 'g')
		return 0;
	memcpy(short_name, h + TAR_NAME, TAR_NAME_SIZE);
	name = a->next_name ? MEM_STEAL(a->next_name) : mem_strdup(short_name);
	a->has_size = false;
	if (type != '0' && type != 0)
		return 0;
	return take_file(a, name, at, size, err);
}

static int find_disk(struct archive *a, struct err *err)
{
	static const uint8_t zeros[TAR_BLOCK];
	uint8_t h[TAR_BLOCK];

	for (size_t members = 0; a->at < a->size; members++) {
		if (members == MEMBERS_MAX)
			return damaged(a, "too many members", err);
		if (a->size - a->at < TAR_BLOCK)
			return damaged(a, "truncated header", err);
		if (fd_pread(a->fd, h, sizeof(h), a->at, a->path, err) < 0)
			return -1;
		if (memcmp(h, zeros, sizeof(h)) == 0)
			break;
		if (read_member(a, h, err) < 0)
			return -1;
	}
	if (a->disks == 1)
		return 0;
	return err_set(
		err, ERR_VERIFY,
		"cannot read '%s': an OVA with %zu disks (*.vmdk) instead of one: extract the "
		"one you want with 'tar -xf'",
		a->path, a->disks);
}

struct image *ova_read(int fd, const char *path, struct err *err)
{
	struct archive a = {.fd = fd, .path = path};
	int ret = -1;

	if (fd_size(fd, path, &a.size, err) == 0)
		ret = find_disk(&a, err);
	free(a.next_name);
	if (ret == 0)
		return vmdk_read_part(fd, path, "ova", a.disk_at, a.disk_size, err);
	fd_close(&fd);
	return NULL;
}
