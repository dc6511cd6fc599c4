/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing the categories of two inventories. What only one side can know is said, not shown as removed.
 */
#include "inspect/diff_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Only what both sides know is compared: kinds of input tell different members or rows. */
static const struct category {
	const char *name;
	bool common_members, common_rows;
} categories[] = {
	{.name = "image", .common_rows = true},
	{.name = "setuid"},
	{.name = "ports"},
	{.name = "units"},
	{.name = "users"},
	{.name = "cmdline"},
	{.name = "sysctl"},
	{.name = "packages", .common_members = true},
	{.name = "build_packages", .common_members = true},
	{.name = "containers", .common_members = true},
	{.name = "repositories"},
	{.name = "keys"},
	{.name = "partitions"},
	{.name = "sizes", .common_rows = true},
};

const char *const diff_categories[] = {"image",          "setuid",     "ports",        "units",
				       "users",          "cmdline",    "sysctl",       "packages",
				       "build_packages", "containers", "repositories", "keys",
				       "partitions",     "sizes",      "files",        NULL};

struct job {
	int (*work)(void *context, struct err *err);
	void *context;
	struct err err;
	int result;
};

static void *run_job(void *context)
{
	struct job *job = context;

	job->result = job->work(job->context, &job->err);
	return NULL;
}

int diff_in_parallel(int (*work)(void *context, struct err *err), void *a, void *b, struct err *err)
{
	CLEANUP_FREE struct job *jobs = mem_alloc_array(2, sizeof(*jobs));
	pthread_t thread;
	bool started;

	jobs[0] = (struct job){.work = work, .context = a};
	jobs[1] = (struct job){.work = work, .context = b};
	started = pthread_create(&thread, NULL, run_job, &jobs[1]) == 0;
	run_job(&jobs[0]);
	if (started)
		pthread_join(thread, NULL);
	else
		run_job(&jobs[1]);
	for (size_t i = 0; i < 2; i++) {
		if (jobs[i].result < 0) {
			*err = jobs[i].err;
			return -1;
		}
	}
	return 0;
}

struct opening {
	const char *path;
	struct inventory *inventory;
};

static int open_one(void *context, struct err *err)
{
	struct opening *opening = context;

	opening->inventory = inventory_open(opening->path, err);
	return opening->inventory ? 0 : -1;
}

int diff_open(const char *path_a, const char *path_b, struct inventory **ret_a,
	      struct inventory **ret_b, struct err *err)
{
	struct opening a = {.path = path_a}, b = {.path = path_b};
	int result = diff_in_parallel(open_one, &a, &b, err);

	*ret_a = a.inventory;
	*ret_b = b.inventory;
	return result;
}

static bool wants(const struct strv *only, const char *category)
{
	return !only->count || strv_has(only, category);
}

/* The members of two rows that differ, or NULL. */
static json_t *changed_members(const json_t *a, const json_t *b, bool common)
{
	json_t *from = json_object(), *to = json_object(), *item, *other;
	const char *key;

	json_object_foreach((json_t *)a, key, item)
	{
		other = json_object_get(b, key);
		if ((other && json_equal(item, other)) || (!other && common))
			continue;
		json_object_set(from, key, item);
		if (other)
			json_object_set(to, key, other);
	}
	json_object_foreach((json_t *)b, key, item)
	{
		if (!json_object_get(a, key) && !common)
			json_object_set(to, key, item);
	}
	if (json_object_size(from) || json_object_size(to))
		return json_pack("{s:o, s:o}", "from", from, "to", to);
	json_decref(from);
	json_decref(to);
	return NULL;
}

