/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes from one lock to the next: packages and container images.
 */
#include "attest/lock.h"

#include "base/mem.h"
#include "layers/pins.h"

#include <stdio.h>
#include <string.h>

#define SHOWN 12 /* digits of a digest that people see */

json_t *lock_compare(const struct lock *before, const struct lock *now)
{
	CLEANUP_JSON json_t *old = pins_join(before->packages, before->build_packages);
	CLEANUP_JSON json_t *new = pins_join(now->packages, now->build_packages);

	return pins_compare(old, new);
}

/* Both lists are sorted by reference. Several rows of one reference have no tag and differ by digest alone. */
static size_t run_length(const json_t *list, size_t from)
{
	const char *reference = json_member_string(json_array_get(list, from), "reference");
	size_t n = 0;

	for (; reference && from + n < json_array_size(list); n++) {
		const char *other = json_member_string(json_array_get(list, from + n), "reference");

		if (!other || strcmp(other, reference) != 0)
			break;
	}
	return n;
}

static bool has_row(const json_t *list, size_t from, size_t count, const json_t *row)
{
	for (size_t i = 0; i < count; i++)
		if (json_equal(json_array_get(list, from + i), row))
			return true;
	return false;
}

static void add_change(json_t *changes, const char *change, const json_t *row, const json_t *was)
{
	json_array_append_new(changes, json_pack("{s:s, s:s, s:s, s:s?}", "change", change,
						 "reference", json_member_string(row, "reference"),
						 "digest", json_member_string(row, "digest"), "was",
						 was ? json_member_string(was, "digest") : NULL));
}

/* Rows of one reference on both sides. */
static void compare_runs(json_t *changes, const json_t *a, size_t i, size_t n, const json_t *b,
			 size_t k, size_t m)
{
	if (n == 1 && m == 1) {
		if (!has_row(a, i, 1, json_array_get(b, k)))
			add_change(changes, "changed", json_array_get(b, k), json_array_get(a, i));
		return;
	}
	for (size_t x = 0; x < n; x++)
		if (!has_row(b, k, m, json_array_get(a, i + x)))
			add_change(changes, "removed", json_array_get(a, i + x), NULL);
	for (size_t x = 0; x < m; x++)
		if (!has_row(a, i, n, json_array_get(b, k + x)))
			add_change(changes, "added", json_array_get(b, k + x), NULL);
}

json_t *lock_compare_containers(const struct lock *before, const struct lock *now)
{
	const json_t *a = before->containers, *b = now->containers;
	json_t *changes = json_array();
	size_t i = 0, k = 0;

	while (i < json_array_size(a) || k < json_array_size(b)) {
		const char *x = json_member_string(json_array_get(a, i), "reference");
		const char *y = json_member_string(json_array_get(b, k), "reference");
		int order = !x ? 1 : !y ? -1 : strcmp(x, y);
		size_t n = order <= 0 ? run_length(a, i) : 0;
		size_t m = order >= 0 ? run_length(b, k) : 0;

		if (n + m == 0)
			break;
		compare_runs(changes, a, i, n, b, k, m);
		i += n;
		k += m;
	}
	return changes;
}

/* "sha256:0123456789ab". */
static const char *shown(const char *digest, char text[SHOWN + 8])
{
	snprintf(text, SHOWN + 8, "%s", digest);
	return text;
}

void lock_describe_container(const json_t *change, struct str *text)
{
	const char *what = json_member_string(change, "change");
	const char *was = json_member_string(change, "was");
	char now[SHOWN + 8], before[SHOWN + 8];

	shown(json_member_string(change, "digest"), now);
	if (was)
		str_addf(text, "~ %s %s -> %s", json_member_string(change, "reference"),
			 shown(was, before), now);
	else
		str_addf(text, "%c %s %s", strcmp(what, "added") == 0 ? '+' : '-',
			 json_member_string(change, "reference"), now);
}

void lock_describe_containers(const json_t *changes, size_t max, struct str *text)
{
	json_t *change;
	size_t i;

	json_array_foreach(changes, i, change)
	{
		if (i == max) {
			str_addf(text, "\n    and %zu more container images",
				 json_array_size(changes) - max);
			return;
		}
		str_add(text, "\n    ");
		lock_describe_container(change, text);
	}
}
