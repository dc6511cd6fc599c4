/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest.json: what it says about files must be what SHA256SUMS says, and what the files are.
 */
#include "inspect/verify_parts.h"

#include "base/fd.h"
#include "base/mem.h"
#include "output/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MANIFEST_MAX ((size_t)32 << 20)
#define DISKS_MAX 64

int verify_compare(const char *name, const struct digest *found, const char *who,
		   const struct digest *want, struct err *err)
{
	char hex[DIGEST_HEX_SIZE], other[DIGEST_HEX_SIZE];

	if (memcmp(found->bytes, want->bytes, DIGEST_SIZE) == 0)
		return 0;
	return err_set(err, ERR_VERIFY, "%s: sha256 is %s, %s says %s", name,
		       digest_hex(found, hex), who, digest_hex(want, other));
}

int verify_read(struct verify *v, const char *name, size_t max, struct str *text, struct err *err)
{
	const struct sums_entry *entry = sums_find(&v->sums, name);
	struct digest found;

	if (v->has_sums && !entry)
		return err_set(err, ERR_VERIFY, "%s: %s does not name it", name, SUMS_FILE);
	if (verify_slurp(v, name, max, text, err) < 0)
		return -1;
	digest_bytes(text->data, text->len, &found);
	return entry ? verify_compare(name, &found, SUMS_FILE, &entry->digest, err) : 0;
}

json_t *verify_parse(const struct str *text, const char *name, struct err *err)
{
	json_t *value = json_parse(text->data, text->len, name, err);

	if (json_is_object(value))
		return value;
	if (value)
		err_set(err, ERR_VERIFY, "%s: it is no JSON object", name);
	else if (err)
		err->code = ERR_VERIFY;
	json_decref(value);
	return NULL;
}

/* The digest in a member; 0: absent. */
static int get_digest(const json_t *object, const char *key, const char *name, struct digest *ret,
		      struct err *err)
{
	const char *hex = json_member_string(object, key);

	if (!json_object_get(object, key) || json_is_null(json_object_get(object, key)))
		return 0;
	if (!hex || digest_parse(hex, ret, NULL) < 0)
		return err_set(err, ERR_VERIFY, "%s: " MANIFEST_FILE " has a %s that is none", name,
			       key);
	return 1;
}

/* A file that the manifest names: its name, its digest, and what SHA256SUMS says. */
static int check_named(struct verify *v, const json_t *item, const char **ret_name, struct err *err)
{
	const char *name = json_member_string(item, "file");
	const struct sums_entry *entry;
	struct digest digest;
	int has;

	if (!name || !sums_is_name(name))
		return err_set(err, ERR_VERIFY,
			       MANIFEST_FILE ": a file has no name, or one that leads elsewhere");
	*ret_name = name;
	has = get_digest(item, "sha256", name, &digest, err);
	if (has < 0)
		return -1;
	if (!v->has_sums)
		return 0;
	entry = sums_find(&v->sums, name);
	/* The envelope holds the signature of what is in there. */
	if (!entry && str_has_suffix(name, SIGNING_ENVELOPE_SUFFIX))
		return 0;
	if (!entry)
		return err_set(err, ERR_VERIFY, "%s: " MANIFEST_FILE " names it, %s does not", name,
			       SUMS_FILE);
	if (has && memcmp(digest.bytes, entry->digest.bytes, DIGEST_SIZE) != 0) {
		char hex[DIGEST_HEX_SIZE], other[DIGEST_HEX_SIZE];

		return err_set(err, ERR_VERIFY, "%s: " MANIFEST_FILE " says sha256 %s, %s says %s",
			       name, digest_hex(&digest, hex), SUMS_FILE,
			       digest_hex(&entry->digest, other));
	}
	return 0;
}

