/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what a profile calls its images to digests: by the reference itself, the lock, the registry or, offline,
 * by what the cache remembers.
 */
#include "oci/pull.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "oci/parts.h"
#include "oci/source.h"

#include <stdlib.h>
#include <string.h>

#define REF_MAX ((size_t)64 << 10)
#define WORKERS 4 /* questions to registries at a time */

struct resolving {
	struct cache *cache;
	const struct profile *profile;
	const struct oci_resolve_options *options;
	struct oci_platform platform;
	struct oci_client *client;
	struct oci_resolved *list;
};

static bool same_digest(const struct digest *a, const struct digest *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static int not_locked(const char *reference, const char *why, const char *detail, struct err *err)
{
	err_set(err, ERR_VERIFY, "container image '%s' is not as the lock says: %s%s", reference,
		why, detail);
	return err_hint(err, "'ingot lock --update' takes the new state");
}

/* What the lock says about a reference. Two images of one repository that are pinned by digests alone have one name
 * there, so that the digest (or NULL) is compared, too. */
static int find_locked(const json_t *locked, const char *reference, const struct digest *digest,
		       struct digest *ret, struct err *err)
{
	CLEANUP_FREE char *other = NULL;
	json_t *row;
	size_t i;

	json_array_foreach(locked, i, row)
	{
		const char *name = json_member_string(row, "reference");
		const char *text = json_member_string(row, "digest");

		if (!name || !text || strcmp(name, reference) != 0)
			continue;
		if (!str_has_prefix(text, "sha256:") || digest_parse(text + 7, ret, err) < 0)
			return not_locked(reference, "a bad digest", "", err);
		if (!digest || same_digest(digest, ret))
			return 0;
		free(other);
		other = mem_strdup(text);
	}
	return other ? not_locked(reference, "locked is ", other, err)
		     : not_locked(reference, "it is not in the lock", "", err);
}

static int from_cache(struct resolving *r, const char *reference, struct oci_descriptor *ret,
		      struct err *err)
{
	CLEANUP_FREE char *dir = NULL, *path = NULL;
	CLEANUP_JSON json_t *ref = NULL;
	const char *name;
	struct digest key;

	oci_ref_key(reference, &key);
	dir = cache_find(r->cache, OCI_KIND_REF, &key);
	if (!dir) {
		err_set(err, ERR_NETWORK,
			"cannot work offline: the cache does not know what '%s' stands for",
			reference);
		return err_hint(err,
				"'ingot images pull' or a build without --offline asks for it");
	}
	path = path_join(dir, OCI_REF_FILE);
	ref = json_read_file(path, REF_MAX, err);
	if (!ref)
		return -1;
	name = json_member_string(ref, "reference");
	if (!name || strcmp(name, reference) != 0)
		return err_set(err, ERR_VERIFY, "the cache entry '%s' is damaged", dir);
	return oci_descriptor_read(json_object_get(ref, "target"), "entry of the cache",
				   OCI_DOCUMENT_MAX, ret, err);
}

/* What a tag stands for now. */
static int ask(struct resolving *r, const struct oci_reference *ref, struct oci_resolved *ret,
	       struct err *err)
{
	if (r->options->offline)
		return from_cache(r, ret->reference, &ret->target, err);
	if (oci_client_resolve(r->client, ref, &ret->target, err) < 0)
		return err_wrap(err, "cannot resolve container image '%s'", ret->reference);
	return oci_remember_ref(r->cache, ret->reference, &ret->target, err);
}

static int resolve_remote(struct resolving *r, struct oci_resolved *ret, struct err *err)
{
	struct oci_reference ref CLEANUP(oci_reference_free) = {0};
	CLEANUP_FREE char *digest = NULL;
	struct digest locked;

	if (oci_reference_parse(ret->want->image, &ref, err) < 0)
		return -1;
	ret->repository = oci_reference_name(&ref);
	ret->name = ref.tag ? mem_printf("%s:%s", ret->repository, ref.tag) : NULL;
	ret->reference = mem_strdup(ref.tag ? ret->name : ret->repository);
	ret->target.digest = ref.digest;
	if (r->options->locked &&
	    find_locked(r->options->locked, ret->reference, ref.has_digest ? &ref.digest : NULL,
			&locked, err) < 0)
		return -1;
	if (!ref.has_digest && r->options->locked)
		ret->target.digest = locked;
	else if (!ref.has_digest && ask(r, &ref, ret, err) < 0)
		return -1;
	digest = oci_digest_text(&ret->target.digest);
	ret->remembered = ref.has_digest || r->options->locked
				  ? mem_printf("%s@%s", ret->reference, digest)
				  : mem_strdup(ret->reference);
	return 0;
}

static int resolve_local(struct resolving *r, struct oci_resolved *ret, struct err *err)
{
	const struct profile_container *want = ret->want;
	struct oci_source *source CLEANUP(oci_source_cleanup) = NULL;
	struct digest locked;

	if (oci_source_open_local(r->cache, want->oci, &r->platform, &source, err) < 0 ||
	    oci_source_choose(source, want->name, &ret->target, &ret->name, err) < 0)
		return -1;
	ret->reference = mem_printf("oci:%s", ret->name ? ret->name : want->oci);
	ret->remembered = mem_strdup(ret->reference);
	if (!r->options->locked)
		return 0;
	return find_locked(r->options->locked, ret->reference, &ret->target.digest, &locked, err);
}

static int resolve_one(size_t index, void *context, struct err *err)
{
	struct resolving *r = context;
	struct oci_resolved *ret = &r->list[index];
	struct digest key;

	ret->want = &r->profile->containers.images[index];
	if ((ret->want->oci ? resolve_local(r, ret, err) : resolve_remote(r, ret, err)) < 0)
		return -1;
	/* A build that needs nothing new uses it, too: to oci_stored_gc it is not old. */
	oci_ref_key(ret->remembered, &key);
	free(cache_find(r->cache, OCI_KIND_REF, &key));
	return 0;
}

/* An engine has one image under a name. */
static int check_names(const struct oci_resolved *list, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i && list[i].name; j++)
			if (list[j].name && strcmp(list[i].name, list[j].name) == 0 &&
			    !same_digest(&list[i].target.digest, &list[j].target.digest))
				return err_set(err, ERR_PROFILE,
					       "two container images are called '%s'",
					       list[i].name);
	return 0;
}

