/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what the metadata source says to a machine that is what it says, in three stages of a boot; and the record of
 * it for `status`.
 */
#ifndef INGOT_AGENT_PROVISION_H
#define INGOT_AGENT_PROVISION_H

#include "agent/agent.h"
#include "agent/provision/cloudconfig.h"
#include "agent/userdata/userdata.h"

#define PROVISION_FILE AGENT_RUN "/provision.json"
/* There while the source, or a part that user-data includes, has yet to answer over the network. */
#define PROVISION_PENDING AGENT_RUN "/provision-pending"
#define PROVISION_STAGES 3

/* "local", "network" and "final", in this order. */
extern const char *const provision_stages[PROVISION_STAGES];

/* Writes what a stage did into PROVISION_FILE (0644), replacing what an earlier run of it wrote; "network" replaces
 * "local", too, because it does the same again with all of user-data. failure may be NULL. */
int provision_record(const struct agent *agent, const char *stage, const struct instance *instance,
		     const struct userdata *userdata, const struct cc *cc, json_t *keys,
		     const char *failure, double started, struct err *err);

/* Reads PROVISION_FILE into one object for people: source, instance, hostname, problems (of all stages), notes, scripts,
 * pending. NULL when nothing was provisioned (err code 0) or it cannot be read. Caller decrefs. */
json_t *provision_summary(const struct agent *agent, struct err *err);

/* Writes the settings of user-data for the other verbs, with what the metadata adds (zone); engine labels and kernel
 * settings that depend on them. Goes on after a failure and then returns -1 with the first one. */
int provision_settings(struct cc *cc, const struct userdata *userdata, struct err *err);

#endif
