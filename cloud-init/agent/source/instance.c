/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instance as JSON: what is kept for the next boot (with user-data, which may hold secrets: 0600), and the
 * same without it for whoever wants to know what this machine is.
 */
#include "agent/source/instance.h"

#include "base/base64.h"
#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES ((size_t)6 << 20) /* three parts in base64, and the rest */
#define LIST_MAX 256

static const struct {
	const char *name;
	size_t offset;
} texts[] = {
	{"source", offsetof(struct instance, source)},
	{"id", offsetof(struct instance, id)},
	{"hostname", offsetof(struct instance, hostname)},
	{"zone", offsetof(struct instance, zone)},
	{"region", offsetof(struct instance, region)},
	{"address", offsetof(struct instance, address)},
	{"kind", offsetof(struct instance, kind)},
};

static const struct {
	const char *name;
	size_t offset;
} parts[] = {
	{"user_data", offsetof(struct instance, user_data)},
	{"vendor_data", offsetof(struct instance, vendor_data)},
	{"network_config", offsetof(struct instance, network_config)},
};

static const struct {
	const char *name;
	size_t offset;
} lists[] = {
	{"ssh_keys", offsetof(struct instance, ssh_keys)},
	{"tags", offsetof(struct instance, tags)},
};

#define MEMBER(instance, type, offset) ((type *)(void *)((char *)(instance) + (offset)))
#define CONST_MEMBER(instance, type, offset) \
	((const type *)(const void *)((const char *)(instance) + (offset)))

void instance_free(struct instance *instance)
{
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		free(*MEMBER(instance, char *, texts[i].offset));
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		str_wipe(MEMBER(instance, struct str, parts[i].offset));
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		strv_free(MEMBER(instance, struct strv, lists[i].offset));
	free(instance->machine);
	*instance = (struct instance){0};
}

json_t *instance_json(const struct instance *instance, bool secrets)
{
	json_t *value = json_object();

	json_object_set_new(value, "v", json_integer(1));
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const char *text = *CONST_MEMBER(instance, char *, texts[i].offset);

		if (text)
			json_object_set_new(value, texts[i].name, json_string(text));
	}
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		const struct strv *list = CONST_MEMBER(instance, struct strv, lists[i].offset);
		json_t *array = json_array();

		for (size_t k = 0; k < list->count; k++)
			json_array_append_new(array, json_string(list->items[k]));
		json_object_set_new(value, lists[i].name, array);
	}
	if (!secrets)
		return value;
	if (instance->machine)
		json_object_set_new(value, "machine", json_string(instance->machine));
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		const struct str *part = CONST_MEMBER(instance, struct str, parts[i].offset);
		CLEANUP(str_wipe) struct str text = {0};

		if (!part->len)
			continue;
		base64_add(part->data, part->len, &text);
		json_object_set_new(value, parts[i].name, json_stringn(text.data, text.len));
	}
	return value;
}

/* False when the member is there and no string. */
static bool get_text(const json_t *value, const char *name, char **to)
{
	const json_t *member = json_object_get(value, name);

	if (!member)
		return true;
	if (!json_is_string(member))
		return false;
	*to = mem_strdup(json_string_value(member));
	return true;
}

static bool get_part(const json_t *value, const char *name, struct str *to)
{
	const json_t *member = json_object_get(value, name);

	if (!member)
		return true;
	if (!json_is_string(member) ||
	    base64_decode(json_string_value(member), json_string_length(member), to) < 0)
		return false;
	return to->len <= INSTANCE_DATA_MAX;
}

static bool get_list(const json_t *value, const char *name, struct strv *to)
{
	const json_t *member = json_object_get(value, name), *item;
	size_t i;

	if (!member)
		return true;
	if (!json_is_array(member) || json_array_size(member) > LIST_MAX)
		return false;
	json_array_foreach(member, i, item)
	{
		if (!json_is_string(item))
			return false;
		strv_add(to, json_string_value(item));
	}
	return true;
}

bool instance_parse(const json_t *value, struct instance *ret)
{
	bool good = json_integer_value(json_object_get(value, "v")) == 1;

	*ret = (struct instance){0};
	for (size_t i = 0; i < ARRAY_SIZE(texts) && good; i++)
		good = get_text(value, texts[i].name, MEMBER(ret, char *, texts[i].offset));
	for (size_t i = 0; i < ARRAY_SIZE(parts) && good; i++)
		good = get_part(value, parts[i].name, MEMBER(ret, struct str, parts[i].offset));
	for (size_t i = 0; i < ARRAY_SIZE(lists) && good; i++)
		good = get_list(value, lists[i].name, MEMBER(ret, struct strv, lists[i].offset));
	good = good && get_text(value, "machine", &ret->machine) && ret->source && ret->id;
	if (!good)
		instance_free(ret);
	return good;
}

/* The JSON object of a file of ours; NULL with *ret_found false when there is none. */
static json_t *read_file(const struct agent *agent, const char *path, bool *ret_found,
			 struct err *err)
{
	CLEANUP_FREE char *full = agent_path(agent, path);

	*ret_found = access(full, F_OK) == 0 || errno != ENOENT;
	return *ret_found ? json_read_file(full, FILE_MAX_BYTES, err) : NULL;
}

int instance_load(const struct agent *agent, struct instance *ret, bool *ret_found, struct err *err)
{
	CLEANUP_JSON json_t *live = NULL;
	CLEANUP_JSON json_t *value = read_file(agent, INSTANCE_FILE, ret_found, err);
	const char *id;
	bool found;

	*ret = (struct instance){0};
	if (!*ret_found)
		return 0;
	if (!value)
		return err_wrap(err, "cannot read what this machine is");
	if (!instance_parse(value, ret)) {
		err_set(err, ERR_OTHER, "cannot understand the instance '%s%s'", agent->root,
			INSTANCE_FILE);
		return err_hint(err, "remove that file to have it fetched anew");
	}
	live = read_file(agent, INSTANCE_LIVE, &found, NULL);
	id = json_member_string(live, "id");
	if (id && strcmp(id, ret->id) == 0) {
		ret->first_boot = json_is_true(json_object_get(live, "first_boot"));
		ret->cached = json_is_true(json_object_get(live, "cached"));
	}
	return 0;
}

/* Each write of the disk costs milliseconds of the boot, and mostly nothing is new. */
static bool is_kept(const struct agent *agent, const json_t *value)
{
	CLEANUP_FREE char *full = agent_path(agent, INSTANCE_FILE);
	CLEANUP_JSON json_t *old = NULL;
	struct stat st;

	if (lstat(full, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & 07777) != 0600)
		return false;
	old = json_read_file(full, FILE_MAX_BYTES, NULL);
	return old && json_equal(old, value);
}

int instance_save(const struct agent *agent, const struct instance *instance, struct err *err)
{
	CLEANUP_JSON json_t *kept = instance_json(instance, true);
	CLEANUP_JSON json_t *live = instance_json(instance, false);

	if (!is_kept(agent, kept) &&
	    agent_write_json_secret(agent, INSTANCE_FILE, kept, true, err) < 0)
		return err_wrap(err, "cannot keep what this machine is");
	json_object_set_new(live, "first_boot", json_boolean(instance->first_boot));
	json_object_set_new(live, "cached", json_boolean(instance->cached));
	return agent_write_json(agent, INSTANCE_LIVE, live, false, err);
}
