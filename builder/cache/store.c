/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache folder: finding entries and making them under a lock that dies with its holder.
 */
#include "cache/store.h"

#include "base/fd.h"
#include "base/log.h"
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
#include <unistd.h>

#define HOLD_STEP 32 /* entries */
#define COMPLETE_MAX ((size_t)64 << 10)

bool store_is_reserved(const char *name)
{
	static const char *const names[] = {"tmp", "lock", "remember", "debs", "sandbox"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static char *default_dir(void)
{
	const char *own = getenv("INGOT_CACHE"), *xdg = getenv("XDG_CACHE_HOME"),
		   *home = getenv("HOME");

	if (own && own[0])
		return mem_strdup(own);
	if (xdg && xdg[0] == '/')
		return mem_printf("%s/ingot", xdg);
	if (geteuid() == 0)
		return mem_strdup("/var/cache/ingot");
	return home && home[0] == '/' ? mem_printf("%s/.cache/ingot", home) : NULL;
}

/* Makes dir/name. Layers hold password hashes, so nothing here is for others to read; they may pass
 * through the cache's own folder to what is meant for them (layers/sandbox.c). */
static int make_folder(const char *dir, const char *name, mode_t mode, struct err *err)
{
	CLEANUP_FREE char *path = path_join(dir, name);

	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return err_sys(err, errno, "cannot make cache folder '%s'", path);
	return 0;
}

struct cache *cache_open(const char *dir, struct err *err)
{
	CLEANUP_FREE char *path = dir ? mem_strdup(dir) : default_dir();
	CLEANUP_FREE char *real = NULL;
	CLEANUP_FREE char *parent = NULL;
	struct cache *cache;

	if (!path || !path[0]) {
		err_set(err, ERR_USAGE, "cannot tell where the cache is: HOME is not set");
		err_hint(err, "give --cache DIR or set INGOT_CACHE");
		return NULL;
	}
	parent = path_parent(path);
	if (path_make_dirs(parent, err) < 0 || make_folder(path, "", 0711, err) < 0) {
		err_wrap(err, "cannot open the cache");
		return NULL;
	}
	real = realpath(path, NULL);
	if (!real) {
		err_sys(err, errno, "cannot open the cache '%s'", path);
		return NULL;
	}
	if (make_folder(real, "tmp", 0700, err) < 0 || make_folder(real, "lock", 0700, err) < 0)
		return NULL;
	cache = mem_alloc(sizeof(*cache));
	cache->dir = MEM_STEAL(real);
	pthread_mutex_init(&cache->mutex, NULL);
	store_sweep(cache);
	return cache;
}

void cache_close(struct cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < cache->held_count; i++)
		fd_close(&cache->held[i]);
	free(cache->held);
	pthread_mutex_destroy(&cache->mutex);
	free(cache->dir);
	free(cache);
}

const char *cache_dir(const struct cache *cache)
{
	return cache->dir;
}

int store_lock(const struct cache *cache, const char *name, bool wait, int *ret_fd, struct err *err)
{
	CLEANUP_FREE char *path = mem_printf("%s/lock/%s", cache->dir, name);

	*ret_fd = -1;
	for (;;) {
		CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		struct stat at_fd, at_path;

		if (fd < 0)
			return err_sys(err, errno, "cannot open lock '%s'", path);
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			if (errno == EWOULDBLOCK && !wait)
				return 0;
			if (errno != EWOULDBLOCK && errno != EINTR)
				return err_sys(err, errno, "cannot lock '%s'", path);
			if (flock(fd, LOCK_EX) < 0) {
				if (errno == EINTR)
					continue;
				return err_sys(err, errno, "cannot lock '%s'", path);
			}
		}
		/* Who had it before us has unlinked it: then it locks nothing any more. */
		if (fstat(fd, &at_fd) < 0 || stat(path, &at_path) < 0 ||
		    at_fd.st_ino != at_path.st_ino || at_fd.st_dev != at_path.st_dev)
			continue;
		*ret_fd = fd_steal(&fd);
		return 0;
	}
}

void store_unlock(const struct cache *cache, const char *name, int *fd)
{
	CLEANUP_FREE char *path = mem_printf("%s/lock/%s", cache->dir, name);

	if (*fd < 0)
		return;
	unlink(path);
	fd_close(fd);
}

static char *entry_path(const struct cache *cache, const char *kind, const struct digest *key)
{
	char hex[DIGEST_HEX_SIZE];

	return mem_printf("%s/%s/%s", cache->dir, kind, digest_hex(key, hex));
}

/* Reads the list of files; true when each is there with its size. Entries are not synced, so after a
 * power cut a file may be shorter than it was: such an entry counts as absent. */
static bool is_complete(const char *dir)
{
	CLEANUP_FREE char *list = path_join(dir, STORE_COMPLETE);
	CLEANUP_JSON json_t *files = json_read_file(list, COMPLETE_MAX, NULL);
	const char *name;
	json_t *size;

	if (!json_is_object(files))
		return false;
	json_object_foreach(files, name, size)
	{
		CLEANUP_FREE char *path = path_join(dir, name);
		struct stat st;

		if (!path_is_clean(name) || name[0] == '/' || lstat(path, &st) < 0 ||
		    !S_ISREG(st.st_mode) || st.st_size != json_integer_value(size))
			return false;
	}
	return true;
}

/* A root of many layers holds an entry for each of them, and more. */
static void make_room(struct cache *cache)
{
	size_t count;

	pthread_mutex_lock(&cache->mutex);
	count = cache->held_count;
	pthread_mutex_unlock(&cache->mutex);
	if (count % HOLD_STEP == 0)
		(void)fd_make_room(HOLD_STEP, NULL); /* whoever opens a file too many says so */
}

