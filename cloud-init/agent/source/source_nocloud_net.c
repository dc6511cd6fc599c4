/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NoCloud over HTTP: "ds=nocloud;s=http://HOST/PATH/" on the kernel's command line or in the DMI serial number.
 */
#include "agent/source/source_parts.h"

#include "base/mem.h"

#include <string.h>
#include <strings.h>

static bool find_seed(const struct agent *agent, struct source_option *option)
{
	return source_option_find(agent, option) && option->seed &&
	       (strcmp(option->name, "nocloud") == 0 || strcmp(option->name, "nocloud-net") == 0) &&
	       *option->seed != '/' && !str_has_prefix(option->seed, "file://");
}

bool source_nocloud_net_detect(const struct agent *agent)
{
	CLEANUP(source_option_free) struct source_option option = {0};

	return find_seed(agent, &option);
}

/* The URL of the folder: names are put behind it. */
static char *seed_url(const struct agent *agent, const char *seed, struct err *err)
{
	CLEANUP_FREE char *url = source_expand_dmi(agent, seed, err);

	if (!url)
		return NULL;
	if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0) {
		err_set(err, ERR_OTHER, "the seed is at no http, https or file URL");
		return NULL;
	}
	/* With a query the names end it. */
	if (strchr(url, '?') || str_has_suffix(url, "/"))
		return MEM_STEAL(url);
	return mem_printf("%s/", url);
}

static int take(struct source_item *items, const struct source_option *option, struct instance *ret,
		struct err *err)
{
	struct str *meta = &items[0].answer.body;

	if (option->id)
		ret->id = source_id(option->id, strlen(option->id));
	if (option->hostname)
		ret->hostname = source_hostname(option->hostname, strlen(option->hostname));
	if (source_meta_data(meta->len ? meta->data : "", meta->len, "meta-data", ret, err) < 0)
		return -1;
	source_item_move(&items[1], &ret->user_data);
	source_item_move(&items[2], &ret->vendor_data);
	source_item_move(&items[3], &ret->network_config);
	if (ret->id)
		return 0;
	err_set(err, ERR_OTHER, "the seed has no instance-id");
	return err_hint(err, "its meta-data needs a line 'instance-id: NAME'");
}

int source_nocloud_net_fetch(const struct agent *agent, struct instance *ret, struct err *err)
{
	struct source_item items[] = {
		{.path = "meta-data", .needed = true},
		{.path = "user-data", .max = INSTANCE_DATA_MAX},
		{.path = "vendor-data", .max = INSTANCE_DATA_MAX},
		{.path = "network-config", .max = INSTANCE_DATA_MAX},
	};
	CLEANUP(source_option_free) struct source_option option = {0};
	CLEANUP_FREE char *url = NULL;
	struct source_service service = {.elsewhere = true};
	int r;

	if (!find_seed(agent, &option))
		return err_set(err, ERR_OTHER, "no seed is named");
	url = seed_url(agent, option.seed, err);
	if (!url)
		return -1;
	service.base = url;
	r = source_service_get(&service, items, ARRAY_SIZE(items), err);
	if (r == 0)
		r = take(items, &option, ret, err);
	source_items_free(items, ARRAY_SIZE(items));
	return r;
}
