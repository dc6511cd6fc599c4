/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units of systemd and whether they are started, as systemctl --root=DIR list-unit-files tells it: by
 * their files and the links to them (systemd.unit(5)).
 */
#include "inspect/inventory_parts.h"

#include <string.h>
#include <sys/stat.h>

#define ETC "/etc/systemd/system"

/* The first folder that has a unit wins. */
static const char *const folders[] = {ETC, "/usr/local/lib/systemd/system",
				      "/usr/lib/systemd/system", "/lib/systemd/system"};

static const char *const suffixes[] = {".service", ".socket", ".timer",  ".mount", ".automount",
				       ".swap",    ".path",   ".target", ".slice"};

static const struct {
	const char *suffix, *member;
} relations[] = {{".wants", "wanted_by"}, {".requires", "required_by"}, {".upholds", "upheld_by"}};

struct units {
	struct inventory *inv;
	json_t *rows;
	bool in_etc;
	/* The folder of links or drop-ins that is read. */
	const char *member;
	json_t *owner;
};

static bool is_unit(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
		if (str_has_suffix(name, suffixes[i]) && name[0] != '.')
			return true;
	return false;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The row of a unit, made when it is not there; NULL with err when there are too many. */
static json_t *unit_row(struct units *u, const char *unit, struct err *err)
{
	CLEANUP_JSON json_t *name = inventory_string(unit);
	json_t *row = json_object_get(u->rows, json_string_value(name));

	if (row)
		return row;
	if (inventory_set(u->inv, "units", unit, json_object(), err) < 0)
		return NULL;
	return json_object_get(u->rows, json_string_value(name));
}

static void append(json_t *row, const char *member, json_t *value)
{
	json_t *list = json_object_get(row, member), *item;
	size_t i;

	if (!list) {
		list = json_array();
		json_object_set_new(row, member, list);
	}
	json_array_foreach(list, i, item)
	{
		if (json_equal(item, value))
			return;
	}
	json_array_append(list, value);
}

/* A line of [Install]. Other names of the unit are kept until the links to it are known. */
static const char *take_install(json_t *row, const char *line, size_t len, const char *state)
{
	static const char *const keys[] = {"WantedBy=", "RequiredBy=", "UpheldBy=", "Alias="};
	CLEANUP_FREE char *text = mem_strndup(line, len);

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (!str_has_prefix(text, keys[i]) || !text[strlen(keys[i])])
			continue;
		if (strcmp(keys[i], "Alias=") == 0)
			json_object_set_new(row, "install_alias", inventory_string(text + 6));
		return "disabled";
	}
	return strcmp(state, "static") == 0 && (str_has_prefix(text, "Also=") ||
						str_has_prefix(text, "DefaultInstance="))
		       ? "indirect"
		       : state;
}

/* What [Install] makes of a unit that no link of the administrator starts. */
static const char *installable(json_t *row, const char *text)
{
	const char *state = "static", *line;
	bool inside = false;
	size_t len;

	while ((line = inventory_line(&text, &len))) {
		if (len && *line == '[')
			inside = len >= 9 && memcmp(line, "[Install]", 9) == 0;
		if (inside)
			state = take_install(row, line, len, state);
	}
	return state;
}

/* The text of a unit decides what it can be; an empty file masks. */
static int add_fragment(json_t *row, const struct inventory *inv, const struct inventory_file *file)
{
	const struct inventory_text *text = inventory_text(inv, file->path);
	char hex[DIGEST_HEX_SIZE];
	struct digest digest;

	if (!text) {
		json_object_set_new(row, "state", json_string("static"));
		return 0;
	}
	digest_bytes(text->text, text->len, &digest);
	json_object_set_new(row, "content", json_string(digest_hex(&digest, hex)));
	json_object_set_new(row, "state",
			    json_string(text->len ? installable(row, text->text) : "masked"));
	return 0;
}

/* A link in the folder itself: masked, another name of a unit, or a unit that lies elsewhere. */
static int add_link(struct units *u, json_t *row, const struct inventory_file *file,
		    const char *name, struct err *err)
{
	const struct inventory_file *end = inventory_resolve(u->inv, file->path);
	const char *target = base_name(file->target);
	CLEANUP_JSON json_t *key = NULL;
	json_t *other;

	if (strcmp(file->target, "/dev/null") == 0) {
		json_object_set_new(row, "state", json_string("masked"));
		return 0;
	}
	if (strcmp(target, name) == 0)
		return end ? add_fragment(row, u->inv, end)
			   : json_object_set_new(row, "state", json_string("dangling"));
	json_object_set_new(row, "state", json_string("alias"));
	json_object_set_new(row, "alias_of", inventory_string(target));
	if (!u->in_etc || !is_unit(target))
		return 0;
	other = unit_row(u, target, err);
	if (!other)
		return -1;
	key = inventory_string(name);
	append(other, "links", key);
	return 0;
}

/* Links to this unit may have made the row before its file is seen. */
static int add_unit(const struct inventory_file *file, const char *name, void *context,
		    struct err *err)
{
	struct units *u = context;
	json_t *row;

