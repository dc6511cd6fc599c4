/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own settings: the key "ingot" of user-data. One table says what may be in it; what is valid is written
 * to /run/ingot/settings.json (mode 0600), which the other verbs read.
 */
#ifndef INGOT_AGENT_SETTINGS_H
#define INGOT_AGENT_SETTINGS_H

#include "agent/agent.h"
#include "base/doc.h"

#define SETTINGS_FILE AGENT_RUN "/settings.json"
#define SETTINGS_SECRET_MAX ((size_t)4096)

enum settings_shape { SETTINGS_VALUE, SETTINGS_LIST, SETTINGS_SECTION, SETTINGS_MAP };

struct settings_row {
	const char *key; /* "cluster.etcd.endpoints" */
	enum settings_shape shape;
	const char *type;           /* name of the check: "name", "address", "url", "secret", ... */
	const char *const *choices; /* or NULL */
	const char *help;
};

/* Every key, ended by a row with a NULL key. */
extern const struct settings_row settings_rows[];

/* Checks a node against the table; problems go to report as for profiles (unknown key with "did you mean",
 * wrong type with what was expected). Values of secrets are never in a message. */
void settings_check(const struct doc_node *settings, struct doc_report *report);

/* The checked settings (NULL: none) as JSON, numbers by their types; what no row knows is left out. Caller
 * decrefs. */
json_t *settings_json(const struct doc_node *settings);

/* What is saved instead when the settings are wrong: problem is the first line of what is. Caller decrefs. */
json_t *settings_json_wrong(const char *problem);

/* Reads SETTINGS_FILE: an empty object when there is none. ERR_PROFILE when user-data's settings were wrong:
 * a machine must not act as if it had been given none; ERR_NETWORK while the source that may have some has not answered
 * (PROVISION_PENDING). Caller decrefs; NULL on errors. */
json_t *settings_load(const struct agent *agent, struct err *err);

/* Writes SETTINGS_FILE with mode 0600. */
int settings_save(const struct agent *agent, const json_t *settings, struct err *err);

/* The value of a secret: the text itself, or for "credential:NAME" the content of that systemd credential
 * (below $CREDENTIALS_DIRECTORY, else /run/credentials/@system; names without a slash), without a last
 * newline. The caller wipes and frees it; NULL with err when it cannot be read. */
char *settings_secret(const struct agent *agent, const char *value, struct err *err);

/* Takes the secrets out of settings that stay in memory, when what needs them has its own. */
void settings_forget_secrets(json_t *settings);

#endif
