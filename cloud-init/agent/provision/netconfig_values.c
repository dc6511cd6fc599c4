/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of network configuration. Each is parsed before it is kept: what reaches a file of networkd is an address, a
 * name or a number and never a line of its own.
 */
#include "agent/provision/netconfig.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ID_MAX 64
#define IFNAME_MAX 15
#define TEXTS_MAX 64

static const char *show(struct netconfig_reader *reader, const char *text)
{
	return doc_show(reader->config->arena, text);
}

static bool name_valid(const char *name, size_t max, bool glob)
{
	size_t len = strlen(name);

	return len && len <= max && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
	       strspn(name, glob ? "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				   "0123456789_.:-*?[]"
				 : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				   "0123456789_.:-") == len;
}

struct net_link *net_find(struct netconfig *config, const char *id)
{
	for (size_t i = 0; i < config->count; i++)
		if (strcmp(config->links[i].id, id) == 0)
			return &config->links[i];
	return NULL;
}

struct net_link *net_add(struct netconfig_reader *reader, enum net_kind kind,
			 const struct doc_node *node, const char *id)
{
	struct netconfig *config = reader->config;
	struct net_link link = {.kind = kind, .accept_ra = -1};

	if (!name_valid(id, kind == NET_ETHERNET ? ID_MAX : IFNAME_MAX, false)) {
		doc_error(reader->report, &node->place, "'%s' cannot be the name of an interface",
			  show(reader, id));
		return NULL;
	}
	if (config->count >= NETCONFIG_LINKS_MAX || net_find(config, id)) {
		doc_error(reader->report, &node->place,
			  config->count >= NETCONFIG_LINKS_MAX ? "too many interfaces"
							       : "interface '%s' is there twice",
			  show(reader, id));
		return NULL;
	}
	link.id = mem_arena_strdup(config->arena, id);
	VEC_ADD(config->links, config->count, config->room, link);
	return &config->links[config->count - 1];
}

/* Family of an address, or 0. */
static int family_of(const char *text)
{
	unsigned char bytes[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, text, bytes) == 1    ? AF_INET
	       : inet_pton(AF_INET6, text, bytes) == 1 ? AF_INET6
						       : 0;
}

/* "24", "/24", "255.255.255.0" or "ffff:ffff::" as a prefix length; -1 when it is none. */
static int prefix_of(const char *text, int family)
{
	unsigned char bytes[sizeof(struct in6_addr)] = {0};
	int max = family == AF_INET ? 32 : 128, length = 0;
	char *end;
	long value;

	text += *text == '/';
	if (*text && strspn(text, "0123456789") == strlen(text) && strlen(text) <= 3) {
		value = strtol(text, &end, 10);
		return value <= max ? (int)value : -1;
	}
	if (inet_pton(family, text, bytes) != 1)
		return -1;
	while (length < max && bytes[length / 8] & (0x80 >> length % 8))
		length++;
	for (int i = length; i < max; i++)
		if (bytes[i / 8] & (0x80 >> i % 8))
			return -1; /* a hole in the mask */
	return length;
}

/* "address/prefix" in the arena, or NULL. host: an address without prefix or mask is one host. */
static const char *with_prefix(struct netconfig_reader *reader, const char *text,
			       const char *netmask, bool host)
{
	const char *slash = strchr(text, '/');
	char address[INET6_ADDRSTRLEN];
	int family, prefix;

	if ((slash ? (size_t)(slash - text) : strlen(text)) >= sizeof(address))
		return NULL;
	snprintf(address, sizeof(address), "%.*s",
		 (int)(slash ? (size_t)(slash - text) : strlen(text)), text);
	family = family_of(address);
	if (!family)
		return NULL;
	prefix = slash     ? prefix_of(slash + 1, family)
		 : netmask ? prefix_of(netmask, family)
		 : host    ? (family == AF_INET ? 32 : 128)
			   : -1;
	return prefix < 0 ? NULL
			  : mem_arena_printf(reader->config->arena, "%s/%d", address, prefix);
}

void net_add_address(struct netconfig_reader *reader, struct net_link *link,
		     const struct doc_node *node, const char *address, const char *netmask)
{
	const char *whole = with_prefix(reader, address, netmask, false);

	if (!whole)
		doc_error(reader->report, &node->place, "'%s' is no address with a prefix length",
			  show(reader, address));
	else if (link->addresses.count < TEXTS_MAX)
		strv_add(&link->addresses, whole);
}