static int check_artifact(struct verify *v, const json_t *item, const char *only, struct err *err)
{
	const char *format = json_member_string(item, "format"), *name = "";
	const json_t *bytes = json_object_get(item, "bytes"), *size = json_object_get(item, "size");
	const struct output_format *row;
	CLEANUP_FREE char *path = NULL;
	struct stat st;

	if (check_named(v, item, &name, err) < 0)
		return -1;
	if (only && strcmp(only, name) != 0)
		return 0;
	if (!format || !json_is_integer(bytes) || json_integer_value(bytes) < 0)
		return err_set(err, ERR_VERIFY, "%s: " MANIFEST_FILE " lacks its format or bytes",
			       name);
	path = verify_path_of(v, name);
	if (stat(path, &st) < 0) {
		if (errno != ENOENT)
			return err_sys(err, errno, "cannot open '%s'", path);
		return err_set(err, ERR_VERIFY, "%s: it is missing, " MANIFEST_FILE " names it",
			       name);
	}
	if (S_ISREG(st.st_mode) && st.st_size != json_integer_value(bytes))
		return err_set(err, ERR_VERIFY,
			       "%s: it has %lld bytes, " MANIFEST_FILE " says %lld", name,
			       (long long)st.st_size, (long long)json_integer_value(bytes));
	row = output_format_find(format);
	if (!row)
		return err_set(err, ERR_VERIFY,
			       "%s: " MANIFEST_FILE " says that its format is '%s', "
			       "which is unknown",
			       name, verify_plain(format));
	/* What goes with an image (a block map) is none. */
	if (!row->read)
		return 0;
	if (!json_is_integer(size) || json_integer_value(size) <= 0)
		return err_set(err, ERR_VERIFY, "%s: " MANIFEST_FILE " lacks the size of its disk",
			       name);
	if (v->disk_count == DISKS_MAX)
		return err_set(err, ERR_VERIFY, MANIFEST_FILE ": more than %d images", DISKS_MAX);
	verify_add_disk(v, name, format, (uint64_t)json_integer_value(size));
	return 0;
}

static int check_schema(const json_t *manifest, struct err *err)
{
	const json_t *schema = json_object_get(manifest, "schema");

	if (!json_is_integer(schema) || json_integer_value(schema) != 1)
		return err_set(err, ERR_VERIFY, MANIFEST_FILE ": its schema is not 1");
	if (!json_is_array(json_object_get(manifest, "artifacts")))
		return err_set(err, ERR_VERIFY, MANIFEST_FILE ": it has no artifacts");
	return 0;
}

int verify_manifest(struct verify *v, const char *only, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};
	const json_t *papers;
	const char *name;
	json_t *item;
	size_t i;

	v->stage = "manifest";
	if (verify_read(v, MANIFEST_FILE, MANIFEST_MAX, &text, err) < 0)
		return -1;
	v->manifest = verify_parse(&text, MANIFEST_FILE, err);
	if (!v->manifest || check_schema(v->manifest, err) < 0)
		return -1;
	if (!v->disks)
		v->disks = mem_alloc_array(DISKS_MAX, sizeof(*v->disks));
	json_array_foreach(json_object_get(v->manifest, "artifacts"), i, item)
	{
		if (check_artifact(v, item, only, err) < 0)
			return -1;
	}
	papers = json_object_get(v->manifest, "papers");
	json_array_foreach(papers, i, item)
	{
		if (check_named(v, item, &name, err) < 0)
			return -1;
	}
	if (v->disk_count == 0)
		return err_set(err, ERR_VERIFY, MANIFEST_FILE ": it names no image%s%s",
			       only ? " " : "", only ? only : "");
	verify_passed(v, "manifest", MANIFEST_FILE, "it agrees with %s%zu %s and %zu papers",
		      v->has_sums ? SUMS_FILE " and the sizes of " : "the sizes of ", v->disk_count,
		      v->disk_count == 1 ? "image" : "images", json_array_size(papers));
	return 0;
}

static const json_t *artifact_of(const struct verify *v, const char *name)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(v->manifest, "artifacts"), i, item)
	{
		const char *file = json_member_string(item, "file");

		if (file && strcmp(file, name) == 0)
			return item;
	}
	return NULL;
}

/* Some entry must start a system with that root hash. */
static int check_root_hash(const struct verify *v, const json_t *object, const char *name,
			   struct err *err)
{
	const char *want = json_member_string(object, "root_hash"), *found = NULL;
	json_t *entry;
	size_t i;

