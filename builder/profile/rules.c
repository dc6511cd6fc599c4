/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules that need more than one key of the merged profile.
 */
#include "profile/load.h"

#include "base/size.h"

#include <string.h>

#define LABEL_MAX 36            /* UTF-16 units: UEFI 2.10, 5.3.3 GPT partition entry */
#define XFS_MINIMUM (300 * MIB) /* mkfs.xfs refuses less */

/* A default has no place of its own: the key that brought it in has one. */
static const struct doc_place *place_of(const struct doc_node *node,
					const struct doc_node *otherwise)
{
	return node && node->place.file ? &node->place : &otherwise->place;
}

static void check_label(struct profile_loader *loader, const struct doc_node *root)
{
	const struct doc_node *name = doc_node_get(root, "name");
	const struct doc_node *version = doc_node_get(root, "version");
	size_t len = strlen(name->text) + 1 + strlen(version->text);

	if (len <= LABEL_MAX)
		return;
	doc_error(&loader->report, &version->place,
		  "'%s_%s' is a partition label and too long: %zu characters", name->text,
		  version->text, len);
	doc_note(&loader->report, &version->place, "at most %d; make name or version shorter",
		 LABEL_MAX);
}

static void check_level(struct profile_loader *loader, const struct doc_node *root)
{
	const struct doc_node *rootfs = doc_node_get(root, "rootfs");
	const struct doc_node *level = doc_node_get(rootfs, "level");
	const struct doc_node *name = doc_node_get(rootfs, "compression");
	const struct schema_compression *compression = schema_compression_find(name->text);
	int64_t value = schema_value_of(schema_find("rootfs.level"), level->text).number;

	if (value >= compression->min && value <= compression->max)
		return;
	doc_error(&loader->report, &level->place, "level %s is out of range for %s", level->text,
		  name->text);
	doc_note(&loader->report, place_of(name, level), "%s has levels %lld to %lld", name->text,
		 (long long)compression->min, (long long)compression->max);
}

static void check_var(struct profile_loader *loader, const struct doc_node *root)
{
	const struct doc_node *var = doc_node_get(doc_node_get(root, "disk"), "var");
	const struct doc_node *minimum = doc_node_get(var, "minimum");
	uint64_t bytes = 0;

	if (strcmp(doc_node_string(var, "filesystem"), "xfs") != 0 ||
	    size_parse(minimum->text, &bytes, NULL) < 0 || bytes >= XFS_MINIMUM)
		return;
	doc_error(&loader->report, &minimum->place, "'%s' is too small for xfs", minimum->text);
	doc_note(&loader->report, &minimum->place, "expected 300M or more");
}

/* Without a digest an image could be swapped, and nobody could tell what a build was made from. */
static void check_image(struct profile_loader *loader, const struct doc_node *root)
{
	const struct doc_node *base = doc_node_get(root, "base");
	const struct doc_node *image = doc_node_get(base, "image");
	const struct doc_node *sha256 = doc_node_get(base, "sha256");

	if (image && !sha256) {
		doc_error(&loader->report, &image->place, "'base.image' needs 'base.sha256'");
		doc_note(&loader->report, &image->place,
			 "expected the 64 digits that 'sha256sum' prints for it");
	} else if (sha256 && !image) {
		doc_error(&loader->report, &sha256->place, "'base.sha256' needs 'base.image'");
	}
}

static void check_files(struct profile_loader *loader, const struct doc_node *root)
{
	const struct doc_node *files = doc_node_get(root, "files");

	for (size_t i = 0; i < files->count; i++) {
		const struct doc_node *file = files->items[i];

		if (doc_node_get(file, "content") || doc_node_get(file, "source"))
			continue;
		doc_error(&loader->report, &file->place, "file '%s' has no content",
			  doc_show(loader->arena, doc_node_string(file, "path")));
		doc_note(&loader->report, &file->place, "expected 'content' or 'source'");
	}
}

static void check_firewall(struct profile_loader *loader, const struct doc_node *root)
{
	const struct doc_node *allow = doc_node_get(doc_node_get(root, "firewall"), "allow");

	for (size_t i = 0; i < allow->count; i++) {
		const struct doc_node *rule = allow->items[i];
		const struct doc_node *port = doc_node_get(rule, "port");
		const char *protocol = doc_node_string(rule, "protocol");
		bool has_ports = strcmp(protocol, "tcp") == 0 || strcmp(protocol, "udp") == 0;

		if (has_ports && !port) {
			doc_error(&loader->report, &rule->place, "rule '%s' needs a port",
				  doc_node_string(rule, "name"));
			doc_note(&loader->report, &rule->place,
				 "expected 'port': a number or a range, such as 2377 or "
				 "30000-32767");
		} else if (!has_ports && port) {
			doc_error(&loader->report, &port->place, "protocol %s has no ports",
				  protocol);
		}
	}
}

