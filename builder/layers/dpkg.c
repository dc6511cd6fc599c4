/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dpkg status file: paragraphs of "Field: value" lines.
 */
#include "layers/dpkg.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define STATUS_MAX ((size_t)64 << 20)
#define PACKAGES_MAX 65536
#define VALUE_MAX 1024

/* The fields that we want of one paragraph. */
struct paragraph {
	char package[VALUE_MAX], status[VALUE_MAX], version[VALUE_MAX], architecture[VALUE_MAX],
		source[VALUE_MAX];
};

static void take_field(struct paragraph *p, const char *line, size_t len)
{
	const struct {
		const char *name;
		char *value;
	} fields[] = {
		{"Package:", p->package}, {"Status:", p->status},
		{"Version:", p->version}, {"Architecture:", p->architecture},
		{"Source:", p->source},
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		size_t name = strlen(fields[i].name);

		if (len <= name || strncasecmp(line, fields[i].name, name) != 0)
			continue;
		while (name < len && (line[name] == ' ' || line[name] == '\t'))
			name++;
		while (len > name && strchr(" \t\r", line[len - 1]))
			len--;
		snprintf(fields[i].value, VALUE_MAX, "%.*s", (int)(len - name), line + name);
	}
}

static int add_package(struct paragraph *p, json_t *list, struct err *err)
{
	char *source = p->source[0] ? p->source : p->package, *version = p->version;
	char *open = strstr(source, " (");
	json_t *row = NULL;

	if (!p->package[0])
		return 0;
	if (str_has_suffix(p->status, " not-installed"))
		return 0;
	if (strcmp(p->status, "install ok installed") != 0 &&
	    strcmp(p->status, "hold ok installed") != 0)
		return err_set(err, ERR_OTHER,
			       "package '%s' is not installed completely: its status is '%s'",
			       p->package, p->status);
	if (open) {
		*open = '\0';
		version = open + 2;
		version[strcspn(version, ")")] = '\0';
	}
	if (p->version[0] && p->architecture[0] && json_array_size(list) < PACKAGES_MAX)
		row = json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", p->package, "version",
				p->version, "architecture", p->architecture, "source", source,
				"source_version", version);
	if (!row || json_array_append_new(list, row) < 0)
		return err_set(err, ERR_VERIFY, "the record of package '%s' is damaged",
			       p->package);
	return 0;
}

struct row {
	json_t *value; /* borrowed */
};

static int compare_rows(const void *a, const void *b)
{
	const json_t *x = ((const struct row *)a)->value, *y = ((const struct row *)b)->value;
	int order = strcmp(json_member_string(x, "name"), json_member_string(y, "name"));

	return order ? order
		     : strcmp(json_member_string(x, "architecture"),
			      json_member_string(y, "architecture"));
}

static json_t *sorted(const json_t *list)
{
	size_t count = json_array_size(list);
	CLEANUP_FREE struct row *rows = mem_alloc_array(count, sizeof(*rows));
	json_t *ret = json_array();

	for (size_t i = 0; i < count; i++)
		rows[i].value = json_array_get(list, i);
	qsort(rows, count, sizeof(*rows), compare_rows);
	for (size_t i = 0; i < count; i++)
		json_array_append(ret, rows[i].value);
	return ret;
}

json_t *dpkg_parse(const char *text, size_t len, struct err *err)
{
	CLEANUP_JSON json_t *list = json_array();
	CLEANUP_FREE struct paragraph *p = mem_alloc(sizeof(*p));
	const char *end = text + len;

	while (text < end) {
		const char *line = text, *stop = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((stop ? stop : end) - line);

		text = stop ? stop + 1 : end;
		if (n > 0) {
			take_field(p, line, n);
			continue;
		}
		if (add_package(p, list, err) < 0)
			return NULL;
		memset(p, 0, sizeof(*p));
	}
	if (add_package(p, list, err) < 0)
		return NULL;
	if (json_array_size(list) == 0) {
		err_set(err, ERR_VERIFY, "no package is installed");
		return NULL;
	}
	return sorted(list);
}

json_t *dpkg_list(const struct tree *tree, struct err *err)
{
	const struct tree_node *node = tree_resolve(tree, "/var/lib/dpkg/status");
	CLEANUP_FREE char *text = NULL;
	size_t len;

	if (!node)
		node = tree_resolve(tree, "/usr/lib/sysimage/dpkg/status");
	if (!node || node->inode->type != TREE_FILE) {
		err_set(err, ERR_VERIFY, "the package tree has no dpkg status file");
		return NULL;
	}
	if (tree_read(node, STATUS_MAX, &text, &len, err) < 0)
		return NULL;
	return dpkg_parse(text, len, err);
}
