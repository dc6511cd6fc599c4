/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apt's indexes as lines of fields: only the rows of packages that are asked for are kept.
 */
#include "layers/records.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define INDEX_MAX ((size_t)256 << 20)
#define FIELDS 6

static char *key_of(const char *name, const char *architecture)
{
	return mem_printf("%s %s", name, architecture);
}

static char *key_of_package(const json_t *package)
{
	const char *name = json_member_string(package, "name");
	const char *architecture = json_member_string(package, "architecture");

	return key_of(name ? name : "", architecture ? architecture : "");
}

/* Splits a line at its tabs in place; false when it has not exactly count fields, none empty. */
static bool split(char *line, const char **fields, size_t count, bool empty)
{
	for (size_t i = 0; i < count; i++) {
		char *end = line + strcspn(line, "\t");

		if ((end == line && !empty) || (*end == '\0') != (i + 1 == count))
			return false;
		fields[i] = line;
		*end = '\0';
		line = end + 1;
	}
	return true;
}

static size_t ranking_of(const struct repositories *repositories, const char *suite)
{
	for (size_t i = 0; i < repositories->count; i++)
		if (strcmp(repositories->items[i].suite, suite) == 0)
			return i;
	return repositories->count;
}

static int parse_size(const char *text, uint64_t *ret)
{
	char *end;

	if (!*text || strlen(text) > 18 || text[strspn(text, "0123456789")])
		return -1;
	*ret = strtoull(text, &end, 10);
	return *end ? -1 : 0;
}

/* "./a.deb" of a flat repository is a.deb. */
static const char *relative(const char *path)
{
	while (path[0] == '.' && path[1] == '/')
		path += 2;
	return path;
}

static int add_row(struct records *records, char *line, const struct records_row *below,
		   struct err *err)
{
	struct records_row row = *below;
	const char *fields[FIELDS];
	struct digest digest;

	if (!split(line, fields, FIELDS, false) || digest_parse(fields[3], &digest, NULL) < 0 ||
	    parse_size(fields[4], &row.size) < 0)
		return err_set(err, ERR_VERIFY, "cannot read apt's index: line %zu is damaged",
			       row.line);
	row.name = fields[0];
	row.architecture = fields[1];
	row.version = fields[2];
	row.sha256 = fields[3];
	row.path = relative(fields[5]);
	if (row.path[0] == '/' || strstr(row.path, "://") || !path_is_clean(row.path))
		return err_set(err, ERR_VERIFY,
			       "cannot read apt's index: package '%.100s' has a bad path",
			       row.name);
	VEC_ADD(records->rows, records->count, records->room, row);
	return 0;
}

/* Takes a line of the index; below is what the last line of an index file said. */
static int take_line(struct records *records, char *line, const struct repositories *repositories,
		     struct records_row *below, struct err *err)
{
	CLEANUP_FREE char *key = NULL;
	const char *head[4];
	json_t *list;
	size_t name = strcspn(line, "\t"), architecture;

	if (strncmp(line, "#\t", 2) == 0) {
		if (!split(line, head, 4, true))
			return err_set(err, ERR_VERIFY,
				       "cannot read apt's index: line %zu is damaged", below->line);
		below->suite = head[1];
		below->component = head[2];
		below->origin = head[3];
		below->ranking = ranking_of(repositories, below->suite);
		return 0;
	}
	if (line[name] && below->suite) {
		architecture = strcspn(line + name + 1, "\t");
		key = mem_printf("%.*s %.*s", (int)name, line, (int)architecture, line + name + 1);
	}
	if (!key)
		return err_set(err, ERR_VERIFY, "cannot read apt's index: line %zu is damaged",
			       below->line);
	list = json_object_get(records->by_name, key);
	if (!list)
		return 0;
	if (add_row(records, line, below, err) < 0)
		return -1;
	json_array_append_new(list, json_integer((json_int_t)records->count - 1));
	return 0;
}

int records_parse(char *text, size_t len, const json_t *wanted,
		  const struct repositories *repositories, struct records *ret, struct err *err)
{
	struct records_row below = {0};
	char *end = text + len, *line, *stop;
	json_t *package;
	size_t i;

	*ret = (struct records){.text = text, .by_name = json_object()};
	json_array_foreach(wanted, i, package)
	{
		CLEANUP_FREE char *key = key_of_package(package);

		json_object_set_new(ret->by_name, key, json_array());
	}
	for (line = text; line < end; line = stop + 1) {
		stop = memchr(line, '\n', (size_t)(end - line));
		if (!stop)
			stop = end; /* the NUL */
		*stop = '\0';
		below.line++;
		if (*line && take_line(ret, line, repositories, &below, err) < 0) {
			records_free(ret);
			return -1;
		}
	}
	return 0;
}

