/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collecting the entries of a tree and looking things up in them. Whatever the entries are read from ends
 * here, so that a foreign disk is compared by the same rules as an image of ours.
 */
#include "inspect/inventory_parts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LINKS_MAX 40
#define PATH_BYTES 8192

struct inventory *inventory_begin(const char *name, const char *kind)
{
	struct inventory *inv = mem_alloc(sizeof(*inv));

	inv->name = mem_strdup(name);
	inv->kind = kind;
	inv->facts = json_object();
	inv->arena = mem_arena_new();
	inv->texts_arena = mem_arena_new();
	return inv;
}

static void drop_texts(struct inventory *inv)
{
	mem_arena_free(inv->texts_arena);
	free(inv->texts);
	inv->texts_arena = NULL;
	inv->texts = NULL;
	inv->text_count = inv->text_room = 0;
}

void inventory_free(struct inventory *inv)
{
	if (!inv)
		return;
	squashread_close(inv->tree);
	image_close(&inv->image);
	drop_texts(inv);
	mem_arena_free(inv->arena);
	free(inv->files);
	free(inv->cmdline);
	free(inv->name);
	json_decref(inv->facts);
	free(inv);
}

static int take_room(struct inventory *inv, size_t bytes, struct err *err)
{
	if (bytes > INVENTORY_BYTES_MAX - inv->bytes)
		return err_set(err, ERR_OTHER,
			       "cannot read '%s': it has more files than fit in %zu MiB", inv->name,
			       INVENTORY_BYTES_MAX >> 20);
	inv->bytes += bytes;
	return 0;
}

int inventory_add(struct inventory *inv, const struct inventory_file *file, struct err *err)
{
	struct inventory_file copy = *file;
	size_t bytes = sizeof(copy) + strlen(file->path) + 1;

	bytes += file->target ? strlen(file->target) + 1 : 0;
	bytes += file->xattrs ? strlen(file->xattrs) + 1 : 0;
	bytes += S_ISREG(file->mode) ? sizeof(*file->digest) : 0;
	if (take_room(inv, bytes, err) < 0)
		return -1;
	copy.path = mem_arena_strdup(inv->arena, file->path);
	copy.target = mem_arena_strdup(inv->arena, file->target);
	copy.xattrs = mem_arena_strdup(inv->arena, file->xattrs);
	if (file->digest) {
		struct digest *digest = mem_arena_alloc(inv->arena, sizeof(*digest));

		*digest = *file->digest;
		copy.digest = digest;
	}
	VEC_ADD(inv->files, inv->count, inv->room, copy);
	inv->has_files = true;
	return 0;
}

int inventory_add_text(struct inventory *inv, const char *path, const char *text, size_t len,
		       struct err *err)
{
	struct inventory_text item = {.len = len};
	char *copy;

	if (take_room(inv, sizeof(item) + strlen(path) + len + 2, err) < 0)
		return -1;
	item.path = mem_arena_strdup(inv->texts_arena, path);
	item.text = copy = mem_arena_strndup(inv->texts_arena, text, len);
	for (char *nul = copy; (nul = memchr(nul, 0, len - (size_t)(nul - copy)));)
		*nul = '?';
	VEC_ADD(inv->texts, inv->text_count, inv->text_room, item);
	return 0;
}

json_t *inventory_category(struct inventory *inv, const char *category)
{
	json_t *object = json_object_get(inv->facts, category);

	if (!object) {
		object = json_object();
		json_object_set_new(inv->facts, category, object);
	}
	return object;
}

int inventory_set(struct inventory *inv, const char *category, const char *name, json_t *value,
		  struct err *err)
{
	json_t *object = inventory_category(inv, category), *key = inventory_string(name);
	int result = 0;

	if (json_object_size(object) >= INVENTORY_ROWS_MAX) {
		result = err_set(err, ERR_OTHER, "cannot read '%s': more than %zu %s", inv->name,
				 INVENTORY_ROWS_MAX, category);
		json_decref(value);
	} else {
		json_object_set_new(object, json_string_value(key), value);
	}
	json_decref(key);
	return result;
}

static int compare_files(const void *a, const void *b)
{
	return strcmp(((const struct inventory_file *)a)->path,
		      ((const struct inventory_file *)b)->path);
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(((const struct inventory_text *)a)->path,
		      ((const struct inventory_text *)b)->path);
}

static int sort(struct inventory *inv, struct err *err)
{
	if (inv->count)
		qsort(inv->files, inv->count, sizeof(*inv->files), compare_files);
	if (inv->text_count)
		qsort(inv->texts, inv->text_count, sizeof(*inv->texts), compare_texts);
	inv->sorted = true;
	for (size_t i = 1; i < inv->count; i++)
		if (strcmp(inv->files[i - 1].path, inv->files[i].path) == 0)
			return err_set(err, ERR_VERIFY,
				       "cannot read '%s': it has two files with the name '%s'",
				       inv->name, inv->files[i].path);
	return 0;
}

