/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network configuration, version 2: cloud-init's subset of netplan.
 */
#include "agent/provision/netconfig.h"

#include <string.h>

static const char *const link_keys[] = {
	"match",
	"set-name",
	"wakeonlan",
	"dhcp4",
	"dhcp6",
	"addresses",
	"gateway4",
	"gateway6",
	"mtu",
	"nameservers",
	"routes",
	"optional",
	"accept-ra",
	"interfaces",
	"parameters",
	"id",
	"link",
	"macaddress",
	"renderer",
	"dhcp4-overrides",
	"dhcp6-overrides",
	"dhcp-identifier",
	"critical",
	"link-local",
	"activation-mode",
	"optional-addresses",
};

static const struct {
	const char *key;
	enum net_kind kind;
} sections[] = {
	{"ethernets", NET_ETHERNET},
	{"bonds", NET_BOND},
	{"bridges", NET_BRIDGE},
	{"vlans", NET_VLAN},
};

static void check_keys(struct netconfig_reader *reader, const struct doc_node *map)
{
	for (size_t i = 0; i < map->count; i++) {
		const struct doc_pair *pair = &map->pairs[i];
		bool known = false;

		for (size_t k = 0; !known && k < ARRAY_SIZE(link_keys); k++)
			known = strcmp(pair->key, link_keys[k]) == 0;
		if (known)
			continue;
		doc_error(reader->report, &pair->place, "key '%s' is not supported",
			  doc_show(reader->config->arena, pair->key));
		doc_note_nearest(reader->report, &pair->place, pair->key, link_keys,
				 ARRAY_SIZE(link_keys), false);
	}
}

static void read_match(struct netconfig_reader *reader, struct net_link *link,
		       const struct doc_node *map)
{
	const struct doc_node *match = doc_node_get(map, "match");

	link->set_name = net_name(reader, map, "set-name", false);
	if (!match) {
		link->name = link->id;
		return;
	}
	link->mac = net_mac(reader, match, "macaddress");
	link->name = net_name(reader, match, "name", true);
	link->driver = net_name(reader, match, "driver", true);
	if (!link->mac && !link->name && !link->driver)
		doc_error(reader->report, &match->place,
			  "match needs macaddress, name or driver: the interface is left alone");
}

static void read_addresses(struct netconfig_reader *reader, struct net_link *link,
			   const struct doc_node *list)
{
	for (size_t i = 0; list && list->kind == DOC_LIST && i < list->count; i++) {
		const struct doc_node *item = list->items[i];

		/* An address with options is a map of one key. */
		if (item->kind == DOC_MAP && item->count == 1)
			net_add_address(reader, link, item, item->pairs[0].key, NULL);
		else if (item->kind == DOC_SCALAR)
			net_add_address(reader, link, item, item->text, NULL);
		else
			doc_error(reader->report, &item->place, "an address must be text");
	}
}

static void read_routes(struct netconfig_reader *reader, struct net_link *link,
			const struct doc_node *list)
{
	for (size_t i = 0; list && list->kind == DOC_LIST && i < list->count; i++) {
		const struct doc_node *item = list->items[i];
		struct net_route route;

		if (item->kind != DOC_MAP) {
			doc_error(reader->report, &item->place, "a route must be a map");
			continue;
		}
		route = (struct net_route){
			.via = doc_node_string(item, "via"),
			.metric = net_number(reader, item, "metric", 1, 4294967295),
			.table = net_number(reader, item, "table", 1, 4294967295),
			.onlink = net_bool(reader, item, "on-link", false),
		};
		net_add_route(reader, link, item, doc_node_string(item, "to"), NULL, &route);
	}
}

static void read_gateway(struct netconfig_reader *reader, struct net_link *link,
			 const struct doc_node *map, const char *key)
{
	const struct net_route route = {.via = doc_node_string(map, key)};

	if (route.via)
		net_add_route(reader, link, doc_node_get(map, key), NULL, NULL, &route);
}

static void read_link(struct netconfig_reader *reader, enum net_kind kind,
		      const struct doc_pair *pair)
{
	const struct doc_node *map = pair->value, *servers;
	struct net_link *link;

	if (map->kind != DOC_MAP) {
		doc_error(reader->report, &pair->place, "'%s' must be a map",
			  doc_show(reader->config->arena, pair->key));
		return;
	}
	link = net_add(reader, kind, map, pair->key);
	if (!link)
		return;
	check_keys(reader, map);
	if (kind == NET_ETHERNET)
		read_match(reader, link, map);
	link->dhcp4 = net_bool(reader, map, "dhcp4", false);
	link->dhcp6 = net_bool(reader, map, "dhcp6", false);
	link->optional = net_bool(reader, map, "optional", false);
	if (doc_node_get(map, "accept-ra"))
		link->accept_ra = net_bool(reader, map, "accept-ra", true);
	link->set_mac = net_mac(reader, map, "macaddress");
	link->mtu = net_number(reader, map, "mtu", 68, 65536);
	read_addresses(reader, link, doc_node_get(map, "addresses"));
	read_gateway(reader, link, map, "gateway4");
	read_gateway(reader, link, map, "gateway6");
	read_routes(reader, link, doc_node_get(map, "routes"));
	servers = doc_node_get(map, "nameservers");
	if (servers && servers->kind == DOC_MAP) {
		net_add_dns(reader, doc_node_get(servers, "addresses"), &link->dns);
		net_add_search(reader, doc_node_get(servers, "search"), &link->search);
	} else if (servers) {
		net_add_dns(reader, servers, &link->dns);
	}
	if (kind == NET_VLAN) {
		link->vlan = net_number(reader, map, "id", 1, 4094);
		link->on = net_name(reader, map, "link", false);
	}
	if (kind == NET_BOND || kind == NET_BRIDGE)
		net_add_parameters(reader, link, doc_node_get(map, "parameters"));
}

void netconfig_read_v2(struct netconfig_reader *reader, const struct doc_node *root)
{
	for (size_t s = 0; s < ARRAY_SIZE(sections); s++) {
		const struct doc_node *map = doc_node_get(root, sections[s].key);

		for (size_t i = 0; map && map->kind == DOC_MAP && i < map->count; i++)
			read_link(reader, sections[s].kind, &map->pairs[i]);
	}
	for (size_t i = 0; i < root->count; i++) {
		const char *key = root->pairs[i].key;
		bool known = strcmp(key, "version") == 0 || strcmp(key, "renderer") == 0;

		for (size_t s = 0; s < ARRAY_SIZE(sections); s++)
			known |= strcmp(key, sections[s].key) == 0;
		if (!known)
			doc_error(reader->report, &root->pairs[i].place,
				  "key '%s' is not supported",
				  doc_show(reader->config->arena, key));
	}
	/* Members may be described after their bond. */
	for (size_t s = 0; s < ARRAY_SIZE(sections); s++) {
		const struct doc_node *map = doc_node_get(root, sections[s].key);

		for (size_t i = 0; map && map->kind == DOC_MAP && i < map->count; i++)
			if (net_find(reader->config, map->pairs[i].key) &&
			    (sections[s].kind == NET_BOND || sections[s].kind == NET_BRIDGE))
				net_add_members(reader, map->pairs[i].key,
						doc_node_get(map->pairs[i].value, "interfaces"));
	}
}
