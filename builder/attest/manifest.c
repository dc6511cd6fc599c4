/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest.json. Members are only ever added within a schema version.
 */
#include "attest/manifest.h"

#include "base/clock.h"

#define SCHEMA 1
#define BOOT_MODE "uefi" /* as clouds name it; our disks know no other */

static json_t *keys_json(const struct manifest *m)
{
	json_t *object = json_object();

	for (size_t i = 0; i < m->key_count; i++)
		json_object_set_new(object, m->keys[i].step, json_string(m->keys[i].key));
	return object;
}

static json_t *packages_json(const struct manifest *m, struct err *err)
{
	json_t *array = json_array();

	for (size_t i = 0; i < m->package_count; i++) {
		const struct manifest_package *p = &m->packages[i];
		json_t *item = json_pack("{s:s, s:s, s:s}", "name", p->name, "version", p->version,
					 "architecture", p->architecture);

		if (!item) {
			err_set(err, ERR_OTHER, "package %zu has a name that is no UTF-8", i + 1);
			json_decref(array);
			return NULL;
		}
		json_array_append_new(array, item);
	}
	return array;
}

static json_t *disk_json(const struct disk *disk)
{
	char guid[GUID_TEXT_SIZE], type[GUID_TEXT_SIZE];
	json_t *parts = json_array();

	for (size_t i = 0; i < disk->part_count; i++) {
		const struct disk_partition *p = &disk->parts[i];

		json_array_append_new(
			parts, json_pack("{s:i, s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "number",
					 (int)p->entry.number, "name", p->name, "label",
					 p->entry.label, "type", guid_format(&p->entry.type, type),
					 "uuid", guid_format(&p->entry.unique, guid), "offset",
					 (json_int_t)p->entry.offset, "size",
					 (json_int_t)p->entry.size, "used", (json_int_t)p->used));
	}
	return json_pack("{s:I, s:s, s:o}", "size", (json_int_t)disk->regions.size, "uuid",
			 guid_format(&disk->guid, guid), "partitions", parts);
}

static json_t *artifacts_json(const struct manifest *m)
{
	json_t *array = json_array();

	for (size_t i = 0; i < m->artifact_count; i++) {
		const struct manifest_artifact *a = &m->artifacts[i];
		char hex[DIGEST_HEX_SIZE], root[DIGEST_HEX_SIZE];

		json_array_append_new(
			array,
			json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:s}", "format", a->format,
				  "file", a->file, "size", (json_int_t)a->size, "bytes",
				  (json_int_t)a->bytes, "sha256", digest_hex(&a->digest, hex),
				  "architecture", m->architecture, "boot_mode", BOOT_MODE,
				  "root_hash", digest_hex(&m->root_hash, root)));
	}
	return array;
}

json_t *manifest_json(const struct manifest *m, struct err *err)
{
	char created[32], profile[DIGEST_HEX_SIZE], root[DIGEST_HEX_SIZE], content[DIGEST_HEX_SIZE];
	json_t *packages = packages_json(m, err), *value, *containers;

	if (!packages)
		return NULL;
	containers = m->containers ? json_deep_copy(m->containers) : json_array();
	/* json_pack takes the references of "o" members, also when it fails. */
	value = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s*, s:o, s:o, s:o, s:o, s:o}",
			  "schema", SCHEMA, "name", m->name, "version", m->version, "architecture",
			  m->architecture, "created", clock_format(m->created, created), "profile",
			  digest_hex(&m->profile, profile), "root_hash",
			  digest_hex(&m->root_hash, root), "disk_sha256",
			  digest_hex(&m->content, content), "lock", m->lock, "keys", keys_json(m),
			  "packages", packages, "containers", containers, "disk",
			  disk_json(m->disk), "artifacts", artifacts_json(m));
	if (!value)
		err_set(err, ERR_OTHER, "cannot make the manifest: a value is no UTF-8");
	return value;
}

int manifest_write(const struct manifest *manifest, const char *path, struct err *err)
{
	CLEANUP_JSON json_t *value = manifest_json(manifest, err);

	if (!value)
		return -1;
	return json_write_file(path, value, true, err);
}