static json_t *changed_row(const char *name, const json_t *a, const json_t *b, bool common)
{
	json_t *row;

	if (json_equal(a, b))
		return NULL;
	if (json_is_object(a) && json_is_object(b))
		row = changed_members(a, b, common);
	else
		row = json_pack("{s:O, s:O}", "from", a, "to", b);
	if (row)
		json_object_set_new(row, "name", json_string(name));
	return row;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of both, sorted, each once; borrowed. */
static const char **all_names(const json_t *a, const json_t *b, size_t *ret_count)
{
	const char **names =
		mem_alloc_array(json_object_size(a) + json_object_size(b), sizeof(*names));
	const char *key;
	json_t *item;

	*ret_count = 0;
	json_object_foreach((json_t *)a, key, item)
	{
		names[(*ret_count)++] = key;
	}
	json_object_foreach((json_t *)b, key, item)
	{
		if (!json_object_get(a, key))
			names[(*ret_count)++] = key;
	}
	qsort(names, *ret_count, sizeof(*names), compare_names);
	return names;
}

static json_t *compare_rows(const json_t *a, const json_t *b, const struct category *category,
			    bool *ret_same)
{
	json_t *added = json_array(), *removed = json_array(), *changed = json_array();
	CLEANUP_FREE const char **names = NULL;
	size_t count;

	names = all_names(a, b, &count);
	for (size_t i = 0; i < count; i++) {
		json_t *x = json_object_get(a, names[i]), *y = json_object_get(b, names[i]);
		json_t *row = x && y ? changed_row(names[i], x, y, category->common_members) : NULL;

		if (row)
			json_array_append_new(changed, row);
		else if ((!x || !y) && !category->common_rows)
			json_array_append_new(
				x ? removed : added,
				json_pack("{s:s, s:O}", "name", names[i], "value", x ? x : y));
	}
	if (json_array_size(added) || json_array_size(removed) || json_array_size(changed))
		*ret_same = false;
	return json_pack("{s:o, s:o, s:o}", "added", added, "removed", removed, "changed", changed);
}

/* The last console and the like win: the order of arguments matters, too. */
static void compare_order(const struct inventory *a, const struct inventory *b, json_t *cmdline,
			  bool *ret_same)
{
	const char *from = inventory_cmdline(a), *to = inventory_cmdline(b);

	if (!from || !to || strcmp(from, to) == 0 ||
	    json_array_size(json_object_get(cmdline, "added")) ||
	    json_array_size(json_object_get(cmdline, "removed")))
		return;
	*ret_same = false;
	json_array_append_new(
		json_object_get(cmdline, "changed"),
		json_pack("{s:s, s:s, s:s}", "name", "order", "from", from, "to", to));
}

static json_t *side_json(const struct inventory *inv)
{
	const json_t *image = json_object_get(inventory_facts(inv), "image");
	json_t *side = image ? json_copy((json_t *)image) : json_object();

	json_object_set_new(side, "file", json_string(inventory_name(inv)));
	json_object_set_new(side, "kind", json_string(inventory_kind(inv)));
	return side;
}

static void add_unknown(json_t *value, const char *category, bool a, bool b)
{
	json_array_append_new(json_object_get(value, "unknown"),
			      json_pack("{s:s, s:b, s:b}", "category", category, "a", a, "b", b));
}

static int compare_files(struct inventory *a, struct inventory *b, bool asked, json_t *value,
			 bool *ret_same, struct err *err)
{
	const struct inventory_file *files;
	size_t count;
	bool known_a = inventory_files(a, &files, &count),
	     known_b = inventory_files(b, &files, &count);
	json_t *result;

	if (!known_a || !known_b) {
		if (known_a || known_b || asked)
			add_unknown(value, "files", known_a, known_b);
		return 0;
	}
	result = diff_files(a, b, ret_same, err);
	return result ? json_object_set_new(value, "files", result) : -1;
}

json_t *diff_inventories(struct inventory *a, struct inventory *b, const struct strv *only,
			 struct err *err)
{
	json_t *value =
		json_pack("{s:o, s:o, s:[]}", "a", side_json(a), "b", side_json(b), "unknown");
	bool same = true;

	for (size_t i = 0; i < ARRAY_SIZE(categories); i++) {
		const char *name = categories[i].name;
		const json_t *x = json_object_get(inventory_facts(a), name);
		const json_t *y = json_object_get(inventory_facts(b), name);
		json_t *rows;

		/* Who asks for a category is told that nobody knows it. */
		if (!wants(only, name) || (!x && !y && !only->count))
			continue;
		if (!x || !y) {
			add_unknown(value, name, x, y);
			continue;
		}
		rows = compare_rows(x, y, &categories[i], &same);
		if (strcmp(name, "cmdline") == 0)
			compare_order(a, b, rows, &same);
		json_object_set_new(value, name, rows);
	}
	if (wants(only, "files") && compare_files(a, b, only->count, value, &same, err) < 0) {
		json_decref(value);
		return NULL;
	}
	json_object_set_new(value, "same", json_boolean(same));
	return value;
}
