/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rendezvous "static": addresses and tokens stand in the user-data. Nobody initialises; tokens that were rotated
 * since are refused by the swarm, and then somebody must change the user-data.
 */
#include "agent/join/rendezvous.h"

#include "agent/userdata/settings.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define ADDRESSES_MAX 31

struct fixed {
	struct strv addresses;
	char token[RENDEZVOUS_TOKEN_MAX];
};

static void fixed_close(struct rendezvous *r)
{
	struct fixed *fixed = r->state;

	if (!fixed)
		return;
	strv_free(&fixed->addresses);
	mem_wipe(fixed, sizeof(*fixed));
	free(fixed);
	r->state = NULL;
}

static int read_addresses(const json_t *list, struct fixed *fixed, struct err *err)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		const char *text = json_string_value(item);
		char address[128];

		if (!text || i >= ADDRESSES_MAX ||
		    !rendezvous_with_port(text, 2377, address, sizeof(address)))
			return err_set(err, ERR_PROFILE,
				       "ingot.cluster.static.managers: item %zu is no address",
				       i + 1);
		strv_add(&fixed->addresses, address);
	}
	if (fixed->addresses.count == 0)
		return err_set(err, ERR_PROFILE, "ingot.cluster.static.managers names no manager");
	return 0;
}

static int read_token(struct rendezvous *r, const json_t *section, struct fixed *fixed,
		      struct err *err)
{
	CLEANUP_FREE char *key = mem_printf("%s_token", r->role);
	const char *value = json_member_string(section, key);
	char *token;
	bool good;

	if (!value)
		return err_set(err, ERR_PROFILE,
			       "ingot.cluster.static.%s is missing: a %s needs it", key, r->role);
	token = settings_secret(r->agent, value, err);
	if (!token)
		return err_wrap(err, "ingot.cluster.static.%s", key);
	good = rendezvous_is_token(token);
	if (good)
		memcpy(fixed->token, token, strlen(token) + 1);
	mem_wipe(token, strlen(token));
	free(token);
	return good ? 0
		    : err_set(err, ERR_PROFILE, "ingot.cluster.static.%s is no join token", key);
}

static int fixed_open(struct rendezvous *r, struct err *err)
{
	const json_t *section = json_object_get(r->cluster, "static");
	struct fixed *fixed = mem_alloc(sizeof(*fixed));

	r->state = fixed;
	if (read_addresses(json_object_get(section, "managers"), fixed, err) == 0 &&
	    read_token(r, section, fixed, err) == 0)
		return 0;
	fixed_close(r);
	return -1;
}

static int fixed_look(struct rendezvous *r, struct rendezvous_view *ret, struct err *err)
{
	const struct fixed *fixed = r->state;

	(void)err;
	ret->state = RENDEZVOUS_READY;
	for (size_t i = 0; i < fixed->addresses.count; i++)
		strv_add(&ret->addresses, fixed->addresses.items[i]);
	memcpy(ret->token, fixed->token, sizeof(ret->token));
	return 0;
}

const struct rendezvous_kind rendezvous_static = {
	.name = "static",
	.open = fixed_open,
	.close = fixed_close,
	.look = fixed_look,
};
