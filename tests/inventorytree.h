/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of inspect/inventory and inspect/diff share: small systems in a few words, as inventories
 * and as squashfs files.
 */
#ifndef TESTS_INVENTORYTREE_H
#define TESTS_INVENTORYTREE_H

#include "tap.h"

#include "base/fd.h"
#include "base/mem.h"
#include "disk/squashfs.h"
#include "inspect/diff.h"

/* One entry; text is the content of a file or the target of a link. */
struct thing {
	const char *path;
	mode_t mode;
	const char *text;
	uint32_t uid, gid;
	const char *capability; /* the bytes of security.capability, hex */
};

#define FILE(path, text)                               \
	{                                              \
		path, S_IFREG | 0644, text, 0, 0, NULL \
	}
#define LINK(path, text)                               \
	{                                              \
		path, S_IFLNK | 0777, text, 0, 0, NULL \
	}
#define DIR(path)                                      \
	{                                              \
		path, S_IFDIR | 0755, NULL, 0, 0, NULL \
	}

/* Hands an entry to an inventory as a reader of foreign disks does. */
static void add_thing(struct inventory *inv, const struct thing *t)
{
	CLEANUP_FREE char *xattrs =
		t->capability ? mem_printf("security.capability=%s\n", t->capability) : NULL;
	struct inventory_file file = {
		.path = t->path, .mode = t->mode, .uid = t->uid, .gid = t->gid, .xattrs = xattrs};
	struct digest digest;
	struct err err = {0};

	if (S_ISLNK(t->mode))
		file.target = t->text;
	if (S_ISREG(t->mode)) {
		file.size = strlen(t->text);
		digest_bytes(t->text, file.size, &digest);
		file.digest = &digest;
	}
	CHECK_OK(inventory_add(inv, &file, &err), &err);
	if (S_ISREG(t->mode) && inventory_wants_text(t->path, file.size))
		CHECK_OK(inventory_add_text(inv, t->path, t->text, file.size, &err), &err);
}

static bool has_thing(const struct thing *things, size_t count, const char *path)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(things[i].path, path) == 0)
			return true;
	return false;
}

/* The last entry comes first, then the folders that entries are in, unless they are entries. */
static struct inventory *make_inventory(const struct thing *things, size_t count)
{
	struct inventory *inv = inventory_begin("test", "disk");
	CLEANUP(strv_free) struct strv folders = {0};
	struct err err = {0};

	for (size_t i = count; i-- > 0;) {
		const char *path = things[i].path;

		add_thing(inv, &things[i]);
		for (const char *slash = path; slash; slash = strchr(slash + 1, '/')) {
			CLEANUP_FREE char *folder =
				mem_printf("%.*s", (int)(slash > path ? slash - path : 1), path);

			if (!has_thing(things, count, folder) && !strv_has(&folders, folder))
				strv_add(&folders, folder);
		}
	}
	for (size_t i = 0; i < folders.count; i++)
		add_thing(inv, &(struct thing)DIR(folders.items[i]));
	CHECK_OK(inventory_finish(inv, &err), &err);
	return inv;
}

#define MAKE(...)                                           \
	make_inventory((const struct thing[]){__VA_ARGS__}, \
		       sizeof((const struct thing[]){__VA_ARGS__}) / sizeof(struct thing))

/* The value at a path of keys such as "units", "a.service", "state"; NULL ends them. */
__attribute__((sentinel, unused)) static const json_t *value_at(const json_t *value, ...)
{
	va_list keys;
	const char *key;

	va_start(keys, value);
	while ((key = va_arg(keys, const char *)))
		value = json_object_get(value, key);
	va_end(keys);
	return value;
}

/* The same as one line of JSON; static memory. */
__attribute__((unused)) static const char *line(const json_t *value)
{
	static char *last;

	free(last);
	last = value ? json_line(value) : mem_strdup("(absent)");
	return last;
}

#define FACT(inv, ...) line(value_at(inventory_facts(inv), __VA_ARGS__, (const char *)NULL))

#endif
