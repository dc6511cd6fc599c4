/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Indexes, manifests and configurations: every field that is used is checked here, so that nothing behind
 * this file sees a digest, size or type that is not one.
 */
#include "oci/manifest.h"

#include "base/mem.h"
#include "base/str.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#define ENTRIES_MAX 1000 /* of an index */
#define PLATFORMS_SHOWN 12

static int bad(struct err *err, const char *what, const char *why)
{
	return err_set(err, ERR_VERIFY, "bad %s: %s", what, why);
}

/* Text from outside for a message, cut to max bytes. Caller frees. */
static char *show(const char *text, size_t max)
{
	struct str clean = {0};

	if (!text)
		return mem_strdup("?");
	str_add_utf8(&clean, text, strnlen(text, max));
	return str_steal(&clean);
}

/* The engines read JSON with Go, to which "digest" and "Digest" are one member and the last one counts: what
 * they would read differently is refused. */
static int check_names(const json_t *object, const char *const *names, const char *what,
		       struct err *err)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return bad(err, what, "no object");
	json_object_foreach(
		(json_t *)object, key,
		value) for (const char *const *name = names; *name;
			    name++) if (strcasecmp(key, *name) == 0 &&
					strcmp(key, *name) !=
						0) return err_set(err, ERR_VERIFY,
								  "bad %s: member '%s' for '%s'",
								  what, key, *name);
	return 0;
}

static const char *const document_names[] = {
	"schemaVersion", "mediaType", "manifests",    "config",  "layers",
	"rootfs",        "os",        "architecture", "variant", NULL};
static const char *const descriptor_names[] = {"mediaType", "digest",   "size",
					       "urls",      "platform", NULL};
static const char *const rootfs_names[] = {"type", "diff_ids", NULL};

static int bad_digest(const char *text, const char *what, const char *why, struct err *err)
{
	CLEANUP_FREE char *shown = show(text, 80);

	return err_set(err, ERR_VERIFY, "bad %s: digest '%s'%s", what, shown, why);
}

static int read_digest(const char *text, const char *what, struct digest *ret, struct err *err)
{
	if (!text)
		return bad(err, what, "no digest");
	if (!str_has_prefix(text, "sha256:"))
		return bad_digest(text, what, " is not of SHA-256", err);
	for (const char *p = text + strlen("sha256:"); *p; p++)
		if (!strchr("0123456789abcdef", *p))
			return bad_digest(text, what, "", err);
	return digest_parse(text + strlen("sha256:"), ret, NULL) < 0
		       ? bad_digest(text, what, "", err)
		       : 0;
}

/* RFC 6838, 4.2; it goes into messages and into files that the engines read. */
static bool is_media_type(const char *text)
{
	const char *slash = strchr(text, '/');

	if (!slash || slash == text || !slash[1] || strlen(text) >= OCI_MEDIA_TYPE_MAX)
		return false;
	for (const char *p = text; *p; p++)
		if (p != slash && !isalnum((unsigned char)*p) && !strchr("!#$&-^_.+", *p))
			return false;
	return true;
}

int oci_descriptor_read(const json_t *value, const char *what, uint64_t max,
			struct oci_descriptor *ret, struct err *err)
{
	const json_t *size = json_object_get(value, "size");
	const char *type = json_member_string(value, "mediaType");

	*ret = (struct oci_descriptor){0};
	if (check_names(value, descriptor_names, what, err) < 0 ||
	    read_digest(json_member_string(value, "digest"), what, &ret->digest, err) < 0)
		return -1;
	if (!type || !is_media_type(type))
		return bad(err, what, "no media type");
	if (!json_is_integer(size) || json_integer_value(size) < 0)
		return bad(err, what, "no size");
	ret->size = (uint64_t)json_integer_value(size);
	if (ret->size > max)
		return err_set(err, ERR_VERIFY,
			       "bad %s: %" PRIu64 " bytes are more than the %" PRIu64
			       " that are taken",
			       what, ret->size, max);
	strcpy(ret->media_type, type); /* is_media_type has seen its length */
	return 0;
}

