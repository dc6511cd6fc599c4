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
static const struct profile_place *place_of(const struct profile_node *node,
					    const struct profile_node *otherwise)
{
	return node && node->place.file ? &node->place : &otherwise->place;
}

static void check_label(struct profile_loader *loader, const struct profile_node *root)
{
	const struct profile_node *name = profile_node_get(root, "name");
	const struct profile_node *version = profile_node_get(root, "version");
	size_t len = strlen(name->text) + 1 + strlen(version->text);

	if (len <= LABEL_MAX)
		return;
	profile_error(&loader->report, &version->place,
		      "'%s_%s' is a partition label and too long: %zu characters", name->text,
		      version->text, len);
	profile_note(&loader->report, &version->place, "at most %d; make name or version shorter",
		     LABEL_MAX);
}

static void check_level(struct profile_loader *loader, const struct profile_node *root)
{
	const struct profile_node *rootfs = profile_node_get(root, "rootfs");
	const struct profile_node *level = profile_node_get(rootfs, "level");
	const struct profile_node *name = profile_node_get(rootfs, "compression");
	const struct schema_compression *compression = schema_compression_find(name->text);
	int64_t value = schema_value_of(schema_find("rootfs.level"), level->text).number;

	if (value >= compression->min && value <= compression->max)
		return;
	profile_error(&loader->report, &level->place, "level %s is out of range for %s",
		      level->text, name->text);
	profile_note(&loader->report, place_of(name, level), "%s has levels %lld to %lld",
		     name->text, (long long)compression->min, (long long)compression->max);
}

static void check_var(struct profile_loader *loader, const struct profile_node *root)
{
	const struct profile_node *var = profile_node_get(profile_node_get(root, "disk"), "var");
	const struct profile_node *minimum = profile_node_get(var, "minimum");
	uint64_t bytes = 0;

	if (strcmp(profile_node_string(var, "filesystem"), "xfs") != 0 ||
	    size_parse(minimum->text, &bytes, NULL) < 0 || bytes >= XFS_MINIMUM)
		return;
	profile_error(&loader->report, &minimum->place, "'%s' is too small for xfs", minimum->text);
	profile_note(&loader->report, &minimum->place, "expected 300M or more");
}

/* Without a digest an image could be swapped, and nobody could tell what a build was made from. */
static void check_image(struct profile_loader *loader, const struct profile_node *root)
{
	const struct profile_node *base = profile_node_get(root, "base");
	const struct profile_node *image = profile_node_get(base, "image");
	const struct profile_node *sha256 = profile_node_get(base, "sha256");

	if (image && !sha256) {
		profile_error(&loader->report, &image->place, "'base.image' needs 'base.sha256'");
		profile_note(&loader->report, &image->place,
			     "expected the 64 digits that 'sha256sum' prints for it");
	} else if (sha256 && !image) {
		profile_error(&loader->report, &sha256->place, "'base.sha256' needs 'base.image'");
	}
}

static void check_files(struct profile_loader *loader, const struct profile_node *root)
{
	const struct profile_node *files = profile_node_get(root, "files");

	for (size_t i = 0; i < files->count; i++) {
		const struct profile_node *file = files->items[i];

		if (profile_node_get(file, "content") || profile_node_get(file, "source"))
			continue;
		profile_error(&loader->report, &file->place, "file '%s' has no content",
			      profile_show(loader->arena, profile_node_string(file, "path")));
		profile_note(&loader->report, &file->place, "expected 'content' or 'source'");
	}
}

static void check_firewall(struct profile_loader *loader, const struct profile_node *root)
{
	const struct profile_node *allow =
		profile_node_get(profile_node_get(root, "firewall"), "allow");

	for (size_t i = 0; i < allow->count; i++) {
		const struct profile_node *rule = allow->items[i];
		const struct profile_node *port = profile_node_get(rule, "port");
		const char *protocol = profile_node_string(rule, "protocol");
		bool has_ports = strcmp(protocol, "tcp") == 0 || strcmp(protocol, "udp") == 0;

		if (has_ports && !port) {
			profile_error(&loader->report, &rule->place, "rule '%s' needs a port",
				      profile_node_string(rule, "name"));
			profile_note(&loader->report, &rule->place,
				     "expected 'port': a number or a range, such as 2377 or "
				     "30000-32767");
		} else if (!has_ports && port) {
			profile_error(&loader->report, &port->place, "protocol %s has no ports",
				      protocol);
		}
	}
}

