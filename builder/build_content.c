/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressed content of the package layer, shared between roots: when only overlays or settings change,
 * squashfs_write copies it from an earlier root instead of compressing it again. The bytes are the same
 * either way, so a failure here costs time and nothing else.
 */
#include "build_parts.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "cache/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define KIND "content" /* of the cache entries: root.squashfs and what lies where in it */
#define CONTENT_MAX ((size_t)64 << 20)

void build_content_open(struct cache *cache, const struct digest *key, struct build_content *ret)
{
	CLEANUP_FREE char *data = NULL;
	CLEANUP_FREE char *record = NULL;
	struct err err = {0};

	*ret = (struct build_content){.earlier = {.fd = -1}};
	ret->dir = cache_find(cache, KIND, key);
	if (!ret->dir)
		return;
	data = path_join(ret->dir, "root.squashfs");
	record = path_join(ret->dir, KIND);
	ret->earlier.fd = open(data, O_RDONLY | O_CLOEXEC);
	if (ret->earlier.fd < 0 || fd_read_file(record, CONTENT_MAX, &ret->record, &err) < 0) {
		log_debug("cannot use the content in '%s': %s", ret->dir,
			  err.code ? err.msg : strerror(errno));
		fd_close(&ret->earlier.fd);
		return;
	}
	ret->earlier.content = ret->record.data;
	ret->earlier.content_len = ret->record.len;
}

void build_content_close(struct build_content *content)
{
	fd_close(&content->earlier.fd);
	str_free(&content->record);
	free(content->dir);
}

static int keep(struct cache *cache, const struct digest *key, const char *root,
		const struct str *record, struct err *err)
{
	CLEANUP(cache_abandon) struct cache_entry entry = {.lock_fd = -1};
	CLEANUP_FREE char *data = NULL;
	CLEANUP_FREE char *path = NULL;

	if (cache_begin(cache, KIND, key, &entry, err) < 0)
		return -1;
	if (!entry.dir)
		return 0;
	data = path_join(entry.dir, "root.squashfs");
	path = path_join(entry.dir, KIND);
	if (link(root, data) < 0)
		return err_sys(err, errno, "cannot link '%s'", data);
	if (outfile_write(path, record->data, record->len, false, err) < 0)
		return -1;
	return cache_commit(&entry, err);
}

void build_content_keep(struct cache *cache, const struct digest *key, const char *root,
			const struct str *record)
{
	struct err err = {0};

	if (record->len && keep(cache, key, root, record, &err) < 0)
		log_debug("the next root will compress everything again: %s", err.msg);
}
