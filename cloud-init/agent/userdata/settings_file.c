/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings as other verbs find them: a file that only root may read, and secrets that are in systemd
 * credentials instead of in user-data.
 */
#include "agent/userdata/settings.h"

#include "agent/provision/provision.h"

#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CREDENTIAL "credential:"
#define CREDENTIALS_SYSTEM "/run/credentials/@system"
#define WRONG "wrong"

json_t *settings_json_wrong(const char *problem)
{
	CLEANUP(str_free) struct str text = {0};
	json_t *json = json_object();

	/* Whatever is in it: without this key the settings would be none instead of wrong. */
	str_add_utf8(&text, problem, strlen(problem));
	json_object_set_new(json, WRONG, json_string(text.data ? text.data : ""));
	return json;
}

json_t *settings_load(const struct agent *agent, struct err *err)
{
	CLEANUP_FREE char *full = agent_path(agent, SETTINGS_FILE);
	json_t *settings;
	CLEANUP_FREE char *pending = agent_path(agent, PROVISION_PENDING);
	const char *wrong;

	if (access(pending, F_OK) == 0) {
		err_set(err, ERR_NETWORK,
			"the settings are not known yet: the metadata source has "
			"not answered");
		return NULL;
	}
	if (access(full, F_OK) < 0 && errno == ENOENT)
		return json_object();
	settings = agent_read_json(agent, SETTINGS_FILE, err);
	if (!settings)
		return NULL;
	wrong = json_member_string(settings, WRONG);
	if (!wrong)
		return settings;
	err_set(err, ERR_PROFILE, "the settings in user-data are wrong: %s", wrong);
	json_decref(settings);
	return NULL;
}

int settings_save(const struct agent *agent, const json_t *settings, struct err *err)
{
	return agent_write_json_secret(agent, SETTINGS_FILE, settings, false, err);
}

static bool is_credential_name(const char *name)
{
	return *name && *name != '.' && strlen(name) <= 255 &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-@") ==
		       strlen(name);
}

/* Of this unit, else of the system. */
static int read_credential(const struct agent *agent, const char *name, struct str *text,
			   struct err *err)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	CLEANUP_FREE char *own =
		folder && *folder == '/' ? mem_printf("%s/%s", folder, name) : NULL;
	CLEANUP_FREE char *path = mem_printf("%s/%s", CREDENTIALS_SYSTEM, name);
	CLEANUP_FREE char *own_full = own ? agent_path(agent, own) : NULL;

	if (own_full && access(own_full, F_OK) == 0)
		return agent_read(agent, own, SETTINGS_SECRET_MAX, text, err);
	return agent_read(agent, path, SETTINGS_SECRET_MAX, text, err);
}

char *settings_secret(const struct agent *agent, const char *value, struct err *err)
{
	CLEANUP(str_wipe) struct str text = {0};
	const char *name = value + strlen(CREDENTIAL);

	if (!str_has_prefix(value, CREDENTIAL))
		return mem_strdup(value);
	if (!is_credential_name(name)) {
		err_set(err, ERR_PROFILE, "a secret in the settings names no credential");
		return NULL;
	}
	if (read_credential(agent, name, &text, err) < 0) {
		err_wrap(err, "cannot read the credential '%s'", name);
		return NULL;
	}
	if (text.len && text.data[text.len - 1] == '\n')
		text.data[--text.len] = '\0';
	if (text.len == 0 || memchr(text.data, '\0', text.len)) {
		err_set(err, ERR_PROFILE, "the credential '%s' is %s", name,
			text.len ? "not text" : "empty");
		return NULL;
	}
	return mem_strndup(text.data, text.len);
}

void settings_forget_secrets(json_t *settings)
{
	static const char *const keys[] = {"secret", "password", "secret_key", "worker_token",
					   "manager_token"};
	const char *key;
	json_t *value;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		json_object_del(settings, keys[i]); /* wiped when it is freed: base/json.h */
	json_object_foreach(settings, key, value) settings_forget_secrets(value);
}
