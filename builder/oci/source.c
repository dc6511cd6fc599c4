/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of places that images come from, what all of them share, and the row of registries.
 */
#include "oci/source.h"

#include "base/fd.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

#define COPY_STEP ((size_t)256 << 10)
#define SHOWN_MAX 20 /* images in a message */

const struct oci_source_type *const oci_source_types[] = {&oci_source_layout, &oci_source_archive,
							  &oci_source_registry, NULL};

static struct oci_source *source_new(const struct oci_source_type *type, const char *origin)
{
	struct oci_source *source = mem_alloc(sizeof(*source));

	source->type = type;
	source->origin = mem_strdup(origin);
	return source;
}

int oci_source_open_registry(struct oci_client *client, const char *reference,
			     struct oci_source **ret, struct err *err)
{
	struct oci_source *source = source_new(&oci_source_registry, reference);

	source->client = client;
	if (oci_reference_parse(reference, &source->ref, err) < 0) {
		oci_source_free(source);
		return -1;
	}
	*ret = source;
	return 0;
}

int oci_source_open_local(struct cache *cache, const char *path,
			  const struct oci_platform *platform, struct oci_source **ret,
			  struct err *err)
{
	struct oci_source *source = source_new(NULL, path);

	source->platform = platform;
	source->files = oci_files_open(cache, path, err);
	for (size_t i = 0; source->files && !source->type && oci_source_types[i]; i++)
		if (oci_source_types[i]->recognise && oci_source_types[i]->recognise(source->files))
			source->type = oci_source_types[i];
	if (source->files && !source->type) {
		err_set(err, ERR_VERIFY, "cannot open container image '%s': it is none", path);
		err_hint(err, "an OCI layout has a file 'oci-layout', what docker save writes has "
			      "'manifest.json'");
	}
	if (!source->type || source->type->list(source, err) < 0) {
		oci_source_free(source);
		return -1;
	}
	*ret = source;
	return 0;
}

void oci_source_free(struct oci_source *source)
{
	if (!source)
		return;
	for (size_t i = 0; i < source->image_count; i++) {
		free(source->images[i].name);
		free(source->images[i].tag);
	}
	for (size_t i = 0; i < source->made_count; i++) {
		free(source->made[i].name);
		free(source->made[i].body);
	}
	free(source->images);
	free(source->made);
	oci_files_free(source->files);
	oci_reference_free(&source->ref);
	free(source->origin);
	free(source);
}

/* The full name with tag, or NULL when the text is none. */
static char *full_name(const char *text)
{
	struct oci_reference ref CLEANUP(oci_reference_free) = {0};
	CLEANUP_FREE char *name = NULL;

	/* A word alone is a tag, and not an image of the Hub. */
	if (!text || !strpbrk(text, ":/") || oci_reference_parse(text, &ref, NULL) < 0 || !ref.tag)
		return NULL;
	name = oci_reference_name(&ref);
	return mem_printf("%s:%s", name, ref.tag);
}

void oci_source_add(struct oci_source *source, const char *name,
		    const struct oci_descriptor *target, const json_t *platform)
{
	struct oci_local image = {.name = full_name(name), .target = *target};

	if (name && !image.name)
		image.tag = mem_strdup(name);
	image.has_platform = platform != NULL;
	image.fits = platform && oci_platform_fits(platform, source->platform);
	VEC_ADD(source->images, source->image_count, source->image_room, image);
}

/* True when the image is called what is wanted: by its full name, or by its tag. */
static bool is_called(const struct oci_local *image, const char *wanted)
{
	CLEANUP_FREE char *full = full_name(wanted);
	const char *tag = full ? strrchr(full, ':') + 1 : wanted;

	if (image->name)
		return full ? strcmp(image->name, full) == 0
			    : strcmp(strrchr(image->name, ':') + 1, wanted) == 0;
	return image->tag && strcmp(image->tag, tag) == 0;
}

