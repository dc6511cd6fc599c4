/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenStack (docs.openstack.org/nova/latest/user/metadata.html): its JSON documents, and its metadata service.
 */
#include "agent/source/source_parts.h"

#include "base/mem.h"

#include <dirent.h>
#include <string.h>

#define BASE "http://169.254.169.254"
#define INTERFACES_MAX 4

/* The first IPv4 address that is given by hand; with DHCP there is none in it. */
static char *first_address(const json_t *network)
{
	const json_t *list = json_object_get(network, "networks"), *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		const char *type = json_member_string(item, "type");

		if (type && strcmp(type, "ipv4") == 0)
			return source_member(item, "ip_address", source_word);
	}
	return NULL;
}

/* A text, or an object whose member "cloud-init" is one. */
static int take_vendor_data(const struct str *text, struct instance *ret, struct err *err)
{
	CLEANUP_JSON json_t *value = NULL;
	const json_t *data;

	/* Providers that have none send "{}" or nothing; JSON_DECODE_ANY is not needed for a text in quotes. */
	if (!text->len || *text->data != '{')
		return 0;
	value = source_json(text->data, text->len, "vendor_data.json", err);
	if (!value)
		return -1;
	data = json_object_get(value, "cloud-init");
	if (json_is_string(data) && json_string_length(data) <= INSTANCE_DATA_MAX) {
		str_wipe(&ret->vendor_data);
		str_add_bytes(&ret->vendor_data, json_string_value(data), json_string_length(data));
	}
	return 0;
}

int source_openstack_read(const struct str *meta, const struct str *network,
			  const struct str *vendor, struct instance *ret, struct err *err)
{
	CLEANUP_JSON json_t *value = source_json(meta->data, meta->len, "meta_data.json", err);
	CLEANUP_JSON json_t *net = NULL;
	const json_t *key;
	const char *name;

	if (!value)
		return -1;
	ret->id = source_member(value, "uuid", source_id);
	if (!ret->id)
		return err_set(err, ERR_OTHER, "meta_data.json has no uuid");
	ret->hostname = source_member(value, "hostname", source_hostname);
	if (!ret->hostname)
		ret->hostname = source_member(value, "name", source_hostname);
	ret->zone = source_member(value, "availability_zone", source_word);
	json_object_foreach(json_object_get(value, "public_keys"), name, key)
	{
		if (json_is_string(key))
			source_add_keys(ret, json_string_value(key), json_string_length(key));
	}
	if (network->len) {
		net = source_json(network->data, network->len, "network_data.json", err);
		if (!net)
			return -1;
		ret->address = first_address(net);
	}
	return take_vendor_data(vendor, ret, err);
}

bool source_openstack_detect(const struct agent *agent)
{
	/* Clouds that are made of OpenStack and say their own name. */
	static const char *const tags[] = {"OpenStack Nova", "OpenStack Compute",
					   "HUAWEICLOUD",    "OpenTelekomCloud",
					   "SAP CCloud VM",  "Samsung Cloud Platform"};
	CLEANUP_FREE char *product = source_dmi(agent, "product_name");
	CLEANUP_FREE char *tag = source_dmi(agent, "chassis_asset_tag");

	for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
		if ((tag && strcmp(tag, tags[i]) == 0) ||
		    (i < 2 && product && strcmp(product, tags[i]) == 0))
			return true;
	return false;
}

static int ask(const char *base, struct instance *ret, struct err *err)
{
	struct source_item items[] = {
		{.path = "/openstack/latest/meta_data.json", .needed = true},
		{.path = "/openstack/latest/user_data", .max = INSTANCE_DATA_MAX},
		{.path = "/openstack/latest/network_data.json", .max = INSTANCE_DATA_MAX},
		{.path = "/openstack/latest/vendor_data.json", .max = INSTANCE_DATA_MAX},
	};
	const struct source_service service = {.base = base};
	int r = source_service_get(&service, items, ARRAY_SIZE(items), err);

	if (r == 0)
		r = source_openstack_read(&items[0].answer.body, &items[2].answer.body,
					  &items[3].answer.body, ret, err);
	if (r == 0) {
		source_item_move(&items[1], &ret->user_data);
		source_item_move(&items[2], &ret->network_config);
	}
	/* Nobody at the address at all: another one may be worth a question. */
	if (r < 0 && items[0].answer.fault == HTTP_FAULT_CONNECT)
		r = -2;
	source_items_free(items, ARRAY_SIZE(items));
	return r;
}

/* Asks on one interface after the other: a link-local address needs one. */
static int ask_ipv6(const struct agent *agent, struct instance *ret, struct err *err)
{
	CLEANUP_FREE char *folder = agent_path(agent, "/sys/class/net");
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	unsigned count = 0;
	int r = -2;

	if (!dir)
		return -1;
	while (r == -2 && count < INTERFACES_MAX && (entry = readdir(dir))) {
		CLEANUP_FREE char *base = NULL;
		CLEANUP_FREE char *name = source_hostname(entry->d_name, strlen(entry->d_name));
		CLEANUP_FREE char *state = mem_printf("/sys/class/net/%s/operstate", entry->d_name);
		CLEANUP_FREE char *up = agent_read_line(agent, state);

		/* The names of ordinary cards are host names, too. */
		if (!name || !up || strcmp(up, "up") != 0)
			continue;
		count++;
		base = source_test_base6
			       ? mem_strdup(source_test_base6)
			       : mem_printf("http://[fe80::a9fe:a9fe%%25%s]", entry->d_name);
		r = ask(base, ret, err);
	}
	closedir(dir);
	return r;
}

int source_openstack_fetch(const struct agent *agent, struct instance *ret, struct err *err)
{
	int r = ask(source_test_base ? source_test_base : BASE, ret, err);

	if (r == -2)
		r = ask_ipv6(agent, ret, err);
	return r < 0 ? -1 : 0;
}
