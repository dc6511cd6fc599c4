/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys tell every difference in names, values and their order, and say what changed.
 */
#include "tap.h"

#include "base/mem.h"
#include "cache/cache.h"

static void digest_of(const char *kind, const char *const *pairs, struct digest *ret)
{
	struct cache_key key = {0};

	for (; *pairs; pairs += 2)
		cache_key_add(&key, pairs[0], pairs[1]);
	cache_key_digest(&key, kind, ret);
	cache_key_free(&key);
}

#define PAIRS(...) ((const char *const[]){__VA_ARGS__, NULL})

TEST(same_inputs_same_digest)
{
	struct digest a, b;

	digest_of("x", PAIRS("n", "v", "m", "w"), &a);
	digest_of("x", PAIRS("n", "v", "m", "w"), &b);
	CHECK_MEM(&a, &b, sizeof(a));
}

TEST(every_part_counts)
{
	struct digest d[7];

	digest_of("x", PAIRS("n", "v", "m", "w"), &d[0]);
	digest_of("y", PAIRS("n", "v", "m", "w"), &d[1]);
	digest_of("x", PAIRS("m", "w", "n", "v"), &d[2]);
	digest_of("x", PAIRS("n", "v", "m", "x"), &d[3]);
	digest_of("x", PAIRS("nv", "", "m", "w"), &d[4]);
	digest_of("x", PAIRS("n", "v"), &d[5]);
	digest_of("x", PAIRS("n", "vm", "", "w"), &d[6]);
	for (size_t i = 0; i < 7; i++)
		for (size_t j = i + 1; j < 7; j++)
			CHECK(memcmp(&d[i], &d[j], sizeof(d[i])) != 0);
}

TEST(long_values_are_digests)
{
	struct cache_key key CLEANUP(cache_key_free) = {0};
	char text[300];

	memset(text, 'a', sizeof(text));
	text[299] = '\0';
	cache_key_add(&key, "long", text);
	text[256] = '\0';
	cache_key_add(&key, "short", text);
	CHECK_CONTAINS(key.items[0].value, "sha256:");
	CHECK_INT(strlen(key.items[0].value), 7 + 64);
	CHECK_STR(key.items[1].value, text);
}

TEST(formatted_and_digest_values)
{
	struct cache_key key CLEANUP(cache_key_free) = {0};
	struct digest d;

	cache_key_addf(&key, "n", "%s-%d", "a", 7);
	digest_bytes("", 0, &d);
	cache_key_add_digest(&key, "d", &d);
	CHECK_STR(key.items[0].value, "a-7");
	CHECK_STR(key.items[1].value,
		  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static struct cache *open_here(void)
{
	struct err err = {0};
	struct cache *cache = cache_open("cache", &err);

	CHECK_OK_PTR(cache, &err);
	return cache;
}

static void check_why(struct cache *cache, const char *const *pairs, const char *want)
{
	struct cache_key key = {0};
	char *why;

	for (; *pairs; pairs += 2)
		cache_key_add(&key, pairs[0], pairs[1]);
	why = cache_why(cache, "some/profile.yaml", "kind", &key);
	CHECK_STR(why, want);
	free(why);
	cache_key_free(&key);
}

TEST(why_names_what_changed)
{
	struct cache *cache = open_here();
	struct cache_key key CLEANUP(cache_key_free) = {0};
	struct err err = {0};

	check_why(cache, PAIRS("a", "1"), "first run");
	cache_key_add(&key, "a", "1");
	cache_key_add(&key, "b", "2");
	CHECK_OK(cache_remember(cache, "some/profile.yaml", "kind", &key, &err), &err);
	check_why(cache, PAIRS("a", "1", "b", "2"), "");
	check_why(cache, PAIRS("a", "9", "c", "2"), "a changed; c added; b removed");
	/* Another subject has its own memory. */
	char *why = cache_why(cache, "other", "kind", &key);
	CHECK_STR(why, "first run");
	free(why);
	cache_close(cache);
}

TEST(why_compares_inputs_of_one_name_in_order)
{
	struct cache *cache = open_here();
	struct cache_key key CLEANUP(cache_key_free) = {0};
	struct err err = {0};

	cache_key_add(&key, "arg", "1");
	cache_key_add(&key, "arg", "2");
	cache_key_add(&key, "b", "3");
	CHECK_OK(cache_remember(cache, "some/profile.yaml", "kind", &key, &err), &err);
	check_why(cache, PAIRS("arg", "1", "arg", "2", "b", "3"), "");
	check_why(cache, PAIRS("arg", "2", "arg", "1", "b", "3"), "arg changed");
	check_why(cache, PAIRS("arg", "1", "b", "3"), "arg changed");
	check_why(cache, PAIRS("arg", "1", "arg", "2", "arg", "4", "b", "3"), "arg changed");
	check_why(cache, PAIRS("b", "3"), "arg removed");
	check_why(cache, PAIRS("b", "3", "new", "1", "new", "2"), "new added; arg removed");
	check_why(cache, PAIRS("b", "3", "arg", "1", "arg", "2"), "order of the inputs changed");
	cache_close(cache);
}

TEST(why_counts_many_changes)
{
	struct cache *cache = open_here();
	struct cache_key key = {0}, none = {0};
	struct err err = {0};
	char *why;

	for (int i = 0; i < 20; i++) {
		CLEANUP_FREE char *name = mem_printf("n%d", i);

		cache_key_addf(&key, name, "%d", i);
	}
	CHECK_OK(cache_remember(cache, "s", "kind", &key, &err), &err);
	why = cache_why(cache, "s", "kind", &none);
	CHECK_CONTAINS(why, "n0 removed; n1 removed");
	CHECK_CONTAINS(why, "; and 12 more");
	free(why);
	cache_key_free(&key);
	cache_close(cache);
}
