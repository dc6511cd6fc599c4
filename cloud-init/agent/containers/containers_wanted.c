/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What docker's store is to have, by the image's list: references as docker shows them, images, chains of layers.
 */
#include "agent/containers/containers_parts.h"

#include "base/mem.h"

#include <string.h>
#include <unistd.h>

#define DOCKER_DEPTH_MAX \
	125 /* layers of an image; two more make a container (moby, layer_store.go) */
#define DEPTH_MAX 500

char *containers_familiar(const char *name)
{
	static const char hub[] = "docker.io/", official[] = "library/";

	if (!str_has_prefix(name, hub))
		return mem_strdup(name);
	name += sizeof(hub) - 1;
	if (str_has_prefix(name, official) && !strchr(name + sizeof(official) - 1, '/'))
		name += sizeof(official) - 1;
	return mem_strdup(name);
}

ssize_t containers_diff_ids(const char *text, size_t len, struct digest **ret)
{
	CLEANUP_JSON json_t *config = json_parse(text, len, "configuration", NULL);
	const json_t *rootfs = json_object_get(config, "rootfs");
	const json_t *list = json_object_get(rootfs, "diff_ids");
	size_t count = json_array_size(list);
	CLEANUP_FREE struct digest *ids = NULL;

	if (!json_is_object(rootfs) || count > DEPTH_MAX)
		return -1;
	ids = mem_alloc_array(count, sizeof(*ids));
	for (size_t i = 0; i < count; i++) {
		const char *id = json_string_value(json_array_get(list, i));

		if (!id || !str_has_prefix(id, "sha256:") ||
		    digest_parse(id + 7, &ids[i], NULL) < 0)
			return -1;
	}
	*ret = MEM_STEAL(ids);
	return (ssize_t)count;
}

bool containers_layer_there(const struct agent *agent, const struct containers_layer *const *layers,
			    size_t index)
{
	CLEANUP_FREE char *tree = containers_layer_nth_path(layers, index);
	CLEANUP_FREE char *path = agent_path(agent, tree);

	return layers[index]->present && access(path, F_OK) == 0;
}

/* Says why the image cannot be had, or NULL. */
static const char *find_fault(const struct agent *agent, const struct containers_image *image)
{
	CLEANUP(str_free) struct str config = {0};
	CLEANUP_FREE struct digest *ids = NULL;

	if (image->layer_count > DOCKER_DEPTH_MAX)
		return "it has more layers than docker takes";
	for (size_t i = 0; i < image->layer_count; i++)
		if (!containers_layer_there(agent, image->layers, i))
			return "a layer is not in this root";
	if (containers_blob_read(agent, &image->config, &config, NULL) < 0)
		return "its configuration is damaged";
	if (containers_diff_ids(config.data, config.len, &ids) != (ssize_t)image->layer_count)
		return "its configuration has other layers";
	for (size_t i = 0; i < image->layer_count; i++)
		if (memcmp(&ids[i], &image->layers[i]->diff_id, sizeof(ids[i])) != 0)
			return "its configuration has other layers";
	return NULL;
}

const char *containers_image_label(const struct containers_image *image,
				   char buffer[DIGEST_HEX_SIZE])
{
	if (image->names.count)
		return image->names.items[0];
	digest_hex(&image->config.digest, buffer);
	buffer[12] = '\0';
	return buffer;
}

static void add_reference(struct containers_state *state, const char *reference, const char *id,
			  struct containers_done *done)
{
	const char *have = json_member_string(state->references, reference);

	if (have && strcmp(have, id) != 0)
		strv_addf(&done->missing, "%s: another image of this root has the name", reference);
	else if (!have)
		json_object_set_new(state->references, reference, json_string(id));
}

static void add_image(const struct containers_image *image, struct containers_state *state,
		      struct containers_done *done)
{
	char id[DIGEST_HEX_SIZE], hex[DIGEST_HEX_SIZE], diff[DIGEST_HEX_SIZE];

	digest_hex(&image->config.digest, id);
	json_object_set_new(state->images, id, json_true());
	for (size_t i = 0; i < image->names.count; i++) {
		CLEANUP_FREE char *name = containers_familiar(image->names.items[i]);

		add_reference(state, name, id, done);
	}
	digest_hex(&image->target.digest, hex);
	for (size_t i = 0; i < image->repositories.count; i++) {
		CLEANUP_FREE char *name = containers_familiar(image->repositories.items[i]);
		CLEANUP_FREE char *reference = mem_printf("%s@sha256:%s", name, hex);

		add_reference(state, reference, id, done);
	}
	for (size_t i = 0; i < image->layer_count; i++)
		json_object_set_new(state->chains, digest_hex(&image->chains[i], hex),
				    json_string(digest_hex(&image->layers[i]->diff_id, diff)));
}

void containers_wanted(const struct agent *agent, const struct containers *containers,
		       struct containers_state *ret, bool **ret_ready, struct containers_done *done)
{
	char buffer[DIGEST_HEX_SIZE];

	containers_state_new(ret);
	*ret_ready = mem_alloc_array(containers->image_count, sizeof(**ret_ready));
	if (!*containers->docker)
		return;
	for (size_t i = 0; i < containers->image_count; i++) {
		const struct containers_image *image = &containers->images[i];
		const char *fault = find_fault(agent, image);

		(*ret_ready)[i] = !fault;
		if (fault)
			strv_addf(&done->missing, "%s: %s", containers_image_label(image, buffer),
				  fault);
		else
			add_image(image, ret, done);
	}
}