int oci_resolve(struct cache *cache, const struct profile *profile,
		const struct oci_resolve_options *options, struct oci_resolved **ret,
		struct err *err)
{
	size_t count = profile->containers.image_count;
	struct oci_client *client CLEANUP(oci_client_cleanup) = oci_profile_client(profile);
	struct resolving r = {
		.cache = cache,
		.profile = profile,
		.options = options,
		.platform = oci_profile_platform(profile),
		.client = client,
		.list = mem_alloc_array(count + 1, sizeof(*r.list)),
	};

	if (oci_each(count, WORKERS, NULL, resolve_one, &r, err) < 0 ||
	    check_names(r.list, count, err) < 0) {
		oci_resolved_free(r.list, count);
		return -1;
	}
	*ret = r.list;
	return 0;
}

void oci_resolved_free(struct oci_resolved *resolved, size_t count)
{
	for (size_t i = 0; resolved && i < count; i++) {
		free(resolved[i].reference);
		free(resolved[i].remembered);
		free(resolved[i].name);
		free(resolved[i].repository);
	}
	free(resolved);
}

static int compare_rows(const json_t *a, const json_t *b)
{
	int r = strcmp(json_member_string(a, "reference"), json_member_string(b, "reference"));

	return r ? r : strcmp(json_member_string(a, "digest"), json_member_string(b, "digest"));
}

json_t *oci_resolved_lock(const struct oci_resolved *resolved, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		CLEANUP_FREE char *digest = oci_digest_text(&resolved[i].target.digest);

		json_array_append_new(list, json_pack("{s:s, s:s}", "reference",
						      resolved[i].reference, "digest", digest));
	}
	list = oci_sorted(list, compare_rows);
	for (size_t i = json_array_size(list); i-- > 1;)
		if (json_equal(json_array_get(list, i), json_array_get(list, i - 1)))
			json_array_remove(list, i);
	return list;
}
