/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of the kernel that systemd-sysctl makes at boot, by the order and syntax of sysctl.d(5). What
 * the agent tunes to the size of a machine is not in the image.
 */
#include "inspect/inventory_parts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A file in a folder hides one with its name in those behind it. */
static const char *const folders[] = {"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d",
				      "/usr/lib/sysctl.d", "/lib/sysctl.d"};

struct conf {
	const char *name;
	const struct inventory_file *file;
};

struct confs {
	struct conf *items;
	size_t count, room, before; /* before: those of the folders in front */
};

static int take_conf(const struct inventory_file *file, const char *name, void *context,
		     struct err *err)
{
	struct confs *confs = context;
	struct conf conf = {name, file};

	(void)err;
	if (!str_has_suffix(name, ".conf") || S_ISDIR(file->mode))
		return 0;
	/* Those of one folder come sorted, so each is looked for only among those before it. */
	for (size_t i = 0; i < confs->before; i++)
		if (strcmp(confs->items[i].name, name) == 0)
			return 0;
	VEC_ADD(confs->items, confs->count, confs->room, conf);
	return 0;
}

static int compare_confs(const void *a, const void *b)
{
	return strcmp(((const struct conf *)a)->name, ((const struct conf *)b)->name);
}

/* The first separator of a key tells which of "/" and "." it uses; here always ".". */
static void use_dots(char *key)
{
	char first = key[strcspn(key, "/.")];

	for (char *p = key; first == '/' && *p; p++)
		*p = *p == '/' ? '.' : *p == '.' ? '/' : *p;
}

static void trim(const char **text, size_t *len)
{
	for (; *len && strchr(" \t\r", **text); (*text)++)
		(*len)--;
	while (*len && strchr(" \t\r", (*text)[*len - 1]))
		(*len)--;
}

static int add_setting(struct inventory *inv, const char *line, size_t len, struct err *err)
{
	CLEANUP_FREE char *key = NULL;
	const char *equals, *value;
	size_t key_len, value_len;

	trim(&line, &len);
	if (len == 0 || strchr("#;", *line))
		return 0;
	if (*line == '-') {
		line++;
		len--;
	}
	/* "-KEY" without a value keeps patterns off the key; it is no setting. */
	equals = memchr(line, '=', len);
	if (!equals)
		return 0;
	value = equals + 1;
	value_len = (size_t)(line + len - value);
	key_len = (size_t)(equals - line);
	trim(&line, &key_len);
	trim(&value, &value_len);
	key = mem_strndup(line, key_len);
	use_dots(key);
	return inventory_set(inv, "sysctl", key, inventory_string_n(value, value_len), err);
}

int inventory_add_sysctl(struct inventory *inv, struct err *err)
{
	struct confs confs = {0};
	int result = 0;

	inventory_category(inv, "sysctl");
	for (size_t i = 0; result == 0 && i < ARRAY_SIZE(folders); i++) {
		confs.before = confs.count;
		result = inventory_children(inv, folders[i], take_conf, &confs, err);
	}
	if (confs.count)
		qsort(confs.items, confs.count, sizeof(*confs.items), compare_confs);
	for (size_t i = 0; result == 0 && i < confs.count; i++) {
		const struct inventory_text *text = inventory_text(inv, confs.items[i].file->path);
		const char *at = text ? text->text : "", *line;
		size_t len;

		while (result == 0 && (line = inventory_line(&at, &len)))
			result = add_setting(inv, line, len, err);
	}
	free(confs.items);
	return result;
}
