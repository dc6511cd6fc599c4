/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One image in containerd's store, with the names, labels and references that CRI's PullImage leaves behind, so that
 * `ctr`, the kubelet's image manager and the garbage collector treat it as any other image.
 */
#include "agent/containers/containerd_parts.h"
#include "agent/containers/containers_parts.h"

#include "base/mem.h"
#include "base/path.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LABEL_CONTENT "containerd.io/gc.ref.content."
#define INDEX_DEPTH 2 /* indexes below an index */
#define LABEL_SNAPSHOT "containerd.io/gc.ref.snapshot." CONTAINERD_SNAPSHOTTER

/* The object of a blob in meta.db. The file itself is written, too: it is small, and containerd removes it like any
 * other when nothing refers to it. */
static struct bolt_bucket *put_blob(struct containerd_store *store,
				    const struct containers_blob *blob, const struct str *text,
				    struct err *err)
{
	static const char *const path[] = {"content", "blob", NULL};
	char name[CONTAINERD_DIGEST_SIZE];
	struct bolt_bucket *blobs = containerd_make(store->meta, store->namespace, path, err);
	struct bolt_bucket *object = NULL;

	containerd_digest(&blob->digest, name);
	if (containers_put_file(store->blobs, name + 7, text->data ? text->data : "", text->len,
				0444, &store->done->written, err) < 0)
		return NULL;
	if (blobs)
		object = bolt_make_bucket(store->meta, blobs, name, err);
	if (!object ||
	    containerd_put_number(store->meta, object, "size", blob->size, true, err) < 0 ||
	    containerd_put_times(store, store->meta, object, false, err) < 0)
		return NULL;
	return object;
}

static int refer(struct containerd_store *store, struct bolt_bucket *object, const char *kind,
		 const struct digest *digest, struct err *err)
{
	char key[64], text[CONTAINERD_DIGEST_SIZE];

	snprintf(key, sizeof(key), LABEL_CONTENT "%s", kind);
	return containerd_put_label(store->meta, object, key, containerd_digest(digest, text), err);
}

/* A child of an index, as far as it is needed to read it. */
static bool get_child(const json_t *entry, struct containers_blob *child)
{
	const char *digest = json_member_string(entry, "digest");
	const char *type = json_member_string(entry, "mediaType");
	json_int_t size = json_integer_value(json_object_get(entry, "size"));

	*child = (struct containers_blob){.size = size > 0 ? (uint64_t)size : 0};
	if (!digest || !str_has_prefix(digest, "sha256:") || !type ||
	    strlen(type) >= sizeof(child->media_type))
		return false;
	memcpy(child->media_type, type, strlen(type) + 1);
	return digest_parse(digest + 7, &child->digest, NULL) == 0;
}

static bool is_index(const struct containers_blob *blob)
{
	return strcmp(blob->media_type, "application/vnd.oci.image.index.v1+json") == 0 ||
	       strcmp(blob->media_type,
		      "application/vnd.docker.distribution.manifest.list.v2+json") == 0;
}

/* Writes an index and what it has of the image. It refers to each child by its place among those of its kind, so that
 * later pulls give the same labels. *ret_found says whether it leads to the image's manifest; if not, nothing is
 * written. */
static int put_index(struct containerd_store *store, const struct containers_image *image,
		     const struct containers_blob *blob, unsigned depth, bool *ret_found,
		     struct err *err)
{
	CLEANUP(str_free) struct str text = {0};
	CLEANUP_JSON json_t *index = NULL;
	const json_t *children;
	size_t manifests = 0, others = 0;

	*ret_found = false;
	/* Indexes of other platforms are not in the image. */
	if (containers_blob_read(store->agent, blob, &text, depth ? NULL : err) < 0)
		return depth ? 0 : -1;
	index = json_parse(text.data ? text.data : "", text.len, "index", err);
	if (!index)
		return -1;
	children = json_object_get(index, "manifests");
	for (size_t i = 0; !*ret_found && i < json_array_size(children); i++) {
		struct containers_blob child;
		struct bolt_bucket *object;
		char kind[32];

		if (!get_child(json_array_get(children, i), &child))
			return err_set(err, ERR_VERIFY, "an index has a bad descriptor");
		if (is_index(&child)) {
			snprintf(kind, sizeof(kind), "%zu", others++);
			if (depth < INDEX_DEPTH &&
			    put_index(store, image, &child, depth + 1, ret_found, err) < 0)
				return -1;
		} else {
			snprintf(kind, sizeof(kind), "m.%zu", manifests++);
			*ret_found = memcmp(&child.digest, &image->manifest.digest,
					    sizeof(child.digest)) == 0;
		}
		if (!*ret_found)
			continue;
		object = put_blob(store, blob, &text, err);
		if (!object || refer(store, object, kind, &child.digest, err) < 0)
			return -1;
	}
	return 0;
}

/* Content of an image: index, manifest, configuration. The layers themselves are not there, as after a pull with
 * discard_unpacked_layers, but are referred to, should somebody fetch them. */
static int put_content(struct containerd_store *store, const struct containers_image *image,
		       struct err *err)
{
	CLEANUP(str_free) struct str manifest = {0}, config = {0};
	char chain[CONTAINERD_DIGEST_SIZE], kind[32];
	bool has_index = memcmp(&image->target.digest, &image->manifest.digest,
				sizeof(image->target.digest)) != 0;
	struct bolt_bucket *object;
	bool found = true;

