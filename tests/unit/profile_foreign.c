/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML that is no profile: merge keys, tags and several documents are read, the bounds are those of
 * profiles.
 */
#include "tap.h"

#include "base/str.h"
#include "profile/foreign.h"

static void list(const struct foreign_value *value, void *context)
{
	struct str *text = context;

	for (size_t i = 0; i < value->key_count; i++)
		str_addf(text, "%s%s", i ? "." : "", value->keys[i]);
	str_addf(text, "=%s:%u\n", value->text, value->line);
}

static void check_walk(const char *yaml, const char *want)
{
	struct str text = {0};
	struct err err = {0};

	str_add(&text, "");
	CHECK_OK(foreign_walk("f", yaml, strlen(yaml), list, &text, &err), &err);
	CHECK_STR(text.data, want);
	str_free(&text);
}

static void check_refused(const char *yaml, const char *want)
{
	struct str text = {0};
	struct err err = {0};

	CHECK_ERR(foreign_walk("f", yaml, strlen(yaml), list, &text, &err), &err, ERR_PROFILE,
		  want);
	CHECK(!text.data);
}

TEST(values_with_their_way)
{
	check_walk("a: 1\nb:\n  c: [x, {d: y}]\ne.f: ~\n",
		   "a=1:1\nb.c.[]=x:3\nb.c.[].d=y:3\ne.f=~:4\n");
	check_walk("- a\n", "[]=a:1\n");
	check_walk("a\n", "=a:1\n");
	check_walk("", "");
	check_walk("# nothing\n", "");
}

TEST(documents_and_tags)
{
	check_walk("a: 1\n---\na: !reset 2\n--- !x\nb: !!str 3\n...\n", "a=1:1\na=2:3\nb=3:5\n");
	check_walk("{\"kind\": \"Pod\", \"a\": [1]}", "kind=Pod:1\na.[]=1:1\n");
}

TEST(merge_keys)
{
	check_walk("x: &x {a: 1, b: 1}\ny: {<<: *x, b: 2}\n",
		   "x.a=1:1\nx.b=1:1\ny.b=2:2\ny.a=1:1\n");
	check_walk("x: &x {a: 1}\nz: &z {a: 3, c: 3}\ny: {<<: [*x, *z]}\n",
		   "x.a=1:1\nz.a=3:2\nz.c=3:2\ny.a=1:1\ny.c=3:2\n");
	check_walk("x: &x {a: {p: 1}}\nw: &w {<<: *x, b: 2}\ny: {<<: *w, a: {q: 1}}\n",
		   "x.a.p=1:1\nw.b=2:2\nw.a.p=1:1\ny.a.q=1:3\ny.b=2:2\n");
	check_walk("y: {<<: text, a: 1}\n", "y.a=1:1\n");
}

TEST(broken_files_name_the_place)
{
	check_refused("a: [1\n", "f:2:1: not valid YAML: did not find expected ',' or ']'");
	check_refused("a: 1\na: 2\n", "f:2:1: duplicate key 'a'");
	check_refused("a: *b\n", "f:1:4: alias '*b' has no anchor before it");
	check_refused("a: \"\\0\"\n", "f:1:4: text holds a NUL character");
	check_refused("? [a]\n: b\n", "f:1:3: a key must be text, this is a list");
}

TEST(bounds)
{
	struct str text = {0};
	struct err err = {0};

	for (int i = 0; i < 40; i++)
		str_add(&text, "[");
	for (int i = 0; i < 40; i++)
		str_add(&text, "]");
	check_refused(text.data, "nested deeper than 32 levels");
	str_free(&text);
	str_add(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
	for (int i = 1; i < 9; i++)
		str_addf(&text, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1,
			 i - 1, i - 1, i - 1, i - 1, i - 1);
	check_refused(text.data, "larger than 20000 values");
	str_free(&text);
	/* Documents count together. */
	for (int i = 0; i < 20001; i++)
		str_add(&text, "--- a\n");
	check_refused(text.data, "larger than 20000 values");
	str_free(&text);
	str_add(&text, "#");
	while (text.len <= FOREIGN_BYTES_MAX)
		str_add(&text, "0123456789012345678901234567890123456789012345678901234567890123");
	CHECK_ERR(foreign_walk("f", text.data, text.len, list, NULL, &err), &err, ERR_PROFILE,
		  "f: larger than 1 MiB");
	str_free(&text);
}
