/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dpkg status file: paragraphs of "Field: value" lines, and which installed package satisfies which
 * dependency.
 */
#include "layers/dpkg.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>
#include <strings.h>

#define STATUS_MAX ((size_t)64 << 20)
#define PACKAGES_MAX 65536
#define NAME_MAX_LEN 1024 /* of the fields that every package has */

enum {
	PACKAGE,
	STATUS,
	VERSION,
	ARCHITECTURE,
	SOURCE,
	MAINTAINER,
	HOMEPAGE,
	SECTION,
	DESCRIPTION,
	DEPENDS,
	PRE_DEPENDS,
	PROVIDES,
	FIELD_COUNT
};

static const char *const field_names[FIELD_COUNT] = {
	[PACKAGE] = "Package",         [STATUS] = "Status",
	[VERSION] = "Version",         [ARCHITECTURE] = "Architecture",
	[SOURCE] = "Source",           [MAINTAINER] = "Maintainer",
	[HOMEPAGE] = "Homepage",       [SECTION] = "Section",
	[DESCRIPTION] = "Description", [DEPENDS] = "Depends",
	[PRE_DEPENDS] = "Pre-Depends", [PROVIDES] = "Provides",
};

/* Fields of one paragraph; NULL: it has no such field. */
struct paragraph {
	char *fields[FIELD_COUNT];
};

/* Where the value of a field is in the text; a list may go over several lines. */
struct range {
	const char *start;
	size_t len;
};

struct database {
	struct mem_arena *arena;
	struct paragraph *items;
	size_t count, room;
	struct range current[FIELD_COUNT]; /* of the paragraph being read */
	int field;                         /* of the line before, -1: none of ours */
};

static bool is_list(int field)
{
	return field == DEPENDS || field == PRE_DEPENDS || field == PROVIDES;
}

static void take_line(struct database *db, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	size_t at;

	while (len > 0 && strchr(" \t\r", line[len - 1]))
		len--;
	if (*line == ' ' || *line == '\t') {
		/* Of a description only the first line is wanted; a list goes on. */
		if (is_list(db->field))
			db->current[db->field].len =
				(size_t)(line + len - db->current[db->field].start);
		return;
	}
	db->field = -1;
	for (int i = 0; colon && i < FIELD_COUNT; i++) {
		size_t name = strlen(field_names[i]);

		if ((size_t)(colon - line) != name || strncasecmp(line, field_names[i], name) != 0)
			continue;
		for (at = name + 1; at < len && (line[at] == ' ' || line[at] == '\t'); at++)
			;
		db->field = i;
		db->current[i] = (struct range){line + at, at < len ? len - at : 0};
	}
}

static bool is_sane(const char *value)
{
	return value && *value && strlen(value) < NAME_MAX_LEN;
}

/* Takes over the paragraph that ended. */
static int end_paragraph(struct database *db, struct err *err)
{
	struct paragraph p = {0};
	const char *status;

	for (int i = 0; i < FIELD_COUNT; i++)
		if (db->current[i].start)
			p.fields[i] = mem_arena_strndup(db->arena, db->current[i].start,
							db->current[i].len);
	memset(db->current, 0, sizeof(db->current));
	db->field = -1;
	status = p.fields[STATUS] ? p.fields[STATUS] : "";
	if (!p.fields[PACKAGE] || !*p.fields[PACKAGE] || str_has_suffix(status, " not-installed"))
		return 0;
	if (strcmp(status, "install ok installed") != 0 && strcmp(status, "hold ok installed") != 0)
		return err_set(err, ERR_OTHER,
			       "package '%s' is not installed completely: its status is '%s'",
			       p.fields[PACKAGE], status);
	if (!is_sane(p.fields[PACKAGE]) || !is_sane(p.fields[VERSION]) ||
	    !is_sane(p.fields[ARCHITECTURE]) || db->count >= PACKAGES_MAX)
		return err_set(err, ERR_VERIFY, "the record of package '%.100s' is damaged",
			       p.fields[PACKAGE]);
	VEC_ADD(db->items, db->count, db->room, p);
	return 0;
}

static int compare_paragraphs(const void *a, const void *b)
{
	const struct paragraph *x = a, *y = b;
	int order = strcmp(x->fields[PACKAGE], y->fields[PACKAGE]);

	return order ? order : strcmp(x->fields[ARCHITECTURE], y->fields[ARCHITECTURE]);
}

/* What can be depended on: names, of packages and those that packages provide, and the package meant. */
struct targets {
	json_t *real, *provided; /* {name: "name" or "name:architecture"} */
};

/* Calls visit for each element of a list of relations: "a (>= 1) | b:any, c" with last false for a. */
static void each_relation(char *list, void (*visit)(const char *name, bool last, void *context),
			  void *context)
{
	char *save = NULL;

	for (char *group = strtok_r(list, ",", &save); group; group = strtok_r(NULL, ",", &save)) {
		char *save_inner = NULL, *next;

		for (char *name = strtok_r(group, "|", &save_inner); name; name = next) {
			next = strtok_r(NULL, "|", &save_inner);
			name += strspn(name, " \t\r\n");
			name[strcspn(name, " \t\r\n(:[<")] = '\0';
			visit(name, !next, context);
		}
	}
}

struct providing {
	struct targets *targets;
	const char *by;
};

static void add_provided(const char *name, bool last, void *context)
{
	const struct providing *p = context;

	(void)last;
	if (!json_object_get(p->targets->provided, name))
		json_object_set_new(p->targets->provided, name, json_string(p->by));
}

