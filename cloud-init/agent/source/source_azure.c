/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Microsoft Azure (learn.microsoft.com/azure/virtual-machines/instance-metadata-service): IMDS says who the machine is;
 * custom data comes on a CD, user data, which may be changed later, by IMDS. Custom data wins, as with cloud-init.
 */
#include "agent/source/source_parts.h"

#include "base/base64.h"
#include "base/mem.h"

#include <ctype.h>
#include <string.h>

#define BASE "http://169.254.169.254"
#define ASSET_TAG "7783-7084-3265-9085-8269-3286-77"
#define INSTANCE "/metadata/instance?api-version=2021-08-01&extended=true"
#define INSTANCE_OLD "/metadata/instance?api-version=2019-06-01"
#define USER_DATA "/metadata/instance/compute/userData?api-version=2021-01-01&format=text"

bool source_azure_detect(const struct agent *agent)
{
	return source_dmi_is(agent, "chassis_asset_tag", ASSET_TAG);
}

static char *first_address(const json_t *value)
{
	const json_t *list = json_object_get(json_object_get(value, "network"), "interface");
	const json_t *ipv4 = json_object_get(json_array_get(list, 0), "ipv4");
	const json_t *address = json_array_get(json_object_get(ipv4, "ipAddress"), 0);

	return source_member(address, "privateIpAddress", source_word);
}

int source_azure_read(const json_t *value, struct instance *ret, struct err *err)
{
	const json_t *compute = json_object_get(value, "compute"), *item;
	CLEANUP_FREE char *zone = source_member(compute, "zone", source_word);
	size_t i;

	ret->id = source_member(compute, "vmId", source_id);
	if (!ret->id)
		return err_set(err, ERR_OTHER, "the metadata has no vmId");
	for (char *p = ret->id; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	ret->hostname = source_member(json_object_get(compute, "osProfile"), "computerName",
				      source_hostname);
	if (!ret->hostname)
		ret->hostname = source_member(compute, "name", source_hostname);
	ret->region = source_member(compute, "location", source_word);
	/* Zones are numbers inside a region. */
	if (zone && ret->region)
		ret->zone = mem_printf("%s-%s", ret->region, zone);
	ret->kind = source_member(compute, "vmSize", source_word);
	ret->address = first_address(value);
	json_array_foreach(json_object_get(compute, "publicKeys"), i, item)
	{
		const json_t *key = json_object_get(item, "keyData");

		source_add_keys(ret, json_is_string(key) ? json_string_value(key) : "",
				json_string_length(key));
	}
	json_array_foreach(json_object_get(compute, "tagsList"), i, item) source_add_tag(
		ret, json_member_string(item, "name"), json_member_string(item, "value"));
	return 0;
}

static int take_user_data(const struct source_item *item, struct instance *ret, struct err *err)
{
	const struct str *body = &item->answer.body;
	size_t len = body->len;

	while (len && strchr("\r\n ", body->data[len - 1]))
		len--;
	if (!len)
		return 0;
	if (base64_decode(body->data, len, &ret->user_data) == 0)
		return 0;
	return err_set(err, ERR_OTHER, "the user data of the metadata is not base64");
}

/* Asks IMDS; an old one does not know the newer question. */
static int ask(struct source_item items[2], struct err *err)
{
	static const char *const headers[] = {"Metadata: true", NULL};
	const struct source_service service = {
		.base = source_test_base ? source_test_base : BASE,
		.headers = headers,
	};
	int r = source_service_get(&service, items, 2, err);

	if (r == 0 || items[0].answer.status != 400)
		return r;
	if (items[1].answer.status != 200)
		items[1].answer.body.len = 0;
	items[0].path = INSTANCE_OLD;
	return source_service_get(&service, items, 1, err);
}

static int take(const struct agent *agent, struct source_item items[2], struct instance *ret,
		struct err *err)
{
	CLEANUP(source_ovf_free) struct source_ovf ovf = {0};
	CLEANUP_JSON json_t *value = source_item_json(&items[0], err);
	bool found;

	if (!value || source_azure_read(value, ret, err) < 0 ||
	    source_ovf_load(agent, ret->id, &ovf, &found, err) < 0)
		return -1;
	if (ovf.hostname) {
		free(ret->hostname);
		ret->hostname = MEM_STEAL(ovf.hostname);
	}
	if (!ovf.custom_data.len)
		return take_user_data(&items[1], ret, err);
	ret->user_data = ovf.custom_data;
	ovf.custom_data = (struct str){0};
	return 0;
}

int source_azure_fetch(const struct agent *agent, struct instance *ret, struct err *err)
{
	struct source_item items[2] = {
		{.path = INSTANCE, .needed = true},
		{.path = USER_DATA, .max = INSTANCE_DATA_MAX},
	};
	int r = ask(items, err);

	if (r == 0)
		r = take(agent, items, ret, err);
	source_items_free(items, ARRAY_SIZE(items));
	return r;
}

int source_azure_report(const struct agent *agent, const struct instance *instance,
			const char *failure, struct err *err)
{
	(void)instance;
	return source_wireserver_report(agent, failure, err);
}
