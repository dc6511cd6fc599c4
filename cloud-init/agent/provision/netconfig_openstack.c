/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenStack's network_data.json: links by MAC address, networks on them, services for all.
 */
#include "agent/provision/netconfig.h"

#include <string.h>

/* The link of a VLAN or bond has an id that is no name ("tap..." of 14 and more): its place in the list makes one. */
static const char *name_of(struct netconfig_reader *reader, const char *what, size_t index)
{
	return mem_arena_printf(reader->config->arena, "%s%zu", what, index);
}

/* What a link of the file is called here, by its id; NULL when it is not there. */
static const char *id_of(struct netconfig_reader *reader, const struct doc_node *links,
			 const char *id)
{
	for (size_t i = 0; i < links->count; i++) {
		const struct doc_node *link = links->items[i];
		const char *own = doc_node_string(link, "id"),
			   *type = doc_node_string(link, "type");

		if (!own || strcmp(own, id) != 0)
			continue;
		if (type && strcmp(type, "vlan") == 0)
			return name_of(reader, "vlan", i);
		return name_of(reader, type && strcmp(type, "bond") == 0 ? "bond" : "link", i);
	}
	return NULL;
}

static void read_link(struct netconfig_reader *reader, const struct doc_node *links, size_t index)
{
	const struct doc_node *item = links->items[index];
	const char *type = doc_node_string(item, "type");
	const char *below = doc_node_string(item, "vlan_link");
	enum net_kind kind = NET_ETHERNET;
	struct net_link *link;

	if (item->kind != DOC_MAP || !doc_node_string(item, "id")) {
		doc_error(reader->report, &item->place, "a link needs an id");
		return;
	}
	if (type && strcmp(type, "bond") == 0)
		kind = NET_BOND;
	if (type && strcmp(type, "vlan") == 0)
		kind = NET_VLAN;
	link = net_add(reader, kind, item, id_of(reader, links, doc_node_string(item, "id")));
	if (!link)
		return;
	link->mtu = net_number(reader, item, "mtu", 68, 65536);
	if (kind == NET_ETHERNET) {
		link->mac = net_mac(reader, item, "ethernet_mac_address");
	} else if (kind == NET_VLAN) {
		link->vlan = net_number(reader, item, "vlan_id", 1, 4094);
		link->on = below ? id_of(reader, links, below) : NULL;
		link->set_mac = net_mac(reader, item, "vlan_mac_address");
	} else {
		static const char *const keys[] = {"bond_mode", "bond_xmit_hash_policy",
						   "bond_miimon"};
		struct doc_node *known = doc_node_new(reader->config->arena, DOC_MAP, item->place);

		for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
			if (doc_node_get(item, keys[i]))
				doc_node_set(reader->config->arena, known, keys[i], item->place,
					     doc_node_get(item, keys[i]));
		net_add_parameters(reader, link, known);
		link->set_mac = net_mac(reader, item, "ethernet_mac_address");
	}
}

static void read_members(struct netconfig_reader *reader, const struct doc_node *links,
			 const struct doc_node *item)
{
	const struct doc_node *members = doc_node_get(item, "bond_links");
	const char *id = doc_node_string(item, "id");
	const char *master = id ? id_of(reader, links, id) : NULL;

	for (size_t i = 0; master && members && members->kind == DOC_LIST && i < members->count;
	     i++) {
		const struct doc_node *member = members->items[i];
		const char *name =
			member->kind == DOC_SCALAR ? id_of(reader, links, member->text) : NULL;
		struct net_link *link = name ? net_find(reader->config, name) : NULL;

		if (link && strcmp(link->id, master) != 0)
			link->master = master;
		else
			doc_error(reader->report, &member->place,
				  "bond_links: there is no such link");
	}
}

static void read_routes(struct netconfig_reader *reader, struct net_link *link,
			const struct doc_node *list)
{
	for (size_t i = 0; list && list->kind == DOC_LIST && i < list->count; i++) {
		const struct doc_node *item = list->items[i];
		const char *to = doc_node_string(item, "network");
		const char *mask = doc_node_string(item, "netmask");
		const struct net_route route = {.via = doc_node_string(item, "gateway")};
		bool all = to && mask && (strcmp(to, "0.0.0.0") == 0 || strcmp(to, "::") == 0) &&
			   (strcmp(mask, "0.0.0.0") == 0 || strcmp(mask, "::") == 0);

		net_add_route(reader, link, item, all ? NULL : to, mask, &route);
	}
}

static void read_network(struct netconfig_reader *reader, const struct doc_node *links,
			 const struct doc_node *item)
{
	const char *id = doc_node_string(item, "link"), *type = doc_node_string(item, "type");
	const char *address = doc_node_string(item, "ip_address");
	const char *name = id ? id_of(reader, links, id) : NULL;
	const struct net_route gateway = {.via = doc_node_string(item, "gateway")};
	struct net_link *link = name ? net_find(reader->config, name) : NULL;

	if (!link || !type) {
		doc_error(reader->report, &item->place, "a network needs a type and a known link");
		return;
	}
	if (strcmp(type, "ipv4_dhcp") == 0)
		link->dhcp4 = true;
	else if (strcmp(type, "ipv6_dhcp") == 0 || strcmp(type, "ipv6_dhcpv6-stateful") == 0)
		link->dhcp6 = true;
	else if (str_has_prefix(type, "ipv6_"))
		link->accept_ra = 1; /* SLAAC, stateless */
	else if (address)
		net_add_address(reader, link, item, address, doc_node_string(item, "netmask"));
	if (gateway.via)
		net_add_route(reader, link, item, NULL, NULL, &gateway);
	read_routes(reader, link, doc_node_get(item, "routes"));
	for (size_t i = 0; i < 2; i++) {
		const struct doc_node *list =
			doc_node_get(item, i ? "dns_nameservers" : "services");

		for (size_t k = 0; list && list->kind == DOC_LIST && k < list->count; k++)
			net_add_dns(reader,
				    list->items[k]->kind == DOC_MAP
					    ? doc_node_get(list->items[k], "address")
					    : list->items[k],
				    &link->dns);
	}
}

void netconfig_read_openstack(struct netconfig_reader *reader, const struct doc_node *root)
{
	const struct doc_node *links = doc_node_get(root, "links");
	const struct doc_node *networks = doc_node_get(root, "networks");
	const struct doc_node *services = doc_node_get(root, "services");

	if (!links || links->kind != DOC_LIST) {
		doc_error(reader->report, &root->place, "network_data.json needs a list 'links'");
		return;
	}
	for (size_t i = 0; i < links->count; i++)
		read_link(reader, links, i);
	for (size_t i = 0; i < links->count; i++)
		read_members(reader, links, links->items[i]);
	for (size_t i = 0; networks && networks->kind == DOC_LIST && i < networks->count; i++)
		read_network(reader, links, networks->items[i]);
	for (size_t i = 0; services && services->kind == DOC_LIST && i < services->count; i++) {
		const char *type = doc_node_string(services->items[i], "type");

		for (size_t k = 0; type && strcmp(type, "dns") == 0 && k < reader->config->count;
		     k++)
			if (!reader->config->links[k].master)
				net_add_dns(reader, doc_node_get(services->items[i], "address"),
					    &reader->config->links[k].dns);
	}
}
