/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of systemd-networkd from the model. Pure; every text in the model was checked where it was read.
 */
#include "agent/provision/netconfig.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {NULL, "bond", "bridge", "vlan"};
static const char *const kind_sections[] = {NULL, "Bond", "Bridge", "VLAN"};

static void add_file(struct netconfig_files *files, const char *id, const char *suffix,
		     struct str *text)
{
	struct netconfig_file file = {.name = mem_printf("%s.%s", id, suffix),
				      .text = str_steal(text)};

	VEC_ADD(files->items, files->count, files->room, file);
}

/* Another interface may sit on this one with the same address: only the one that the machine has is meant. */
static void add_match(const struct net_link *link, bool renamed, struct str *text)
{
	str_add(text, "[Match]\n");
	if (link->kind != NET_ETHERNET) {
		str_addf(text, "Name=%s\n", link->id);
		return;
	}
	if (link->mac)
		str_addf(text, "PermanentMACAddress=%s\n", link->mac);
	if (link->driver)
		str_addf(text, "Driver=%s\n", link->driver);
	if (link->name && !(renamed && link->set_name))
		str_addf(text, "%s=%s\n", renamed ? "Name" : "OriginalName", link->name);
	else if (link->name)
		str_addf(text, "Name=%s\n", link->set_name);
	if (!link->name && link->mac)
		str_add(text, "Kind=!*\n");
}

static void add_name(const struct net_link *link, struct netconfig_files *files)
{
	struct str text = {0};

	add_match(link, false, &text);
	str_addf(&text, "\n[Link]\nName=%s\n", link->set_name);
	add_file(files, link->id, "link", &text);
}

static void add_netdev(const struct net_link *link, struct netconfig_files *files)
{
	struct str text = {0};

	str_addf(&text, "[NetDev]\nName=%s\nKind=%s\n", link->id, kind_names[link->kind]);
	if (link->set_mac)
		str_addf(&text, "MACAddress=%s\n", link->set_mac);
	str_addf(&text, "\n[%s]\n", kind_sections[link->kind]);
	if (link->kind == NET_VLAN)
		str_addf(&text, "Id=%" PRIu64 "\n", link->vlan);
	for (size_t i = 0; i < link->netdev.count; i++)
		str_addf(&text, "%s\n", link->netdev.items[i]);
	add_file(files, link->id, "netdev", &text);
}

static void add_list(const char *key, const struct strv *list, struct str *text)
{
	for (size_t i = 0; i < list->count; i++)
		str_addf(text, "%s=%s\n", key, list->items[i]);
}

static void add_route(const struct net_route *route, struct str *text)
{
	str_add(text, "\n[Route]\n");
	if (route->to)
		str_addf(text, "Destination=%s\n", route->to);
	if (route->via)
		str_addf(text, "Gateway=%s\n", route->via);
	else
		str_add(text, "Scope=link\n");
	if (route->onlink)
		str_add(text, "GatewayOnLink=yes\n");
	if (route->metric)
		str_addf(text, "Metric=%" PRIu64 "\n", route->metric);
	if (route->table)
		str_addf(text, "Table=%" PRIu64 "\n", route->table);
}

static void add_above(const struct netconfig *config, const struct net_link *link, struct str *text)
{
	const struct net_link *master = NULL;

	for (size_t i = 0; i < config->count; i++) {
		const struct net_link *other = &config->links[i];

		if (other->kind == NET_VLAN && other->vlan && other->on &&
		    strcmp(other->on, link->id) == 0)
			str_addf(text, "VLAN=%s\n", other->id);
		if (link->master && strcmp(other->id, link->master) == 0)
			master = other;
	}
	if (master)
		str_addf(text, "%s=%s\n", master->kind == NET_BOND ? "Bond" : "Bridge", master->id);
}

static void add_network(const struct netconfig *config, const struct net_link *link,
			struct netconfig_files *files)
{
	static const char *const dhcp[] = {"no", "ipv4", "ipv6", "yes"};
	struct str text = {0};

	add_match(link, true, &text);
	str_addf(&text, "\n[Link]\nRequiredForOnline=%s\n",
		 link->optional || link->master ? "no" : "routable");
	if (link->mtu)
		str_addf(&text, "MTUBytes=%" PRIu64 "\n", link->mtu);
	if (link->set_mac && link->kind == NET_ETHERNET)
		str_addf(&text, "MACAddress=%s\n", link->set_mac);
	str_addf(&text, "\n[Network]\nDHCP=%s\n", dhcp[link->dhcp4 + 2 * link->dhcp6]);
	if (link->master)
		str_add(&text, "LinkLocalAddressing=no\nIPv6AcceptRA=no\n");
	else if (link->accept_ra >= 0 || link->dhcp6)
		str_addf(&text, "IPv6AcceptRA=%s\n", link->accept_ra ? "yes" : "no");
	add_list("Address", &link->addresses, &text);
	add_list("DNS", &link->dns, &text);
	add_list("Domains", &link->search, &text);
	add_above(config, link, &text);
	if (link->dhcp4)
		str_add(&text, "\n[DHCPv4]\nClientIdentifier=mac\nUseDomains=yes\n");
	if (link->dhcp6)
		str_add(&text, "\n[DHCPv6]\nUseDomains=yes\n");
	for (size_t i = 0; i < link->route_count; i++)
		add_route(&link->routes[i], &text);
	add_file(files, link->id, "network", &text);
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct netconfig_file *)a)->name,
		      ((const struct netconfig_file *)b)->name);
}

void netconfig_render(const struct netconfig *config, struct netconfig_files *ret)
{
	for (size_t i = 0; i < config->count; i++) {
		const struct net_link *link = &config->links[i];

		/* What nothing finds would be everything: an empty [Match] fits every interface. */
		if (link->kind == NET_ETHERNET && !link->mac && !link->name && !link->driver)
			continue;
		if (link->kind == NET_VLAN && (!link->vlan || !link->on))
			continue;
		if (link->kind == NET_ETHERNET && link->set_name)
			add_name(link, ret);
		if (link->kind != NET_ETHERNET)
			add_netdev(link, ret);
		add_network(config, link, ret);
	}
	if (ret->count)
		qsort(ret->items, ret->count, sizeof(*ret->items), compare);
}
