/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of our own settings in user-data (key "ingot"): every key with its shape, its type and what it
 * means. The README's table is made from it.
 */
#include "agent/userdata/settings_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const roles[] = {"manager", "worker", NULL};
static const char *const kinds[] = {"seeds", "etcd", "s3", "static", NULL};
static const char *const availabilities[] = {"active", "pause", "drain", NULL};

#define SECTION(key, help)                                \
	{                                                 \
		key, SETTINGS_SECTION, NULL, NULL, (help) \
	}
#define VALUE(key, type, help)                            \
	{                                                 \
		key, SETTINGS_VALUE, (type), NULL, (help) \
	}
#define CHOICE(key, choices, help)                               \
	{                                                        \
		key, SETTINGS_VALUE, "choice", (choices), (help) \
	}
#define LIST(key, type, help)                            \
	{                                                \
		key, SETTINGS_LIST, (type), NULL, (help) \
	}
#define MAP(key, type, help)                            \
	{                                               \
		key, SETTINGS_MAP, (type), NULL, (help) \
	}

/* clang-format off: one row, one line */
const struct settings_row settings_rows[] = {
	SECTION("cluster",
		"The cluster that the machine becomes a member of; without it what the image says (`join`)."),
	VALUE("cluster.name", "name",
	      "Name of the cluster, the same on all of its machines. Needed but for `static`."),
	CHOICE("cluster.role", roles, "Role of this machine; without it `join.role` of the image."),
	CHOICE("cluster.rendezvous", kinds,
	       "Where the machines find each other; without it `seeds`."),
	VALUE("cluster.secret", "cluster secret",
	      "What all machines of the cluster know, and nobody else. Needed but for `static`."),
	LIST("cluster.seeds", "seed",
	     "`seeds`: addresses of managers. The first one initialises the cluster. Port 2378 (tcp) unless one is given."),
	SECTION("cluster.etcd", "`etcd`: the store."),
	LIST("cluster.etcd.endpoints", "URL", "Its servers. Needed."),
	VALUE("cluster.etcd.prefix", "key prefix", "Where its keys begin; without it `/ingot`."),
	VALUE("cluster.etcd.user", "word", "User."),
	VALUE("cluster.etcd.password", "password", "Password of the user."),
	VALUE("cluster.etcd.ca", "certificates",
	      "Certificates that its TLS certificate is checked against; without it the system's."),
	SECTION("cluster.s3", "`s3`: the store; it must know conditional writes."),
	VALUE("cluster.s3.endpoint", "URL", "Its server. Needed."),
	VALUE("cluster.s3.region", "word", "Region."),
	VALUE("cluster.s3.bucket", "bucket", "Bucket. Needed."),
	VALUE("cluster.s3.prefix", "key prefix", "Where its keys begin; without it `ingot`."),
	VALUE("cluster.s3.access_key", "word",
	      "Name of the access key; without it the EC2 role of the machine."),
	VALUE("cluster.s3.secret_key", "password", "The access key."),
	VALUE("cluster.s3.ca", "certificates",
	      "Certificates that its TLS certificate is checked against; without it the system's."),
	SECTION("cluster.static", "`static`: a cluster that exists already, and its tokens."),
	LIST("cluster.static.managers", "seed",
	     "Its managers. Needed. Port 2377 (tcp) unless one is given."),
	VALUE("cluster.static.worker_token", "join token", "Token of workers."),
	VALUE("cluster.static.manager_token", "join token", "Token of managers."),
	VALUE("cluster.advertise", "address or interface",
	      "Address that the others reach this machine by; without it that of the default route."),
	CHOICE("cluster.availability", availabilities,
	       "Whether the machine gets work; without it `join.availability` of the image, else active."),
	LIST("cluster.address_pools", "network",
	     "Networks that overlay networks are cut from. Counts when the cluster is initialised."),
	VALUE("cluster.subnet_size", "subnet size",
	      "Prefix length of each overlay network; without it 24. Counts when the cluster is initialised."),
	VALUE("cluster.data_path_port", "data path port",
	      "Port (udp) of overlay networks; without it 4789. Counts when the cluster is initialised."),
	VALUE("zone", "label value",
	      "Zone of this machine (label `zone`); without it what the platform says."),
	MAP("labels", "label value", "Engine labels of this machine, beside those of the image."),
	LIST("node_labels", "label",
	     "Managers: keys of engine labels that are copied into node labels; without it `join.node_labels` of the image."),
	MAP("sysctl", "sysctl value",
	    "Kernel settings; they win over the image's and over what the agent computes."),
	{NULL, SETTINGS_VALUE, NULL, NULL, NULL},
};
/* clang-format on */

const char *settings_row_leaf(const struct settings_row *row)
{
	const char *dot = strrchr(row->key, '.');

	return dot ? dot + 1 : row->key;
}

bool settings_row_is_child(const struct settings_row *parent, const struct settings_row *row)
{
	size_t len = parent ? strlen(parent->key) : 0;

	if (parent) {
		if (strncmp(row->key, parent->key, len) != 0 || row->key[len] != '.')
			return false;
		len++;
	}
	return !strchr(row->key + len, '.');
}

const struct settings_row *settings_row_find(const struct settings_row *parent, const char *key)
{
	for (const struct settings_row *row = settings_rows; row->key; row++)
		if (settings_row_is_child(parent, row) && strcmp(settings_row_leaf(row), key) == 0)
			return row;
	return NULL;
}
