/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where images come from, behind one interface: a registry, an OCI layout (folder or tar), an archive of docker
 * save. A new kind of place is one row of oci_source_types. Private to oci/.
 */
#ifndef INGOT_OCI_SOURCE_H
#define INGOT_OCI_SOURCE_H

#include "cache/cache.h"
#include "oci/files.h"
#include "oci/manifest.h"
#include "oci/reference.h"
#include "oci/registry.h"

/* One image of a local place under one of its names. */
struct oci_local {
	char *name; /* full name with tag, or NULL when the place knows none */
	char *tag;  /* the part of an OCI layout's own name that is no full name, or NULL */
	bool has_platform;
	bool fits; /* has_platform, and it is the one that is wanted */
	struct oci_descriptor target;
};

/* What a docker archive does not have itself and is made for it, and where its blobs are. */
struct oci_made {
	struct digest digest;
	char *name; /* of the file, or NULL: body */
	char *body;
};

struct oci_source {
	const struct oci_source_type *type;
	char *origin; /* for messages: the reference, or the path */
	/* A registry. */
	struct oci_client *client; /* borrowed */
	struct oci_reference ref;
	/* A local place. */
	struct oci_files *files;
	const struct oci_platform *platform; /* borrowed */
	struct oci_local *images;
	size_t image_count, image_room;
	struct oci_made *made;
	size_t made_count, made_room;
};

struct oci_source_type {
	const char *name; /* for people */
	/* Local places: true when these are the files of one. NULL for a registry. */
	bool (*recognise)(const struct oci_files *files);
	/* Local places: fills images (and made). */
	int (*list)(struct oci_source *source, struct err *err);
	/* Appends the bytes of an index, manifest or configuration (is_config), as they are; the caller verifies. */
	int (*document)(struct oci_source *source, const struct oci_descriptor *want,
			bool is_config, struct str *ret, struct err *err);
	/* As oci_client_blob. */
	int (*blob)(struct oci_source *source, const struct oci_descriptor *blob,
		    const struct oci_sink *sink, struct err *err);
};

/* Every kind of place, ended by NULL; local ones are tried in this order. */
extern const struct oci_source_type *const oci_source_types[];
extern const struct oci_source_type oci_source_registry, oci_source_layout, oci_source_archive;

/* Opens the repository of a reference at a registry; client is borrowed. Asks nobody yet. */
int oci_source_open_registry(struct oci_client *client, const char *reference,
			     struct oci_source **ret, struct err *err);

/* Opens a local place and lists its images; platform is borrowed. ERR_VERIFY when it is none of the kinds. Blocks. */
int oci_source_open_local(struct cache *cache, const char *path,
			  const struct oci_platform *platform, struct oci_source **ret,
			  struct err *err);

/* Closes it; NULL is allowed. */
void oci_source_free(struct oci_source *source);

/* For CLEANUP(). */
static inline void oci_source_cleanup(struct oci_source **source)
{
	oci_source_free(*source);
}

/* Chooses the image of a local place by the name that it is to have (or by a tag; NULL: the only one). *ret_name
 * is its full name with tag, or NULL; caller frees. ERR_PROFILE with what there is when that does not tell one. */
int oci_source_choose(const struct oci_source *source, const char *wanted,
		      struct oci_descriptor *ret, char **ret_name, struct err *err);

/* Fetches a document and verifies it against its digest (and size, when want has one); sets the body and the whole
 * descriptor. Free with oci_document_free. Blocks. */
int oci_source_document(struct oci_source *source, const struct oci_descriptor *want,
			bool is_config, struct oci_document *ret, struct err *err);

/* Checks the body of a document against its digest (and size, when want has one) and sets the whole descriptor.
 * ERR_VERIFY. */
int oci_source_check(struct oci_document *document, const struct oci_descriptor *want,
		     bool is_config, const char *origin, struct err *err);

/* Fetches a blob as oci_client_blob does. Blocks; several threads may fetch at once. */
int oci_source_blob(struct oci_source *source, const struct oci_descriptor *blob,
		    const struct oci_sink *sink, struct err *err);

/* For the kinds of local places: hands a file to the sink and verifies it. */
int oci_source_copy(const struct oci_file *file, const struct oci_descriptor *blob,
		    const struct oci_sink *sink, struct err *err);

/* For the kinds of local places: adds an image under a name as it was written there (NULL: none). */
void oci_source_add(struct oci_source *source, const char *name,
		    const struct oci_descriptor *target, const json_t *platform);

#endif
