/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NoCloud: the files meta-data, user-data, vendor-data and network-config in the root of a file system that
 * is labelled cidata (cloud-init's documentation, "NoCloud").
 */
#include "seed/parts.h"

#include "base/mem.h"

#include <string.h>

/* A value in the quotes of JSON, which YAML reads the same way: no value becomes a number or a map. */
static void add_value(const char *value, struct str *text)
{
	CLEANUP_JSON json_t *json = json_string(value);
	char *quoted = json_dumps(json, JSON_ENCODE_ANY);

	str_add(text, quoted);
	free(quoted);
}

static void add_line(const char *key, size_t len, const char *value, struct str *text)
{
	str_add_bytes(text, key, len);
	str_add(text, ": ");
	add_value(value, text);
	str_add(text, "\n");
}

void seed_meta_data(const struct seed_input *input, const struct seed *seed, struct str *text)
{
	add_line("instance-id", strlen("instance-id"), seed->instance_id, text);
	if (input->hostname)
		add_line("local-hostname", strlen("local-hostname"), input->hostname, text);
	for (size_t i = 0; input->meta && i < input->meta->count; i++) {
		const char *item = input->meta->items[i], *value = strchr(item, '=');

		add_line(item, (size_t)(value - item), value + 1, text);
	}
	if (input->ssh_keys && input->ssh_keys->count > 0)
		str_add(text, "public-keys:\n");
	for (size_t i = 0; input->ssh_keys && i < input->ssh_keys->count; i++) {
		str_add(text, "  - ");
		add_value(input->ssh_keys->items[i], text);
		str_add(text, "\n");
	}
}

int seed_nocloud(const struct seed_input *input, struct seed *seed, struct err *err)
{
	CLEANUP(str_wipe) struct str meta = {0};

	(void)err;
	seed_meta_data(input, seed, &meta);
	seed_add(seed, "meta-data", meta.data, meta.len);
	/* Without this file the source does not count as one. */
	seed_add(seed, "user-data", input->user_data.bytes, input->user_data.len);
	if (input->vendor_data.len > 0)
		seed_add(seed, "vendor-data", input->vendor_data.bytes, input->vendor_data.len);
	if (input->network_config.len > 0)
		seed_add(seed, "network-config", input->network_config.bytes,
			 input->network_config.len);
	return 0;
}