void net_add_route(struct netconfig_reader *reader, struct net_link *link,
		   const struct doc_node *node, const char *to, const char *netmask,
		   const struct net_route *route)
{
	struct net_route added = *route;

	if (route->via && !family_of(route->via)) {
		doc_error(reader->report, &node->place, "gateway '%s' is no address",
			  show(reader, route->via));
		return;
	}
	if (to && strcmp(to, "default") != 0) {
		added.to = with_prefix(reader, to, netmask, true);
		if (!added.to) {
			doc_error(reader->report, &node->place, "'%s' is no network",
				  show(reader, to));
			return;
		}
	} else {
		added.to = NULL;
	}
	if (!added.to && !added.via) {
		doc_error(reader->report, &node->place, "a route needs a network or a gateway");
		return;
	}
	if (link->route_count < NETCONFIG_ROUTES_MAX)
		VEC_ADD(link->routes, link->route_count, link->route_room, added);
}

/* Calls add for each text of a node: one text, or a list of them. */
static void each_text(struct netconfig_reader *reader, const struct doc_node *node, struct strv *to,
		      bool (*valid)(const char *text), const char *what)
{
	size_t count = node && node->kind == DOC_LIST ? node->count : 1;

	if (!node || doc_node_is_null(node))
		return;
	for (size_t i = 0; i < count; i++) {
		const struct doc_node *item = node->kind == DOC_LIST ? node->items[i] : node;

		if (item->kind != DOC_SCALAR || !valid(item->text))
			doc_error(reader->report, &item->place, "%s: '%s' is none", what,
				  item->kind == DOC_SCALAR ? show(reader, item->text)
							   : doc_node_what(item));
		else if (to->count < TEXTS_MAX && !strv_has(to, item->text))
			strv_add(to, item->text);
	}
}

static bool address_valid(const char *text)
{
	return family_of(text) != 0;
}

static bool domain_valid(const char *text)
{
	size_t len = strlen(text);

	return len && len <= 253 && *text != '-' &&
	       strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			    "0123456789_.-") == len;
}

void net_add_dns(struct netconfig_reader *reader, const struct doc_node *node, struct strv *to)
{
	each_text(reader, node, to, address_valid, "address of a name server");
}

void net_add_search(struct netconfig_reader *reader, const struct doc_node *node, struct strv *to)
{
	each_text(reader, node, to, domain_valid, "search domain");
}