	if (!is_unit(name) || S_ISDIR(file->mode))
		return 0;
	row = unit_row(u, name, err);
	if (!row)
		return -1;
	if (json_object_get(row, "state"))
		return 0;
	return file->target ? add_link(u, row, file, name, err) : add_fragment(row, u->inv, file);
}

/* An entry of TARGET.wants/. */
static int add_relation(const struct inventory_file *file, const char *name, void *context,
			struct err *err)
{
	struct units *u = context;
	json_t *row;

	if (!is_unit(name) || (file->target && strcmp(file->target, "/dev/null") == 0))
		return 0;
	row = unit_row(u, name, err);
	if (!row)
		return -1;
	append(row, u->member, u->owner);
	if (u->in_etc)
		json_object_set_new(row, "linked", json_true());
	return 0;
}

/* A file of UNIT.d/. */
static int add_drop_in(const struct inventory_file *file, const char *name, void *context,
		       struct err *err)
{
	struct units *u = context;
	const struct inventory_text *text = inventory_text(u->inv, file->path);
	json_t *row = unit_row(u, json_string_value(u->owner), err);
	CLEANUP_JSON json_t *key = NULL;
	struct digest digest = {0};
	char hex[DIGEST_HEX_SIZE];
	json_t *drop_ins;

	if (!row)
		return -1;
	if (!str_has_suffix(name, ".conf"))
		return 0;
	key = inventory_string(file->path);
	drop_ins = json_object_get(row, "drop_ins");
	if (!drop_ins) {
		drop_ins = json_object();
		json_object_set_new(row, "drop_ins", drop_ins);
	}
	if (text)
		digest_bytes(text->text, text->len, &digest);
	json_object_set_new(drop_ins, json_string_value(key),
			    json_string(text ? digest_hex(&digest, hex) : "not a file"));
	return 0;
}

static int add_folder(const struct inventory_file *file, const char *name, void *context,
		      struct err *err)
{
	struct units *u = context;
	size_t len = strlen(name);
	struct units inner = *u;
	CLEANUP_JSON json_t *owner = NULL;

	if (!S_ISDIR(file->mode))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(relations); i++) {
		if (!str_has_suffix(name, relations[i].suffix))
			continue;
		inner.member = relations[i].member;
		owner = inventory_string_n(name, len - strlen(relations[i].suffix));
		inner.owner = owner;
		return inventory_children(u->inv, file->path, add_relation, &inner, err);
	}
	if (!str_has_suffix(name, ".d"))
		return 0;
	owner = inventory_string_n(name, len - 2);
	inner.owner = owner;
	return is_unit(json_string_value(inner.owner))
		       ? inventory_children(u->inv, file->path, add_drop_in, &inner, err)
		       : 0;
}

/* NAME@INSTANCE.service has the file of NAME@.service. */
static void take_template(json_t *rows, const char *unit, json_t *row)
{
	const char *at = strchr(unit, '@'), *dot = strrchr(unit, '.');
	CLEANUP_FREE char *name = NULL;
	json_t *content;

	if (!at || !dot || dot < at || dot == at + 1)
		return;
	name = mem_printf("%.*s%s", (int)(at - unit + 1), unit, dot);
	content = json_object_get(json_object_get(rows, name), "content");
	if (content)
		json_object_set(row, "content", content);
}

/* True when one of the links in /etc is a name that [Install] gives to the unit. */
static bool is_linked_as_installed(const json_t *row)
{
	const char *names = json_member_string(row, "install_alias");
	const json_t *link;
	size_t i;

	json_array_foreach(json_object_get(row, "links"), i, link)
	{
		const char *at = names ? strstr(names, json_string_value(link)) : NULL;

		if (at && (at == names || at[-1] == ' ') &&
		    strchr(" ", at[json_string_length(link)]))
			return true;
	}
	return false;
}

/* The state follows from the file and from the links, whichever was seen first. */
static void finish_unit(json_t *rows, const char *unit, json_t *row)
{
	const char *state = json_member_string(row, "state");
	bool started = json_is_true(json_object_get(row, "linked")) || is_linked_as_installed(row);

	if (!state) {
		take_template(rows, unit, row);
		state = json_object_get(row, "content")    ? "static"
			: json_object_get(row, "drop_ins") ? "drop-ins only"
							   : "missing";
	}
	if (strcmp(state, "disabled") == 0 || strcmp(state, "static") == 0 ||
	    strcmp(state, "indirect") == 0)
		state = started ? "enabled" : json_object_get(row, "links") ? "indirect" : state;
	/* The new string is made before the old one, which state may be, is freed. */
	json_object_set_new(row, "state", json_string(state));
	json_object_del(row, "linked");
	json_object_del(row, "links");
	json_object_del(row, "install_alias");
}

int inventory_add_units(struct inventory *inv, struct err *err)
{
	struct units u = {.inv = inv, .rows = inventory_category(inv, "units")};
	const char *unit;
	json_t *row;

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		u.in_etc = i == 0;
		if (inventory_children(inv, folders[i], add_unit, &u, err) < 0 ||
		    inventory_children(inv, folders[i], add_folder, &u, err) < 0)
			return -1;
	}
	json_object_foreach(u.rows, unit, row)
	{
		finish_unit(u.rows, unit, row);
	}
	return 0;
}
