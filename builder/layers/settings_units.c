/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units: the links that systemctl enable, disable and mask would make, from the [Install] sections of the
 * units in the tree (systemd.unit(5)).
 */
#include "layers/settings_parts.h"

#include "base/mem.h"
#include "base/path.h"

#include <string.h>

#define UNIT_MAX ((size_t)256 << 10) /* bytes of a unit file */
#define ALSO_DEPTH_MAX 8
#define ETC_UNITS "/etc/systemd/system"

static const char *const folders[] = {ETC_UNITS, "/usr/lib/systemd/system",
				      "/usr/local/lib/systemd/system"};

static char *full_name(const char *unit)
{
	return strchr(unit, '.') ? mem_strdup(unit) : mem_printf("%s.service", unit);
}

/* The folder and file of a unit; for NAME@INSTANCE.service that of its template. */
static const struct tree_node *find_unit(const struct tree *tree, const char *unit, char **ret_path)
{
	const char *at = strchr(unit, '@');
	const char *dot = strrchr(unit, '.');
	CLEANUP_FREE char *template = at && dot && dot > at + 1
					      ? mem_printf("%.*s@%s", (int)(at - unit), unit, dot)
					      : NULL;

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		for (int k = 0; k < (template ? 2 : 1); k++) {
			char *path = mem_printf("%s/%s", folders[i], k ? template : unit);
			const struct tree_node *node = tree_resolve(tree, path);

			if (node && node->inode->type == TREE_FILE) {
				*ret_path = path;
				return node;
			}
			free(path);
		}
	}
	return NULL;
}

static int unknown_unit(const struct tree *tree, const char *unit, struct err *err)
{
	const char *near = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(folders) && !near; i++) {
		const struct tree_node *dir = tree_find(tree, folders[i]);
		CLEANUP_FREE const char **names =
			mem_alloc_array(dir ? dir->child_count : 0, sizeof(*names));

		for (size_t k = 0; dir && k < dir->child_count; k++)
			names[k] = dir->children[k]->name;
		near = str_nearest(unit, names, dir ? dir->child_count : 0);
	}
	err_set(err, ERR_PROFILE, "the image has no unit '%s'", unit);
	return near ? err_hint(err, "did you mean '%s'?", near)
		    : err_hint(err, "a package or an overlay must bring it");
}

struct install {
	struct strv wanted, required, upheld, alias, also;
	bool found;
};

static void install_free(struct install *install)
{
	strv_free(&install->wanted);
	strv_free(&install->required);
	strv_free(&install->upheld);
	strv_free(&install->alias);
	strv_free(&install->also);
}

static void add_words(struct strv *list, char *value)
{
	char *save = NULL;

	for (char *word = strtok_r(value, " \t", &save); word; word = strtok_r(NULL, " \t", &save))
		strv_add(list, word);
}

static void parse_install(char *text, struct install *install)
{
	static const char *const keys[] = {
		"WantedBy=", "RequiredBy=", "UpheldBy=", "Alias=", "Also="};
	struct strv *const lists[] = {&install->wanted, &install->required, &install->upheld,
				      &install->alias, &install->also};
	bool inside = false;
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		line += strspn(line, " \t");
		if (*line == '[') {
			inside = str_has_prefix(line, "[Install]");
			install->found |= inside;
		}
		for (size_t i = 0; inside && i < ARRAY_SIZE(keys); i++)
			if (str_has_prefix(line, keys[i]))
				add_words(lists[i], line + strlen(keys[i]));
	}
}

/* Names in an [Install] section become parts of paths: only what can be a unit's name is taken. */
static int make_link(struct tree *tree, const char *unit, const char *dir, const char *suffix,
		     const char *name, const char *target, struct err *err)
{
	CLEANUP_FREE char *path = dir ? mem_printf(ETC_UNITS "/%s.%s/%s", dir, suffix, name)
				      : mem_printf(ETC_UNITS "/%s", name);

	if ((dir && strchr(dir, '/')) || strchr(name, '/'))
		return err_set(err, ERR_PROFILE, "unit '%s': bad name in its [Install] section",
			       unit);
	return tree_put_symlink(tree, path, target, SETTINGS_ORIGIN, err);
}

static int link_all(struct tree *tree, const char *unit, const struct strv *targets,
		    const char *suffix, const char *path, struct err *err)
{
	for (size_t i = 0; i < targets->count; i++)
		if (make_link(tree, unit, targets->items[i], suffix, unit, path, err) < 0)
			return -1;
	return 0;
}