static bool is_index_type(const char *type)
{
	return strcmp(type, OCI_TYPE_INDEX) == 0 || strcmp(type, DOCKER_TYPE_INDEX) == 0;
}

static bool is_manifest_type(const char *type)
{
	return strcmp(type, OCI_TYPE_MANIFEST) == 0 || strcmp(type, DOCKER_TYPE_MANIFEST) == 0;
}

bool oci_is_index(const char *media_type, const json_t *document)
{
	const char *own = json_member_string(document, "mediaType");

	/* What the document says of itself is under its digest; a header of a server is not. */
	if (own)
		return is_index_type(own);
	if (json_is_array(json_object_get(document, "manifests")))
		return true;
	if (json_object_get(document, "layers") || json_object_get(document, "config"))
		return false;
	return is_index_type(media_type);
}

static int check_version(const json_t *document, const char *what, struct err *err)
{
	const json_t *version = json_object_get(document, "schemaVersion");

	if (check_names(document, document_names, what, err) < 0)
		return -1;
	if (json_is_integer(version) && json_integer_value(version) == 1) {
		bad(err, what, "it is of Docker's schema 1, which has no digests of the layers");
		return err_hint(err, "push the image again with a current engine");
	}
	if (!json_is_integer(version) || json_integer_value(version) != 2)
		return bad(err, what, "no schemaVersion 2");
	return 0;
}

static bool same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

bool oci_platform_fits(const json_t *value, const struct oci_platform *want)
{
	/* What an absent variant means, and what every machine of the architecture has. */
	const char *usual = strcmp(want->architecture, "arm64") == 0 ? "v8" : "v1";
	const char *variant = json_member_string(value, "variant");

	if (!same(json_member_string(value, "os"), "linux") ||
	    !same(json_member_string(value, "architecture"), want->architecture))
		return false;
	return !variant || !variant[0] || same(variant, want->variant ? want->variant : usual);
}

bool oci_is_document_type(const char *media_type)
{
	return is_index_type(media_type) || is_manifest_type(media_type);
}

/* How well an entry of an index fits. An index inside of the index fits when nothing better does; so does a
 * manifest that says nothing, whose configuration will. */
static int entry_rank(const json_t *entry, const struct oci_platform *want)
{
	const json_t *platform = json_object_get(entry, "platform");
	const char *type = json_member_string(entry, "mediaType");

	if (!type || !oci_is_document_type(type))
		return 0;
	if (!platform)
		return is_index_type(type) ? 2 : 1;
	return oci_platform_fits(platform, want) ? 3 : 0;
}

static void add_platform(const json_t *entry, struct str *text, size_t *count)
{
	const json_t *platform = json_object_get(entry, "platform");
	const char *os = json_member_string(platform, "os");
	const char *architecture = json_member_string(platform, "architecture");
	const char *variant = json_member_string(platform, "variant");

	if (!os || !architecture || strcmp(os, "unknown") == 0 || (*count)++ >= PLATFORMS_SHOWN)
		return;
	str_add(text, text->len ? ", " : "");
	str_add_utf8(text, os, strnlen(os, 32));
	str_add(text, "/");
	str_add_utf8(text, architecture, strnlen(architecture, 32));
	if (variant && variant[0]) {
		str_add(text, "/");
		str_add_utf8(text, variant, strnlen(variant, 32));
	}
}

static int no_platform(const json_t *manifests, const struct oci_platform *want, struct err *err)
{
	CLEANUP(str_free) struct str there = {0};
	size_t count = 0, i;
	json_t *entry;

	json_array_foreach(manifests, i, entry) add_platform(entry, &there, &count);
	return err_set(err, ERR_VERIFY, "the image is not there for linux/%s%s%s, only for %s%s",
		       want->architecture, want->variant ? "/" : "",
		       want->variant ? want->variant : "", there.len ? there.data : "nothing",
		       count > PLATFORMS_SHOWN ? " and others" : "");
}