	if (has_index && put_index(store, image, &image->target, 0, &found, err) < 0)
		return -1;
	if (!found)
		return err_set(err, ERR_VERIFY, "the index does not lead to the manifest");
	if (containers_blob_read(store->agent, &image->manifest, &manifest, err) < 0 ||
	    containers_blob_read(store->agent, &image->config, &config, err) < 0)
		return -1;
	object = put_blob(store, &image->manifest, &manifest, err);
	if (!object || refer(store, object, "config", &image->config.digest, err) < 0)
		return -1;
	for (size_t i = 0; i < image->layer_count; i++) {
		snprintf(kind, sizeof(kind), "l.%zu", i);
		if (refer(store, object, kind, &image->blobs[i].digest, err) < 0)
			return -1;
	}
	object = put_blob(store, &image->config, &config, err);
	if (!object)
		return -1;
	if (image->layer_count == 0)
		return 0;
	containerd_digest(&image->chains[image->layer_count - 1], chain);
	return containerd_put_label(store->meta, object, LABEL_SNAPSHOT, chain, err);
}

/* Fields of a record, whose target is ours or becomes it. */
static int fill_record(struct containerd_store *store, struct bolt_bucket *record,
		       const struct containers_blob *target, const char *digest, bool moved,
		       struct err *err)
{
	struct bolt *meta = store->meta;
	struct bolt_bucket *fields = bolt_make_bucket(meta, record, "target", err);

	if (!fields || bolt_put_text(meta, fields, "digest", digest, err) < 0 ||
	    bolt_put_text(meta, fields, "mediatype", target->media_type, err) < 0 ||
	    containerd_put_number(meta, fields, "size", target->size, true, err) < 0)
		return -1;
	/* Annotations of the descriptor that was the target before. */
	if (moved)
		bolt_delete(meta, record, "annotations", strlen("annotations"));
	if (containerd_put_label(meta, record, "io.cri-containerd.image", "managed", err) < 0 ||
	    containerd_put_label(meta, record, "io.cri-containerd.pinned", "pinned", err) < 0)
		return -1;
	return containerd_put_times(store, meta, record, moved, err);
}

/* Writes the record of a name. One that somebody moved to another image stays theirs. */
static int put_record(struct containerd_store *store, const char *name,
		      const struct containers_blob *target, struct err *err)
{
	char digest[CONTAINERD_DIGEST_SIZE];
	struct bolt_bucket *images = bolt_make_bucket(store->meta, store->namespace, "images", err);
	struct bolt_bucket *record = images ? bolt_bucket(images, name) : NULL;
	CLEANUP_FREE char *has = containerd_get_text(bolt_bucket(record, "target"), "digest");
	const char *wrote = json_member_string(store->old, name);
	bool is_id = str_has_prefix(name, "sha256:"), moved;

	if (!images)
		return -1;
	containerd_digest(&target->digest, digest);
	moved = has && strcmp(has, digest) != 0;
	if (moved && !(wrote && strcmp(wrote, has) == 0)) {
		/* Another manifest of the same configuration does as well. */
		if (!is_id)
			strv_addf(&store->done->missing,
				  "%s: the machine has another image of that name", name);
		return 0;
	}
	record = bolt_make_bucket(store->meta, images, name, err);
	if (!record || fill_record(store, record, target, digest, moved, err) < 0)
		return -1;
	json_object_set_new(store->ours, name, json_string(digest));
	return 0;
}

/* CRI finds an image by tag, by digest, and by its ID. */
static int put_records(struct containerd_store *store, const struct containers_image *image,
		       struct err *err)
{
	char digest[CONTAINERD_DIGEST_SIZE];

	for (size_t i = 0; i < image->names.count; i++)
		if (put_record(store, image->names.items[i], &image->target, err) < 0)
			return -1;
	containerd_digest(&image->target.digest, digest);
	for (size_t i = 0; i < image->repositories.count; i++) {
		CLEANUP_FREE char *name = mem_printf("%s@%s", image->repositories.items[i], digest);

		if (put_record(store, name, &image->target, err) < 0)
			return -1;
	}
	return put_record(store, containerd_digest(&image->config.digest, digest), &image->target,
			  err);
}

/* Nothing is written of an image that this root does not have as a whole. */
static int check_image(struct containerd_store *store, const struct containers_image *image,
		       struct err *err)
{
	CLEANUP(str_free) struct str text = {0};
	char layer[CONTAINERD_DIGEST_SIZE];

	for (size_t i = 0; i < image->layer_count; i++) {
		CLEANUP_FREE char *tree = containers_layer_nth_path(image->layers, i);
		CLEANUP_FREE char *path = agent_path(store->agent, tree);

		if (!image->layers[i]->present || access(path, F_OK) < 0)
			return err_set(err, ERR_VERIFY, "its layer %s is not there",
				       containerd_digest(&image->layers[i]->diff_id, layer));
	}
	if (containers_blob_read(store->agent, &image->target, &text, err) < 0 ||
	    containers_blob_read(store->agent, &image->manifest, &text, err) < 0)
		return -1;
	return containers_blob_read(store->agent, &image->config, &text, err);
}

int containerd_image_put(struct containerd_store *store, const struct containers_image *image,
			 struct err *err)
{
	char label[DIGEST_HEX_SIZE];
	struct err why = {0};

	if (check_image(store, image, &why) < 0) {
		strv_addf(&store->done->missing, "%s: %s", containers_image_label(image, label),
			  why.msg);
		return 0;
	}
	if (containerd_overlay_put(store, image, err) < 0 || put_content(store, image, err) < 0 ||
	    put_records(store, image, err) < 0)
		return err_wrap(err, "image %s", containers_image_label(image, label));
	store->done->images++;
	return 0;
}