static int enable(struct tree *tree, const char *unit, int depth, struct err *err)
{
	CLEANUP(install_free) struct install install = {0};
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FREE char *text = NULL;
	const struct tree_node *node = find_unit(tree, unit, &path);
	size_t len;

	if (!node)
		return unknown_unit(tree, unit, err);
	if (tree_read(node, UNIT_MAX, &text, &len, err) < 0)
		return -1;
	parse_install(text, &install);
	if (!install.found && depth == 0) {
		err_set(err, ERR_PROFILE,
			"unit '%s' cannot be enabled: it has no [Install] section", unit);
		return err_hint(err, "something else starts it; take it out of services.enable");
	}
	if (link_all(tree, unit, &install.wanted, "wants", path, err) < 0 ||
	    link_all(tree, unit, &install.required, "requires", path, err) < 0 ||
	    link_all(tree, unit, &install.upheld, "upholds", path, err) < 0)
		return -1;
	for (size_t i = 0; i < install.alias.count; i++)
		if (strcmp(install.alias.items[i], unit) != 0 &&
		    make_link(tree, unit, NULL, NULL, install.alias.items[i], path, err) < 0)
			return -1;
	for (size_t i = 0; i < install.also.count && depth < ALSO_DEPTH_MAX; i++)
		if (strcmp(install.also.items[i], unit) != 0 &&
		    enable(tree, install.also.items[i], depth + 1, err) < 0)
			return -1;
	return 0;
}

int settings_unit_enable(struct tree *tree, const char *unit, struct err *err)
{
	CLEANUP_FREE char *name = full_name(unit);

	return enable(tree, name, 0, err);
}

/* Removes the links to the unit in the folder and in its .wants, .requires and .upholds folders. */
static void remove_links(struct tree *tree, const struct tree_node *dir, const char *unit,
			 int depth)
{
	CLEANUP(strv_free) struct strv paths = {0};

	for (size_t i = 0; i < dir->child_count; i++) {
		const struct tree_node *node = dir->children[i];
		bool folder = node->inode->type == TREE_DIR;

		if (folder && depth == 0 &&
		    (str_has_suffix(node->name, ".wants") ||
		     str_has_suffix(node->name, ".requires") ||
		     str_has_suffix(node->name, ".upholds")))
			remove_links(tree, node, unit, 1);
		if (node->inode->type == TREE_SYMLINK &&
		    strcmp(node->inode->target, "/dev/null") != 0 &&
		    (strcmp(path_base(node->inode->target), unit) == 0 ||
		     (depth == 1 && strcmp(node->name, unit) == 0))) {
			char *path = tree_path(node);

			strv_add(&paths, path);
			free(path);
		}
	}
	for (size_t i = 0; i < paths.count; i++)
		tree_remove(tree, paths.items[i]);
}

static int disable(struct tree *tree, const char *unit, struct err *err)
{
	const struct tree_node *dir = tree_find(tree, ETC_UNITS);
	CLEANUP_FREE char *name = full_name(unit);
	CLEANUP_FREE char *path = NULL;

	if (!find_unit(tree, name, &path))
		return unknown_unit(tree, name, err);
	if (dir)
		remove_links(tree, dir, name, 0);
	return 0;
}

/* A unit that no package brings may be masked too: the mask is a promise for later. */
static int mask(struct tree *tree, const char *unit, struct err *err)
{
	CLEANUP_FREE char *name = full_name(unit);
	CLEANUP_FREE char *path = mem_printf(ETC_UNITS "/%s", name);
	const struct tree_node *dir = tree_find(tree, ETC_UNITS);

	if (dir)
		remove_links(tree, dir, name, 0);
	return tree_put_symlink(tree, path, "/dev/null", SETTINGS_ORIGIN, err);
}

int settings_units(const struct settings_input *input, struct tree *tree, struct err *err)
{
	const struct profile *p = input->profile;

	for (size_t i = 0; i < p->services.disable.count; i++)
		if (disable(tree, p->services.disable.items[i], err) < 0)
			return err_wrap(err, "services.disable");
	for (size_t i = 0; i < p->services.enable.count; i++)
		if (settings_unit_enable(tree, p->services.enable.items[i], err) < 0)
			return err_wrap(err, "services.enable");
	for (size_t i = 0; i < p->services.mask.count; i++)
		if (mask(tree, p->services.mask.items[i], err) < 0)
			return err_wrap(err, "services.mask");
	return 0;
}
