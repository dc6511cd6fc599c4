/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a metadata source says about this machine: who it is and which user-data it was given. Found once per
 * boot, kept for the next one in /var/lib/ingot/agent/instance.json (mode 0600: user-data may hold secrets).
 */
#ifndef INGOT_AGENT_INSTANCE_H
#define INGOT_AGENT_INSTANCE_H

#include "agent/agent.h"

#include <stdbool.h>

#define INSTANCE_FILE AGENT_STATE "/instance.json"
#define INSTANCE_LIVE \
	AGENT_RUN "/instance.json" /* the same without user-data, vendor-data and secrets; 0644 */
#define INSTANCE_DATA_MAX ((size_t)1 << 20) /* bytes of user-data, vendor-data or network-config */

struct instance {
	char *source;   /* name of the row in sources[]: "nocloud", "ec2", ... */
	char *id;       /* instance-id; another one than the stored one makes this a first boot */
	char *hostname; /* or NULL; so are the next four */
	char *zone, *region, *address, *kind;
	char *machine; /* DMI numbers of the machine that it was fetched on; not in INSTANCE_LIVE */
	struct strv tags;       /* "key=value", as the platform's owner attached them */
	struct strv ssh_keys;   /* public keys that the cloud gives */
	struct str user_data;   /* as it came: perhaps compressed, encoded or in several parts */
	struct str vendor_data; /* the same, by the platform; user-data wins */
	struct str
		network_config; /* network-config of NoCloud (version 1 or 2), or network_data.json */
	bool first_boot;        /* the machine has not had this id before */
	bool cached;            /* it comes from the last boot: the source did not answer */
};

/* Wipes and frees what it holds; usable with CLEANUP() on a zeroed value. */
void instance_free(struct instance *instance);

/* Reads INSTANCE_FILE; *ret_found is false when there is none. A damaged one is an error. first_boot and cached
 * are those of this boot when the instance was saved in this boot, false else. Needs root. */
int instance_load(const struct agent *agent, struct instance *ret, bool *ret_found,
		  struct err *err);

/* Writes INSTANCE_FILE (fsync, rename, 0600), unless it says the same already, and INSTANCE_LIVE. */
int instance_save(const struct agent *agent, const struct instance *instance, struct err *err);

/* The instance as JSON, with user-data, vendor-data and network-config as base64 when secrets is set, else
 * without them. Caller decrefs. */
json_t *instance_json(const struct instance *instance, bool secrets);

/* Reads what instance_json gave with secrets. Returns false when it is something else. */
bool instance_parse(const json_t *value, struct instance *ret);

#endif
