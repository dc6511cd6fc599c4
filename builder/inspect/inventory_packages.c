/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packages in the database of dpkg, what a system calls itself, and the sizes of its tree. Unlike
 * layers/dpkg.h this takes any database: packages half installed are told, not refused.
 */
#include "inspect/inventory_parts.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* The fields of one paragraph; borrowed from the text. */
struct field {
	const char *name, *value;
	size_t len;
};

enum { PACKAGE, STATUS, VERSION, ARCHITECTURE, FIELDS };

static void take_field(struct field fields[FIELDS], const char *line, size_t len)
{
	for (size_t i = 0; i < FIELDS; i++) {
		size_t name = strlen(fields[i].name);

		if (len <= name || strncasecmp(line, fields[i].name, name) != 0)
			continue;
		while (name < len && strchr(" \t", line[name]))
			name++;
		while (len > name && strchr(" \t\r", line[len - 1]))
			len--;
		fields[i].value = line + name;
		fields[i].len = len - name;
	}
}

static json_t *field_json(const struct field *field)
{
	return inventory_string_n(field->value ? field->value : "", field->len);
}

/* True for what is on the disk: neither removed nor only its configuration left. */
static bool is_there(const char *status)
{
	return !str_has_suffix(status, " not-installed") &&
	       !str_has_suffix(status, " config-files");
}

/* A package of another architecture than the system's is called NAME:ARCHITECTURE. */
static int add_package(struct inventory *inv, const struct field fields[FIELDS], char **native,
		       struct err *err)
{
	CLEANUP_JSON json_t *name = field_json(&fields[PACKAGE]);
	CLEANUP_JSON json_t *status = field_json(&fields[STATUS]);
	CLEANUP_JSON json_t *architecture = field_json(&fields[ARCHITECTURE]);
	const char *arch = json_string_value(architecture), *state = json_string_value(status);
	bool foreign = *native && strcmp(arch, *native) != 0 && strcmp(arch, "all") != 0;
	CLEANUP_FREE char *key = mem_printf("%s%s%s", json_string_value(name), foreign ? ":" : "",
					    foreign ? arch : "");
	json_t *row;

	if (!fields[PACKAGE].len || !is_there(state))
		return 0;
	row = json_object();
	json_object_set_new(row, "version", field_json(&fields[VERSION]));
	json_object_set(row, "architecture", architecture);
	if (!str_has_suffix(state, " ok installed"))
		json_object_set(row, "status", status);
	return inventory_set(inv, "packages", key, row, err);
}

/* The architecture of the system is that of its dpkg. */
static int find_native(struct inventory *inv, const struct field fields[FIELDS], char **native,
		       struct err *err)
{
	(void)inv;
	(void)err;
	if (!*native && fields[PACKAGE].len == 4 && memcmp(fields[PACKAGE].value, "dpkg", 4) == 0 &&
	    fields[ARCHITECTURE].len)
		*native = mem_strndup(fields[ARCHITECTURE].value, fields[ARCHITECTURE].len);
	return 0;
}

/* Calls visit for each paragraph. */
static int parse(struct inventory *inv, const char *text, char **native,
		 int (*visit)(struct inventory *inv, const struct field fields[FIELDS],
			      char **native, struct err *err),
		 struct err *err)
{
	static const struct field none[FIELDS] = {[PACKAGE] = {.name = "Package:"},
						  [STATUS] = {.name = "Status:"},
						  [VERSION] = {.name = "Version:"},
						  [ARCHITECTURE] = {.name = "Architecture:"}};
	struct field fields[FIELDS];
	const char *line;
	size_t len;

	memcpy(fields, none, sizeof(none));
	do {
		len = 0;
		line = inventory_line(&text, &len);
		if (len) {
			take_field(fields, line, len);
			continue;
		}
		if (visit(inv, fields, native, err) < 0)
			return -1;
		memcpy(fields, none, sizeof(none));
	} while (line);
	return 0;
}

int inventory_add_packages(struct inventory *inv, struct err *err)
{
	const struct inventory_text *status = inventory_text(inv, "/var/lib/dpkg/status");
	CLEANUP_FREE char *native = NULL;

	if (!status)
		status = inventory_text(inv, "/usr/lib/sysimage/dpkg/status");
	if (!status)
		return 0;
	inventory_category(inv, "packages");
	if (parse(inv, status->text, &native, find_native, err) < 0)
		return -1;
	if (native &&
	    inventory_set(inv, "image", "architecture", inventory_string(native), err) < 0)
		return -1;
	return parse(inv, status->text, &native, add_package, err);
}

/* KEY=value of os-release(5), quotes taken off. */
static json_t *release_value(const char *line, size_t len)
{
	CLEANUP(str_free) struct str value = {0};

	str_add(&value, "");
	for (size_t i = 0; i < len; i++) {
		if (line[i] == '"' || line[i] == '\'')
			continue;
		if (line[i] == '\\' && i + 1 < len)
			i++;
		str_add_bytes(&value, line + i, 1);
	}
	return inventory_string(value.data);
}

static int add_release(struct inventory *inv, struct err *err)
{
	static const struct {
		const char *key, *name;
	} keys[] = {
		{"IMAGE_ID=", "name"}, {"IMAGE_VERSION=", "version"}, {"PRETTY_NAME=", "system"}};
	const struct inventory_text *release = inventory_text(inv, "/etc/os-release");
	const char *at, *line;
	size_t len;

	if (!release)
		release = inventory_text(inv, "/usr/lib/os-release");
	at = release ? release->text : "";
	while ((line = inventory_line(&at, &len))) {
		for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
			size_t n = strlen(keys[i].key);

			if (len >= n && strncmp(line, keys[i].key, n) == 0 &&
			    inventory_set(inv, "image", keys[i].name,
					  release_value(line + n, len - n), err) < 0)
				return -1;
		}
	}
	return 0;
}

int inventory_add_system(struct inventory *inv, struct err *err)
{
	uint64_t content = 0;

	for (size_t i = 0; i < inv->count; i++)
		if (S_ISREG(inv->files[i].mode) && inv->files[i].path[0] == '/')
			content += inv->files[i].size;
	if (inventory_set(inv, "sizes", "content", json_integer((json_int_t)content), err) < 0)
		return -1;
	return add_release(inv, err);
}
