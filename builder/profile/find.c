/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where profiles and overlays are looked up, and which names there are near to one that was not
 * found.
 */
#include "profile/load.h"

#include "base/path.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#define FOLDERS_MAX 32 /* tried for one name */
#define NAMES_MAX 1000 /* looked at for a suggestion */

struct folders {
	const char *items[FOLDERS_MAX];
	size_t count;
};

const char *profile_folder(struct mem_arena *arena, const char *file)
{
	const char *slash = strrchr(file, '/');

	if (!slash)
		return "";
	return slash == file ? "/" : mem_arena_strndup(arena, file, (size_t)(slash - file));
}

static const char *join(struct mem_arena *arena, const char *folder, const char *name)
{
	CLEANUP_FREE char *path = path_join(folder, name);

	return mem_arena_strdup(arena, path);
}

static void add(const struct profile_loader *loader, struct folders *list, const char *folder,
		const char *sub)
{
	if (list->count < FOLDERS_MAX)
		list->items[list->count++] = sub ? join(loader->arena, folder, sub) : folder;
}

static void add_overlay_folders(const struct profile_loader *loader, struct folders *list,
				const char *folder)
{
	add(loader, list, folder, "../overlays");
	add(loader, list, folder, "overlays");
}

/* The folders in which a name is looked up, in order. */
static struct folders folders_for(const struct profile_loader *loader, const char *folder,
				  bool overlay)
{
	const char *const *search = loader->options ? loader->options->search : NULL;
	struct folders list = {0};

	if (folder && overlay)
		add_overlay_folders(loader, &list, folder);
	if (folder)
		add(loader, &list, folder, NULL);
	for (; search && *search; search++) {
		if (overlay)
			add_overlay_folders(loader, &list, *search);
		else
			add(loader, &list, *search, NULL);
	}
	return list;
}

bool profile_is_path(const char *name)
{
	return strchr(name, '/') || str_has_suffix(name, ".yaml") || str_has_suffix(name, ".yml");
}

static bool is_path(const char *name, bool overlay)
{
	return overlay ? strchr(name, '/') != NULL : profile_is_path(name);
}

static bool exists(const char *path, bool folder)
{
	struct stat st;

	return stat(path, &st) == 0 && (!folder || S_ISDIR(st.st_mode));
}

static const char *find(const struct profile_loader *loader, const char *folder, const char *name,
			bool overlay)
{
	struct folders list = folders_for(loader, folder, overlay);
	const char *path;

	if (is_path(name, overlay)) {
		path = join(loader->arena, folder ? folder : "", name);
		return exists(path, overlay) ? path : NULL;
	}
	if (!path_is_clean(name))
		return NULL;
	for (size_t i = 0; i < list.count; i++) {
		path = join(loader->arena, list.items[i],
			    overlay ? name : mem_arena_printf(loader->arena, "%s.yaml", name));
		if (exists(path, overlay))
			return path;
	}
	return NULL;
}

const char *profile_find_file(const struct profile_loader *loader, const char *folder,
			      const char *name)
{
	return find(loader, folder, name, false);
}

const char *profile_find_overlay(const struct profile_loader *loader, const char *folder,
				 const char *name)
{
	return find(loader, folder, name, true);
}

/* Adds the names of profiles (or folders) in a folder to names. A folder that cannot be read has
 * none: this is only for a suggestion. */
static void list_names(const char *folder, bool overlay, struct strv *names)
{
	DIR *dir = opendir(*folder ? folder : ".");
	const struct dirent *entry;

	while (dir && names->count < NAMES_MAX && (entry = readdir(dir))) {
		const char *name = entry->d_name;

		if (name[0] == '.')
			continue;
		if (overlay) {
			CLEANUP_FREE char *path = path_join(folder, name);

			if (exists(path, true))
				strv_add(names, name);
		} else if (str_has_suffix(name, ".yaml")) {
			strv_addf(names, "%.*s", (int)strlen(name) - 5, name);
		}
	}
	if (dir)
		closedir(dir);
}

const char *profile_find_nearest(const struct profile_loader *loader, const char *folder,
				 const char *name, bool overlay)
{
	struct folders list = folders_for(loader, folder, overlay);
	CLEANUP(strv_free) struct strv names = {0};

	if (is_path(name, overlay))
		return NULL;
	for (size_t i = 0; i < list.count; i++)
		list_names(list.items[i], overlay, &names);
	/* The order of a folder is that of its file system. */
	strv_sort(&names);
	return mem_arena_strdup(loader->arena,
				str_nearest(name, (const char *const *)names.items, names.count));
}
