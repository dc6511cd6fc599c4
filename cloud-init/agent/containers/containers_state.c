/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What we wrote into docker's store, so that it can be told from what the user made. It is on the disk before the
 * store is touched, and names at least what is there.
 */
#include "agent/containers/containers_parts.h"

#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define STATE_MAX ((size_t)8 << 20)

void containers_state_new(struct containers_state *ret)
{
	ret->references = json_object();
	ret->images = json_object();
	ret->chains = json_object();
}

void containers_state_free(struct containers_state *state)
{
	json_decref(state->references);
	json_decref(state->images);
	json_decref(state->chains);
	*state = (struct containers_state){0};
}

void containers_state_add(struct containers_state *into, const struct containers_state *from)
{
	json_object_update_missing(into->references, from->references);
	json_object_update_missing(into->images, from->images);
	json_object_update_missing(into->chains, from->chains);
}

/* They become names of files. */
static bool is_hex(const char *text)
{
	return text && strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

static bool check(const json_t *docker)
{
	json_t *references = json_object_get(docker, "references"), *value;
	json_t *images = json_object_get(docker, "images");
	json_t *chains = json_object_get(docker, "chains");
	const char *key;

	if (!json_is_object(references) || !json_is_object(images) || !json_is_object(chains))
		return false;
	json_object_foreach(references, key,
			    value) if (!is_hex(json_string_value(value))) return false;
	json_object_foreach(images, key, value) if (!is_hex(key)) return false;
	json_object_foreach(chains, key, value) if (!is_hex(key) ||
						    !is_hex(json_string_value(value))) return false;
	return true;
}

static json_t *read_file(const struct agent *agent, bool *ret_lost)
{
	CLEANUP_FREE char *path = agent_path(agent, CONTAINERS_STATE);
	json_t *value;

	*ret_lost = false;
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return NULL;
	value = json_read_file(path, STATE_MAX, NULL);
	*ret_lost = !value || json_integer_value(json_object_get(value, "version")) != 1 ||
		    !check(json_object_get(value, "docker"));
	return value;
}

void containers_state_read(const struct agent *agent, const char *data_root,
			   struct containers_state *ret, bool *ret_lost)
{
	CLEANUP_JSON json_t *value = read_file(agent, ret_lost);
	const json_t *docker = json_object_get(value, "docker");
	const char *root = json_member_string(docker, "data_root");

	containers_state_new(ret);
	if (*ret_lost || !value || !root || strcmp(root, data_root) != 0)
		return;
	json_object_update(ret->references, json_object_get(docker, "references"));
	json_object_update(ret->images, json_object_get(docker, "images"));
	json_object_update(ret->chains, json_object_get(docker, "chains"));
}

int containers_state_save(const struct agent *agent, const char *data_root,
			  const struct containers_state *state, struct err *err)
{
	bool lost;
	CLEANUP_JSON json_t *have = read_file(agent, &lost);
	CLEANUP_JSON json_t *value = json_object();
	json_t *docker = json_object();

	json_object_set_new(value, "version", json_integer(1));
	json_object_set_new(value, "docker", docker);
	json_object_set_new(docker, "data_root", json_string(data_root));
	json_object_set(docker, "references", state->references);
	json_object_set(docker, "images", state->images);
	json_object_set(docker, "chains", state->chains);
	if (have && json_equal(have, value))
		return 0;
	return agent_write_json(agent, CONTAINERS_STATE, value, true, err);
}