int inventory_finish(struct inventory *inv, struct err *err)
{
	static int (*const parts[])(struct inventory *, struct err *) = {
		inventory_add_system, inventory_add_packages,   inventory_add_users,
		inventory_add_units,  inventory_add_sysctl,     inventory_add_ports,
		inventory_add_setuid, inventory_add_containers,
	};

	if (sort(inv, err) < 0)
		return -1;
	for (size_t i = 0; inv->has_files && i < ARRAY_SIZE(parts); i++)
		if (parts[i](inv, err) < 0)
			return -1;
	drop_texts(inv);
	return 0;
}

const char *inventory_name(const struct inventory *inv)
{
	return inv->name;
}

const char *inventory_kind(const struct inventory *inv)
{
	return inv->kind;
}

const json_t *inventory_facts(const struct inventory *inv)
{
	return inv->facts;
}

const char *inventory_cmdline(const struct inventory *inv)
{
	return inv->cmdline;
}

bool inventory_files(const struct inventory *inv, const struct inventory_file **ret,
		     size_t *ret_count)
{
	*ret = inv->files;
	*ret_count = inv->count;
	return inv->has_files;
}

const struct inventory_file *inventory_find(const struct inventory *inv, const char *path)
{
	const struct inventory_file key = {.path = path};

	return inv->count ? bsearch(&key, inv->files, inv->count, sizeof(key), compare_files)
			  : NULL;
}

/* A path on its way: where it is, and what is left of it. */
struct route {
	char here[PATH_BYTES], left[PATH_BYTES];
};

/* Takes the first name off what is left and goes there. False when that is no more a path. */
static bool step(struct route *route)
{
	char *from = route->left + strspn(route->left, "/");
	size_t len = strcspn(from, "/"), at = strlen(route->here);

	if (len == 2 && memcmp(from, "..", 2) == 0) {
		char *slash = strrchr(route->here, '/');

		if (slash)
			*slash = 0;
	} else if (len != 1 || *from != '.') {
		if (at + len + 2 > sizeof(route->here))
			return false;
		route->here[at] = '/';
		memcpy(route->here + at + 1, from, len);
		route->here[at + 1 + len] = 0;
	}
	memmove(route->left, from + len, strlen(from + len) + 1);
	return true;
}

/* Puts the target of the link that is here before what is left. */
static bool follow(struct route *route, const char *target)
{
	size_t len = strlen(target), rest = strlen(route->left);

	if (len == 0 || len + rest + 2 > sizeof(route->left))
		return false;
	memmove(route->left + len + 1, route->left, rest + 1);
	memcpy(route->left, target, len);
	route->left[len] = '/';
	*(target[0] == '/' ? route->here : strrchr(route->here, '/')) = 0;
	return true;
}

const struct inventory_file *inventory_resolve(const struct inventory *inv, const char *path)
{
	CLEANUP_FREE struct route *route = mem_alloc(sizeof(*route));
	const struct inventory_file *file = inventory_find(inv, "/");
	size_t links = 0;

	if (strlen(path) >= sizeof(route->left))
		return NULL;
	strcpy(route->left, path);
	while (route->left[strspn(route->left, "/")]) {
		if (!step(route))
			return NULL;
		file = inventory_find(inv, route->here[0] ? route->here : "/");
		if (!file && route->here[0])
			return NULL;
		if (file && file->target && (++links > LINKS_MAX || !follow(route, file->target)))
			return NULL;
	}
	return file && !file->target ? file : NULL;
}

const struct inventory_text *inventory_text(const struct inventory *inv, const char *path)
{
	const struct inventory_file *file = inventory_resolve(inv, path);
	struct inventory_text key = {.path = file ? file->path : NULL};

	return file && inv->text_count
		       ? bsearch(&key, inv->texts, inv->text_count, sizeof(key), compare_texts)
		       : NULL;
}

/* The place of the first entry that does not come before the path. */
static size_t lower_bound(const struct inventory *inv, const char *path)
{
	size_t low = 0, high = inv->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(inv->files[middle].path, path) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int inventory_children(const struct inventory *inv, const char *dir,
		       int (*visit)(const struct inventory_file *file, const char *name,
				    void *context, struct err *err),
		       void *context, struct err *err)
{
	const struct inventory_file *folder = inventory_resolve(inv, dir);
	CLEANUP_FREE char *prefix = NULL;
	size_t len;

	if (!folder)
		return 0;
	prefix = mem_printf("%s/", strcmp(folder->path, "/") == 0 ? "" : folder->path);
	len = strlen(prefix);
	for (size_t i = lower_bound(inv, prefix); i < inv->count; i++) {
		const struct inventory_file *file = &inv->files[i];

		if (strncmp(file->path, prefix, len) != 0)
			break;
		if (file->path[len] && !strchr(file->path + len, '/') &&
		    visit(file, file->path + len, context, err) < 0)
			return -1;
	}
	return 0;
}
