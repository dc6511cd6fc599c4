/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressed content of archives (the package layer, container layers), kept in the cache one by one: what did not
 * change is copied into the next root instead of compressed again. The bytes are the same either way, so a
 * failure here costs time and nothing else.
 */
#include "build_parts.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "cache/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define KIND "content" /* of the cache entries */
#define RECORD_MAX ((size_t)256 << 20)
#define HEAD_SIZE \
	16 /* bytes before the record: offset and length of the segment in the file beside it */

static void put_number(char *to, uint64_t value)
{
	for (size_t i = 0; i < 8; i++)
		to[i] = (char)(value >> (8 * i));
}

static uint64_t get_number(const char *from)
{
	uint64_t value = 0;

	for (size_t i = 8; i--;)
		value = value << 8 | (uint8_t)from[i];
	return value;
}

static int read_entry(const char *dir, struct squashfs_segment *segment, struct err *err)
{
	CLEANUP_FREE char *bytes = path_join(dir, "bytes");
	CLEANUP_FREE char *path = path_join(dir, "record");
	CLEANUP(str_free) struct str record = {0};

	if (fd_read_file(path, RECORD_MAX, &record, err) < 0)
		return -1;
	if (record.len < HEAD_SIZE)
		return err_set(err, ERR_VERIFY, "'%s' is damaged", path);
	segment->fd = open(bytes, O_RDONLY | O_CLOEXEC);
	if (segment->fd < 0)
		return err_sys(err, errno, "cannot read '%s'", bytes);
	segment->offset = get_number(record.data);
	segment->length = get_number(record.data + 8);
	str_add_bytes(&segment->record, record.data + HEAD_SIZE, record.len - HEAD_SIZE);
	return 0;
}

static void discard(void *context, const struct digest *key)
{
	struct err err = {0};

	if (cache_discard(context, KIND, key, &err) < 0)
		log_debug("cannot remove damaged content from the cache: %s", err.msg);
}

static bool find(void *context, struct squashfs_segment *segment)
{
	CLEANUP_FREE char *dir = cache_find(context, KIND, &segment->key);
	struct err err = {0};

	if (!dir)
		return false;
	if (read_entry(dir, segment, &err) == 0)
		return true;
	log_debug("cannot use compressed content: %s", err.msg);
	discard(context, &segment->key);
	return false;
}

/* Links the whole root, or copies the segment from it. Writes the offset of the segment in what is at path now. */
static int place_bytes(const struct squashfs_segment *segment, bool whole, const char *path,
		       uint64_t *ret_offset, struct err *err)
{
	CLEANUP_FREE char *root = mem_printf("/proc/self/fd/%d", segment->fd);
	CLEANUP_FD int fd = -1;

	*ret_offset = segment->offset;
	if (whole && linkat(AT_FDCWD, root, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	*ret_offset = 0;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, errno, "cannot write '%s'", path);
	return fd_copy(segment->fd, segment->offset, fd, 0, segment->length, path, err);
}

static int write_entry(struct cache *cache, const struct squashfs_segment *segment, bool whole,
		       struct err *err)
{
	CLEANUP(cache_abandon) struct cache_entry entry = {.lock_fd = -1};
	CLEANUP(str_free) struct str record = {0};
	CLEANUP_FREE char *bytes = NULL;
	CLEANUP_FREE char *path = NULL;
	char head[HEAD_SIZE];
	uint64_t offset;

	if (cache_begin(cache, KIND, &segment->key, &entry, err) < 0)
		return -1;
	if (!entry.dir)
		return 0;
	bytes = path_join(entry.dir, "bytes");
	path = path_join(entry.dir, "record");
	if (place_bytes(segment, whole, bytes, &offset, err) < 0)
		return -1;
	put_number(head, offset);
	put_number(head + 8, segment->length);
	str_add_bytes(&record, head, HEAD_SIZE);
	str_add_bytes(&record, segment->record.data, segment->record.len);
	if (outfile_write(path, record.data, record.len, false, err) < 0)
		return -1;
	return cache_commit(&entry, err);
}

/* A root that is new for the most part is linked: nothing is written twice. Of another one the new segments are
 * copied, for a link would keep all of it alive for one layer. */
static void keep(void *context, const struct squashfs_segment *segments, size_t count,
		 uint64_t size)
{
	uint64_t fresh = 0;

	for (size_t i = 0; i < count; i++)
		fresh += segments[i].length;
	for (size_t i = 0; i < count; i++) {
		struct err err = {0};

		if (write_entry(context, &segments[i], fresh >= size / 2, &err) < 0)
			log_debug("the next root will compress this again: %s", err.msg);
	}
}

struct squashfs_store build_content(struct cache *cache)
{
	return (struct squashfs_store){find, keep, discard, cache};
}
