/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Indexes, manifests and configurations of container images (OCI image specification 1.1, Docker image manifest
 * version 2 schema 2), from hostile JSON to values.
 */
#ifndef INGOT_OCI_MANIFEST_H
#define INGOT_OCI_MANIFEST_H

#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OCI_DOCUMENT_MAX ((size_t)4 << 20) /* bytes of an index, manifest or configuration */
#define OCI_LAYERS_MAX 500                 /* of an image; overlayfs takes no more */
#define OCI_BLOB_MAX ((uint64_t)1 << 36)   /* bytes of a compressed layer */
#define OCI_LAYER_MAX ((uint64_t)1 << 37)  /* bytes of an uncompressed layer */
#define OCI_MEDIA_TYPE_MAX 128

#define OCI_TYPE_INDEX "application/vnd.oci.image.index.v1+json"
#define OCI_TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_TYPE_CONFIG "application/vnd.oci.image.config.v1+json"
#define OCI_TYPE_LAYER "application/vnd.oci.image.layer.v1.tar"
#define DOCKER_TYPE_INDEX "application/vnd.docker.distribution.manifest.list.v2+json"
#define DOCKER_TYPE_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define DOCKER_TYPE_CONFIG "application/vnd.docker.container.image.v1+json"

struct oci_descriptor {
	char media_type[OCI_MEDIA_TYPE_MAX]; /* "" when it is not known */
	struct digest digest;
	uint64_t size; /* bytes */
};

/* The platform that an image is for. */
struct oci_platform {
	const char *architecture; /* as Go has it: "amd64", "arm64" */
	const char *variant;      /* "v8", or NULL */
};

struct oci_manifest {
	struct oci_descriptor config;
	struct oci_descriptor *layers; /* bottom first */
	size_t layer_count;
};

/* Reads a descriptor of at most max bytes of content; what ("layer 2") is for messages. ERR_VERIFY. */
int oci_descriptor_read(const json_t *value, const char *what, uint64_t max,
			struct oci_descriptor *ret, struct err *err);

/* True when the platform of a descriptor ({os, architecture, variant}) is the one that is wanted, or runs on
 * it. */
bool oci_platform_fits(const json_t *value, const struct oci_platform *want);

/* True for the media types of indexes and manifests. */
bool oci_is_document_type(const char *media_type);

/* True when a document of this media type (or, if that is "", of this content) is an index. */
bool oci_is_index(const char *media_type, const json_t *document);

/* Chooses the manifest for the platform from an index: os linux, the architecture, the best variant; the first
 * of equals. ERR_VERIFY with the platforms that there are when none fits. */
int oci_index_choose(const json_t *index, const struct oci_platform *platform,
		     struct oci_descriptor *ret, struct err *err);

/* Reads a manifest. Schema 1, artifacts that are no images, foreign (non-distributable) layers, other digests than
 * sha256 and what exceeds the limits are ERR_VERIFY. Free with oci_manifest_free. */
int oci_manifest_read(const json_t *document, struct oci_manifest *ret, struct err *err);

/* Frees it; usable with CLEANUP() on a zeroed one. */
void oci_manifest_free(struct oci_manifest *manifest);

/* Reads the diff_ids of a configuration, of whatever platform. ERR_VERIFY. Caller frees *ret. */
int oci_config_diff_ids(const json_t *config, struct digest **ret, size_t *ret_count,
			struct err *err);

/* Reads the diff_ids of a configuration (count of them expected) and checks its platform. ERR_VERIFY.
 * Caller frees *ret. */
int oci_config_read(const json_t *config, const struct oci_platform *platform, size_t count,
		    struct digest **ret, struct err *err);

#endif