static void list_images(const struct oci_source *source, struct str *text)
{
	for (size_t i = 0; i < source->image_count && i < SHOWN_MAX; i++) {
		const struct oci_local *image = &source->images[i];
		const char *name = image->name ? image->name : image->tag;
		char hex[DIGEST_HEX_SIZE];

		str_add(text, i ? ", " : "");
		if (name)
			str_add_utf8(text, name, strnlen(name, 200));
		else
			str_addf(text, "sha256:%.16s without a name",
				 digest_hex(&image->target.digest, hex));
	}
	if (source->image_count > SHOWN_MAX)
		str_addf(text, " and %zu more", source->image_count - SHOWN_MAX);
}

static int cannot_choose(const struct oci_source *source, const char *wanted, const char *why,
			 struct err *err)
{
	CLEANUP(str_free) struct str there = {0};

	if (source->image_count == 0)
		return err_set(err, ERR_PROFILE, "there is no container image in '%s'",
			       source->origin);
	list_images(source, &there);
	err_set(err, ERR_PROFILE, "cannot tell which image of '%s'%s%s is meant: %s: %s",
		source->origin, wanted ? " for " : "", wanted ? wanted : "", why, there.data);
	return err_hint(err, "'name' of the entry chooses one of them");
}

/* Leaves those that flag says, if there are any. */
static void keep(bool *in, const bool *flag, size_t count)
{
	bool any = false;

	for (size_t i = 0; i < count; i++)
		any |= in[i] && flag[i];
	for (size_t i = 0; any && i < count; i++)
		in[i] = in[i] && flag[i];
}

/* The one of those that are in; NULL when they are different images (*ret_many) or have several names. */
static const struct oci_local *only_one(const struct oci_source *source, const bool *in,
					bool *ret_images, bool *ret_names)
{
	const struct oci_local *one = NULL;

	*ret_images = *ret_names = false;
	for (size_t i = 0; i < source->image_count; i++) {
		const struct oci_local *image = &source->images[i];

		if (!in[i])
			continue;
		if (one && memcmp(&one->target.digest, &image->target.digest, DIGEST_SIZE) != 0)
			*ret_images = true;
		if (one && one->name && image->name && strcmp(one->name, image->name) != 0)
			*ret_names = true;
		if (!one || !one->name)
			one = image;
	}
	return one;
}

int oci_source_choose(const struct oci_source *source, const char *wanted,
		      struct oci_descriptor *ret, char **ret_name, struct err *err)
{
	CLEANUP_FREE bool *in = mem_alloc_array(source->image_count + 1, sizeof(*in));
	CLEANUP_FREE bool *flag = mem_alloc_array(source->image_count + 1, sizeof(*flag));
	const struct oci_local *one;
	bool images, names;

	for (size_t i = 0; i < source->image_count; i++) {
		in[i] = true;
		flag[i] = wanted && is_called(&source->images[i], wanted);
	}
	keep(in, flag, source->image_count);
	/* Only where an index should be are manifests of several platforms; and then beside each other. */
	for (size_t i = 0; i < source->image_count; i++)
		flag[i] = source->images[i].fits;
	keep(in, flag, source->image_count);
	one = only_one(source, in, &images, &names);
	if (!one || images)
		return cannot_choose(source, wanted, "there are", err);
	/* A name for the engine says what an image is called, whatever its place calls it. */
	*ret_name = full_name(wanted);
	if (!*ret_name && names)
		return cannot_choose(source, wanted, "it has several names", err);
	if (!*ret_name)
		*ret_name = mem_strdup(one->name);
	*ret = one->target;
	return 0;
}

/* What a document says of itself; what is beside it only where it says nothing. */
static void set_media_type(struct oci_document *document, const struct oci_descriptor *want)
{
	CLEANUP_JSON json_t *json = json_parse(document->body.data, document->body.len, "", NULL);
	const char *own = json_member_string(json, "mediaType");

	if (own && oci_is_document_type(own))
		strcpy(document->descriptor.media_type, own);
	else if (oci_is_document_type(want->media_type))
		strcpy(document->descriptor.media_type, want->media_type);
	else
		strcpy(document->descriptor.media_type,
		       oci_is_index("", json) ? OCI_TYPE_INDEX : OCI_TYPE_MANIFEST);
}

