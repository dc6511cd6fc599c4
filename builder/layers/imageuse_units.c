/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Enabled units and quadlets (systemd.unit(5), systemd.preset(5), podman-systemd.unit(5)): which there are, and
 * their commands.
 */
#include "layers/imageuse_parts.h"
#include "layers/imageuse_unit.h"

#include "base/mem.h"
#include "base/path.h"

#include <fnmatch.h>
#include <string.h>

#define PRESET_FILES_MAX 256

static const char *const preset_folders[] = {"/etc/systemd/system-preset",
					     "/usr/lib/systemd/system-preset"};
static const char *const quadlet_folders[] = {"/etc/containers/systemd",
					      "/usr/share/containers/systemd"};

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
	for (size_t i = 0; imageuse_unit_folders[i]; i++) {
		const struct tree_node *folder = tree_resolve(tree, imageuse_unit_folders[i]);

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

static bool has_install(const struct imageuse_unit *unit)
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
	for (size_t i = 0; imageuse_unit_folders[i]; i++) {
		const struct tree_node *dir = tree_resolve(tree, imageuse_unit_folders[i]);

		for (size_t k = 0; dir && k < dir->child_count; k++) {
			CLEANUP(imageuse_unit_free) struct imageuse_unit unit = {0};

			if (preset_enables(&rules, dir->children[k]->name) &&
			    imageuse_unit_load(tree, dir->children[k]->name, &unit) &&
			    has_install(&unit))
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

static void enable_needed(struct strv *enabled, const struct imageuse_unit *unit)
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

static const char *last_value(const struct imageuse_unit *unit, const char *key)
{
	for (size_t i = unit->count; i-- > 0;)
		if (strcmp(unit->settings[i].key, key) == 0)
			return unit->settings[i].value;
	return NULL;
}

static void load_variables(const struct tree *tree, const struct imageuse_unit *unit,
			   struct strv *variables)
{
	for (size_t i = 0; i < unit->count; i++) {
		const struct imageuse_setting *s = &unit->settings[i];
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
static bool is_reset(const struct imageuse_unit *unit, size_t index)
{
	for (size_t i = index + 1; i < unit->count; i++)
		if (strcmp(unit->settings[i].key, unit->settings[index].key) == 0 &&
		    !unit->settings[i].value[0])
			return true;
	return false;
}

static void look_at_commands(struct imageuse_finder *f, const struct imageuse_unit *unit)
{
	CLEANUP(strv_free) struct strv variables = {0};
	const char *directory = last_value(unit, "WorkingDirectory");
	CLEANUP_FREE char *folder = imageuse_specifiers(
		directory && *directory ? directory + (directory[0] == '-') : "/", unit->name);

	load_variables(f->tree, unit, &variables);
	for (size_t i = 0; i < unit->count; i++) {
		const struct imageuse_setting *s = &unit->settings[i];
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
static void add_quadlet_image(struct imageuse_finder *f, const struct imageuse_unit *unit,
			      const char *folder, const struct imageuse_setting *s)
{
	struct imageuse_site site = {.file = s->file, .line = s->line, .engine = "podman"};
	CLEANUP_FREE char *image = imageuse_specifiers(s->value, unit->name);
	CLEANUP_FREE char *path = path_join(folder, image);
	CLEANUP(imageuse_unit_free) struct imageuse_unit other = {.name = image};
	const char *value;

	if (str_has_suffix(image, ".build"))
		return;
	if (!str_has_suffix(image, ".image")) {
		imageuse_add(f, &site, image);
	} else if (imageuse_unit_file(f->tree, path, &other) &&
		   (value = last_value(&other, "Image"))) {
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
	CLEANUP(imageuse_unit_free) struct imageuse_unit unit = {.name = service};

	if (!imageuse_unit_file(f->tree, path, &unit) ||
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
		CLEANUP(imageuse_unit_free) struct imageuse_unit unit = {0};
		CLEANUP_FREE char *name = mem_strdup(enabled.items[i]);

		if (!imageuse_unit_load(f->tree, name, &unit))
			continue;
		enable_needed(&enabled, &unit);
		look_at_commands(f, &unit);
	}
	look_at_quadlets(f, &enabled);
}
