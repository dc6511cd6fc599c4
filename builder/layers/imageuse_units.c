/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Enabled units and quadlets (systemd.unit(5), systemd.preset(5), podman-systemd.unit(5)): which there are, their
 * settings with drop-ins, their commands.
 */
#include "layers/imageuse_parts.h"

#include "base/mem.h"
#include "base/path.h"

#include <fnmatch.h>
#include <string.h>

#define PRESET_FILES_MAX 256

static const char *const folders[] = {"/etc/systemd/system", "/usr/local/lib/systemd/system",
				      "/usr/lib/systemd/system"};
static const char *const preset_folders[] = {"/etc/systemd/system-preset",
					     "/usr/lib/systemd/system-preset"};
static const char *const quadlet_folders[] = {"/etc/containers/systemd",
					      "/usr/share/containers/systemd"};

struct setting {
	char *section, *key, *value; /* value with continued lines joined */
	const char *file;            /* borrowed from struct unit */
	uint32_t line;
};

/* A unit with its drop-ins. */
struct unit {
	const char *name;
	struct strv files;
	struct setting *settings;
	size_t count, room;
};

static void unit_free(struct unit *unit)
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

static void parse(struct unit *unit, char *text, const char *file)
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
			struct setting setting = {mem_strdup(section), trimmed(whole, len),
						  trimmed(whole + len + 1, strlen(whole + len + 1)),
						  file, first};

			VEC_ADD(unit->settings, unit->count, unit->room, setting);
		}
		free(whole);
	}
}

static bool parse_file(const struct tree *tree, const char *path, struct unit *unit)
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
static bool load_named(const struct tree *tree, const char *name, struct unit *unit)
{
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		CLEANUP_FREE char *path = path_join(folders[i], name);

		if (tree_find(tree, path))
			return parse_file(tree, path, unit);
	}
	return false;
}

/* The file names of NAME.d in all folders; a file in an earlier folder hides one of the same name. */
static void load_drop_ins(const struct tree *tree, const char *name, struct unit *unit)
{
	CLEANUP(strv_free) struct strv names = {0};

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		CLEANUP_FREE char *path = mem_printf("%s/%s.d", folders[i], name);
		const struct tree_node *dir = tree_resolve(tree, path);

		for (size_t k = 0; dir && k < dir->child_count; k++)
			if (str_has_suffix(dir->children[k]->name, ".conf") &&
			    !strv_has(&names, dir->children[k]->name))
				strv_add(&names, dir->children[k]->name);
	}
	strv_sort(&names);
	for (size_t i = 0; i < names.count; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(folders); k++) {
			CLEANUP_FREE char *path =
				mem_printf("%s/%s.d/%s", folders[k], name, names.items[i]);

			if (!tree_find(tree, path))
				continue;
			parse_file(tree, path, unit);
			break;
		}
	}
}

/* False for one that is not there or masked. */
static bool unit_load(const struct tree *tree, const char *name, struct unit *unit)
{
	CLEANUP_FREE char *template = template_of(name);

	*unit = (struct unit){.name = name};
	if (strchr(name, '/') || !strchr(name, '.') ||
	    (!load_named(tree, name, unit) && !(template && load_named(tree, template, unit))))
		return false;
	if (template)
		load_drop_ins(tree, template, unit);
	load_drop_ins(tree, name, unit);
	return true;
}

/* ---- which units are enabled ---- */

static void enable(struct strv *enabled, const char *name)
{
	if (enabled->count < IMAGEUSE_UNITS_MAX && !strv_has(enabled, name))
		strv_add(enabled, name);
}

static void enable_words(struct strv *enabled, const char *value, const char *unit)
{
	CLEANUP_FREE char *text = imageuse_specifiers(value, unit);
	char *save = NULL;

	for (char *w = strtok_r(text, " \t", &save); w; w = strtok_r(NULL, " \t", &save))
		if (!strchr(w, '%'))
			enable(enabled, w);
}

static bool is_dependencies(const char *name)
{
	return str_has_suffix(name, ".wants") || str_has_suffix(name, ".requires") ||
	       str_has_suffix(name, ".upholds");
}

static void enable_linked(const struct tree *tree, struct strv *enabled)
{
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		const struct tree_node *folder = tree_resolve(tree, folders[i]);

		for (size_t k = 0; folder && k < folder->child_count; k++) {
			const struct tree_node *dir = folder->children[k];

			for (size_t n = 0; is_dependencies(dir->name) && n < dir->child_count; n++)
				enable(enabled, dir->children[n]->name);
		}
	}
}

