/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenStack's config drive: JSON files in openstack/latest on a file system that is labelled config-2
 * (OpenStack Nova's documentation, "Config drives").
 */
#include "seed/parts.h"

#include "base/mem.h"

#include <string.h>

static json_t *meta_data(const struct seed_input *input, const struct seed *seed)
{
	json_t *root = json_pack("{s:s}", "uuid", seed->instance_id);
	json_t *keys = json_object(), *meta = json_object();

	if (input->hostname) {
		json_object_set_new(root, "hostname", json_string(input->hostname));
		json_object_set_new(root, "name", json_string(input->hostname));
	}
	for (size_t i = 0; input->ssh_keys && i < input->ssh_keys->count; i++) {
		CLEANUP_FREE char *name = mem_printf("key-%zu", i);

		json_object_set_new(keys, name, json_string(input->ssh_keys->items[i]));
	}
	for (size_t i = 0; input->meta && i < input->meta->count; i++) {
		const char *item = input->meta->items[i], *value = strchr(item, '=');
		CLEANUP_FREE char *key = mem_strndup(item, (size_t)(value - item));

		/* The zone has a place of its own here. */
		if (strcmp(key, "availability-zone") == 0 || strcmp(key, "availability_zone") == 0)
			json_object_set_new(root, "availability_zone", json_string(value + 1));
		else
			json_object_set_new(meta, key, json_string(value + 1));
	}
	json_object_set_new(root, "public_keys", keys);
	json_object_set_new(root, "meta", meta);
	return root;
}

static void add_json(struct seed *seed, const char *path, const json_t *value)
{
	char *text = json_text(value);

	seed_add(seed, path, text, strlen(text));
	mem_wipe(text, strlen(text));
	free(text);
}

/* Nova wraps what it gives to cloud-init into an object. */
static int add_vendor_data(const struct seed_blob *data, struct seed *seed, struct err *err)
{
	CLEANUP_JSON json_t *root = NULL;
	json_t *text;

	if (data->len == 0)
		return 0;
	text = json_stringn(data->bytes, data->len);
	if (!text) {
		err_set(err, ERR_USAGE, "vendor-data is no UTF-8 text, which a config drive needs");
		return err_hint(err, "the nocloud formats take any bytes");
	}
	root = json_pack("{s:o}", "cloud-init", text);
	add_json(seed, "openstack/latest/vendor_data.json", root);
	return 0;
}

/* Another format than NoCloud's: nobody should find out by a machine without a network. */
static int add_network(const struct seed_blob *data, struct seed *seed, struct err *err)
{
	CLEANUP_JSON json_t *root = NULL;

	if (data->len == 0)
		return 0;
	root = json_parse(data->bytes, data->len, "network-config", err);
	if (root && (!json_is_array(json_object_get(root, "links")) ||
		     !json_is_array(json_object_get(root, "networks"))))
		err_set(err, ERR_USAGE, "network-config lacks the lists 'links' and 'networks'");
	if (!root || !json_is_array(json_object_get(root, "links")) ||
	    !json_is_array(json_object_get(root, "networks"))) {
		if (err)
			err->code = ERR_USAGE;
		return err_hint(err, "a config drive has OpenStack's network_data.json; the "
				     "nocloud formats have network-config of version 1 or 2");
	}
	seed_add(seed, "openstack/latest/network_data.json", data->bytes, data->len);
	return 0;
}

int seed_configdrive(const struct seed_input *input, struct seed *seed, struct err *err)
{
	CLEANUP_JSON json_t *meta = meta_data(input, seed);

	add_json(seed, "openstack/latest/meta_data.json", meta);
	if (input->user_data.len > 0)
		seed_add(seed, "openstack/latest/user_data", input->user_data.bytes,
			 input->user_data.len);
	if (add_vendor_data(&input->vendor_data, seed, err) < 0)
		return -1;
	return add_network(&input->network_config, seed, err);
}
