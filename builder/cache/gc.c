/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in the cache, and removing the part that was not used for longest.
 */
#include "cache/store.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RECORD_SECONDS 3600

int store_each(const char *dir, int (*visit)(const char *name, void *context, struct err *err),
	       void *context, struct err *err)
{
	struct strv names CLEANUP(strv_free) = {0};
	DIR *d = opendir(dir);

	if (!d)
		return errno == ENOENT || errno == ENOTDIR
			       ? 0
			       : err_sys(err, errno, "cannot read folder '%s'", dir);
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] != '.')
			strv_add(&names, e->d_name);
	closedir(d);
	strv_sort(&names);
	for (size_t i = 0; i < names.count; i++)
		if (visit(names.items[i], context, err) < 0)
			return -1;
	return 0;
}

static int sweep_one(const char *temp, void *context, struct err *err)
{
	const struct cache *cache = context;
	CLEANUP_FREE char *name = mem_strdup(temp);
	CLEANUP_FREE char *path = mem_printf("%s/tmp/%s", cache->dir, temp);
	char *dot = strrchr(name, '.');
	int fd;

	(void)err;
	if (dot)
		*dot = '\0';
	if (store_lock(cache, name, false, &fd, NULL) < 0 || fd < 0)
		return 0;
	path_remove_all(path, NULL);
	store_unlock(cache, name, &fd);
	return 0;
}

/* A lock file without a maker is one more thing that a killed build leaves. */
static int sweep_lock(const char *name, void *context, struct err *err)
{
	const struct cache *cache = context;
	int fd;

	(void)err;
	if (store_lock(cache, name, false, &fd, NULL) == 0)
		store_unlock(cache, name, &fd);
	return 0;
}

/* Records are written in moments and by several parts of the program, so age tells what was left. */
static int sweep_record(const char *name, void *context, struct err *err)
{
	const struct cache *cache = context;
	CLEANUP_FREE char *path = mem_printf("%s/remember/%s", cache->dir, name);
	struct stat st;

	(void)err;
	if (outfile_is_temp(name) && lstat(path, &st) == 0 &&
	    time(NULL) - st.st_mtim.tv_sec > RECORD_SECONDS)
		unlink(path);
	return 0;
}

void store_sweep(const struct cache *cache)
{
	CLEANUP_FREE char *records = path_join(cache->dir, "remember");
	CLEANUP_FREE char *temps = path_join(cache->dir, "tmp");
	CLEANUP_FREE char *locks = path_join(cache->dir, "lock");

	store_each(temps, sweep_one, (void *)cache, NULL);
	store_each(locks, sweep_lock, (void *)cache, NULL);
	store_each(records, sweep_record, (void *)cache, NULL);
}

struct item {
	char *kind, *path; /* path is what gets removed; its last part is the key */
	uint64_t bytes;
	struct timespec used;
};

struct scan {
	const struct cache *cache;
	const char *dir, *kind; /* being read */
	struct item *items;
	size_t count, room;
};

static void scan_free(struct scan *scan)
{
	for (size_t i = 0; i < scan->count; i++) {
		free(scan->items[i].kind);
		free(scan->items[i].path);
	}
	free(scan->items);
}

static int add_bytes(const char *name, void *context, struct err *err)
{
	struct scan *scan = context;
	struct item *item = &scan->items[scan->count - 1];
	CLEANUP_FREE char *path = path_join(item->path, name);
	struct stat st;

	(void)err;
	/* Somebody else's gc may be quicker: what is gone has no bytes. Entries share files by links, of which
	 * each counts for its part. */
	if (lstat(path, &st) == 0 && st.st_nlink)
		item->bytes += (uint64_t)st.st_blocks * 512 / st.st_nlink;
	return 0;
}

static int add_item(const char *name, void *context, struct err *err)
{
	struct scan *scan = context;
	CLEANUP_FREE char *path = path_join(scan->dir, name);
	struct item item = {0};
	struct stat st;

	if (lstat(path, &st) < 0)
		return 0;
	item.kind = mem_strdup(scan->kind);
	item.path = MEM_STEAL(path);
	item.used = st.st_mtim;
	item.bytes = (uint64_t)st.st_blocks * 512;
	VEC_ADD(scan->items, scan->count, scan->room, item);
	return S_ISDIR(st.st_mode) ? store_each(item.path, add_bytes, scan, err) : 0;
}

/* Adds everything in dir. */
static int scan_folder(struct scan *scan, const char *dir, const char *kind, struct err *err)
{
	scan->dir = dir;
	scan->kind = kind;
	return store_each(dir, add_item, scan, err);
}

static int scan_kind(const char *name, void *context, struct err *err)
{
	struct scan *scan = context;
	CLEANUP_FREE char *path = path_join(scan->cache->dir, name);

	return store_is_reserved(name) ? 0 : scan_folder(scan, path, name, err);
}

/* Each downloaded package by itself. */
static int scan_debs(const char *name, void *context, struct err *err)
{
	struct scan *scan = context;
	CLEANUP_FREE char *path = mem_printf("%s/debs/%s", scan->cache->dir, name);

	return scan_folder(scan, path, "debs", err);
}

