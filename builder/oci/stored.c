/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the references that the cache remembers, through indexes, manifests and configurations, to layers; what
 * is not reached belongs to nobody.
 */
#include "oci/stored.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "oci/files.h"
#include "oci/manifest.h"
#include "oci/parts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define REF_MAX ((size_t)64 << 10)
#define DEPTH_MAX 3 /* of documents: two indexes and a manifest */

/* An entry of the cache that belongs to containers. */
struct entry {
	const char *kind; /* one of kinds[] */
	struct digest key;
	uint64_t bytes;
	int64_t used;
	bool wanted, gone;
	/* Of references: */
	char *reference;
	struct digest target;
};

struct stored {
	struct cache *cache;
	struct entry *entries; /* sorted by kind, then key */
	size_t count, room;
};

static const char *const kinds[] = {OCI_KIND_BLOB, OCI_KIND_LAYER, OCI_KIND_REF, OCI_KIND_ARCHIVE};

static void stored_free(struct stored *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->entries[i].reference);
	free(s->entries);
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int r = strcmp(x->kind, y->kind);

	return r ? r : memcmp(&x->key, &y->key, sizeof(x->key));
}

static struct entry *find(const struct stored *s, const char *kind, const struct digest *key)
{
	const struct entry like = {.kind = kind, .key = *key};

	return s->count ? bsearch(&like, s->entries, s->count, sizeof(like), compare_entries)
			: NULL;
}

/* Reads what a reference stands for. What is damaged has no name, and nobody needs what it needs. */
static void read_ref(struct stored *s, struct entry *entry)
{
	CLEANUP_FREE char *dir = cache_peek(s->cache, OCI_KIND_REF, &entry->key);
	CLEANUP_FREE char *path = dir ? path_join(dir, OCI_REF_FILE) : NULL;
	CLEANUP_JSON json_t *ref = path ? json_read_file(path, REF_MAX, NULL) : NULL;
	const char *name = json_member_string(ref, "reference");
	const char *digest = json_member_string(json_object_get(ref, "target"), "digest");

	if (name && digest && str_has_prefix(digest, "sha256:") &&
	    digest_parse(digest + 7, &entry->target, NULL) == 0)
		entry->reference = mem_strdup(name);
}

static int stored_read(struct cache *cache, struct stored *s, struct err *err)
{
	CLEANUP_JSON json_t *list = cache_list(cache, err);
	json_t *row;
	size_t i;

	if (!list)
		return -1;
	s->cache = cache;
	json_array_foreach(list, i, row)
	{
		struct entry entry = {
			.bytes = (uint64_t)json_integer_value(json_object_get(row, "bytes")),
			.used = json_integer_value(json_object_get(row, "used")),
		};

		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
			if (strcmp(kinds[k], json_member_string(row, "kind")) == 0)
				entry.kind = kinds[k];
		if (!entry.kind ||
		    digest_parse(json_member_string(row, "key"), &entry.key, NULL) < 0)
			continue;
		VEC_ADD(s->entries, s->count, s->room, entry);
	}
	if (s->count)
		qsort(s->entries, s->count, sizeof(*s->entries), compare_entries);
	for (i = 0; i < s->count; i++)
		if (strcmp(s->entries[i].kind, OCI_KIND_REF) == 0)
			read_ref(s, &s->entries[i]);
	return 0;
}

/* What was found below a reference. */
struct found {
	size_t *entries; /* numbers of documents and layers, each once */
	size_t count, room;
	json_t *layers;         /* of {diff_id, bytes}, or NULL when nobody asks */
	json_t *platforms;      /* of texts, or NULL */
	size_t images, missing; /* manifests that are there; what they lack */
};

static void found_free(struct found *f)
{
	free(f->entries);
	json_decref(f->layers);
	json_decref(f->platforms);
}

static bool add_found(const struct stored *s, struct found *f, const struct entry *entry)
{
	size_t number = (size_t)(entry - s->entries);

	for (size_t i = 0; i < f->count; i++)
		if (f->entries[i] == number)
			return false;
	VEC_ADD(f->entries, f->count, f->room, number);
	return true;
}

static json_t *read_document(const struct stored *s, const struct digest *digest, struct found *f)
{
	struct entry *entry = find(s, OCI_KIND_BLOB, digest);
	CLEANUP_FREE char *dir = entry ? cache_peek(s->cache, OCI_KIND_BLOB, digest) : NULL;
	CLEANUP_FREE char *path = dir ? path_join(dir, OCI_BLOB_FILE) : NULL;
	json_t *json = path ? json_read_file(path, OCI_DOCUMENT_MAX, NULL) : NULL;

	if (json)
		add_found(s, f, entry);
	return json;
}

static void add_platform(struct found *f, const json_t *config)
{
	const char *architecture = json_member_string(config, "architecture");
	CLEANUP_FREE char *text = NULL;

	if (!f->platforms || !architecture || strlen(architecture) > 32)
		return;
	for (const char *p = architecture; *p; p++)
		if (!isalnum((unsigned char)*p))
			return;
	text = mem_printf("linux/%s", architecture);
	json_array_append_new(f->platforms, json_string(text));
}

