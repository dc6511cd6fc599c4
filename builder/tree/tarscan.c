/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The members of a plain tar where they lie: only headers are read, so that an archive of many gigabytes is
 * opened in a moment and nothing of it is copied. For archives of large files, such as saved container images.
 */
#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "tree/archive.h"
#include "tree/node.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#define BLOCK 512
#define ENTRIES_MAX 65536
#define EXTENDED_MAX ((uint64_t)1 << 20) /* bytes of a long name or of pax records */

/* POSIX.1-2017, "ustar interchange format"; GNU tar has the same places for what is read here. */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type,
		linkname[100], magic[6], version[2], owner[32], group[32], major[8], minor[8],
		prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is one block");

struct scan {
	int fd;
	const char *origin;
	struct tree *tree;
	uint64_t at, end; /* of the next header; of the file */
	/* What extended headers say about the next entry. */
	char *path, *link;
	bool has_size;
	uint64_t size;
};

static int broken(const struct scan *scan, const char *why, struct err *err)
{
	return err_set(err, ERR_VERIFY, "no tar archive, or a damaged one (%s at byte %" PRIu64 ")",
		       why, scan->at);
}

static void forget(struct scan *scan)
{
	free(scan->path);
	free(scan->link);
	scan->path = scan->link = NULL;
	scan->has_size = false;
}

/* Octal digits with spaces or NULs around, or GNU's big-endian binary numbers. */
static bool read_number(const char *field, size_t len, uint64_t *ret)
{
	size_t i = 0;

	*ret = 0;
	if ((unsigned char)field[0] == 0x80) {
		for (i = 1; i < len; i++) {
			if (*ret >> 55)
				return false;
			*ret = *ret << 8 | (unsigned char)field[i];
		}
		return true;
	}
	while (i < len && field[i] == ' ')
		i++;
	for (; i < len && field[i] >= '0' && field[i] <= '7'; i++) {
		if (*ret >> 60)
			return false;
		*ret = *ret << 3 | (uint64_t)(field[i] - '0');
	}
	return i == len || field[i] == ' ' || field[i] == '\0';
}

static bool checksum_fits(const struct header *h)
{
	const unsigned char *bytes = (const unsigned char *)h;
	size_t from = offsetof(struct header, checksum);
	uint64_t sum = 0, want;

	for (size_t i = 0; i < BLOCK; i++)
		sum += i >= from && i < from + sizeof(h->checksum) ? ' ' : bytes[i];
	return read_number(h->checksum, sizeof(h->checksum), &want) && want == sum;
}

/* One "LENGTH KEY=VALUE\n" of pax records; *at moves behind it. */
static int read_record(struct scan *scan, char *text, size_t len, size_t *at, struct err *err)
{
	char *start = text + *at, *end, *key, *value;
	unsigned long record = strtoul(start, &end, 10);

	if (end == start || *end != ' ' || record <= (size_t)(end - start) + 1 ||
	    record > len - *at || start[record - 1] != '\n')
		return broken(scan, "bad pax record", err);
	start[record - 1] = '\0';
	*at += record;
	key = end + 1;
	value = strchr(key, '=');
	if (!value || strlen(key) != (size_t)(start + record - 1 - key))
		return broken(scan, "bad pax record", err);
	*value++ = '\0';
	if (strcmp(key, "path") == 0) {
		free(scan->path);
		scan->path = mem_strdup(value);
	} else if (strcmp(key, "linkpath") == 0) {
		free(scan->link);
		scan->link = mem_strdup(value);
	} else if (strcmp(key, "size") == 0) {
		char *rest;

		scan->size = strtoull(value, &rest, 10);
		scan->has_size = true;
		if (value[0] < '0' || value[0] > '9' || *rest)
			return broken(scan, "bad size", err);
	} else if (strncmp(key, "GNU.sparse", 10) == 0) {
		return broken(scan, "sparse file", err);
	}
	return 0;
}

/* GNU's long names ('L', 'K') and pax headers ('x') for the entry that follows. */
static int read_extended(struct scan *scan, char type, uint64_t size, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	size_t at = 0;

	if (size > EXTENDED_MAX)
		return broken(scan, "long header", err);
	text = mem_alloc(size + 1);
	if (fd_pread(scan->fd, text, size, scan->at + BLOCK, scan->origin, err) < 0)
		return -1;
	if (type == 'L') {
		free(scan->path);
		scan->path = MEM_STEAL(text);
	} else if (type == 'K') {
		free(scan->link);
		scan->link = MEM_STEAL(text);
	} else {
		while (at < size)
			if (read_record(scan, text, size, &at, err) < 0)
				return -1;
	}
	return 0;
}

