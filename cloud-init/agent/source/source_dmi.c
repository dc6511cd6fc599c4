/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the firmware says about the machine (SMBIOS by way of /sys/class/dmi/id), and the "ds=" option that its serial
 * number or the kernel's command line may hold.
 */
#include "agent/source/source_parts.h"

#include "base/mem.h"

#include <ctype.h>
#include <string.h>

#define DMI "/sys/class/dmi/id/"

/* cloud-init's names and the kernel's. */
static const struct {
	const char *name, *field;
} dmi_names[] = {
	{"baseboard-asset-tag", "board_asset_tag"},
	{"baseboard-manufacturer", "board_vendor"},
	{"baseboard-product-name", "board_name"},
	{"baseboard-serial-number", "board_serial"},
	{"baseboard-version", "board_version"},
	{"bios-release-date", "bios_date"},
	{"bios-vendor", "bios_vendor"},
	{"bios-version", "bios_version"},
	{"chassis-asset-tag", "chassis_asset_tag"},
	{"chassis-manufacturer", "chassis_vendor"},
	{"chassis-serial-number", "chassis_serial"},
	{"chassis-version", "chassis_version"},
	{"system-manufacturer", "sys_vendor"},
	{"system-product-name", "product_name"},
	{"system-serial-number", "product_serial"},
	{"system-uuid", "product_uuid"},
	{"system-version", "product_version"},
};

char *source_dmi(const struct agent *agent, const char *field)
{
	CLEANUP_FREE char *path = mem_printf(DMI "%s", field);
	CLEANUP_FREE char *line = agent_read_line(agent, path);
	const char *text = line;
	size_t len;

	if (!line)
		return NULL;
	text += strspn(text, " \t");
	len = strlen(text);
	while (len && isspace((unsigned char)text[len - 1]))
		len--;
	return len ? mem_strndup(text, len) : NULL;
}

bool source_dmi_is(const struct agent *agent, const char *field, const char *text)
{
	CLEANUP_FREE char *value = source_dmi(agent, field);

	return value && strcmp(value, text) == 0;
}

/* The value of a DMI name of len bytes; NULL with err. */
static char *dmi_value(const struct agent *agent, const char *name, size_t len, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(dmi_names); i++) {
		char *value;

		if (strlen(dmi_names[i].name) != len || memcmp(name, dmi_names[i].name, len) != 0)
			continue;
		value = source_dmi(agent, dmi_names[i].field);
		if (!value)
			err_set(err, ERR_OTHER, "the firmware of this machine has no %s",
				dmi_names[i].name);
		return value;
	}
	err_set(err, ERR_OTHER, "'__dmi.%.*s__' is no name of a DMI field",
		len > 64 ? 64 : (int)len, name);
	return NULL;
}

char *source_expand_dmi(const struct agent *agent, const char *url, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};
	const char *start;

	while ((start = strstr(url, "__dmi."))) {
		const char *name = start + 6, *end = strstr(name, "__");
		CLEANUP_FREE char *value = NULL;

		if (!end)
			break;
		value = dmi_value(agent, name, (size_t)(end - name), err);
		if (!value)
			return NULL;
		str_add_bytes(&text, url, (size_t)(start - url));
		for (const char *p = value; *p; p++) {
			if (isascii((unsigned char)*p) &&
			    (isalnum((unsigned char)*p) || strchr("-._~", *p)))
				str_add_bytes(&text, p, 1);
			else
				str_addf(&text, "%%%02X", (unsigned)(unsigned char)*p);
		}
		url = end + 2;
	}
	str_add(&text, url);
	return str_steal(&text);
}

/* Takes one KEY=VALUE of the option. */
static void take_pair(struct source_option *option, const char *pair, size_t len)
{
	const struct {
		const char *name;
		char **to;
	} keys[] = {
		{"s=", &option->seed},     {"seedfrom=", &option->seed},
		{"i=", &option->id},       {"instance-id=", &option->id},
		{"h=", &option->hostname}, {"local-hostname=", &option->hostname},
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		size_t key = strlen(keys[i].name);

		/* Of a key that is there twice the first value counts. */
		if (len > key && memcmp(pair, keys[i].name, key) == 0 && !*keys[i].to)
			*keys[i].to = source_word(pair + key, len - key);
	}
}

static void take_word(struct source_option *option, const char *word, size_t len)
{
	size_t name = strcspn(word, ";");

	name = name < len ? name : len;
	option->name = mem_strndup(word, name);
	for (char *p = option->name; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	while (name < len) {
		const char *pair = word + name + 1;
		size_t left = len - name - 1, size = strcspn(pair, ";");

		size = size < left ? size : left;
		take_pair(option, pair, size);
		name += 1 + size;
	}
}

bool source_option_parse(const char *text, struct source_option *ret)
{
	*ret = (struct source_option){0};
	for (const char *p = text; *p;) {
		size_t len;

		/* The kernel's way: a quote may open before the word or behind the "=". */
		p += strspn(p, " \t\n\"");
		len = strcspn(p, " \t\n\"");
		if (len > 3 && memcmp(p, "ds=", 3) == 0) {
			source_option_free(ret); /* the last one counts */
			take_word(ret, p + 3, len - 3);
		} else if (len == 3 && memcmp(p, "ds=", 3) == 0 && p[3] == '"') {
			len = strcspn(p + 4, "\"\n");
			source_option_free(ret);
			take_word(ret, p + 4, len);
			len += 4;
		}
		p += len;
	}
	return ret->name != NULL;
}

bool source_option_find(const struct agent *agent, struct source_option *ret)
{
	CLEANUP_FREE char *line = agent_read_line(agent, "/proc/cmdline");
	CLEANUP_FREE char *serial = source_dmi(agent, "product_serial");

	*ret = (struct source_option){0};
	if (line && source_option_parse(line, ret))
		return true;
	return serial && source_option_parse(serial, ret);
}

void source_option_free(struct source_option *option)
{
	free(option->name);
	free(option->seed);
	free(option->id);
	free(option->hostname);
	option->name = option->seed = option->id = option->hostname = NULL;
}