json_t *cache_list(struct cache *cache, struct err *err)
{
	struct scan scan CLEANUP(scan_free) = {.cache = cache};
	CLEANUP_FREE char *debs = path_join(cache->dir, "debs");
	json_t *list;

	if (store_each(cache->dir, scan_kind, &scan, err) < 0 ||
	    scan_folder(&scan, debs, "debs", err) < 0) {
		err_wrap(err, "cannot list the cache");
		return NULL;
	}
	list = json_array();
	for (size_t i = 0; i < scan.count; i++) {
		const struct item *item = &scan.items[i];

		json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I}", "kind", item->kind,
						      "key", path_base(item->path), "bytes",
						      (json_int_t)item->bytes, "used",
						      (json_int_t)item->used.tv_sec));
	}
	return list;
}

static int compare_used(const void *a, const void *b)
{
	const struct timespec *x = &((const struct item *)a)->used;
	const struct timespec *y = &((const struct item *)b)->used;

	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? -1 : 1;
	return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

/* Removes one item unless a build holds it; *ret_removed says which. An entry leaves its final name by
 * one rename, so that nobody finds half of it. */
static int remove_item(struct cache *cache, const struct item *item, bool *ret_removed,
		       struct err *err)
{
	CLEANUP_FREE char *temp = mem_printf("%s/tmp/gc-%s-%s.%ld", cache->dir, item->kind,
					     path_base(item->path), (long)getpid());
	CLEANUP_FD int fd = open(item->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	*ret_removed = false;
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, errno, "cannot open '%s'", item->path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? 0
					    : err_sys(err, errno, "cannot lock '%s'", item->path);
	if (rename(item->path, temp) < 0)
		return errno == ENOENT ? 0 : err_sys(err, errno, "cannot remove '%s'", item->path);
	*ret_removed = true;
	return path_remove_all(temp, err);
}

int cache_drop(struct cache *cache, const char *kind, const struct digest *key, bool *ret_removed,
	       struct err *err)
{
	char hex[DIGEST_HEX_SIZE];
	CLEANUP_FREE char *own_kind = mem_strdup(kind);
	CLEANUP_FREE char *path = mem_printf("%s/%s/%s", cache->dir, kind, digest_hex(key, hex));
	const struct item item = {.kind = own_kind, .path = path};

	return remove_item(cache, &item, ret_removed, err);
}

int cache_discard(struct cache *cache, const char *kind, const struct digest *key, struct err *err)
{
	char hex[DIGEST_HEX_SIZE];
	CLEANUP_FREE char *path = mem_printf("%s/%s/%s", cache->dir, kind, digest_hex(key, hex));
	CLEANUP_FREE char *temp =
		mem_printf("%s/tmp/discard-%s-%s.%ld", cache->dir, kind, hex, (long)getpid());

	if (path_remove_all(temp, err) < 0)
		return -1;
	if (rename(path, temp) < 0)
		return errno == ENOENT ? 0 : err_sys(err, errno, "cannot remove '%s'", path);
	return path_remove_all(temp, err);
}

static int scan_all(struct scan *scan, uint64_t *ret_bytes, struct err *err)
{
	CLEANUP_FREE char *debs = path_join(scan->cache->dir, "debs");

	*ret_bytes = 0;
	if (store_each(scan->cache->dir, scan_kind, scan, err) < 0 ||
	    store_each(debs, scan_debs, scan, err) < 0)
		return -1;
	for (size_t i = 0; i < scan->count; i++)
		*ret_bytes += scan->items[i].bytes;
	if (scan->count)
		qsort(scan->items, scan->count, sizeof(scan->items[0]), compare_used);
	return 0;
}

/* Removes the oldest entries until they add up to what is too much. One whose files are linked elsewhere gives
 * less than that: *ret_removed says whether it is worth looking again. */
static int gc_once(struct cache *cache, uint64_t max_bytes, uint64_t *ret_total, bool *ret_removed,
		   struct err *err)
{
	struct scan scan CLEANUP(scan_free) = {.cache = cache};
	uint64_t left;

	*ret_removed = false;
	if (scan_all(&scan, ret_total, err) < 0)
		return -1;
	left = *ret_total;
	for (size_t i = 0; i < scan.count && left > max_bytes; i++) {
		bool removed;

		if (remove_item(cache, &scan.items[i], &removed, err) < 0)
			return -1;
		*ret_removed = *ret_removed || removed;
		if (removed)
			left -= scan.items[i].bytes;
	}
	return 0;
}

int cache_gc(struct cache *cache, uint64_t max_bytes, uint64_t *ret_freed, struct err *err)
{
	uint64_t first, now;
	bool removed;

	*ret_freed = 0;
	if (gc_once(cache, max_bytes, &first, &removed, err) < 0)
		return err_wrap(err, "cannot clean the cache");
	for (now = first; removed;) {
		if (gc_once(cache, max_bytes, &now, &removed, err) < 0)
			return err_wrap(err, "cannot clean the cache");
		*ret_freed = first > now ? first - now : 0;
	}
	return 0;
}
