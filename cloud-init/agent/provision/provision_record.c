/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each stage did, as a file that everybody may read: so there are no values of user-data in it but names, and no
 * output of its scripts.
 */
#include "agent/provision/provision.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

const char *const provision_stages[PROVISION_STAGES] = {"local", "network", "final"};

static void set_text(json_t *object, const char *key, const char *text)
{
	CLEANUP(str_free) struct str clean = {0};

	if (!text || !*text)
		return;
	str_add_utf8(&clean, text, strlen(text));
	agent_hide_secrets(clean.data);
	json_object_set_new(object, key, json_string(clean.data));
}

static void add_lines(json_t *list, const struct str *text)
{
	for (const char *line = text->data; line && *line;) {
		size_t len = strcspn(line, "\n");
		CLEANUP(str_free) struct str clean = {0};

		str_add_utf8(&clean, line, len);
		agent_hide_secrets(clean.data);
		json_array_append_new(list, json_string(clean.data));
		line += len + (line[len] == '\n');
	}
}

static json_t *describe(const struct agent *agent, const struct userdata *userdata,
			const struct cc *cc, json_t *keys, const char *failure, double started)
{
	json_t *value = json_object(), *problems = json_array();
	size_t count = cc ? cc->problems.count : 0;

	json_object_set_new(value, "at", json_real(started));
	json_object_set_new(value, "seconds", json_real(agent_uptime(agent) - started));
	if (userdata) {
		add_lines(problems, &userdata->problems);
		count += userdata->problem_count;
		json_object_set_new(value, "settings",
				    json_string(userdata->settings_wrong ? "wrong"
						: userdata->settings     ? "valid"
									 : "none"));
	}
	if (cc) {
		add_lines(problems, &cc->text);
		json_object_set(value, "notes", cc->notes);
		json_object_set(value, "scripts", cc->scripts);
	}
	json_object_set_new(value, "problems", problems);
	json_object_set_new(value, "problem_count", json_integer((json_int_t)count));
	if (keys)
		json_object_set(value, "keys", keys);
	set_text(value, "failure", failure);
	return value;
}

int provision_record(const struct agent *agent, const char *stage, const struct instance *instance,
		     const struct userdata *userdata, const struct cc *cc, json_t *keys,
		     const char *failure, double started, struct err *err)
{
	CLEANUP_JSON json_t *record = agent_read_json(agent, PROVISION_FILE, NULL);
	CLEANUP_FREE char *upstream = agent_path(agent, "/usr/bin/cloud-init");
	json_t *stages;

	if (!record)
		record = json_object();
	json_object_set_new(record, "v", json_integer(1));
	if (instance) {
		set_text(record, "source", instance->source);
		set_text(record, "instance", instance->id);
		json_object_set_new(record, "first_boot", json_boolean(instance->first_boot));
		json_object_set_new(record, "cached", json_boolean(instance->cached));
	}
	json_object_set_new(record, "upstream_cloud_init",
			    json_boolean(access(upstream, F_OK) == 0));
	stages = json_object_get(record, "stages");
	if (!json_is_object(stages)) {
		stages = json_object();
		json_object_set_new(record, "stages", stages);
	}
	if (strcmp(stage, "network") == 0 && userdata)
		json_object_del(stages, "local");
	json_object_set_new(stages, stage, describe(agent, userdata, cc, keys, failure, started));
	return agent_write_json(agent, PROVISION_FILE, record, false, err);
}

static void append_all(json_t *to, const json_t *list)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item) json_array_append(to, (json_t *)item);
}

json_t *provision_summary(const struct agent *agent, struct err *err)
{
	static const char *const lists[] = {"problems", "notes", "scripts"};
	static const char *const copied[] = {"source", "instance", "first_boot", "cached",
					     "upstream_cloud_init"};
	CLEANUP_FREE char *file = agent_path(agent, PROVISION_FILE);
	CLEANUP_FREE char *pending = agent_path(agent, PROVISION_PENDING);
	CLEANUP_FREE char *hostname = agent_read_line(agent, "/proc/sys/kernel/hostname");
	CLEANUP_JSON json_t *record = NULL;
	json_t *summary, *done = json_array();

	err_clear(err);
	if (access(file, F_OK) < 0 && errno == ENOENT && access(pending, F_OK) < 0) {
		json_decref(done);
		return NULL;
	}
	record = agent_read_json(agent, PROVISION_FILE, access(file, F_OK) == 0 ? err : NULL);
	summary = json_object();
	json_object_set_new(summary, "pending", json_boolean(access(pending, F_OK) == 0));
	set_text(summary, "hostname", hostname);
	json_object_set_new(summary, "stages", done);
	for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
		if (json_object_get(record, copied[i]))
			json_object_set(summary, copied[i], json_object_get(record, copied[i]));
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		json_object_set_new(summary, lists[i], json_array());
	for (size_t s = 0; s < PROVISION_STAGES; s++) {
		const json_t *stage =
			json_object_get(json_object_get(record, "stages"), provision_stages[s]);

		if (!stage)
			continue;
		json_array_append_new(done, json_string(provision_stages[s]));
		for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
			append_all(json_object_get(summary, lists[i]),
				   json_object_get(stage, lists[i]));
		if (json_object_get(stage, "failure"))
			json_object_set(summary, "failure", json_object_get(stage, "failure"));
	}
	return summary;
}