static void check_join(struct profile_loader *loader, const struct doc_node *root)
{
	static const char *const members[] = {"availability", "labels", "node_labels"};
	const struct doc_node *join = doc_node_get(root, "join");
	const struct doc_node *kind = doc_node_get(join, "kind");
	const struct doc_node *role = doc_node_get(join, "role");
	bool none = strcmp(kind->text, "none") == 0;

	if (!none && !role) {
		doc_error(&loader->report, &kind->place, "a %s needs 'join.role'", kind->text);
		doc_note(&loader->report, &kind->place, "expected one of manager, worker");
	} else if (none && role) {
		doc_error(&loader->report, &role->place, "'join.role' needs a cluster to join");
		doc_note(&loader->report, place_of(kind, role), "'join.kind' is none");
	}
	for (size_t i = 0; none && i < ARRAY_SIZE(members); i++) {
		const struct doc_pair *pair = doc_node_pair(join, members[i]);

		/* Empty lists and maps are what a profile has that says nothing. */
		if (!pair || (pair->value->kind != DOC_SCALAR && pair->value->count == 0))
			continue;
		doc_error(&loader->report, &pair->place, "'join.%s' needs a cluster to join",
			  members[i]);
		doc_note(&loader->report, place_of(kind, pair->value), "'join.kind' is none");
	}
}

/* Reports the units of one list that are in the other as well. */
static void check_units(struct profile_loader *loader, const struct doc_node *services,
			const char *one, const char *two)
{
	const struct doc_node *a = doc_node_get(services, one);
	const struct doc_node *b = doc_node_get(services, two);

	for (size_t i = 0; i < b->count; i++) {
		const struct doc_node *unit = b->items[i];

		for (size_t j = 0; j < a->count; j++) {
			if (strcmp(a->items[j]->text, unit->text) != 0)
				continue;
			doc_error(&loader->report, &unit->place,
				  "'%s' is in 'services.%s' and in 'services.%s'", unit->text, two,
				  one);
			doc_note(&loader->report, &a->items[j]->place,
				 "from here; '-%s' in 'services.%s' takes it out", unit->text, one);
		}
	}
}

static void check_users(struct profile_loader *loader, const struct doc_node *root)
{
	const struct doc_node *users = doc_node_get(root, "users");

	for (size_t i = 0; i < users->count; i++) {
		const struct doc_node *uid = doc_node_get(users->items[i], "uid");
		const char *name = doc_node_string(users->items[i], "name");

		if (!uid)
			continue;
		if (strcmp(uid->text, "0") == 0 && strcmp(name, "root") != 0)
			doc_error(&loader->report, &uid->place, "only root has uid 0");
		for (size_t j = 0; j < i; j++) {
			const struct doc_node *other = doc_node_get(users->items[j], "uid");

			if (!other || strcmp(other->text, uid->text) != 0)
				continue;
			doc_error(&loader->report, &uid->place,
				  "users '%s' and '%s' both have uid %s", name,
				  doc_node_string(users->items[j], "name"), uid->text);
			doc_note(&loader->report, &other->place, "first given here");
			break;
		}
	}
}

/* Two images cannot have one name; references are compared by the schema already. */
static void check_image_name(struct profile_loader *loader, const struct doc_node *images,
			     size_t index)
{
	const struct doc_node *name = doc_node_get(images->items[index], "name");

	if (!doc_node_get(images->items[index], "oci")) {
		doc_error(&loader->report, &name->place, "'name' is only for 'oci'");
		doc_note(&loader->report, &name->place, "an image that is pulled has its name");
		return;
	}
	for (size_t i = 0; i < images->count; i++) {
		const struct doc_node *entry = images->items[i];
		const struct doc_node *other = doc_node_get(entry, "image");
		size_t len;

		if (!other && i < index)
			other = doc_node_get(entry, "name");
		if (!other)
			continue;
		len = schema_identity_length(schema_find("containers.images[].image"), other->text);
		if (strlen(name->text) != len || strncmp(name->text, other->text, len) != 0)
			continue;
		doc_error(&loader->report, &name->place, "two images are called '%s'",
			  doc_show(loader->arena, name->text));
		doc_note(&loader->report, &other->place, "the other one is here");
		return;
	}
}

static void check_containers(struct profile_loader *loader, const struct doc_node *root)
{
	const struct doc_node *containers = doc_node_get(root, "containers");
	const struct doc_node *images = doc_node_get(containers, "images");
	const struct doc_node *registries = doc_node_get(containers, "registries");

	if (images->count && !doc_node_get(containers, "engine")->count) {
		doc_error(&loader->report, &images->items[0]->place,
			  "'containers.images' needs 'containers.engine'");
		doc_note(&loader->report, &images->items[0]->place,
			 "expected the engine that runs them: docker, containerd, or both");
	}
	for (size_t i = 0; i < images->count; i++)
		if (doc_node_get(images->items[i], "name"))
			check_image_name(loader, images, i);
	for (size_t i = 0; i < registries->count; i++) {
		const struct doc_node *ca = doc_node_get(registries->items[i], "ca");
		const struct doc_node *insecure = doc_node_get(registries->items[i], "insecure");

		if (!ca || strcmp(insecure->text, "true") != 0)
			continue;
		doc_error(&loader->report, &ca->place, "'ca' cannot go with 'insecure'");
		doc_note(&loader->report, &insecure->place, "plain HTTP has no certificates");
	}
}

void profile_check_rules(struct profile_loader *loader, const struct doc_node *root)
{
	const struct doc_node *services = doc_node_get(root, "services");

	check_label(loader, root);
	check_image(loader, root);
	check_files(loader, root);
	check_units(loader, services, "enable", "disable");
	check_units(loader, services, "enable", "mask");
	check_users(loader, root);
	check_firewall(loader, root);
	check_var(loader, root);
	check_level(loader, root);
	check_join(loader, root);
	check_containers(loader, root);
}
