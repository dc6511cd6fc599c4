/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing lists of packages, and pinning apt to one.
 */
#include "layers/pins.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "layers/records.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OFFERED_MAX ((size_t)16 << 20)

static const char *member(const json_t *package, const char *name)
{
	const char *text = json_member_string(package, name);

	return text ? text : "";
}

static char *key_of(const json_t *package)
{
	return mem_printf("%s %s", member(package, "name"), member(package, "architecture"));
}

/* {"name architecture": package} */
static json_t *by_key(const json_t *packages)
{
	json_t *object = json_object(), *package;
	size_t i;

	json_array_foreach(packages, i, package)
	{
		CLEANUP_FREE char *key = key_of(package);

		json_object_set(object, key, package);
	}
	return object;
}

static bool is_security(const char *suite)
{
	return str_has_suffix(suite, "-security") || strstr(suite, "/updates");
}

static json_t *make_change(const char *change, const json_t *before, const json_t *package)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s?, s:b}", "change", change, "name",
			 member(package, "name"), "architecture", member(package, "architecture"),
			 "version", member(package, "version"), "was",
			 before ? member(before, "version") : NULL, "suite",
			 json_member_string(package, "suite"), "security",
			 is_security(member(package, "suite")));
}

static bool differ(const json_t *before, const json_t *now)
{
	const char *a = json_member_string(before, "sha256");
	const char *b = json_member_string(now, "sha256");

	return strcmp(member(before, "version"), member(now, "version")) != 0 ||
	       (a && b && strcmp(a, b) != 0);
}

struct row {
	json_t *value; /* borrowed */
};

static int compare_rows(const void *a, const void *b)
{
	const json_t *x = ((const struct row *)a)->value, *y = ((const struct row *)b)->value;
	int order = strcmp(member(x, "name"), member(y, "name"));

	return order ? order : strcmp(member(x, "architecture"), member(y, "architecture"));
}

/* Takes the reference of list. */
static json_t *sort(json_t *list)
{
	size_t count = json_array_size(list);
	CLEANUP_FREE struct row *rows = mem_alloc_array(count, sizeof(*rows));
	json_t *ret = json_array();

	for (size_t i = 0; i < count; i++)
		rows[i].value = json_array_get(list, i);
	qsort(rows, count, sizeof(*rows), compare_rows);
	for (size_t i = 0; i < count; i++)
		json_array_append(ret, rows[i].value);
	json_decref(list);
	return ret;
}

json_t *pins_compare(const json_t *before, const json_t *now)
{
	CLEANUP_JSON json_t *old = by_key(before);
	CLEANUP_JSON json_t *new = by_key(now);
	json_t *changes = json_array(), *package;
	const char *key;

	json_object_foreach(new, key, package)
	{
		const json_t *was = json_object_get(old, key);

		if (!was)
			json_array_append_new(changes, make_change("added", NULL, package));
		else if (differ(was, package))
			json_array_append_new(changes, make_change("changed", was, package));
	}
	json_object_foreach(old, key, package)
	{
		if (!json_object_get(new, key))
			json_array_append_new(changes, make_change("removed", package, package));
	}
	return sort(changes);
}

void pins_describe(const json_t *change, struct str *text)
{
	const char *what = member(change, "change"), *suite = member(change, "suite");
	const char *name = member(change, "name"), *version = member(change, "version");
	const char *was = member(change, "was");

	if (strcmp(what, "changed") != 0)
		str_addf(text, "%c %s %s", strcmp(what, "added") == 0 ? '+' : '-', name, version);
	else if (strcmp(was, version) == 0)
		str_addf(text, "~ %s %s with other bytes", name, version);
	else
		str_addf(text, "~ %s %s -> %s", name, was, version);
	if (*suite && strcmp(what, "removed") != 0)
		str_addf(text, " (%s)", suite);
}

void pins_describe_all(const json_t *changes, size_t max, struct str *text)
{
	json_t *change;
	size_t i;

	json_array_foreach(changes, i, change)
	{
		if (i == max) {
			str_addf(text, "\n    and %zu more", json_array_size(changes) - max);
			return;
		}
		str_add(text, "\n    ");
		pins_describe(change, text);
	}
}

json_t *pins_join(const json_t *packages, const json_t *build_packages)
{
	json_t *all = json_array();

	if (packages)
		json_array_extend(all, (json_t *)packages);
	if (build_packages)
		json_array_extend(all, (json_t *)build_packages);
	return all;
}