static void check_join(struct profile_loader *loader, const struct profile_node *root)
{
	const struct profile_node *join = profile_node_get(root, "join");
	const struct profile_node *kind = profile_node_get(join, "kind");
	const struct profile_node *role = profile_node_get(join, "role");
	bool none = strcmp(kind->text, "none") == 0;

	if (!none && !role) {
		profile_error(&loader->report, &kind->place, "a %s needs 'join.role'", kind->text);
		profile_note(&loader->report, &kind->place, "expected one of manager, worker");
	} else if (none && role) {
		profile_error(&loader->report, &role->place, "'join.role' needs a cluster to join");
		profile_note(&loader->report, place_of(kind, role), "'join.kind' is none");
	}
}

/* Reports the units of one list that are in the other as well. */
static void check_units(struct profile_loader *loader, const struct profile_node *services,
			const char *one, const char *two)
{
	const struct profile_node *a = profile_node_get(services, one);
	const struct profile_node *b = profile_node_get(services, two);

	for (size_t i = 0; i < b->count; i++) {
		const struct profile_node *unit = b->items[i];

		for (size_t j = 0; j < a->count; j++) {
			if (strcmp(a->items[j]->text, unit->text) != 0)
				continue;
			profile_error(&loader->report, &unit->place,
				      "'%s' is in 'services.%s' and in 'services.%s'", unit->text,
				      two, one);
			profile_note(&loader->report, &a->items[j]->place,
				     "from here; '-%s' in 'services.%s' takes it out", unit->text,
				     one);
		}
	}
}

static void check_users(struct profile_loader *loader, const struct profile_node *root)
{
	const struct profile_node *users = profile_node_get(root, "users");

	for (size_t i = 0; i < users->count; i++) {
		const struct profile_node *uid = profile_node_get(users->items[i], "uid");
		const char *name = profile_node_string(users->items[i], "name");

		if (!uid)
			continue;
		if (strcmp(uid->text, "0") == 0 && strcmp(name, "root") != 0)
			profile_error(&loader->report, &uid->place, "only root has uid 0");
		for (size_t j = 0; j < i; j++) {
			const struct profile_node *other = profile_node_get(users->items[j], "uid");

			if (!other || strcmp(other->text, uid->text) != 0)
				continue;
			profile_error(&loader->report, &uid->place,
				      "users '%s' and '%s' both have uid %s", name,
				      profile_node_string(users->items[j], "name"), uid->text);
			profile_note(&loader->report, &other->place, "first given here");
			break;
		}
	}
}

/* Two images cannot have one name; references are compared by the schema already. */
static void check_image_name(struct profile_loader *loader, const struct profile_node *images,
			     size_t index)
{
	const struct profile_node *name = profile_node_get(images->items[index], "name");

	if (!profile_node_get(images->items[index], "oci")) {
		profile_error(&loader->report, &name->place, "'name' is only for 'oci'");
		profile_note(&loader->report, &name->place, "an image that is pulled has its name");
		return;
	}
	for (size_t i = 0; i < images->count; i++) {
		const struct profile_node *entry = images->items[i];
		const struct profile_node *other = profile_node_get(entry, "image");
		size_t len;

		if (!other && i < index)
			other = profile_node_get(entry, "name");
		if (!other)
			continue;
		len = schema_identity_length(schema_find("containers.images[].image"), other->text);
		if (strlen(name->text) != len || strncmp(name->text, other->text, len) != 0)
			continue;
		profile_error(&loader->report, &name->place, "two images are called '%s'",
			      profile_show(loader->arena, name->text));
		profile_note(&loader->report, &other->place, "the other one is here");
		return;
	}
}

static void check_containers(struct profile_loader *loader, const struct profile_node *root)
{
	const struct profile_node *containers = profile_node_get(root, "containers");
	const struct profile_node *images = profile_node_get(containers, "images");
	const struct profile_node *registries = profile_node_get(containers, "registries");

	if (images->count && !profile_node_get(containers, "engine")->count) {
		profile_error(&loader->report, &images->items[0]->place,
			      "'containers.images' needs 'containers.engine'");
		profile_note(&loader->report, &images->items[0]->place,
			     "expected the engine that runs them: docker, containerd, or both");
	}
	for (size_t i = 0; i < images->count; i++)
		if (profile_node_get(images->items[i], "name"))
			check_image_name(loader, images, i);
	for (size_t i = 0; i < registries->count; i++) {
		const struct profile_node *ca = profile_node_get(registries->items[i], "ca");
		const struct profile_node *insecure =
			profile_node_get(registries->items[i], "insecure");

		if (!ca || strcmp(insecure->text, "true") != 0)
			continue;
		profile_error(&loader->report, &ca->place, "'ca' cannot go with 'insecure'");
		profile_note(&loader->report, &insecure->place, "plain HTTP has no certificates");
	}
}

void profile_check_rules(struct profile_loader *loader, const struct profile_node *root)
{
	const struct profile_node *services = profile_node_get(root, "services");

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
