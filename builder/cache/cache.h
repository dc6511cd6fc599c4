/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache: entries are folders named by the digest of everything that went into them. An entry
 * appears by one rename when it is complete, so it is valid or absent. Several builds share it.
 */
#ifndef INGOT_CACHE_CACHE_H
#define INGOT_CACHE_CACHE_H

#include "base/digest.h"
#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>

/* The inputs of a step, by name, in the order in which they were added. */
struct cache_key {
	struct cache_input {
		char *name, *value; /* value: short text or hex digest */
	} * items;
	size_t count, room;
};

/* Adds an input with a text value (long values are replaced by their digest). */
void cache_key_add(struct cache_key *key, const char *name, const char *value);

/* Adds an input with a formatted value. */
void cache_key_addf(struct cache_key *key, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Adds a digest as an input. */
void cache_key_add_digest(struct cache_key *key, const char *name, const struct digest *d);

/* Digest over kind and all names and values (lengths included, so no two lists collide). */
void cache_key_digest(const struct cache_key *key, const char *kind, struct digest *ret);

/* Frees the inputs; usable with CLEANUP(). */
void cache_key_free(struct cache_key *key);

struct cache;

/* Opens (makes) the cache folder; dir NULL means $INGOT_CACHE, $XDG_CACHE_HOME/ingot or
 * ~/.cache/ingot (/var/cache/ingot for root). Removes leftovers of killed builds that nobody holds a
 * lock on. Free with cache_close. */
struct cache *cache_open(const char *dir, struct err *err);

/* Closes the cache; NULL is allowed. */
void cache_close(struct cache *cache);

/* Folder of the cache; borrowed. */
const char *cache_dir(const struct cache *cache);

/* Path of a complete entry (caller frees), or NULL when it is absent. Marks it as used now; gc leaves it
 * alone until cache_close. An entry whose files are not as long as they were at cache_commit (a power
 * cut: entries are not synced, since a lost one is only made again) counts as absent. */
char *cache_find(struct cache *cache, const char *kind, const struct digest *key);

/* Like cache_find for who only looks: the entry does not count as used, and gc may remove it at any time. Caller
 * frees. */
char *cache_peek(const struct cache *cache, const char *kind, const struct digest *key);

/* An entry being made. */
struct cache_entry {
	struct cache *cache; /* while the lock is held */
	char *dir;   /* write the entry's files here; NULL when it turned out to exist already */
	char *final; /* the entry's path once committed */
	int lock_fd;
};

/* Takes the lock of the entry (waits for another build that makes the same one; says so through
 * log_info) and gives a temporary folder. When the entry exists by then, dir is NULL. End with
 * cache_commit or cache_abandon. */
int cache_begin(struct cache *cache, const char *kind, const struct digest *key,
		struct cache_entry *entry, struct err *err);

/* Renames the folder to its final name and frees the lock. The folder may hold regular files only; one
 * named "complete" is added. Does not sync: whoever has files that are dear to make syncs them first. */
int cache_commit(struct cache_entry *entry, struct err *err);

/* Removes the temporary folder and frees the lock; usable with CLEANUP() on a zeroed or begun entry
 * (lock_fd -1 or dir NULL are fine). */
void cache_abandon(struct cache_entry *entry);

/* Removes an entry that turned out to be damaged, held or not: who has its files open keeps them. An absent
 * one is fine. */
int cache_discard(struct cache *cache, const char *kind, const struct digest *key, struct err *err);

/* Removes an entry unless somebody holds it; *ret_removed says which. An absent one is not removed. */
int cache_drop(struct cache *cache, const char *kind, const struct digest *key, bool *ret_removed,
	       struct err *err);

/* Remembers the inputs of the last run of a step for a subject (profile name), for cache_why. */
int cache_remember(struct cache *cache, const char *subject, const char *kind,
		   const struct cache_key *key, struct err *err);

/* Says which inputs differ from the remembered ones: "overlay base changed; packages added", "first
 * run" or "" (nothing changed). Inputs of one name are compared in their order and named once. Caller
 * frees. */
char *cache_why(struct cache *cache, const char *subject, const char *kind,
		const struct cache_key *key);

/* JSON array of entries: {kind, key, bytes, used (epoch)}. Caller decrefs. */
json_t *cache_list(struct cache *cache, struct err *err);

/* Removes entries, least recently used first, until at most max_bytes remain (entries that a build
 * holds are kept). *ret_freed is in bytes. */
int cache_gc(struct cache *cache, uint64_t max_bytes, uint64_t *ret_freed, struct err *err);

#endif