/* deb-control(5), deb-version(7). What goes into files of apt and the shell has no other characters. */
static bool is_plain(const char *text)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789.+:~-";

	return *text && strlen(text) < 256 && !text[strspn(text, allowed)];
}

static int write_sorted(const char *folder, const char *name, struct strv *lines, struct err *err)
{
	CLEANUP_FREE char *path = path_join(folder, name);
	CLEANUP(str_free) struct str text = {0};

	strv_sort(lines);
	for (size_t i = 0; i < lines->count; i++)
		str_addf(&text, "%s\n", lines->items[i]);
	return outfile_write(path, text.data ? text.data : "", text.len, false, err);
}

int pins_write(const char *folder, const json_t *packages, struct err *err)
{
	CLEANUP(strv_free) struct strv expected = {0}, files = {0};
	CLEANUP(str_free) struct str preferences = {0};
	CLEANUP_FREE char *path = path_join(folder, PINS_PREFERENCES);
	json_t *package;
	size_t i;

	json_array_foreach(packages, i, package)
	{
		const char *name = member(package, "name"), *version = member(package, "version");
		const char *architecture = member(package, "architecture");
		const char *sha256 = member(package, "sha256");

		/* What an image brought along has no digest. */
		if (!is_plain(name) || !is_plain(version) || !is_plain(architecture) ||
		    (*sha256 && !is_plain(sha256)))
			return err_set(err, ERR_VERIFY, "row %zu of the locked packages is damaged",
				       i + 1);
		/* Over 1000: also when that is older than what is newest. */
		str_addf(&preferences, "Package: %s\nPin: version %s\nPin-Priority: 1001\n\n", name,
			 version);
		strv_addf(&expected, "%s\t%s\t%s", name, architecture, version);
		if (json_is_string(json_object_get(package, "origin")))
			strv_addf(&files, "%s\t%s\t%s\t%s", name, architecture, version, sha256);
	}
	if (outfile_write(path, preferences.data ? preferences.data : "", preferences.len, false,
			  err) < 0 ||
	    write_sorted(folder, RECORDS_EXPECTED, &expected, err) < 0)
		return -1;
	return write_sorted(folder, RECORDS_EXPECTED_FILES, &files, err);
}

/* A line "name architecture version" of what apt would install. */
static json_t *offered_row(const char *line)
{
	char name[256], architecture[64], version[256];

	if (sscanf(line, "%255[^\t]\t%63[^\t]\t%255[^\t]", name, architecture, version) != 3)
		return NULL;
	return json_pack("{s:s, s:s, s:s}", "name", name, "architecture", architecture, "version",
			 version);
}

/* What apt would install; NULL when it did not come to that. Caller decrefs. */
static json_t *read_offered(const char *folder, struct err *err)
{
	CLEANUP_FREE char *path = path_join(folder, RECORDS_OFFERED);
	CLEANUP(str_free) struct str text = {0};
	json_t *list = json_array();
	char *save = NULL;

	if (access(path, F_OK) == 0 && fd_read_file(path, OFFERED_MAX, &text, err) < 0) {
		json_decref(list);
		return NULL;
	}
	for (char *line = text.data ? strtok_r(text.data, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		json_t *row = offered_row(line);

		if (row)
			json_array_append_new(list, row);
	}
	return list;
}

int pins_explain(const char *folder, const struct packages_pins *pins,
		 const struct repositories *repositories, size_t max, struct str *text,
		 size_t *ret_count, struct err *err)
{
	CLEANUP_JSON json_t *wanted = pins_join(pins->packages, pins->build_packages);
	CLEANUP(records_free) struct records records = {0};
	CLEANUP_JSON json_t *offered = read_offered(folder, err);
	CLEANUP_JSON json_t *changes = NULL;
	json_t *change;
	size_t i;
	bool gone;

	if (!offered || records_read(folder, wanted, repositories, &records, err) < 0)
		return -1;
	*ret_count = records_missing(&records, wanted, max, text);
	gone = *ret_count > 0;
	changes = pins_compare(wanted, offered);
	json_array_foreach(changes, i, change)
	{
		const char *was = json_member_string(change, "was");

		/* A version that is gone has been said, and apt may need less than is installed in the
		 * end; what is needed and not locked has not been said. */
		if (strcmp(member(change, "change"), "removed") == 0 || (was && gone) ||
		    (*ret_count)++ >= max)
			continue;
		str_addf(text, "\n    %s %s: it is needed, ", member(change, "name"),
			 member(change, "version"));
		if (was)
			str_addf(text, "and the lock has %s", was);
		else
			str_add(text, "and the lock does not have it");
	}
	return 0;
}
