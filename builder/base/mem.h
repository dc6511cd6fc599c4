/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory: allocation that cannot fail (the process ends when memory does: every length from
 * outside is bounded before it gets here), arenas, and cleanup attributes.
 */
#ifndef INGOT_BASE_MEM_H
#define INGOT_BASE_MEM_H

#include <stddef.h>
#include <stdlib.h>

/* Returns size bytes of zeros (size 0 gives a valid pointer); the caller frees with free(). */
void *mem_alloc(size_t size);

/* Returns zeroed room for count elements; ends the process on overflow. Caller frees. */
void *mem_alloc_array(size_t count, size_t size);

/* Like realloc() for count elements of size bytes; new room is not zeroed. Caller frees. */
void *mem_resize(void *ptr, size_t count, size_t size);

/* Returns a copy of the string (NULL gives NULL); the caller frees it. */
char *mem_strdup(const char *s);

/* Returns a copy of the first len bytes, ended by NUL; the caller frees it. */
char *mem_strndup(const char *s, size_t len);

/* Returns a formatted string; the caller frees it. */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Overwrites the bytes in a way that the compiler does not remove; for secrets. */
void mem_wipe(void *ptr, size_t len);

/* An arena: all that is taken from it lives until mem_arena_free. Not for several threads. */
struct mem_arena;

/* Makes an empty arena; free with mem_arena_free. */
struct mem_arena *mem_arena_new(void);

/* Frees the arena and everything taken from it; NULL is allowed. */
void mem_arena_free(struct mem_arena *arena);

/* The same, but everything is overwritten first: for an arena that holds secrets. */
void mem_arena_wipe(struct mem_arena *arena);

/* Takes size zeroed bytes, aligned for any type; owned by the arena. */
void *mem_arena_alloc(struct mem_arena *arena, size_t size);

/* Copies a string (NULL gives NULL) into the arena. */
char *mem_arena_strdup(struct mem_arena *arena, const char *s);

/* Copies len bytes into the arena and ends them by NUL. */
char *mem_arena_strndup(struct mem_arena *arena, const char *s, size_t len);

/* Formats a string into the arena. */
char *mem_arena_printf(struct mem_arena *arena, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static inline void mem_cleanup_free(void *ptr)
{
	free(*(void **)ptr);
}

static inline void mem_cleanup_arena(struct mem_arena **arena)
{
	mem_arena_free(*arena);
}

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define CLEANUP_FREE CLEANUP(mem_cleanup_free)
#define CLEANUP_ARENA CLEANUP(mem_cleanup_arena)

/* Moves a pointer out of a variable that has a cleanup attribute. */
#define MEM_STEAL(ptr)                              \
	({                                          \
		__typeof__(ptr) mem_steal_ = (ptr); \
		(ptr) = NULL;                       \
		mem_steal_;                         \
	})

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
