/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One unit of a tree (systemd.unit(5)): its file, its drop-ins, their settings.
 */
#include "layers/imageuse_unit.h"

#include "base/mem.h"
#include "base/path.h"
#include "layers/imageuse_parts.h"

#include <string.h>

const char *const imageuse_unit_folders[] = {"/etc/systemd/system", "/usr/local/lib/systemd/system",
					     "/usr/lib/systemd/system", NULL};

void imageuse_unit_free(struct imageuse_unit *unit)
{
	for (size_t i = 0; i < unit->count; i++) {
		free(unit->settings[i].section);
		free(unit->settings[i].key);
		free(unit->settings[i].value);
	}
	free(unit->settings);
	strv_free(&unit->files);
}

/* The next line that is no comment, with those that "\" continues it by; NULL at the end. */
static char *next_line(char **at, uint32_t *line, uint32_t *ret_line)
{
	struct str out = {0};
	bool more = false;

	while (**at) {
		size_t len = strcspn(*at, "\n");
		char *text = *at;

		*at += len + (text[len] == '\n');
		++*line;
		if (len && text[len - 1] == '\r')
			len--;
		if (text[strspn(text, " \t")] == '#' || text[strspn(text, " \t")] == ';')
			continue;
		if (!more)
			*ret_line = *line;
		more = len && text[len - 1] == '\\';
		str_add_bytes(&out, text, more ? len - 1 : len);
		if (more)
			str_add(&out, " ");
		else
			return str_steal(&out);
	}
	return out.data ? str_steal(&out) : NULL;
}

static char *trimmed(const char *text, size_t len)
{
	while (len && strchr(" \t", text[0])) {
		text++;
		len--;
	}
	while (len && strchr(" \t", text[len - 1]))
		len--;
	return mem_strndup(text, len);
}

static void parse(struct imageuse_unit *unit, char *text, const char *file)
{
	CLEANUP_FREE char *section = mem_strdup("");
	uint32_t line = 0, first = 0;
	char *whole;

	strv_add(&unit->files, file);
	file = unit->files.items[unit->files.count - 1];
	while ((whole = next_line(&text, &line, &first))) {
		size_t start = strspn(whole, " \t"), len = strcspn(whole, "=");

		if (whole[start] == '[') {
			free(section);
			section = mem_strndup(whole + start + 1, strcspn(whole + start + 1, "]"));
		} else if (whole[len] == '=') {
			struct imageuse_setting setting = {
				mem_strdup(section), trimmed(whole, len),
				trimmed(whole + len + 1, strlen(whole + len + 1)), file, first};

			VEC_ADD(unit->settings, unit->count, unit->room, setting);
		}
		free(whole);
	}
}

bool imageuse_unit_file(const struct tree *tree, const char *path, struct imageuse_unit *unit)
{
	const char *why;
	CLEANUP_FREE char *text = imageuse_read(tree, path, &why);

	if (text)
		parse(unit, text, path);
	return text != NULL;
}

/* "app@1.service" is made from "app@.service". NULL for a unit without an instance; caller frees. */
static char *template_of(const char *name)
{
	const char *at = strchr(name, '@'), *dot = strrchr(name, '.');

	return at && dot && dot > at + 1 ? mem_printf("%.*s@%s", (int)(at - name), name, dot)
					 : NULL;
}

/* The file of a name in the first folder that has it; a link to /dev/null there masks it. */
static bool load_named(const struct tree *tree, const char *name, struct imageuse_unit *unit)
{
	for (size_t i = 0; imageuse_unit_folders[i]; i++) {
		CLEANUP_FREE char *path = path_join(imageuse_unit_folders[i], name);

		if (tree_find(tree, path))
			return imageuse_unit_file(tree, path, unit);
	}
	return false;
}

/* The file names of NAME.d in all folders; a file in an earlier folder hides one of the same name. */
static void load_drop_ins(const struct tree *tree, const char *name, struct imageuse_unit *unit)
{
	CLEANUP(strv_free) struct strv names = {0};

	for (size_t i = 0; imageuse_unit_folders[i]; i++) {
		CLEANUP_FREE char *path = mem_printf("%s/%s.d", imageuse_unit_folders[i], name);
		const struct tree_node *dir = tree_resolve(tree, path);

		for (size_t k = 0; dir && k < dir->child_count; k++)
			if (str_has_suffix(dir->children[k]->name, ".conf") &&
			    !strv_has(&names, dir->children[k]->name))
				strv_add(&names, dir->children[k]->name);
	}
	strv_sort(&names);
	for (size_t i = 0; i < names.count; i++) {
		for (size_t k = 0; imageuse_unit_folders[k]; k++) {
			CLEANUP_FREE char *path = mem_printf("%s/%s.d/%s", imageuse_unit_folders[k],
							     name, names.items[i]);

			if (!tree_find(tree, path))
				continue;
			imageuse_unit_file(tree, path, unit);
			break;
		}
	}
}

bool imageuse_unit_load(const struct tree *tree, const char *name, struct imageuse_unit *unit)
{
	CLEANUP_FREE char *template = template_of(name);

	*unit = (struct imageuse_unit){.name = name};
	if (strchr(name, '/') || !strchr(name, '.') ||
	    (!load_named(tree, name, unit) && !(template && load_named(tree, template, unit))))
		return false;
	if (template)
		load_drop_ins(tree, template, unit);
	load_drop_ins(tree, name, unit);
	return true;
}
