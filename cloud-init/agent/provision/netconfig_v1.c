/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network configuration, version 1: a list of interfaces, each with subnets.
 */
#include "agent/provision/netconfig.h"

#include <string.h>

static void read_routes(struct netconfig_reader *reader, struct net_link *link,
			const struct doc_node *list)
{
	for (size_t i = 0; list && list->kind == DOC_LIST && i < list->count; i++) {
		const struct doc_node *item = list->items[i];
		const char *to = doc_node_string(item, "network");
		const char *mask = doc_node_string(item, "netmask");
		struct net_route route;

		if (item->kind != DOC_MAP) {
			doc_error(reader->report, &item->place, "a route must be a map");
			continue;
		}
		route = (struct net_route){
			.via = doc_node_string(item, "gateway"),
			.metric = net_number(reader, item, "metric", 1, 4294967295),
		};
		to = to ? to : doc_node_string(item, "destination");
		mask = mask ? mask : doc_node_string(item, "prefix");
		net_add_route(reader, link, item, to, mask, &route);
	}
}

static void read_subnet(struct netconfig_reader *reader, struct net_link *link,
			const struct doc_node *subnet)
{
	static const char *const kinds[] = {
		"dhcp",
		"dhcp4",
		"dhcp6",
		"static",
		"static6",
		"manual",
		"ipv6_slaac",
		"ipv6_dhcpv6-stateful",
		"ipv6_dhcpv6-stateless",
	};
	const char *type = doc_node_string(subnet, "type");
	const char *address = doc_node_string(subnet, "address");
	const struct net_route gateway = {.via = doc_node_string(subnet, "gateway")};
	bool known = false;

	for (size_t i = 0; type && !known && i < ARRAY_SIZE(kinds); i++)
		known = strcmp(type, kinds[i]) == 0;
	if (!known) {
		doc_error(reader->report, &subnet->place, "a subnet needs a type");
		doc_note(reader->report, &subnet->place,
			 "expected one of dhcp, dhcp4, dhcp6, static, static6, manual, ipv6_slaac");
		return;
	}
	link->dhcp4 |= strcmp(type, "dhcp") == 0 || strcmp(type, "dhcp4") == 0;
	link->dhcp6 |= strcmp(type, "dhcp6") == 0 || strcmp(type, "ipv6_dhcpv6-stateful") == 0;
	if (str_has_prefix(type, "ipv6_"))
		link->accept_ra = 1;
	if (str_has_prefix(type, "static") && !address)
		doc_error(reader->report, &subnet->place, "a static subnet needs an address");
	if (address)
		net_add_address(reader, link, subnet, address, doc_node_string(subnet, "netmask"));
	if (gateway.via)
		net_add_route(reader, link, subnet, NULL, NULL, &gateway);
	net_add_dns(reader, doc_node_get(subnet, "dns_nameservers"), &link->dns);
	net_add_search(reader, doc_node_get(subnet, "dns_search"), &link->search);
	read_routes(reader, link, doc_node_get(subnet, "routes"));
}

static void read_link(struct netconfig_reader *reader, enum net_kind kind,
		      const struct doc_node *item)
{
	const char *name = doc_node_string(item, "name");
	const struct doc_node *subnets = doc_node_get(item, "subnets");
	struct net_link *link;

	if (!name) {
		doc_error(reader->report, &item->place, "an interface needs a name");
		return;
	}
	link = net_add(reader, kind, item, name);
	if (!link)
		return;
	/* An interface with a MAC address is found by that, and gets the name. */
	if (kind == NET_ETHERNET) {
		link->mac = net_mac(reader, item, "mac_address");
		link->name = link->mac ? NULL : link->id;
		if (link->mac && strlen(link->id) <= 15)
			link->set_name = link->id;
	} else {
		link->set_mac = net_mac(reader, item, "mac_address");
	}
	link->mtu = net_number(reader, item, "mtu", 68, 65536);
	if (doc_node_get(item, "accept-ra"))
		link->accept_ra = net_bool(reader, item, "accept-ra", true);
	for (size_t i = 0; subnets && subnets->kind == DOC_LIST && i < subnets->count; i++)
		if (subnets->items[i]->kind == DOC_MAP)
			read_subnet(reader, link, subnets->items[i]);
		else
			doc_error(reader->report, &subnets->items[i]->place,
				  "a subnet must be a map");
	if (kind == NET_VLAN) {
		link->vlan = net_number(reader, item, "vlan_id", 1, 4094);
		link->on = net_name(reader, item, "vlan_link", false);
	}
	if (kind == NET_BOND || kind == NET_BRIDGE)
		net_add_parameters(reader, link, doc_node_get(item, "params"));
}

/* Name servers for all of them: each configured link gets them. */
static void read_nameserver(struct netconfig_reader *reader, const struct doc_node *item)
{
	for (size_t i = 0; i < reader->config->count; i++) {
		struct net_link *link = &reader->config->links[i];
		struct doc_report first = {0};
		struct netconfig_reader own = {.config = reader->config,
					       .report = i ? &first : reader->report};

		if (link->master)
			continue;
		net_add_dns(&own, doc_node_get(item, "address"), &link->dns);
		net_add_search(&own, doc_node_get(item, "search"), &link->search);
	}
}

static const struct {
	const char *type;
	enum net_kind kind;
	const char *members;
} kinds[] = {
	{"physical", NET_ETHERNET, NULL},
	{"bond", NET_BOND, "bond_interfaces"},
	{"bridge", NET_BRIDGE, "bridge_interfaces"},
	{"vlan", NET_VLAN, NULL},
};

static void read_item(struct netconfig_reader *reader, const struct doc_node *item)
{
	const char *type = doc_node_string(item, "type");

	if (item->kind != DOC_MAP || !type) {
		doc_error(reader->report, &item->place, "an entry of config needs a type");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(type, kinds[i].type) == 0)
			return read_link(reader, kinds[i].kind, item);
	if (strcmp(type, "nameserver") != 0 && strcmp(type, "loopback") != 0)
		doc_error(reader->report, &item->place, "type '%s' is not supported",
			  doc_show(reader->config->arena, type));
}

void netconfig_read_v1(struct netconfig_reader *reader, const struct doc_node *root)
{
	const struct doc_node *list = doc_node_get(root, "config");

	if (!list || list->kind != DOC_LIST) {
		if (!list || !doc_node_string(root, "config"))
			doc_error(reader->report, &root->place, "version 1 needs a list 'config'");
		return;
	}
	for (size_t i = 0; i < list->count; i++)
		read_item(reader, list->items[i]);
	for (size_t i = 0; i < list->count; i++) {
		const struct doc_node *item = list->items[i];
		const char *type = doc_node_string(item, "type");
		const char *name = doc_node_string(item, "name");

		for (size_t k = 0; type && name && k < ARRAY_SIZE(kinds); k++)
			if (kinds[k].members && strcmp(type, kinds[k].type) == 0)
				net_add_members(reader, name, doc_node_get(item, kinds[k].members));
	}
	for (size_t i = 0; i < list->count; i++) {
		const char *type = doc_node_string(list->items[i], "type");

		if (type && strcmp(type, "nameserver") == 0)
			read_nameserver(reader, list->items[i]);
	}
}