static char *header_name(const struct header *h)
{
	int name = (int)strnlen(h->name, sizeof(h->name));
	int prefix = (int)strnlen(h->prefix, sizeof(h->prefix));

	/* GNU's own format has times in the place of the prefix. */
	if (memcmp(h->magic, "ustar", 6) != 0 || !prefix)
		return mem_strndup(h->name, (size_t)name);
	return mem_printf("%.*s/%.*s", prefix, h->prefix, name, h->name);
}

static int put_at(struct scan *scan, const struct header *h, uint64_t size, struct err *err)
{
	CLEANUP_FREE char *raw = scan->path ? MEM_STEAL(scan->path) : header_name(h);
	CLEANUP_FREE char *target =
		scan->link ? MEM_STEAL(scan->link) : mem_strndup(h->linkname, sizeof(h->linkname));
	char path[PATH_IMAGE_MAX], link[PATH_IMAGE_MAX];

	if (node_clean_path(raw, path) < 0)
		return broken(scan, "a path that leaves it", err);
	if (!path[0])
		return 0;
	if (h->type == '1') {
		if (node_clean_path(target, link) < 0)
			return broken(scan, "a link that leaves it", err);
		return tree_put_link(scan->tree, path, link, err);
	}
	if (h->type == '2') {
		if (!node_target_is_clean(target))
			return broken(scan, "bad link", err);
		return tree_put_symlink(scan->tree, path, target, scan->origin, err);
	}
	if (h->type == '5')
		return tree_put_dir(scan->tree, path, 0755, scan->origin, err);
	if (h->type == '0' || h->type == '\0' || h->type == '7') {
		const struct tree_inode file = {
			.type = TREE_FILE,
			.mode = 0644,
			.origin = scan->origin,
			.data = {.size = size, .fd = scan->fd, .offset = scan->at + BLOCK},
		};

		return tree_put(scan->tree, path, &file, err) ? 0 : -1;
	}
	return broken(scan, "an entry that is no file, link or folder", err);
}

static int put_entry(struct scan *scan, const struct header *h, uint64_t size, struct err *err)
{
	if (put_at(scan, h, size, err) == 0)
		return 0;
	/* The tree thinks that a profile named it: no folder where one is needed, a link to nothing. */
	if (err && err->code == ERR_PROFILE)
		err->code = ERR_VERIFY;
	return -1;
}

/* Headers that say something about others. */
static bool is_extended(char type)
{
	return type == 'x' || type == 'g' || type == 'L' || type == 'K';
}

/* One header and what belongs to it; *ret_end at the archive's end. */
static int scan_one(struct scan *scan, bool *ret_end, struct err *err)
{
	static const struct header zeros;
	struct header h;
	uint64_t size;

	/* Some writers leave the blocks of zeros out. */
	*ret_end = scan->at == scan->end;
	if (*ret_end)
		return 0;
	if (scan->end - scan->at < BLOCK)
		return broken(scan, "truncated", err);
	if (fd_pread(scan->fd, &h, sizeof(h), scan->at, scan->origin, err) < 0)
		return -1;
	*ret_end = memcmp(&h, &zeros, sizeof(h)) == 0;
	if (*ret_end)
		return 0;
	if (!checksum_fits(&h))
		return broken(scan, "wrong checksum", err);
	if (!read_number(h.size, sizeof(h.size), &size))
		return broken(scan, "bad size", err);
	if (scan->has_size && !is_extended(h.type))
		size = scan->size;
	/* Links and folders have no data, whatever their size says. */
	if (h.type >= '1' && h.type <= '6')
		size = 0;
	if (size > scan->end - scan->at - BLOCK)
		return broken(scan, "truncated", err);
	if (h.type == 'x' || h.type == 'L' || h.type == 'K') {
		if (read_extended(scan, h.type, size, err) < 0)
			return -1;
	} else if (h.type != 'g') {
		if (put_entry(scan, &h, size, err) < 0)
			return -1;
		forget(scan);
	}
	scan->at += BLOCK + (size + BLOCK - 1) / BLOCK * BLOCK;
	if (scan->at > scan->end)
		scan->at = scan->end;
	return 0;
}

int tree_scan_tar(int fd, const char *origin, struct tree *tree, struct err *err)
{
	struct scan scan = {.fd = fd, .origin = origin, .tree = tree};
	size_t entries = 0;
	bool end = false;
	int r = fd_size(fd, origin, &scan.end, err);

	if (r == 0 && scan.end < BLOCK)
		r = broken(&scan, "too short", err);
	while (r == 0 && !end) {
		if (++entries > ENTRIES_MAX)
			r = broken(&scan, "too many entries", err);
		else
			r = scan_one(&scan, &end, err);
	}
	forget(&scan);
	return r < 0 ? err_wrap(err, "cannot read %s", origin) : 0;
}