int oci_index_choose(const json_t *index, const struct oci_platform *platform,
		     struct oci_descriptor *ret, struct err *err)
{
	const json_t *manifests = json_object_get(index, "manifests"), *best = NULL;
	int best_rank = 0;
	json_t *entry;
	size_t i;

	if (check_version(index, "index", err) < 0)
		return -1;
	if (!json_is_array(manifests) || json_array_size(manifests) > ENTRIES_MAX)
		return bad(err, "index", "no list of manifests, or too long a one");
	json_array_foreach(manifests, i, entry)
	{
		int rank;

		if (check_names(entry, descriptor_names, "entry of the index", err) < 0)
			return -1;
		rank = entry_rank(entry, platform);
		if (rank > best_rank) {
			best_rank = rank;
			best = entry;
		}
	}
	if (!best)
		return no_platform(manifests, platform, err);
	return oci_descriptor_read(best, "entry of the index", OCI_DOCUMENT_MAX, ret, err);
}

enum layer_kind { LAYER_UNKNOWN, LAYER_GOOD, LAYER_FOREIGN, LAYER_ENCRYPTED };

static const struct layer_type {
	const char *name;
	enum layer_kind kind;
} layer_types[] = {
	{OCI_TYPE_LAYER, LAYER_GOOD},
	{OCI_TYPE_LAYER "+gzip", LAYER_GOOD},
	{OCI_TYPE_LAYER "+zstd", LAYER_GOOD},
	{"application/vnd.docker.image.rootfs.diff.tar", LAYER_GOOD},
	{"application/vnd.docker.image.rootfs.diff.tar.gzip", LAYER_GOOD},
	{"application/vnd.docker.image.rootfs.diff.tar.zstd", LAYER_GOOD},
	{"application/vnd.docker.image.rootfs.foreign.diff.tar", LAYER_FOREIGN},
	{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", LAYER_FOREIGN},
	{"application/vnd.oci.image.layer.nondistributable.v1.tar", LAYER_FOREIGN},
	{"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", LAYER_FOREIGN},
	{"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", LAYER_FOREIGN},
};

static enum layer_kind layer_kind(const char *type)
{
	if (strstr(type, "+encrypted"))
		return LAYER_ENCRYPTED;
	for (size_t i = 0; i < ARRAY_SIZE(layer_types); i++)
		if (strcmp(layer_types[i].name, type) == 0)
			return layer_types[i].kind;
	return LAYER_UNKNOWN;
}

static int read_layer(const json_t *value, size_t number, struct oci_descriptor *ret,
		      struct err *err)
{
	const json_t *urls = json_object_get(value, "urls");
	char what[32];

	snprintf(what, sizeof(what), "layer %zu", number);
	if (oci_descriptor_read(value, what, OCI_BLOB_MAX, ret, err) < 0)
		return -1;
	switch (layer_kind(ret->media_type)) {
	case LAYER_GOOD:
		break;
	case LAYER_FOREIGN:
		return bad(err, what, "it is not distributed by the registry (a foreign layer)");
	case LAYER_ENCRYPTED:
		return bad(err, what, "it is encrypted");
	default:
		return err_set(err, ERR_VERIFY, "bad %s: '%s' is no kind of layer", what,
			       ret->media_type);
	}
	if (json_array_size(urls) > 0)
		return bad(err, what, "it is to be fetched from elsewhere (a foreign layer)");
	return 0;
}

static int read_layers(const json_t *layers, struct oci_manifest *ret, struct err *err)
{
	json_t *value;
	size_t i;

	if (!json_is_array(layers) || json_array_size(layers) == 0)
		return bad(err, "manifest", "it has no layers");
	if (json_array_size(layers) > OCI_LAYERS_MAX)
		return err_set(err, ERR_VERIFY, "bad manifest: %zu layers are more than %d",
			       json_array_size(layers), OCI_LAYERS_MAX);
	ret->layers = mem_alloc_array(json_array_size(layers), sizeof(*ret->layers));
	ret->layer_count = json_array_size(layers);
	json_array_foreach(layers, i,
			   value) if (read_layer(value, i + 1, &ret->layers[i], err) < 0) return -1;
	return 0;
}

int oci_manifest_read(const json_t *document, struct oci_manifest *ret, struct err *err)
{
	const char *type = json_member_string(document, "mediaType"), *config;

	*ret = (struct oci_manifest){0};
	if (check_version(document, "manifest", err) < 0)
		return -1;
	if (json_object_get(document, "manifests"))
		return bad(err, "manifest", "it is an index");
	if (type && !is_manifest_type(type))
		return bad(err, "manifest", "its media type is that of something else");
	if (oci_descriptor_read(json_object_get(document, "config"), "configuration",
				OCI_DOCUMENT_MAX, &ret->config, err) < 0)
		return -1;
	config = ret->config.media_type;
	if (strcmp(config, OCI_TYPE_CONFIG) != 0 && strcmp(config, DOCKER_TYPE_CONFIG) != 0)
		return err_set(err, ERR_VERIFY,
			       "bad manifest: it is no container image but an artifact ('%s')",
			       config);
	if (read_layers(json_object_get(document, "layers"), ret, err) < 0) {
		oci_manifest_free(ret);
		return -1;
	}
	return 0;
}

void oci_manifest_free(struct oci_manifest *manifest)
{
	free(manifest->layers);
	*manifest = (struct oci_manifest){0};
}

static int check_platform(const json_t *config, const struct oci_platform *want, struct err *err)
{
	CLEANUP_FREE char *os = show(json_member_string(config, "os"), 16);
	CLEANUP_FREE char *architecture = show(json_member_string(config, "architecture"), 16);

	if (oci_platform_fits(config, want))
		return 0;
	return err_set(err, ERR_VERIFY, "the image is for %s/%s, not for linux/%s", os,
		       architecture, want->architecture);
}

int oci_config_diff_ids(const json_t *config, struct digest **ret, size_t *ret_count,
			struct err *err)
{
	const json_t *rootfs = json_object_get(config, "rootfs");
	const json_t *ids = json_object_get(rootfs, "diff_ids");
	CLEANUP_FREE struct digest *list = NULL;
	json_t *id;
	size_t i;

	if (check_names(config, document_names, "configuration", err) < 0 ||
	    check_names(rootfs, rootfs_names, "rootfs of the configuration", err) < 0)
		return -1;
	if (!same(json_member_string(rootfs, "type"), "layers") || json_array_size(ids) == 0)
		return bad(err, "configuration", "its rootfs has no layers");
	if (json_array_size(ids) > OCI_LAYERS_MAX)
		return err_set(err, ERR_VERIFY, "bad configuration: %zu layers are more than %d",
			       json_array_size(ids), OCI_LAYERS_MAX);
	list = mem_alloc_array(json_array_size(ids), sizeof(*list));
	json_array_foreach(ids, i, id) if (read_digest(json_string_value(id),
						       "diff_id of the configuration", &list[i],
						       err) < 0) return -1;
	*ret = MEM_STEAL(list);
	*ret_count = json_array_size(ids);
	return 0;
}

int oci_config_read(const json_t *config, const struct oci_platform *platform, size_t count,
		    struct digest **ret, struct err *err)
{
	CLEANUP_FREE struct digest *list = NULL;
	size_t have = 0;

	if (oci_config_diff_ids(config, &list, &have, err) < 0 ||
	    check_platform(config, platform, err) < 0)
		return -1;
	if (have != count)
		return err_set(err, ERR_VERIFY,
			       "bad configuration: it has %zu layers and the manifest %zu", have,
			       count);
	*ret = MEM_STEAL(list);
	return 0;
}