	if (!want)
		return 0;
	json_array_foreach(json_object_get(v->inspected, "entries"), i, entry)
	{
		const char *hash = json_member_string(entry, "root_hash");

		if (hash && strcmp(hash, want) == 0)
			return 0;
		found = hash ? hash : found;
	}
	return err_set(err, ERR_VERIFY, "%s: its root hash is %s, " MANIFEST_FILE " says %s", name,
		       found ? found : "unknown", verify_plain(want));
}

/* One member of both; what the manifest does not have is not compared. */
static int check_member(const struct verify *v, const json_t *found, const json_t *said,
			const char *key, const char *what, struct err *err)
{
	const json_t *a = json_object_get(found, key), *b = json_object_get(said, key);
	CLEANUP_FREE char *found_text = NULL, *said_text = NULL;

	if (!b || json_equal(a, b))
		return 0;
	found_text = json_line(a);
	said_text = json_line(b);
	return err_set(err, ERR_VERIFY,
		       "%s: the %s of its %s is %.100s, " MANIFEST_FILE " says %.100s",
		       v->head->name, key, what, found_text, said_text);
}

/* The partition table and the architecture of the root. */
static int check_table(const struct verify *v, struct err *err)
{
	static const char *const keys[] = {"number", "label", "uuid", "offset", "size"};
	const json_t *said = json_object_get(v->manifest, "disk");
	const json_t *found = json_object_get(v->inspected, "table");
	const json_t *said_parts = json_object_get(said, "partitions"), *part;
	const json_t *found_parts = json_object_get(found, "partitions");

	if (said && check_member(v, found, said, "uuid", "partition table", err) < 0)
		return -1;
	if (said_parts && json_array_size(said_parts) != json_array_size(found_parts))
		return err_set(
			err, ERR_VERIFY, "%s: it has %zu partitions, " MANIFEST_FILE " says %zu",
			v->head->name, json_array_size(found_parts), json_array_size(said_parts));
	for (size_t i = 0; i < json_array_size(found_parts); i++) {
		const char *type;
		char what[64];

		part = json_array_get(found_parts, i);
		type = json_member_string(part, "type");
		snprintf(what, sizeof(what), "partition %zu", i + 1);
		for (size_t k = 0; said_parts && k < ARRAY_SIZE(keys); k++)
			if (check_member(v, part, json_array_get(said_parts, i), keys[k], what,
					 err) < 0)
				return -1;
		if (type && strcmp(type, "root") == 0 &&
		    check_member(v, part, v->manifest, "architecture", what, err) < 0)
			return -1;
	}
	return 0;
}

int verify_manifest_digests(struct verify *v, struct err *err)
{
	v->stage = "manifest";
	for (size_t i = 0; v->manifest && i < v->disk_count; i++) {
		const struct verify_disk *disk = &v->disks[i];
		const json_t *item = artifact_of(v, disk->name);
		struct digest want;
		int has = get_digest(item, "disk_sha256", disk->name, &want, err);

		if (has == 0)
			has = get_digest(v->manifest, "disk_sha256", disk->name, &want, err);
		if (has < 0)
			return -1;
		if (has && memcmp(want.bytes, disk->found.bytes, DIGEST_SIZE) != 0) {
			char hex[DIGEST_HEX_SIZE], other[DIGEST_HEX_SIZE];

			return err_set(err, ERR_VERIFY,
				       "%s: the sha256 of its disk is %s, " MANIFEST_FILE
				       " says %s",
				       disk->name, digest_hex(&disk->found, hex),
				       digest_hex(&want, other));
		}
		has = disk->file ? get_digest(item, "sha256", disk->name, &want, err) : 0;
		if (has < 0 || (has && verify_compare(disk->name, &disk->file->found, MANIFEST_FILE,
						      &want, err) < 0))
			return -1;
		if (check_root_hash(v, v->manifest, disk->name, err) < 0 ||
		    check_root_hash(v, item, disk->name, err) < 0)
			return -1;
	}
	return v->manifest ? check_table(v, err) : 0;
}
