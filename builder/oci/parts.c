/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What resolving, pulling and listing share.
 */
#include "oci/parts.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "oci/pull.h"

#include <pthread.h>
#include <string.h>

#define RECORD_MAX ((size_t)64 << 10)

void oci_layer_key(const struct digest *diff_id, struct digest *ret)
{
	struct cache_key key CLEANUP(cache_key_free) = {0};

	cache_key_add(&key, "format", oci_pull_version());
	cache_key_add_digest(&key, "diff_id", diff_id);
	cache_key_digest(&key, OCI_KIND_LAYER, ret);
}

void oci_ref_key(const char *reference, struct digest *ret)
{
	struct cache_key key CLEANUP(cache_key_free) = {0};

	cache_key_add(&key, "reference", reference);
	cache_key_digest(&key, OCI_KIND_REF, ret);
}

struct oci_platform oci_profile_platform(const struct profile *profile)
{
	/* Debian and Go have the same names for what profiles may say. */
	return (struct oci_platform){.architecture = profile->base.architecture};
}

struct oci_client *oci_profile_client(const struct profile *profile)
{
	size_t count = profile->containers.registry_count;
	CLEANUP_FREE struct oci_registry *rows = mem_alloc_array(count + 1, sizeof(*rows));

	for (size_t i = 0; i < count; i++) {
		const struct profile_registry *from = &profile->containers.registries[i];

		rows[i] = (struct oci_registry){
			.name = from->name,
			.mirrors = (const char *const *)from->mirrors.items,
			.mirror_count = from->mirrors.count,
			.ca = from->ca,
			.insecure = from->insecure,
		};
	}
	return oci_client_new(rows, count);
}

char *oci_digest_text(const struct digest *digest)
{
	char hex[DIGEST_HEX_SIZE];

	return mem_printf("sha256:%s", digest_hex(digest, hex));
}

json_t *oci_descriptor_json(const struct oci_descriptor *descriptor)
{
	CLEANUP_FREE char *digest = oci_digest_text(&descriptor->digest);

	return json_pack("{s:s, s:s, s:I}", "mediaType", descriptor->media_type, "digest", digest,
			 "size", (json_int_t)descriptor->size);
}

struct row {
	json_t *value;
};

static int compare_rows(const void *a, const void *b, void *context)
{
	int (*const *compare)(const json_t *, const json_t *) = context;

	return (*compare)(((const struct row *)a)->value, ((const struct row *)b)->value);
}

json_t *oci_sorted(json_t *array, int (*compare)(const json_t *a, const json_t *b))
{
	size_t count = json_array_size(array);
	CLEANUP_FREE struct row *rows = mem_alloc_array(count + 1, sizeof(*rows));
	json_t *sorted = json_array();

	for (size_t i = 0; i < count; i++)
		rows[i].value = json_array_get(array, i);
	qsort_r(rows, count, sizeof(*rows), compare_rows, &compare);
	for (size_t i = 0; i < count; i++)
		json_array_append(sorted, rows[i].value);
	json_decref(array);
	return sorted;
}

/* The work that threads share. */
struct crew {
	pthread_mutex_t mutex;
	size_t next, count;
	bool failed;
	bool *stop;
	int (*work)(size_t index, void *context, struct err *err);
	void *context;
	struct err err; /* of the first that failed */
};

static void *crew_run(void *context)
{
	struct crew *crew = context;

	for (;;) {
		struct err err = {0};
		size_t index;

		pthread_mutex_lock(&crew->mutex);
		index = crew->failed ? crew->count : crew->next;
		if (index < crew->count)
			crew->next++;
		pthread_mutex_unlock(&crew->mutex);
		if (index >= crew->count)
			return NULL;
		if (crew->work(index, crew->context, &err) == 0)
			continue;
		pthread_mutex_lock(&crew->mutex);
		if (!crew->failed)
			crew->err = err;
		crew->failed = true;
		if (crew->stop)
			__atomic_store_n(crew->stop, true, __ATOMIC_RELAXED);
		pthread_mutex_unlock(&crew->mutex);
	}
}

