/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The join record as JSON.
 */
#include "agent/join/record.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const steps[] = {"NEW", "INIT", "LEAVE", "JOINED", "CLAIM", "JOIN"};

const char *record_step_name(enum record_step step)
{
	return steps[step];
}

bool record_claims(const struct record *record)
{
	return record->step == RECORD_CLAIM || record->step == RECORD_INIT;
}

void record_clean(const struct agent *agent)
{
	CLEANUP_FREE char *file = agent_path(agent, RECORD_FILE), *folder = path_parent(file);
	CLEANUP_FREE char *prefix = mem_printf("%s.", path_base(file));
	const struct dirent *entry;
	DIR *dir = opendir(folder);

	if (!dir)
		return;
	while ((entry = readdir(dir)))
		if (str_has_prefix(entry->d_name, prefix) && str_has_suffix(entry->d_name, ".tmp"))
			unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
}

static bool get_text(const json_t *value, const char *key, char *to, size_t size)
{
	const char *text = json_member_string(value, key);

	if (text && strlen(text) >= size)
		return false;
	snprintf(to, size, "%s", text ? text : "");
	return true;
}

static bool parse(const json_t *value, struct record *ret)
{
	const char *step = json_member_string(value, "step");
	json_int_t tries = json_integer_value(json_object_get(value, "tries"));
	json_int_t epoch = json_integer_value(json_object_get(value, "epoch"));
	size_t i = 0;

	while (step && i < ARRAY_SIZE(steps) && strcmp(step, steps[i]) != 0)
		i++;
	if (!step || i == ARRAY_SIZE(steps) || tries < 0 || tries > 1000000000 || epoch < 0)
		return false;
	ret->step = (enum record_step)i;
	ret->tries = (unsigned)tries;
	ret->epoch = (uint64_t)epoch;
	return get_text(value, "cluster_id", ret->cluster_id, sizeof(ret->cluster_id)) &&
	       get_text(value, "node_id", ret->node_id, sizeof(ret->node_id)) &&
	       get_text(value, "joining", ret->joining, sizeof(ret->joining)) &&
	       get_text(value, "cluster", ret->cluster, sizeof(ret->cluster)) &&
	       get_text(value, "unique", ret->unique, sizeof(ret->unique)) &&
	       get_text(value, "instance", ret->instance, sizeof(ret->instance)) &&
	       get_text(value, "address", ret->address, sizeof(ret->address)) &&
	       get_text(value, "error", ret->error, sizeof(ret->error)) &&
	       get_text(value, "error_time", ret->error_time, sizeof(ret->error_time));
}

int record_load(const struct agent *agent, struct record *ret, struct err *err)
{
	CLEANUP_FREE char *file = agent_path(agent, RECORD_FILE);
	CLEANUP_JSON json_t *value = NULL;

	*ret = (struct record){0};
	if (access(file, F_OK) < 0 && errno == ENOENT)
		return 0;
	value = agent_read_json(agent, RECORD_FILE, err);
	if (!value)
		return -1;
	if (json_integer_value(json_object_get(value, "v")) != 1 || !parse(value, ret)) {
		err_set(err, ERR_OTHER, "cannot understand the join record '%s'", file);
		return err_hint(err, "if this machine is in no cluster, remove that file");
	}
	return 0;
}

static json_t *describe(const struct record *record)
{
	json_t *value = json_object();

	json_object_set_new(value, "v", json_integer(1));
	json_object_set_new(value, "step", json_string(steps[record->step]));
	json_object_set_new(value, "tries", json_integer(record->tries));
	json_set_text(value, "cluster_id", record->cluster_id);
	json_set_text(value, "node_id", record->node_id);
	json_set_text(value, "joining", record->joining);
	json_set_text(value, "cluster", record->cluster);
	json_set_text(value, "unique", record->unique);
	json_set_text(value, "instance", record->instance);
	json_set_text(value, "address", record->address);
	if (record->epoch)
		json_object_set_new(value, "epoch", json_integer((json_int_t)record->epoch));
	if (*record->error) {
		json_object_set_new(value, "error", json_string(record->error));
		json_object_set_new(value, "error_time", json_string(record->error_time));
	}
	return value;
}

int record_save(const struct agent *agent, const struct record *record, struct err *err)
{
	CLEANUP_JSON json_t *value = describe(record);

	if (agent_write_json(agent, RECORD_FILE, value, true, err) < 0)
		return err_wrap(err, "cannot keep the join record");
	return 0;
}

void record_note_error(struct record *record, const struct err *cause)
{
	agent_copy_text(record->error, sizeof(record->error), cause->msg);
	clock_format((int64_t)time(NULL), record->error_time);
}

int record_save_live(const struct agent *agent, const struct record *record, const char *waits_for,
		     bool remote, struct err *err)
{
	CLEANUP_JSON json_t *value = describe(record);

	json_object_set_new(value, "uptime", json_real(agent_uptime(agent)));
	if (waits_for) {
		json_object_set_new(value, "waits_for", json_string(waits_for));
		json_object_set_new(value, "remote", json_boolean(remote));
	}
	return agent_write_json(agent, RECORD_LIVE, value, false, err);
}
