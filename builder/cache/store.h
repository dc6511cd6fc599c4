/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the cache folder, shared by the files here only:
 *   <kind>/<hex>/       a complete entry; its file "complete" lists the other files and their sizes
 *   tmp/<name>.<pid>/   an entry being made; valid while its maker holds the lock
 *   lock/<name>         flock of a maker; <name> is <kind>-<hex>. Gone when nobody holds it
 *   remember/, debs/, sandbox/    what is not an entry
 */
#ifndef INGOT_CACHE_STORE_H
#define INGOT_CACHE_STORE_H

#include "cache/cache.h"

#include <pthread.h>

#define STORE_COMPLETE "complete"

struct cache {
	char *dir;
	pthread_mutex_t mutex; /* of held */
	int *held; /* folders of entries in use, with a shared flock until cache_close */
	size_t held_count, held_room;
};

/* True for the folders of the cache that hold no entries. */
bool store_is_reserved(const char *name);

/* Opens and locks (flock, exclusive) the lock file of name. With wait false *ret_fd is -1 when somebody
 * else holds it; with wait true blocks. The file that was locked is the one at the path. */
int store_lock(const struct cache *cache, const char *name, bool wait, int *ret_fd,
	       struct err *err);

/* Removes the lock file and frees the lock; fd -1 is allowed. */
void store_unlock(const struct cache *cache, const char *name, int *fd);

/* Removes what killed builds left in tmp/, lock/ and remember/. Failures are left for the next time. */
void store_sweep(const struct cache *cache);

/* Calls visit for each name in a folder, sorted; names that start with a dot are left out and an absent
 * folder has none. visit returns -1 with err to stop. */
int store_each(const char *dir, int (*visit)(const char *name, void *context, struct err *err),
	       void *context, struct err *err);

#endif