/* Keeps gc away from the entry until cache_close. False when it is gone or being removed. */
static bool hold(struct cache *cache, const char *path)
{
	make_room(cache);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct stat at_fd, at_path;

	if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) < 0)
		return false;
	if (fstat(fd, &at_fd) < 0 || stat(path, &at_path) < 0 || at_fd.st_ino != at_path.st_ino)
		return false;
	/* "Used now" for gc; a cache that is not ours to write to has no gc either. */
	(void)futimens(fd, NULL);
	pthread_mutex_lock(&cache->mutex);
	VEC_ADD(cache->held, cache->held_count, cache->held_room, fd_steal(&fd));
	pthread_mutex_unlock(&cache->mutex);
	return true;
}

char *cache_find(struct cache *cache, const char *kind, const struct digest *key)
{
	char *path = entry_path(cache, kind, key);

	if (hold(cache, path) && is_complete(path))
		return path;
	free(path);
	return NULL;
}

char *cache_peek(const struct cache *cache, const char *kind, const struct digest *key)
{
	char *path = entry_path(cache, kind, key);

	if (is_complete(path))
		return path;
	free(path);
	return NULL;
}

static char *entry_name(const char *kind, const struct digest *key)
{
	char hex[DIGEST_HEX_SIZE];

	return mem_printf("%s-%s", kind, digest_hex(key, hex));
}

/* Name of the lock from the path of the entry: ".../kind/hex" to "kind-hex". */
static char *lock_name(const struct cache_entry *entry)
{
	CLEANUP_FREE char *folder = path_parent(entry->final);

	return mem_printf("%s-%s", path_base(folder), path_base(entry->final));
}

int cache_begin(struct cache *cache, const char *kind, const struct digest *key,
		struct cache_entry *entry, struct err *err)
{
	CLEANUP_FREE char *name = entry_name(kind, key);
	CLEANUP_FREE char *found = NULL;
	CLEANUP_FREE char *temp = NULL;
	int fd = -1;

	*entry = (struct cache_entry){.lock_fd = -1};
	if (store_lock(cache, name, false, &fd, err) < 0)
		return -1;
	if (fd < 0) {
		log_info("waiting for another build that makes the same %s", kind);
		if (store_lock(cache, name, true, &fd, err) < 0)
			return -1;
	}
	entry->cache = cache;
	entry->lock_fd = fd;
	entry->final = entry_path(cache, kind, key);
	found = cache_find(cache, kind, key);
	if (found) {
		store_unlock(cache, name, &entry->lock_fd);
		entry->cache = NULL;
		return 0;
	}
	if (access(entry->final, F_OK) == 0)
		log_warn("the cache entry '%s' is damaged and is made again", entry->final);
	temp = mem_printf("%s/tmp/%s.%ld", cache->dir, name, (long)getpid());
	if (make_folder(cache->dir, kind, 0700, err) < 0 || path_remove_all(temp, err) < 0 ||
	    mkdir(temp, 0700) < 0) {
		if (err && !err->code)
			err_sys(err, errno, "cannot make cache folder '%s'", temp);
		cache_abandon(entry);
		return -1;
	}
	entry->dir = MEM_STEAL(temp);
	return 0;
}

static int list_file(const char *dir, const char *name, json_t *files, struct err *err)
{
	CLEANUP_FREE char *path = path_join(dir, name);
	struct stat st;

	if (lstat(path, &st) < 0)
		return err_sys(err, errno, "cannot look at '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_OTHER, "cannot cache '%s': it is no regular file", path);
	json_object_set_new(files, name, json_integer(st.st_size));
	return 0;
}

static int write_complete(const char *dir, struct err *err)
{
	CLEANUP_JSON json_t *files = json_object();
	CLEANUP_FREE char *list = path_join(dir, STORE_COMPLETE);
	DIR *d = opendir(dir);
	int r = 0;

	if (!d)
		return err_sys(err, errno, "cannot read folder '%s'", dir);
	for (struct dirent *e; r == 0 && (e = readdir(d));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = list_file(dir, e->d_name, files, err);
	closedir(d);
	return r < 0 ? -1 : json_write_file(list, files, false, err);
}

int cache_commit(struct cache_entry *entry, struct err *err)
{
	CLEANUP_FREE char *name = lock_name(entry);

	/* An entry that is there but not complete (power cut, or a meddling hand) makes room. */
	if (write_complete(entry->dir, err) < 0 || path_remove_all(entry->final, err) < 0) {
		err_wrap(err, "cannot put an entry into the cache");
		return -1;
	}
	if (rename(entry->dir, entry->final) < 0)
		return err_sys(err, errno, "cannot put '%s' into the cache", entry->final);
	/* gc may take it from here on, but for who holds it. */
	hold(entry->cache, entry->final);
	free(entry->dir);
	entry->dir = NULL;
	store_unlock(entry->cache, name, &entry->lock_fd);
	entry->cache = NULL; /* no lock any more: cache_abandon may come after cache_close */
	return 0;
}

void cache_abandon(struct cache_entry *entry)
{
	if (entry->dir)
		path_remove_all(entry->dir, NULL);
	if (entry->cache && entry->final) {
		CLEANUP_FREE char *name = lock_name(entry);

		store_unlock(entry->cache, name, &entry->lock_fd);
	}
	free(entry->dir);
	free(entry->final);
	*entry = (struct cache_entry){.lock_fd = -1};
}
