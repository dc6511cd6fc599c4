/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Databases of bbolt (the key-value store of containerd) as a tree of buckets in memory: a bounded reader that trusts
 * no byte of the file, and a writer of a compact, deterministic database. There is no code here that changes a
 * database in place: a program that has it open would not know.
 */
#ifndef INGOT_AGENT_BOLT_H
#define INGOT_AGENT_BOLT_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOLT_FILE_MAX ((size_t)64 << 20)   /* bytes of a database that is read or written */
#define BOLT_ENTRIES_MAX ((size_t)1 << 20) /* keys and buckets in one */
#define BOLT_DEPTH_MAX 16  /* of buckets in buckets, and of branch pages in one bucket */
#define BOLT_KEY_MAX 32768 /* bytes, as bbolt's MaxKeySize */

struct bolt;

struct bolt_bucket;

/* A key with a value, or a bucket when bucket is not NULL. All is owned by the database. */
struct bolt_entry {
	const uint8_t *key, *value;
	uint32_t key_size, value_size;
	struct bolt_bucket *bucket;
};

/* To be changed by the functions below only. */
struct bolt_bucket {
	uint64_t sequence;
	struct bolt_entry *entries; /* sorted by key, each once */
	size_t count, room;
};

/* Makes an empty database; free with bolt_free. */
struct bolt *bolt_new(void);

/* Takes the bytes of a database file apart (format version 2, little-endian); bytes must live until bolt_free.
 * ERR_VERIFY when it is damaged or beyond a limit; name is for the message. */
struct bolt *bolt_parse(const void *bytes, size_t size, const char *name, struct err *err);

/* Reads a whole open file of at most BOLT_FILE_MAX bytes and parses it. Nobody else may write meanwhile. */
struct bolt *bolt_read(int fd, const char *name, struct err *err);

/* Frees the database with everything in it; NULL is allowed. */
void bolt_free(struct bolt *bolt);

static inline void bolt_cleanup(struct bolt **bolt)
{
	bolt_free(*bolt);
}

/* The bucket that holds everything. */
struct bolt_bucket *bolt_root(struct bolt *bolt);

/* True once one of the functions below changed something. */
bool bolt_changed(const struct bolt *bolt);

/* The entry with that key (any bytes), or NULL. */
struct bolt_entry *bolt_find(const struct bolt_bucket *bucket, const void *key, size_t key_size);

/* The bucket of that name, or NULL when there is none or bucket is NULL. */
struct bolt_bucket *bolt_bucket(const struct bolt_bucket *bucket, const char *name);

/* The entry of that name when it is a value; NULL when there is none, it is a bucket, or bucket is NULL. */
const struct bolt_entry *bolt_value(const struct bolt_bucket *bucket, const char *name);

/* True when bucket (or NULL) has that value, equal to the string. */
bool bolt_value_is(const struct bolt_bucket *bucket, const char *name, const char *text);

/* Finds or makes the bucket of that name. ERR_VERIFY when the name is a value. */
struct bolt_bucket *bolt_make_bucket(struct bolt *bolt, struct bolt_bucket *bucket,
				     const char *name, struct err *err);

/* Sets a value (copied); nothing changes when it is so already. ERR_VERIFY when the key is a bucket, empty or longer
 * than BOLT_KEY_MAX. */
int bolt_put(struct bolt *bolt, struct bolt_bucket *bucket, const void *key, size_t key_size,
	     const void *value, size_t value_size, struct err *err);

/* bolt_put of two strings, without their NULs. */
int bolt_put_text(struct bolt *bolt, struct bolt_bucket *bucket, const char *key, const char *text,
		  struct err *err);

/* Removes a value, or a bucket with all that is in it; true when there was one. */
bool bolt_delete(struct bolt *bolt, struct bolt_bucket *bucket, const void *key, size_t key_size);

/* Gives an entry another key, with all that is in it. ERR_VERIFY when there is none, or the new key is taken. */
int bolt_rename(struct bolt *bolt, struct bolt_bucket *bucket, const char *from, const char *to,
		struct err *err);

/* Sets the number that bbolt's NextSequence counts on from. */
void bolt_set_sequence(struct bolt *bolt, struct bolt_bucket *bucket, uint64_t sequence);

/* Replaces file by the database as bbolt reads it: pages of 4096 bytes, no free page, equal bytes for equal content.
 * Fails (ERR_SPACE) only beyond BOLT_FILE_MAX. */
int bolt_write(const struct bolt *bolt, struct str *file, struct err *err);

#endif