static void walk_manifest(const struct stored *s, const json_t *json, struct found *f)
{
	struct oci_manifest manifest CLEANUP(oci_manifest_free) = {0};
	CLEANUP_FREE struct digest *ids = NULL;
	CLEANUP_JSON json_t *config = NULL;
	size_t count;

	if (oci_manifest_read(json, &manifest, NULL) < 0)
		return;
	f->images++;
	config = read_document(s, &manifest.config.digest, f);
	if (!config || oci_config_diff_ids(config, &ids, &count, NULL) < 0) {
		f->missing++;
		return;
	}
	add_platform(f, config);
	for (size_t i = 0; i < count; i++) {
		CLEANUP_FREE char *text = oci_digest_text(&ids[i]);
		struct entry *layer;
		struct digest key;

		oci_layer_key(&ids[i], &key);
		layer = find(s, OCI_KIND_LAYER, &key);
		if (!layer)
			f->missing++;
		else if (add_found(s, f, layer) && f->layers)
			json_array_append_new(f->layers,
					      json_pack("{s:s, s:I}", "diff_id", text, "bytes",
							(json_int_t)layer->bytes));
	}
}

static void walk(const struct stored *s, const struct digest *digest, int depth, struct found *f)
{
	CLEANUP_JSON json_t *json = read_document(s, digest, f);
	json_t *entry;
	size_t i;

	if (!json)
		return;
	if (!oci_is_index("", json)) {
		walk_manifest(s, json, f);
		return;
	}
	/* Of an index only what was chosen is there. */
	json_array_foreach(json_object_get(json, "manifests"), i, entry)
	{
		struct oci_descriptor descriptor;

		if (depth < DEPTH_MAX &&
		    oci_descriptor_read(entry, "entry", OCI_DOCUMENT_MAX, &descriptor, NULL) == 0)
			walk(s, &descriptor.digest, depth + 1, f);
	}
}

static json_t *describe(const struct stored *s, const struct entry *ref)
{
	struct found f CLEANUP(found_free) = {.layers = json_array(), .platforms = json_array()};
	CLEANUP_FREE char *digest = oci_digest_text(&ref->target);
	uint64_t bytes = 0;

	walk(s, &ref->target, 1, &f);
	for (size_t i = 0; i < f.count; i++)
		if (strcmp(s->entries[f.entries[i]].kind, OCI_KIND_LAYER) == 0)
			bytes += s->entries[f.entries[i]].bytes;
	return json_pack("{s:s, s:s, s:O, s:O, s:I, s:b, s:I}", "reference", ref->reference,
			 "digest", digest, "platforms", f.platforms, "layers", f.layers, "bytes",
			 (json_int_t)bytes, "complete", f.images > 0 && f.missing == 0, "used",
			 (json_int_t)ref->used);
}

static int compare_rows(const json_t *a, const json_t *b)
{
	return strcmp(json_member_string(a, "reference"), json_member_string(b, "reference"));
}

json_t *oci_stored_list(struct cache *cache, struct err *err)
{
	struct stored s CLEANUP(stored_free) = {0};
	json_t *list;

	if (stored_read(cache, &s, err) < 0)
		return NULL;
	list = json_array();
	for (size_t i = 0; i < s.count; i++)
		if (s.entries[i].reference)
			json_array_append_new(list, describe(&s, &s.entries[i]));
	return oci_sorted(list, compare_rows);
}

/* Marks what the references that are left need. */
static void mark(struct stored *s)
{
	for (size_t i = 0; i < s->count; i++)
		s->entries[i].wanted = s->entries[i].reference && !s->entries[i].gone;
	for (size_t i = 0; i < s->count; i++) {
		struct found f CLEANUP(found_free) = {0};

		if (!s->entries[i].reference || s->entries[i].gone)
			continue;
		walk(s, &s->entries[i].target, 1, &f);
		for (size_t n = 0; n < f.count; n++)
			s->entries[f.entries[n]].wanted = true;
	}
}

static int drop(struct stored *s, struct entry *entry, uint64_t *freed, struct err *err)
{
	bool removed;

	if (cache_drop(s->cache, entry->kind, &entry->key, &removed, err) < 0)
		return -1;
	/* Held, or gone already: either way there is nothing more to do about it. */
	entry->gone = true;
	*freed += removed ? entry->bytes : 0;
	return 0;
}

static int sweep(struct stored *s, uint64_t *freed, struct err *err)
{
	mark(s);
	for (size_t i = 0; i < s->count; i++)
		if (!s->entries[i].wanted && !s->entries[i].gone &&
		    drop(s, &s->entries[i], freed, err) < 0)
			return -1;
	return 0;
}

static struct entry *oldest_ref(const struct stored *s)
{
	struct entry *oldest = NULL;

	for (size_t i = 0; i < s->count; i++)
		if (s->entries[i].reference && !s->entries[i].gone &&
		    (!oldest || s->entries[i].used < oldest->used))
			oldest = &s->entries[i];
	return oldest;
}

int oci_stored_gc(struct cache *cache, uint64_t max, uint64_t *ret_freed, struct err *err)
{
	struct stored s CLEANUP(stored_free) = {0};
	uint64_t total = 0;

	*ret_freed = 0;
	if (stored_read(cache, &s, err) < 0)
		return -1;
	for (size_t i = 0; i < s.count; i++)
		total += s.entries[i].bytes;
	if (sweep(&s, ret_freed, err) < 0)
		return -1;
	while (total - *ret_freed > max) {
		struct entry *ref = oldest_ref(&s);

		if (!ref)
			break;
		if (drop(&s, ref, ret_freed, err) < 0 || sweep(&s, ret_freed, err) < 0)
			return -1;
	}
	return 0;
}
