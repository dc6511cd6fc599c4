/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys: the named inputs of a step and the digest over them.
 */
#include "cache/cache.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Longer values are kept as their digest: enough to tell that they differ. */
#define VALUE_MAX 256

void cache_key_add(struct cache_key *key, const char *name, const char *value)
{
	struct cache_input input = {.name = mem_strdup(name)};
	size_t len = strlen(value);

	if (len > VALUE_MAX) {
		char hex[DIGEST_HEX_SIZE];
		struct digest d;

		digest_bytes(value, len, &d);
		input.value = mem_printf("sha256:%s", digest_hex(&d, hex));
	} else {
		input.value = mem_strdup(value);
	}
	VEC_ADD(key->items, key->count, key->room, input);
}

void cache_key_addf(struct cache_key *key, const char *name, const char *fmt, ...)
{
	CLEANUP_FREE char *value = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&value, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort(); /* no memory: as in base/mem.c */
	cache_key_add(key, name, value);
}

void cache_key_add_digest(struct cache_key *key, const char *name, const struct digest *d)
{
	char hex[DIGEST_HEX_SIZE];

	cache_key_add(key, name, digest_hex(d, hex));
}

static void add_text(struct digest_ctx *ctx, const char *text)
{
	uint64_t len = strlen(text);
	uint8_t bytes[8];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(len >> (8 * i));
	digest_add(ctx, bytes, sizeof(bytes));
	digest_add(ctx, text, len);
}

void cache_key_digest(const struct cache_key *key, const char *kind, struct digest *ret)
{
	struct digest_ctx *ctx = digest_start();

	add_text(ctx, kind);
	for (size_t i = 0; i < key->count; i++) {
		add_text(ctx, key->items[i].name);
		add_text(ctx, key->items[i].value);
	}
	digest_finish(ctx, ret);
}

void cache_key_free(struct cache_key *key)
{
	for (size_t i = 0; i < key->count; i++) {
		free(key->items[i].name);
		free(key->items[i].value);
	}
	free(key->items);
	*key = (struct cache_key){0};
}
