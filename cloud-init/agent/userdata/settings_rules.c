/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one key of our own settings demands of another one: each backend needs its own keys, and keys of a
 * backend that is not used are a mistake that would otherwise pass in silence.
 */
#include "agent/userdata/settings_parts.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* What a backend needs; keys with a dot are in its own section. */
static const struct backend {
	const char *name;
	const char *needs[8];
} backends[] = {
	{"seeds", {"name", "secret", "seeds"}},
	{"etcd", {"name", "secret", "etcd", "etcd.endpoints"}},
	/* Without access_key and secret_key those of an EC2 role are taken. */
	{"s3", {"name", "secret", "s3", "s3.endpoint", "s3.bucket"}},
	{"static", {"static", "static.managers"}},
};

/* The value of a key such as "etcd.endpoints" below cluster, or NULL. */
static const struct doc_node *value_of(const struct doc_node *cluster, const char *key)
{
	const char *dot = strchr(key, '.');
	char section[16];

	if (!dot)
		return doc_node_get(cluster, key);
	memcpy(section, key, (size_t)(dot - key));
	section[dot - key] = '\0';
	cluster = doc_node_get(cluster, section);
	return cluster ? doc_node_get(cluster, dot + 1) : NULL;
}

static void check_needs(const struct backend *backend, const struct doc_pair *cluster,
			struct doc_report *report)
{
	for (size_t i = 0; i < ARRAY_SIZE(backend->needs) && backend->needs[i]; i++) {
		const char *key = backend->needs[i], *dot = strchr(key, '.');
		const struct doc_pair *section = cluster;

		if (value_of(cluster->value, key))
			continue;
		if (dot)
			section = doc_node_pair(cluster->value, backend->name);
		if (!section || (dot && section->value->kind != DOC_MAP)) /* told already */
			continue;
		doc_error(report, &section->place, "required key '%s' is missing in '%s%s'",
			  dot ? dot + 1 : key, dot ? "cluster." : "", section->key);
		doc_note(report, &section->place, "rendezvous '%s' needs it", backend->name);
	}
}

/* Whatever belongs to another backend than the one that is used. */
static void check_unused(const struct backend *backend, const struct doc_pair *cluster,
			 struct doc_report *report)
{
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		const struct doc_pair *pair = doc_node_pair(cluster->value, backends[i].name);

		if (&backends[i] == backend || !pair)
			continue;
		doc_error(report, &pair->place, "'%s' is not used by rendezvous '%s'", pair->key,
			  backend->name);
		doc_note(report, &pair->place, "did you mean 'rendezvous: %s'?", pair->key);
	}
}

static void check_static(const struct doc_pair *cluster, struct doc_report *report)
{
	const struct doc_pair *section = doc_node_pair(cluster->value, "static");
	const char *role = doc_node_string(cluster->value, "role");
	const struct doc_pair *secret = doc_node_pair(cluster->value, "secret");
	bool worker, manager;

	if (secret)
		doc_error(report, &secret->place, "'secret' is not used by rendezvous 'static'");
	if (!section)
		return;
	worker = doc_node_pair(section->value, "worker_token");
	manager = doc_node_pair(section->value, "manager_token");
	if (role ? (strcmp(role, "manager") == 0 ? manager : worker) : worker || manager)
		return;
	if (role)
		doc_error(report, &section->place,
			  "required key '%s_token' is missing in 'cluster.static'", role);
	else
		doc_error(
			report, &section->place,
			"required key 'worker_token' or 'manager_token' is missing in 'cluster.static'");
}

/* Two keys that go together. */
static void check_both(const struct doc_node *section, const char *name, const char *a,
		       const char *b, struct doc_report *report)
{
	const struct doc_pair *first = doc_node_pair(section, a),
			      *second = doc_node_pair(section, b);

	if (!first == !second)
		return;
	doc_error(report, first ? &first->place : &second->place,
		  "required key '%s' is missing in 'cluster.%s'", first ? b : a, name);
	doc_note(report, first ? &first->place : &second->place, "'%s' needs it", first ? a : b);
}

static void check_pools(const struct doc_node *cluster, struct doc_report *report)
{
	const struct doc_node *pools = doc_node_get(cluster, "address_pools");
	const char *size_text = doc_node_string(cluster, "subnet_size");
	long size = size_text ? strtol(size_text, NULL, 10) : 24;

	for (size_t i = 0; pools && pools->kind == DOC_LIST && i < pools->count; i++) {
		const struct doc_node *pool = pools->items[i];
		const char *slash = pool->kind == DOC_SCALAR ? strchr(pool->text, '/') : NULL;

		if (!slash || strtol(slash + 1, NULL, 10) <= size)
			continue;
		doc_error(report, &pool->place, "this network is smaller than one of /%ld", size);
		doc_note(report, &pool->place,
			 "expected a shorter prefix, or a greater 'subnet_size'");
	}
}

void settings_rules_check(const struct doc_node *settings, struct doc_report *report)
{
	const struct doc_pair *cluster = doc_node_pair(settings, "cluster");
	const struct doc_node *rendezvous, *etcd, *s3;
	const char *name = "seeds";

	if (!cluster || cluster->value->kind != DOC_MAP)
		return;
	rendezvous = doc_node_get(cluster->value, "rendezvous");
	if (rendezvous)
		name = rendezvous->kind == DOC_SCALAR ? rendezvous->text : "";
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		if (strcmp(backends[i].name, name) != 0)
			continue;
		check_needs(&backends[i], cluster, report);
		check_unused(&backends[i], cluster, report);
	}
	if (strcmp(name, "static") == 0)
		check_static(cluster, report);
	etcd = doc_node_get(cluster->value, "etcd");
	if (etcd)
		check_both(etcd, "etcd", "user", "password", report);
	s3 = doc_node_get(cluster->value, "s3");
	if (s3)
		check_both(s3, "s3", "access_key", "secret_key", report);
	check_pools(cluster->value, report);
}