/* Patterns of all preset files in their order: "enable PATTERN", "disable PATTERN". */
static void load_presets(const struct tree *tree, struct strv *rules)
{
	CLEANUP(strv_free) struct strv names = {0};

	for (size_t i = 0; i < ARRAY_SIZE(preset_folders); i++) {
		const struct tree_node *dir = tree_resolve(tree, preset_folders[i]);

		for (size_t k = 0; dir && k < dir->child_count; k++)
			if (str_has_suffix(dir->children[k]->name, ".preset") &&
			    !strv_has(&names, dir->children[k]->name) &&
			    names.count < PRESET_FILES_MAX)
				strv_add(&names, dir->children[k]->name);
	}
	strv_sort(&names);
	for (size_t i = 0; i < names.count; i++) {
		CLEANUP_FREE char *ours = path_join(preset_folders[0], names.items[i]);
		CLEANUP_FREE char *other = path_join(preset_folders[1], names.items[i]);
		const char *why;
		CLEANUP_FREE char *text =
			imageuse_read(tree, tree_find(tree, ours) ? ours : other, &why);
		char *save = NULL;

		for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line;
		     line = strtok_r(NULL, "\n", &save)) {
			line += strspn(line, " \t");
			if (str_has_prefix(line, "enable ") || str_has_prefix(line, "disable "))
				strv_add(rules, line);
		}
	}
}

/* Only what a rule names: what none names is for the first boot to decide, and is not there in an image that is
 * booted for the first time with links already made. */
static bool preset_enables(const struct strv *rules, const char *name)
{
	for (size_t i = 0; i < rules->count; i++) {
		const char *rule = rules->items[i];
		size_t word = strcspn(rule, " \t");
		CLEANUP_FREE char *pattern = mem_strdup(rule + word + strspn(rule + word, " \t"));

		pattern[strcspn(pattern, " \t")] = '\0';
		if (fnmatch(pattern, name, FNM_NOESCAPE) == 0)
			return rule[0] == 'e';
	}
	return false;
}

static bool has_install(const struct unit *unit)
{
	for (size_t i = 0; i < unit->count; i++)
		if (strcmp(unit->settings[i].section, "Install") == 0)
			return true;
	return false;
}

static void enable_preset(const struct tree *tree, struct strv *enabled)
{
	CLEANUP(strv_free) struct strv rules = {0};

	load_presets(tree, &rules);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		const struct tree_node *dir = tree_resolve(tree, folders[i]);

		for (size_t k = 0; dir && k < dir->child_count; k++) {
			CLEANUP(unit_free) struct unit unit = {0};

			if (preset_enables(&rules, dir->children[k]->name) &&
			    unit_load(tree, dir->children[k]->name, &unit) && has_install(&unit))
				enable(enabled, dir->children[k]->name);
		}
	}
}

/* What a timer, path or socket triggers when it does not say so. */
static void enable_triggered(struct strv *enabled, const char *name)
{
	static const char *const types[] = {".timer", ".path", ".socket"};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (str_has_suffix(name, types[i])) {
			CLEANUP_FREE char *service = mem_printf(
				"%.*s.service", (int)(strlen(name) - strlen(types[i])), name);

			enable(enabled, service);
		}
}

static void enable_needed(struct strv *enabled, const struct unit *unit)
{
	static const char *const keys[] = {"Wants",     "Requires",  "BindsTo", "Upholds",
					   "OnFailure", "OnSuccess", "Unit",    "Service"};

	for (size_t i = 0; i < unit->count; i++)
		for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
			if (strcmp(unit->settings[i].key, keys[k]) == 0)
				enable_words(enabled, unit->settings[i].value, unit->name);
	enable_triggered(enabled, unit->name);
}

/* ---- what they run ---- */

static const char *last_value(const struct unit *unit, const char *key)
{
	for (size_t i = unit->count; i-- > 0;)
		if (strcmp(unit->settings[i].key, key) == 0)
			return unit->settings[i].value;
	return NULL;
}

static void load_variables(const struct tree *tree, const struct unit *unit, struct strv *variables)
{
	for (size_t i = 0; i < unit->count; i++) {
		const struct setting *s = &unit->settings[i];
		CLEANUP_FREE char *value = imageuse_specifiers(s->value, unit->name);

		if (strcmp(s->key, "Environment") == 0) {
			CLEANUP(strv_free) struct strv words = {0};

			imageuse_words(value, false, NULL, &words);
			for (size_t k = 0; k < words.count; k++)
				if (strchr(words.items[k], '='))
					strv_add(variables, words.items[k]);
		} else if (strcmp(s->key, "EnvironmentFile") == 0) {
			const char *why;
			CLEANUP_FREE char *text =
				imageuse_read(tree, value + (value[0] == '-'), &why);

			if (text)
				imageuse_environment(text, variables);
		}
	}
}

