/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory helpers. Running out of memory ends the process with one line: outputs are written to
 * temporary names, so nothing half-made stays behind.
 */
#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define ARENA_CHUNK ((size_t)256 * 1024)

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, size;
	_Alignas(max_align_t) char data[];
};

struct mem_arena {
	struct arena_chunk *head;
};

static void *check(void *ptr)
{
	if (!ptr) {
		fputs("ingot: out of memory\n", stderr);
		abort();
	}
	return ptr;
}

void *mem_alloc(size_t size)
{
	return check(calloc(1, size ? size : 1));
}

void *mem_alloc_array(size_t count, size_t size)
{
	return check(calloc(count ? count : 1, size ? size : 1));
}

void *mem_resize(void *ptr, size_t count, size_t size)
{
	if (!count || !size)
		count = size = 1;
	return check(reallocarray(ptr, count, size));
}

char *mem_strdup(const char *s)
{
	return s ? check(strdup(s)) : NULL;
}

char *mem_strndup(const char *s, size_t len)
{
	char *copy = mem_alloc(len + 1);

	memcpy(copy, s, len);
	return copy;
}

char *mem_printf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	return check(s);
}

void mem_wipe(void *ptr, size_t len)
{
	explicit_bzero(ptr, len);
}

struct mem_arena *mem_arena_new(void)
{
	return mem_alloc(sizeof(struct mem_arena));
}

void mem_arena_free(struct mem_arena *arena)
{
	if (!arena)
		return;
	while (arena->head) {
		struct arena_chunk *next = arena->head->next;

		free(arena->head);
		arena->head = next;
	}
	free(arena);
}

void mem_arena_wipe(struct mem_arena *arena)
{
	for (struct arena_chunk *chunk = arena ? arena->head : NULL; chunk; chunk = chunk->next)
		mem_wipe(chunk->data, chunk->used);
	mem_arena_free(arena);
}

void *mem_arena_alloc(struct mem_arena *arena, size_t size)
{
	struct arena_chunk *chunk = arena->head;
	const size_t align = _Alignof(max_align_t);
	void *ptr;

	if (size > SIZE_MAX - ARENA_CHUNK)
		check(NULL);
	size = (size + align - 1) & ~(align - 1);
	if (!chunk || chunk->size - chunk->used < size) {
		size_t room = size > ARENA_CHUNK / 4 ? size : ARENA_CHUNK;

		chunk = mem_alloc(sizeof(*chunk) + room);
		chunk->size = room;
		if (room == size && arena->head) {
			/* A big block goes behind the current chunk, whose room stays in use. */
			chunk->next = arena->head->next;
			arena->head->next = chunk;
		} else {
			chunk->next = arena->head;
			arena->head = chunk;
		}
	}
	ptr = chunk->data + chunk->used;
	chunk->used += size;
	return ptr;
}

char *mem_arena_strndup(struct mem_arena *arena, const char *s, size_t len)
{
	char *copy = mem_arena_alloc(arena, len + 1);

	memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

char *mem_arena_strdup(struct mem_arena *arena, const char *s)
{
	return s ? mem_arena_strndup(arena, s, strlen(s)) : NULL;
}

char *mem_arena_printf(struct mem_arena *arena, const char *fmt, ...)
{
	char *s = NULL;
	char *copy;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	copy = mem_arena_strdup(arena, check(s));
	free(s);
	return copy;
}
