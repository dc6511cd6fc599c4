/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engine labels in daemon.json. An engine that does not like its file does not start at all, so nothing gets in
 * that was not looked at.
 */
#include "agent/provision/labels.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KEY_MAX ((size_t)63)
#define VALUE_MAX ((size_t)63)
#define LABELS_MAX ((size_t)64)

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/* The rules of profiles (join.labels): what a placement constraint of swarm can name. */
static bool is_key(const char *key)
{
	static const char *const reserved[] = {"com.docker.", "io.docker.", "org.dockerproject."};
	size_t len = strlen(key);

	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (str_has_prefix(key, reserved[i]))
			return false;
	return len >= 2 && len <= KEY_MAX && strchr(LOWER, key[0]) &&
	       strchr(LOWER DIGITS, key[len - 1]) && strspn(key, LOWER DIGITS "._-") == len;
}

static bool is_value(const char *value)
{
	size_t len = strlen(value);

	return len >= 1 && len <= VALUE_MAX && strchr(LOWER UPPER DIGITS, value[0]) &&
	       strchr(LOWER UPPER DIGITS, value[len - 1]) &&
	       strspn(value, LOWER UPPER DIGITS "._:/-") == len;
}

/* Adds a label, or sets problem when it is the first that cannot be one. */
static void add(json_t *labels, const char *key, const char *value, struct err *problem)
{
	char shown[80];

	if (is_key(key) && is_value(value) &&
	    (json_object_get(labels, key) || json_object_size(labels) < LABELS_MAX)) {
		json_object_set_new(labels, key, json_string(value));
		return;
	}
	if (problem->code)
		return;
	agent_copy_text(shown, sizeof(shown), key);
	if (!is_key(key))
		err_set(problem, ERR_PROFILE, "'%s' is not a label key", shown);
	else if (!is_value(value))
		err_set(problem, ERR_PROFILE, "the value of label '%s' is not one", shown);
	else
		err_set(problem, ERR_PROFILE, "more than %zu labels", LABELS_MAX);
}

/* Adds the members of a map of labels; anything else is none. */
static void add_map(json_t *labels, const json_t *map, struct err *problem)
{
	const char *key;
	const json_t *value;

	json_object_foreach((json_t *)map, key, value)
	{
		char text[32];

		if (json_is_integer(value)) {
			snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT,
				 json_integer_value(value));
			add(labels, key, text, problem);
		} else if (json_is_boolean(value)) {
			add(labels, key, json_is_true(value) ? "true" : "false", problem);
		} else {
			add(labels, key, json_is_string(value) ? json_string_value(value) : "",
			    problem);
		}
	}
}

/* The labels that this machine is to have: an object of texts. */
static json_t *wanted(const struct agent *agent, const json_t *settings, const char *zone,
		      struct err *problem)
{
	const json_t *image = json_object_get(json_object_get(agent->image, "join"), "labels");
	const char *role = json_member_string(json_object_get(settings, "cluster"), "role");
	const char *own_zone = json_member_string(settings, "zone");
	json_t *labels = json_object();

	if (!role)
		role = agent->role;
	if (own_zone)
		zone = own_zone;
	if (*role)
		add(labels, "role", role, problem);
	add_map(labels, image, problem);
	/* Where a machine is, it knows better than its image. */
	if (zone && *zone)
		add(labels, "zone", zone, problem);
	add_map(labels, json_object_get(settings, "labels"), problem);
	return labels;
}

/* The list of the file with ours instead of those of the same key; NULL when the file's is no such list. */
static json_t *merged(const json_t *old, const json_t *labels)
{
	json_t *list = json_array();
	const char *key;
	const json_t *item, *value;
	size_t i;

	json_array_foreach(old, i, item)
	{
		const char *text = json_string_value(item);
		CLEANUP_FREE char *name = NULL;

		if (!text) {
			json_decref(list);
			return NULL;
		}
		name = mem_strndup(text, strcspn(text, "="));
		if (!json_object_get(labels, name))
			json_array_append_new(list, json_string(text));
	}
	json_object_foreach((json_t *)labels, key, value)
		json_array_append_new(list, json_sprintf("%s=%s", key, json_string_value(value)));
	return list;
}

int labels_apply(const struct agent *agent, const json_t *settings, const char *zone,
		 struct err *err)
{
	struct err problem = {0};
	CLEANUP_JSON json_t *labels = wanted(agent, settings, zone, &problem);
	CLEANUP_JSON json_t *file = NULL;
	CLEANUP_FREE char *path = agent_path(agent, LABELS_FILE);
	const json_t *old;
	json_t *list;

	if (access(path, F_OK) == 0) {
		file = agent_read_json(agent, LABELS_FILE, err);
		if (!file)
			return err_wrap(err, "cannot give the engine its labels");
	} else if (errno != ENOENT) {
		return err_sys(err, errno, "cannot give the engine its labels: '%s'", path);
	} else if (strcmp(agent->kind, "swarm") != 0) {
		return 0;
	} else {
		file = json_object();
	}
	old = json_object_get(file, "labels");
	list = !old || json_is_array(old) ? merged(old, labels) : NULL;
	if (!list)
		return err_set(
			err, ERR_OTHER,
			"cannot give the engine its labels: 'labels' in '%s' is no list of texts",
			path);
	if ((!old && !json_array_size(list)) || (old && json_equal(old, list))) {
		json_decref(list);
	} else {
		json_object_set_new(file, "labels", list);
		if (agent_write_json(agent, LABELS_FILE, file, false, err) < 0)
			return err_wrap(err, "cannot give the engine its labels");
	}
	if (!problem.code)
		return 0;
	return err_set(err, problem.code, "the engine does not get a label: %s", problem.msg);
}