/* An empty assignment takes back those of the same key before it. */
static bool is_reset(const struct unit *unit, size_t index)
{
	for (size_t i = index + 1; i < unit->count; i++)
		if (strcmp(unit->settings[i].key, unit->settings[index].key) == 0 &&
		    !unit->settings[i].value[0])
			return true;
	return false;
}

static void look_at_commands(struct imageuse_finder *f, const struct unit *unit)
{
	CLEANUP(strv_free) struct strv variables = {0};
	const char *directory = last_value(unit, "WorkingDirectory");
	CLEANUP_FREE char *folder = imageuse_specifiers(
		directory && *directory ? directory + (directory[0] == '-') : "/", unit->name);

	load_variables(f->tree, unit, &variables);
	for (size_t i = 0; i < unit->count; i++) {
		const struct setting *s = &unit->settings[i];
		struct imageuse_site site = {.file = s->file,
					     .line = s->line,
					     .folder = folder[0] == '/' ? folder : NULL,
					     .variables = &variables};
		CLEANUP_FREE char *command = imageuse_specifiers(s->value, unit->name);

		if (str_has_prefix(s->key, "Exec") && !is_reset(unit, i))
			imageuse_command(f, &site, command);
	}
}

/* ---- quadlets ---- */

/* "Image=name.image" is what the quadlet of that name pulls; what ".build" makes comes from nowhere else. */
static void add_quadlet_image(struct imageuse_finder *f, const struct unit *unit,
			      const char *folder, const struct setting *s)
{
	struct imageuse_site site = {.file = s->file, .line = s->line, .engine = "podman"};
	CLEANUP_FREE char *image = imageuse_specifiers(s->value, unit->name);
	CLEANUP_FREE char *path = path_join(folder, image);
	CLEANUP(unit_free) struct unit other = {.name = image};
	const char *value;

	if (str_has_suffix(image, ".build"))
		return;
	if (!str_has_suffix(image, ".image")) {
		imageuse_add(f, &site, image);
	} else if (parse_file(f->tree, path, &other) && (value = last_value(&other, "Image"))) {
		site.file = path;
		site.line = other.settings[other.count - 1].line;
		imageuse_add(f, &site, value);
	} else {
		imageuse_add_unknown(f, &site, "'%s' says no image", path);
	}
}

static void look_at_quadlet(struct imageuse_finder *f, const struct strv *enabled,
			    const char *folder, const char *name)
{
	CLEANUP_FREE char *path = path_join(folder, name);
	CLEANUP_FREE char *service =
		mem_printf("%.*s.service", (int)(strlen(name) - strlen(".container")), name);
	CLEANUP(unit_free) struct unit unit = {.name = service};

	if (!parse_file(f->tree, path, &unit) ||
	    (!last_value(&unit, "WantedBy") && !last_value(&unit, "RequiredBy") &&
	     !strv_has(enabled, service)))
		return;
	for (size_t i = 0; i < unit.count; i++)
		if (strcmp(unit.settings[i].section, "Container") == 0 &&
		    strcmp(unit.settings[i].key, "Image") == 0)
			add_quadlet_image(f, &unit, folder, &unit.settings[i]);
}

static void look_at_quadlets(struct imageuse_finder *f, const struct strv *enabled)
{
	for (size_t i = 0; i < ARRAY_SIZE(quadlet_folders); i++) {
		const struct tree_node *dir = tree_resolve(f->tree, quadlet_folders[i]);

		for (size_t k = 0; dir && k < dir->child_count; k++)
			if (str_has_suffix(dir->children[k]->name, ".container"))
				look_at_quadlet(f, enabled, quadlet_folders[i],
						dir->children[k]->name);
	}
}

void imageuse_units(struct imageuse_finder *f, const struct profile *profile)
{
	CLEANUP(strv_free) struct strv enabled = {0};

	enable_linked(f->tree, &enabled);
	for (size_t i = 0; i < profile->services.enable.count; i++)
		enable(&enabled, profile->services.enable.items[i]);
	enable_preset(f->tree, &enabled);
	/* The list grows while it is read. */
	for (size_t i = 0; i < enabled.count; i++) {
		CLEANUP(unit_free) struct unit unit = {0};
		CLEANUP_FREE char *name = mem_strdup(enabled.items[i]);

		if (!unit_load(f->tree, name, &unit))
			continue;
		enable_needed(&enabled, &unit);
		look_at_commands(f, &unit);
	}
	look_at_quadlets(f, &enabled);
}
