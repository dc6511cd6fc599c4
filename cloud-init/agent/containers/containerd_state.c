/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What we wrote into containerd's store: without it, a record of an earlier image could not be told from the user's.
 */
#include "agent/containers/containerd_parts.h"

#include "base/mem.h"

#include <string.h>

#define CONTAINERD_STATE "/var/lib/ingot/containerd.json"

json_t *containerd_state_read(const struct agent *agent, const char *name)
{
	struct err ignored = {0};
	CLEANUP_JSON json_t *state = agent_read_json(agent, CONTAINERD_STATE, &ignored);
	const char *namespace = json_member_string(state, "namespace");
	json_t *images = json_object_get(state, "images");

	if (!json_is_object(images) || !namespace || strcmp(namespace, name) != 0)
		return json_object();
	return json_incref(images);
}

int containerd_state_write(const struct agent *agent, const char *name, const json_t *images,
			   struct err *err)
{
	CLEANUP_JSON json_t *state = json_object(), *has = NULL;
	struct err ignored = {0};

	json_object_set_new(state, "version", json_integer(1));
	json_object_set_new(state, "namespace", json_string(name));
	json_object_set_new(state, "images", json_deep_copy(images));
	has = agent_read_json(agent, CONTAINERD_STATE, &ignored);
	if (has && json_equal(has, state))
		return 0;
	return agent_write_json(agent, CONTAINERD_STATE, state, true, err);
}
