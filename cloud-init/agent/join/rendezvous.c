/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of rendezvous backends, and what all of them need: which one the settings name, tokens and addresses
 * that are well formed.
 */
#include "agent/join/rendezvous.h"

#include "agent/join/rendezvous_store.h"
#include "agent/join/seeds.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

extern const struct rendezvous_kind rendezvous_static;

const struct rendezvous_kind *const rendezvous_kinds[] = {
	&rendezvous_seeds, &rendezvous_etcd, &rendezvous_s3, &rendezvous_static, NULL,
};

int rendezvous_open(struct rendezvous *r, struct err *err)
{
	const char *name = json_member_string(r->cluster, "rendezvous");

	if (!name)
		name = rendezvous_kinds[0]->name;
	r->kind = NULL;
	for (size_t i = 0; rendezvous_kinds[i]; i++)
		if (strcmp(rendezvous_kinds[i]->name, name) == 0)
			r->kind = rendezvous_kinds[i];
	if (!r->kind)
		return err_set(err, ERR_PROFILE,
			       "ingot.cluster.rendezvous: '%.40s' is not known to this agent",
			       name);
	if (r->kind->open(r, err) == 0)
		return 0;
	r->kind = NULL; /* nothing is open */
	r->state = NULL;
	return -1;
}

void rendezvous_close(struct rendezvous *r)
{
	if (r->kind && r->kind->close)
		r->kind->close(r);
	r->kind = NULL;
	r->state = NULL;
}

void rendezvous_view_free(struct rendezvous_view *view)
{
	strv_free(&view->addresses);
	mem_wipe(view, sizeof(*view));
}

bool rendezvous_is_token(const char *text)
{
	static const char base36[] = "0123456789abcdefghijklmnopqrstuvwxyz";

	if (str_has_prefix(text, "SWMTKN-2-1-"))
		text += 11;
	else if (str_has_prefix(text, "SWMTKN-1-"))
		text += 9;
	else
		return false;
	return strlen(text) == 50 + 1 + 25 && strspn(text, base36) == 50 && text[50] == '-' &&
	       strspn(text + 51, base36) == 25;
}

/* Letters, digits and what addresses and names of hosts have besides. */
static bool is_host(const char *text, size_t len)
{
	static const char allowed[] = "0123456789abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ.-_:[]%";

	return len > 0 && strspn(text, allowed) >= len;
}

bool rendezvous_with_port(const char *host, unsigned port, char *to, size_t size)
{
	const char *bracket = strrchr(host, ']'), *colon = strrchr(host, ':');
	bool bare6 = !bracket && colon && strchr(host, ':') != colon;
	int n;

	if (!is_host(host, strlen(host)) || (*host == '[' && !bracket))
		return false;
	if (bare6)
		n = snprintf(to, size, "[%s]:%u", host, port);
	else if (colon && (!bracket || colon > bracket))
		n = snprintf(to, size, "%s", host);
	else
		n = snprintf(to, size, "%s:%u", host, port);
	return n > 0 && (size_t)n < size;
}
