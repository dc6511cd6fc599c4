/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `ingot-agent query`: what the metadata source said about this machine, from what this boot noted. Everybody may ask
 * but for user-data, vendor-data and network-config, which are root's.
 */
#include "agent/source/instance.h"
#include "agent/verbs.h"

#include "base/base64.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* In the order in which they are shown. */
static const char *const keys[] = {"source", "id",   "hostname",   "zone",   "region",  "address",
				   "kind",   "tags", "first_boot", "cached", "ssh_keys"};

static const struct {
	const char *key;
	size_t offset;
} secret_keys[] = {
	{"user_data", offsetof(struct instance, user_data)},
	{"vendor_data", offsetof(struct instance, vendor_data)},
	{"network_config", offsetof(struct instance, network_config)},
};

static int refuse_key(const char *key, struct err *err)
{
	const char *names[ARRAY_SIZE(keys) + ARRAY_SIZE(secret_keys)];
	CLEANUP(str_free) struct str list = {0};
	const char *near;
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		names[count++] = keys[i];
	for (size_t i = 0; i < ARRAY_SIZE(secret_keys); i++)
		names[count++] = secret_keys[i].key;
	for (size_t i = 0; i < count; i++)
		str_addf(&list, "%s%s", i ? ", " : "", names[i]);
	near = str_nearest(key, names, count);
	err_set(err, ERR_USAGE, "unknown key '%s'", key);
	return near ? err_hint(err, "did you mean '%s'?", near)
		    : err_hint(err, "there are %s", list.data);
}

/* The value as lines of text, without quotes. */
static void print_value(const json_t *value, const char *before)
{
	const json_t *item;
	size_t i;

	switch (json_typeof(value)) {
	case JSON_ARRAY:
		json_array_foreach(value, i, item) print_value(item, before);
		break;
	case JSON_STRING:
		printf("%s%s\n", before, json_string_value(value));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		printf("%s%s\n", before, json_is_true(value) ? "yes" : "no");
		break;
	default:
		break;
	}
}

static void print_all(const json_t *live)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const json_t *value = json_object_get(live, keys[i]);
		char before[32];

		snprintf(before, sizeof(before), "%-10s  ", keys[i]);
		if (value)
			print_value(value, before);
	}
}

static int print_key(const json_t *live, const char *key, bool as_json, struct err *err)
{
	const json_t *value = json_object_get(live, key);
	bool known = false;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		known = known || strcmp(keys[i], key) == 0;
	if (!known)
		return refuse_key(key, err);
	if (!value)
		return err_set(err, ERR_OTHER, "the metadata of this machine has no %s", key);
	if (as_json)
		json_dumpf(value, stdout, AGENT_JSON | JSON_ENCODE_ANY);
	else
		print_value(value, "");
	if (as_json)
		putchar('\n');
	return 0;
}

/* Writes the bytes as they came, with --json as base64 in quotes. */
static int print_secret(const struct agent *agent, size_t offset, bool as_json, struct err *err)
{
	CLEANUP(instance_free) struct instance instance = {0};
	const struct str *part = (const void *)((const char *)&instance + offset);
	CLEANUP(str_wipe) struct str text = {0};
	bool found;

	if (instance_load(agent, &instance, &found, err) < 0)
		return -1;
	if (!found)
		return err_set(err, ERR_OTHER, "no metadata source has answered on this machine");
	if (as_json) {
		base64_add(part->data, part->len, &text);
		printf("\"%s\"\n", text.len ? text.data : "");
	} else if (part->len) {
		fwrite(part->data, 1, part->len, stdout);
	}
	return 0;
}

static int query(const struct agent *agent, const char *key, bool as_json, struct err *err)
{
	CLEANUP_FREE char *path = agent_path(agent, INSTANCE_LIVE);
	CLEANUP_JSON json_t *live = NULL;

	for (size_t i = 0; key && i < ARRAY_SIZE(secret_keys); i++)
		if (strcmp(key, secret_keys[i].key) == 0)
			return print_secret(agent, secret_keys[i].offset, as_json, err);
	if (access(path, F_OK) < 0 && errno == ENOENT) {
		err_set(err, ERR_OTHER, "no metadata source has answered in this boot");
		return err_hint(err, "see journalctl -u 'ingot-provision*'");
	}
	live = agent_read_json(agent, INSTANCE_LIVE, err);
	if (!live)
		return -1;
	if (key)
		return print_key(live, key, as_json, err);
	if (as_json) {
		json_dumpf(live, stdout, AGENT_JSON);
		putchar('\n');
	} else {
		print_all(live);
	}
	return 0;
}

int verb_query(const struct verb_options *options, struct err *err)
{
	const struct agent agent = {.root = options->root};
	CLEANUP_FREE char *key = mem_strdup(options->argument);

	/* user-data, user_data: who remembers which? */
	for (char *p = key; p && *p; p++)
		*p = *p == '-' ? '_' : *p;
	if (query(&agent, key, options->json, err) < 0)
		return -1;
	if (fflush(stdout) != 0 || ferror(stdout))
		return err_sys(err, errno, "cannot write the answer");
	return 0;
}