int oci_each(size_t count, unsigned workers, bool *stop,
	     int (*work)(size_t index, void *context, struct err *err), void *context,
	     struct err *err)
{
	struct crew crew = {
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.count = count,
		.stop = stop,
		.work = work,
		.context = context,
	};
	CLEANUP_FREE pthread_t *threads = mem_alloc_array(workers + 1, sizeof(*threads));
	unsigned started = 0;

	if (workers > count)
		workers = (unsigned)count;
	while (started + 1 < workers &&
	       pthread_create(&threads[started], NULL, crew_run, &crew) == 0)
		started++;
	/* This thread works too, so that all is done even where no other could be started. */
	crew_run(&crew);
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	pthread_mutex_destroy(&crew.mutex);
	if (crew.failed && err)
		*err = crew.err;
	return crew.failed ? -1 : 0;
}

/* True when the cache says so already; that marks it as used, too. Of the target the digest counts: not every
 * registry says the same about its type. */
static bool is_remembered(struct cache *cache, const struct digest *key, const json_t *want)
{
	CLEANUP_FREE char *dir = cache_find(cache, OCI_KIND_REF, key);
	CLEANUP_FREE char *path = dir ? path_join(dir, OCI_REF_FILE) : NULL;
	CLEANUP_JSON json_t *have = path ? json_read_file(path, RECORD_MAX, NULL) : NULL;

	return have &&
	       json_equal(json_object_get(have, "reference"), json_object_get(want, "reference")) &&
	       json_equal(json_object_get(json_object_get(have, "target"), "digest"),
			  json_object_get(json_object_get(want, "target"), "digest"));
}

int oci_remember_ref(struct cache *cache, const char *reference,
		     const struct oci_descriptor *target, struct err *err)
{
	struct cache_entry entry CLEANUP(cache_abandon) = {.lock_fd = -1};
	CLEANUP_JSON json_t *ref = json_pack("{s:s, s:o}", "reference", reference, "target",
					     oci_descriptor_json(target));
	CLEANUP_FREE char *path = NULL;
	struct digest key;

	if (!ref)
		return err_set(err, ERR_OTHER, "cannot remember '%s': not UTF-8", reference);
	oci_ref_key(reference, &key);
	if (is_remembered(cache, &key, ref))
		return 0;
	if (cache_discard(cache, OCI_KIND_REF, &key, err) < 0 ||
	    cache_begin(cache, OCI_KIND_REF, &key, &entry, err) < 0)
		return -1;
	/* Another build was quicker; it has asked the same registry. */
	if (!entry.dir)
		return 0;
	path = path_join(entry.dir, OCI_REF_FILE);
	if (json_write_file(path, ref, false, err) < 0)
		return -1;
	return cache_commit(&entry, err);
}

static bool read_count(const json_t *record, const char *name, uint64_t *ret)
{
	const json_t *value = json_object_get(record, name);

	*ret = (uint64_t)json_integer_value(value);
	return json_is_integer(value) && json_integer_value(value) >= 0;
}

static bool read_sha256(const json_t *record, const char *name, struct digest *ret)
{
	const char *text = json_member_string(record, name);

	return text && str_has_prefix(text, "sha256:") && digest_parse(text + 7, ret, NULL) == 0;
}

int oci_layer_record(const char *dir, const struct digest *diff_id, struct tree_layer *ret,
		     struct err *err)
{
	CLEANUP_FREE char *path = path_join(dir, OCI_LAYER_FILE);
	CLEANUP_JSON json_t *record = json_read_file(path, RECORD_MAX, err);
	uint64_t entries;

	if (!record)
		return -1;
	if (!read_sha256(record, "diff_id", &ret->diff_id) ||
	    !read_sha256(record, "digest", &ret->digest) ||
	    !read_count(record, "size", &ret->size) || !read_count(record, "tar", &ret->tar) ||
	    !read_count(record, "entries", &entries) ||
	    memcmp(&ret->diff_id, diff_id, sizeof(*diff_id)) != 0)
		return err_set(err, ERR_VERIFY, "the cache entry '%s' is damaged", dir);
	ret->entries = (size_t)entries;
	return 0;
}