int oci_source_check(struct oci_document *document, const struct oci_descriptor *want,
		     bool is_config, const char *origin, struct err *err)
{
	char hex[DIGEST_HEX_SIZE];
	struct digest have;

	/* So that there is a string also of nothing. */
	str_add(&document->body, "");
	digest_hex(&want->digest, hex);
	digest_bytes(document->body.data, document->body.len, &have);
	if (memcmp(&have, &want->digest, DIGEST_SIZE) != 0)
		return err_set(err, ERR_VERIFY,
			       "'sha256:%s' of %s is damaged: its digest is another", hex, origin);
	if (want->size && want->size != document->body.len)
		return err_set(err, ERR_VERIFY,
			       "'sha256:%s' of %s has %zu bytes, its descriptor says %" PRIu64, hex,
			       origin, document->body.len, want->size);
	document->descriptor = *want;
	document->descriptor.size = document->body.len;
	if (!is_config)
		set_media_type(document, want);
	return 0;
}

int oci_source_document(struct oci_source *source, const struct oci_descriptor *want,
			bool is_config, struct oci_document *ret, struct err *err)
{
	*ret = (struct oci_document){0};
	if (source->type->document(source, want, is_config, &ret->body, err) < 0)
		return -1;
	return oci_source_check(ret, want, is_config, source->origin, err);
}

int oci_source_blob(struct oci_source *source, const struct oci_descriptor *blob,
		    const struct oci_sink *sink, struct err *err)
{
	return source->type->blob(source, blob, sink, err);
}

int oci_source_copy(const struct oci_file *file, const struct oci_descriptor *blob,
		    const struct oci_sink *sink, struct err *err)
{
	CLEANUP_FREE char *bytes = mem_alloc(COPY_STEP);
	struct digest_ctx *ctx;
	char hex[DIGEST_HEX_SIZE];
	struct digest have;

	digest_hex(&blob->digest, hex);
	if (file->size != blob->size)
		return err_set(err, ERR_VERIFY,
			       "'sha256:%s' has %" PRIu64 " bytes, its descriptor says %" PRIu64,
			       hex, file->size, blob->size);
	ctx = digest_start();
	for (uint64_t at = 0; at < file->size;) {
		size_t step = file->size - at < COPY_STEP ? (size_t)(file->size - at) : COPY_STEP;

		if (fd_pread(file->fd, bytes, step, file->offset + at, hex, err) < 0 ||
		    sink->write(sink->context, bytes, step, err) < 0) {
			digest_ctx_free(ctx);
			return -1;
		}
		digest_add(ctx, bytes, step);
		at += step;
	}
	digest_finish(ctx, &have);
	if (memcmp(&have, &blob->digest, DIGEST_SIZE) != 0)
		return err_set(err, ERR_VERIFY, "'sha256:%s' is damaged: its digest is another",
			       hex);
	return 0;
}

/* A small blob in memory; its size was bounded when its descriptor was read. */
static int add_bytes(void *context, const void *bytes, size_t len, struct err *err)
{
	struct str *body = context;

	if (len > OCI_DOCUMENT_MAX - body->len)
		return err_set(err, ERR_VERIFY, "a configuration that is too large");
	str_add_bytes(body, bytes, len);
	return 0;
}

static int forget_bytes(void *context, struct err *err)
{
	(void)err;
	str_free(context);
	return 0;
}

static int registry_document(struct oci_source *source, const struct oci_descriptor *want,
			     bool is_config, struct str *ret, struct err *err)
{
	const struct oci_sink sink = {add_bytes, forget_bytes, ret};
	struct oci_document document CLEANUP(oci_document_free) = {0};

	if (is_config)
		return oci_client_blob(source->client, &source->ref, want, &sink, err);
	if (oci_client_manifest(source->client, &source->ref, &want->digest, &document, err) < 0)
		return -1;
	*ret = document.body;
	document.body = (struct str){0};
	return 0;
}

static int registry_blob(struct oci_source *source, const struct oci_descriptor *blob,
			 const struct oci_sink *sink, struct err *err)
{
	return oci_client_blob(source->client, &source->ref, blob, sink, err);
}

const struct oci_source_type oci_source_registry = {
	.name = "registry",
	.document = registry_document,
	.blob = registry_blob,
};