static void collect_targets(const struct database *db, struct targets *targets)
{
	for (size_t i = 0; i < db->count; i++) {
		char *const *f = db->items[i].fields;
		const char *name = f[PACKAGE], *id = name;
		bool several =
			(i > 0 && strcmp(db->items[i - 1].fields[PACKAGE], name) == 0) ||
			(i + 1 < db->count && strcmp(db->items[i + 1].fields[PACKAGE], name) == 0);

		if (several)
			id = mem_arena_printf(db->arena, "%s:%s", name, f[ARCHITECTURE]);
		if (!json_object_get(targets->real, name))
			json_object_set_new(targets->real, name, json_string(id));
		if (several)
			json_object_set_new(targets->real, id, json_string(id));
		if (f[PROVIDES])
			each_relation(f[PROVIDES], add_provided, &(struct providing){targets, id});
	}
}

struct resolving {
	const struct targets *targets;
	const char *architecture;
	struct strv found;
	bool done; /* an earlier alternative of this group is installed */
	json_t *provided;
};

/* The first alternative that is installed under its own name counts; without one the first that another
 * package provides. Versions need no look: dpkg has seen to them. */
static void resolve(const char *name, bool last, void *context)
{
	struct resolving *r = context;
	CLEANUP_FREE char *exact = mem_printf("%s:%s", name, r->architecture);
	json_t *id = json_object_get(r->targets->real, exact);

	if (!id)
		id = json_object_get(r->targets->real, name);
	if (!r->done && id) {
		strv_add(&r->found, json_string_value(id));
		r->done = true;
	}
	if (!r->provided)
		r->provided = json_object_get(r->targets->provided, name);
	if (!last)
		return;
	if (!r->done && r->provided)
		strv_add(&r->found, json_string_value(r->provided));
	r->done = false;
	r->provided = NULL;
}

static json_t *depends_json(const struct paragraph *p, const struct targets *targets)
{
	struct resolving r = {.targets = targets, .architecture = p->fields[ARCHITECTURE]};
	const char *self = p->fields[PACKAGE];
	json_t *list = json_array();

	if (p->fields[DEPENDS])
		each_relation(p->fields[DEPENDS], resolve, &r);
	if (p->fields[PRE_DEPENDS])
		each_relation(p->fields[PRE_DEPENDS], resolve, &r);
	strv_sort(&r.found);
	for (size_t i = 0; i < r.found.count; i++)
		if ((i == 0 || strcmp(r.found.items[i], r.found.items[i - 1]) != 0) &&
		    strcmp(r.found.items[i], self) != 0)
			json_array_append_new(list, json_string(r.found.items[i]));
	strv_free(&r.found);
	return list;
}

static void add_text(json_t *row, const char *key, const char *value)
{
	CLEANUP(str_free) struct str text = {0};

	if (!value || !*value)
		return;
	str_add_utf8(&text, value, strlen(value));
	json_object_set_new(row, key, json_string(text.data));
}

static json_t *package_json(const struct paragraph *p, const struct targets *targets)
{
	CLEANUP_FREE char *source =
		mem_strdup(p->fields[SOURCE] ? p->fields[SOURCE] : p->fields[PACKAGE]);
	const char *version = p->fields[VERSION];
	char *open = strstr(source, " (");
	json_t *row, *depends;

	if (open) {
		*open = '\0';
		version = open + 2;
		open[2 + strcspn(version, ")")] = '\0';
	}
	row = json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", p->fields[PACKAGE], "version",
			p->fields[VERSION], "architecture", p->fields[ARCHITECTURE], "source",
			source, "source_version", version);
	if (!row)
		return NULL;
	add_text(row, "maintainer", p->fields[MAINTAINER]);
	add_text(row, "homepage", p->fields[HOMEPAGE]);
	add_text(row, "section", p->fields[SECTION]);
	add_text(row, "summary", p->fields[DESCRIPTION]);
	depends = depends_json(p, targets);
	if (json_array_size(depends))
		json_object_set(row, "depends", depends);
	json_decref(depends);
	return row;
}

static json_t *database_json(const struct database *db, struct err *err)
{
	struct targets targets = {json_object(), json_object()};
	json_t *list = json_array();

	collect_targets(db, &targets);
	for (size_t i = 0; list && i < db->count; i++) {
		json_t *row = package_json(&db->items[i], &targets);

		if (row) {
			json_array_append_new(list, row);
			continue;
		}
		err_set(err, ERR_VERIFY, "the record of package '%.100s' is damaged",
			db->items[i].fields[PACKAGE]);
		json_decref(list);
		list = NULL;
	}
	json_decref(targets.real);
	json_decref(targets.provided);
	return list;
}

static int read_paragraphs(struct database *db, const char *text, size_t len, struct err *err)
{
	const char *end = text + len;

	while (text < end) {
		const char *line = text, *stop = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((stop ? stop : end) - line);

		text = stop ? stop + 1 : end;
		if (n > 0)
			take_line(db, line, n);
		else if (end_paragraph(db, err) < 0)
			return -1;
	}
	if (end_paragraph(db, err) < 0)
		return -1;
	if (db->count == 0)
		return err_set(err, ERR_VERIFY, "no package is installed");
	return 0;
}

json_t *dpkg_parse(const char *text, size_t len, struct err *err)
{
	struct database db = {.arena = mem_arena_new(), .field = -1};
	json_t *list = NULL;

	if (read_paragraphs(&db, text, len, err) == 0) {
		qsort(db.items, db.count, sizeof(*db.items), compare_paragraphs);
		list = database_json(&db, err);
	}
	free(db.items);
	mem_arena_free(db.arena);
	return list;
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