int records_read(const char *folder, const json_t *wanted, const struct repositories *repositories,
		 struct records *ret, struct err *err)
{
	CLEANUP_FREE char *path = path_join(folder, RECORDS_INDEX);
	CLEANUP(str_free) struct str text = {0};
	size_t len;

	*ret = (struct records){0};
	if (fd_read_file(path, INDEX_MAX, &text, err) < 0)
		return -1;
	len = text.len;
	return records_parse(str_steal(&text), len, wanted, repositories, ret, err);
}

void records_free(struct records *records)
{
	free(records->rows);
	free(records->text);
	json_decref(records->by_name);
	*records = (struct records){0};
}

/* Finds the best row of the package's version; with sha256 NULL whatever its digest. */
static const struct records_row *find(const struct records *records, const json_t *package,
				      const char *sha256)
{
	CLEANUP_FREE char *key = key_of_package(package);
	const char *version = json_member_string(package, "version");
	const struct records_row *best = NULL;
	json_t *number;
	size_t i;

	json_array_foreach(json_object_get(records->by_name, key), i, number)
	{
		const struct records_row *row = &records->rows[json_integer_value(number)];

		if (!version || strcmp(row->version, version) != 0 ||
		    (sha256 && strcmp(row->sha256, sha256) != 0))
			continue;
		if (!best || row->ranking < best->ranking)
			best = row;
	}
	return best;
}

static int complete(const struct records *records, json_t *package, struct err *err)
{
	const char *sha256 = json_member_string(package, "sha256");
	const struct records_row *row = find(records, package, sha256);

	if (!row && find(records, package, NULL))
		return err_set(
			err, ERR_VERIFY,
			"the .deb of package '%s' is not the one that the repository has: its "
			"SHA-256 is %s",
			json_member_string(package, "name"), sha256 ? sha256 : "unknown");
	if (!row) {
		json_object_set_new(package, "origin", json_null());
		json_object_set_new(package, "suite", json_null());
		json_object_set_new(package, "component", json_null());
		json_object_set_new(package, "path", json_null());
		return 0;
	}
	if (json_object_set_new(package, "origin", json_string(row->origin)) < 0 ||
	    json_object_set_new(package, "suite", json_string(row->suite)) < 0 ||
	    json_object_set_new(package, "component", json_string(row->component)) < 0 ||
	    json_object_set_new(package, "path", json_string(row->path)) < 0)
		return err_set(err, ERR_VERIFY,
			       "cannot read apt's index: the record of package '%s' is no UTF-8",
			       row->name);
	return 0;
}

int records_complete(const struct records *records, json_t *packages, struct err *err)
{
	json_t *package;
	size_t i;

	json_array_foreach(packages, i, package)
	{
		if (complete(records, package, err) < 0)
			return -1;
	}
	return 0;
}

/* Says which versions there are instead. */
static void describe_missing(const struct records *records, const json_t *package, struct str *text)
{
	CLEANUP_FREE char *key = key_of_package(package);
	const json_t *list = json_object_get(records->by_name, key);
	json_t *number;
	size_t i;

	str_addf(text, "%s %s: ", json_member_string(package, "name"),
		 json_member_string(package, "version"));
	if (find(records, package, NULL)) {
		str_add(text, "the repositories have other bytes under this version");
		return;
	}
	if (json_array_size(list) == 0) {
		str_add(text, "the repositories do not have the package any more");
		return;
	}
	str_add(text, "the repositories have");
	json_array_foreach(list, i, number)
	{
		const struct records_row *row = &records->rows[json_integer_value(number)];

		if (i < 3)
			str_addf(text, "%s %s (%s)", i ? "," : "", row->version, row->suite);
	}
}

size_t records_missing(const struct records *records, const json_t *wanted, size_t max,
		       struct str *text)
{
	json_t *package;
	size_t i, count = 0;

	json_array_foreach(wanted, i, package)
	{
		const char *sha256 = json_member_string(package, "sha256");

		if (!json_is_string(json_object_get(package, "origin")) ||
		    find(records, package, sha256 ? sha256 : ""))
			continue;
		if (count++ >= max)
			continue;
		str_add(text, "\n    ");
		describe_missing(records, package, text);
	}
	return count;
}
