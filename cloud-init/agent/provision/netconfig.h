/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network configuration of a seed: version 1 and 2 as cloud-init documents them, and OpenStack's network_data.json,
 * read into one model and written as files of systemd-networkd (systemd.network(5), .link(5), .netdev(5)).
 */
#ifndef INGOT_AGENT_NETCONFIG_H
#define INGOT_AGENT_NETCONFIG_H

#include "agent/provision/cloudconfig.h"

#include "base/doc.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

#define NETCONFIG_LINKS_MAX ((size_t)256)
#define NETCONFIG_ROUTES_MAX ((size_t)256) /* of one link */

enum net_kind { NET_ETHERNET, NET_BOND, NET_BRIDGE, NET_VLAN };

struct net_route {
	const char *to;         /* "10.0.0.0/8", or NULL: the default route */
	const char *via;        /* or NULL: on the link itself */
	uint64_t metric, table; /* 0: not set */
	bool onlink;
};

/* One interface. All texts are checked (no control characters, no spaces) and live in the arena. */
struct net_link {
	enum net_kind kind;
	const char *id;                  /* by which others name it; the name of what is made */
	const char *mac, *name, *driver; /* what an ethernet interface is found by; or NULL */
	const char *set_name, *set_mac;  /* or NULL */
	bool dhcp4, dhcp6, optional;
	int accept_ra;      /* 1, 0, or -1: not set */
	uint64_t mtu;       /* bytes, 0: not set */
	uint64_t vlan;      /* NET_VLAN: 1-4094 */
	const char *on;     /* NET_VLAN: id of the link below */
	const char *master; /* id of the bond or bridge that it belongs to, or NULL */
	struct strv addresses, dns, search; /* "10.0.0.5/24"; "10.0.0.1"; "example.com" */
	struct strv netdev;                 /* lines for the section of its kind: "Mode=802.3ad" */
	struct net_route *routes;
	size_t route_count, route_room;
};

struct netconfig {
	struct mem_arena *arena; /* borrowed */
	struct net_link *links;
	size_t count, room;
};

/* A file for /run/systemd/network. */
struct netconfig_file {
	char *name, *text;
};

struct netconfig_files {
	struct netconfig_file *items;
	size_t count, room;
};

/* Reads any of the three formats (YAML or JSON); what is wrong is told to report and left out. Pure. */
void netconfig_read(const char *text, size_t len, const char *name, struct doc_report *report,
		    struct netconfig *ret);

/* Frees what the links own; usable with CLEANUP(). */
void netconfig_free(struct netconfig *config);

/* The files of networkd for the links, sorted by name. Pure. */
void netconfig_render(const struct netconfig *config, struct netconfig_files *ret);

/* Frees the files; usable with CLEANUP(). */
void netconfig_files_free(struct netconfig_files *files);

/* Reads text and writes the files below /run/systemd/network, replacing those of an earlier stage; without text nothing
 * is done, and what it does not name stays with the image's DHCP. runs: networkd is up and is told. */
int netconfig_apply(struct cc *cc, const struct str *text, bool runs, struct err *err);

/* ---- for the readers of the formats ---------------------------------------------------------------------- */
struct netconfig_reader {
	struct netconfig *config;
	struct doc_report *report;
};

/* Adds a link (id is checked and told when it cannot be a name); NULL when there are too many or it is wrong. The
 * pointer is valid until the next one is added. */
struct net_link *net_add(struct netconfig_reader *reader, enum net_kind kind,
			 const struct doc_node *node, const char *id);

/* The link with this id, or NULL. */
struct net_link *net_find(struct netconfig *config, const char *id);

/* Adds "a/prefix"; netmask (text or NULL) is for addresses without a prefix. Tells what is wrong. */
void net_add_address(struct netconfig_reader *reader, struct net_link *link,
		     const struct doc_node *node, const char *address, const char *netmask);

/* Adds a route; to NULL or "default" is the default route of via's family. Tells what is wrong. */
void net_add_route(struct netconfig_reader *reader, struct net_link *link,
		   const struct doc_node *node, const char *to, const char *netmask,
		   const struct net_route *route);

/* Adds name servers from a node (text, list of texts, or absent). */
void net_add_dns(struct netconfig_reader *reader, const struct doc_node *node, struct strv *to);

/* Adds search domains in the same way. */
void net_add_search(struct netconfig_reader *reader, const struct doc_node *node, struct strv *to);

/* The text under key when it is a MAC address (in lower case), else NULL; tells what is wrong. */
const char *net_mac(struct netconfig_reader *reader, const struct doc_node *map, const char *key);

/* The text under key when it can be an interface's name (with wildcards when glob is set), else NULL. */
const char *net_name(struct netconfig_reader *reader, const struct doc_node *map, const char *key,
		     bool glob);

/* The number under key between min and max, 0 when it is absent or wrong. */
uint64_t net_number(struct netconfig_reader *reader, const struct doc_node *map, const char *key,
		    uint64_t min, uint64_t max);

/* The boolean under key; otherwise when it is absent or wrong. */
bool net_bool(struct netconfig_reader *reader, const struct doc_node *map, const char *key,
	      bool otherwise);

/* Puts each member (a list of ids under key) into the bond or bridge. Those that come later are found, too:
 * called when all links are known. */
void net_add_members(struct netconfig_reader *reader, const char *master,
		     const struct doc_node *list);

/* Adds parameters of a bond or bridge that are in the table of known ones, from names of either version. */
void net_add_parameters(struct netconfig_reader *reader, struct net_link *link,
			const struct doc_node *map);

/* Version 1; root is the map that has its keys. */
void netconfig_read_v1(struct netconfig_reader *reader, const struct doc_node *root);

/* Version 2 (netplan). */
void netconfig_read_v2(struct netconfig_reader *reader, const struct doc_node *root);

/* OpenStack's network_data.json. */
void netconfig_read_openstack(struct netconfig_reader *reader, const struct doc_node *root);

#endif