const char *net_mac(struct netconfig_reader *reader, const struct doc_node *map, const char *key)
{
	const struct doc_node *node = doc_node_get(map, key);
	const char *text = node && node->kind == DOC_SCALAR ? node->text : "";
	bool right = strlen(text) == 17;
	char *lower;

	if (!node || doc_node_is_null(node))
		return NULL;
	for (size_t i = 0; right && i < 17; i++)
		right = i % 3 == 2 ? text[i] == ':' : isxdigit((unsigned char)text[i]) != 0;
	if (!right) {
		doc_error(reader->report, &node->place, "%s: '%s' is no MAC address", key,
			  show(reader, text));
		return NULL;
	}
	lower = mem_arena_strdup(reader->config->arena, text);
	for (char *p = lower; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return lower;
}

const char *net_name(struct netconfig_reader *reader, const struct doc_node *map, const char *key,
		     bool glob)
{
	const struct doc_node *node = doc_node_get(map, key);
	const char *text = node && node->kind == DOC_SCALAR ? node->text : "";

	if (!node || doc_node_is_null(node))
		return NULL;
	if (name_valid(text, glob ? ID_MAX : IFNAME_MAX, glob))
		return text;
	doc_error(reader->report, &node->place, "%s: '%s' cannot be a name", key,
		  show(reader, text));
	return NULL;
}

uint64_t net_number(struct netconfig_reader *reader, const struct doc_node *map, const char *key,
		    uint64_t min, uint64_t max)
{
	const struct doc_node *node = doc_node_get(map, key);
	const char *text = node && node->kind == DOC_SCALAR ? node->text : "";
	unsigned long long value;

	if (!node || doc_node_is_null(node))
		return 0;
	errno = 0;
	value = strtoull(text, NULL, 10);
	if (*text && strspn(text, "0123456789") == strlen(text) && !errno && value >= min &&
	    value <= max)
		return value;
	doc_error(reader->report, &node->place, "%s must be a number from %llu to %llu", key,
		  (unsigned long long)min, (unsigned long long)max);
	return 0;
}

bool net_bool(struct netconfig_reader *reader, const struct doc_node *map, const char *key,
	      bool otherwise)
{
	static const char *const words[2][4] = {{"false", "no", "off", "0"},
						{"true", "yes", "on", "1"}};
	const struct doc_node *node = doc_node_get(map, key);

	if (!node || doc_node_is_null(node))
		return otherwise;
	for (size_t i = 0; node->kind == DOC_SCALAR && i < 8; i++)
		if (strcasecmp(node->text, words[i / 4][i % 4]) == 0)
			return i / 4;
	doc_error(reader->report, &node->place, "%s must be true or false", key);
	return otherwise;
}

void net_add_members(struct netconfig_reader *reader, const char *master,
		     const struct doc_node *list)
{
	for (size_t i = 0; list && list->kind == DOC_LIST && i < list->count; i++) {
		const struct doc_node *item = list->items[i];
		struct net_link *link =
			item->kind == DOC_SCALAR ? net_find(reader->config, item->text) : NULL;

		if (link && !link->master && strcmp(link->id, master) != 0)
			link->master = mem_arena_strdup(reader->config->arena, master);
		else
			doc_error(reader->report, &item->place,
				  "'%s' is no interface that can be a member of '%s'",
				  item->kind == DOC_SCALAR ? show(reader, item->text)
							   : doc_node_what(item),
				  show(reader, master));
	}
}

/* Names of version 2 (netplan) and 1 (ifenslave), and what networkd calls them (systemd.netdev(5)). */
static const struct {
	const char *v2, *v1, *key;
	enum net_kind kind;
	const char *unit; /* appended to the number, or NULL: a word */
} parameters[] = {
	{"mode", "bond-mode", "Mode", NET_BOND, NULL},
	{"lacp-rate", "bond-lacp-rate", "LACPTransmitRate", NET_BOND, NULL},
	{"transmit-hash-policy", "bond-xmit-hash-policy", "TransmitHashPolicy", NET_BOND, NULL},
	{"mii-monitor-interval", "bond-miimon", "MIIMonitorSec", NET_BOND, "ms"},
	{"up-delay", "bond-updelay", "UpDelaySec", NET_BOND, "ms"},
	{"down-delay", "bond-downdelay", "DownDelaySec", NET_BOND, "ms"},
	{"min-links", "bond-min-links", "MinLinks", NET_BOND, ""},
	{"stp", "bridge_stp", "STP", NET_BRIDGE, NULL},
	{"forward-delay", "bridge_fd", "ForwardDelaySec", NET_BRIDGE, "s"},
};

static void add_parameter(struct netconfig_reader *reader, struct net_link *link,
			  const struct doc_pair *pair)
{
	const char *text = pair->value->kind == DOC_SCALAR ? pair->value->text : "";
	CLEANUP_FREE char *under = mem_strdup(pair->key);

	/* "bond_mode" and "bond-mode" are both in use. */
	for (char *p = under; str_has_prefix(under, "bond") && *p; p++)
		*p = *p == '_' ? '-' : *p;
	for (size_t i = 0; i < ARRAY_SIZE(parameters); i++) {
		const char *unit = parameters[i].unit;
		const char *legal = unit ? "0123456789" : "abcdefghijklmnopqrstuvwxyz0123456789-+.";

		if (parameters[i].kind != link->kind ||
		    (strcmp(parameters[i].v2, under) != 0 && strcmp(parameters[i].v1, under) != 0))
			continue;
		if (!*text || strlen(text) > 32 || strspn(text, legal) != strlen(text))
			doc_error(reader->report, &pair->place, "%s: '%s' cannot be its value",
				  pair->key, show(reader, text));
		else
			strv_addf(&link->netdev, "%s=%s%s", parameters[i].key, text,
				  unit ? unit : "");
		return;
	}
	doc_error(reader->report, &pair->place, "parameter '%s' is not supported",
		  show(reader, pair->key));
}

void net_add_parameters(struct netconfig_reader *reader, struct net_link *link,
			const struct doc_node *map)
{
	for (size_t i = 0; map && map->kind == DOC_MAP && i < map->count; i++)
		add_parameter(reader, link, &map->pairs[i]);
}
