/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as an index, manifest or configuration of a container image: refused as such, or values within their
 * limits.
 */
#include "demand.h"
#include "base/mem.h"
#include "oci/manifest.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(const struct err *err)
{
	demand(err->code == ERR_VERIFY, "what is refused is not to be trusted");
	for (const char *p = err->msg; *p; p++)
		demand((unsigned char)*p >= ' ' && *p != 0x7f,
		       "a message has no control characters");
}

static void check_descriptor(const struct oci_descriptor *d, uint64_t max)
{
	demand(d->size <= max, "a size is bounded");
	demand(d->media_type[0] && strlen(d->media_type) < OCI_MEDIA_TYPE_MAX, "a type is there");
	for (const char *p = d->media_type; *p; p++)
		demand(*p > ' ' && *p < 0x7f && !strchr("\"\\<>", *p), "a type is plain text");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct oci_platform platforms[] = {{"amd64", NULL}, {"arm64", "v8"}};
	CLEANUP_JSON json_t *json = json_parse((const char *)data, size, "x", NULL);
	struct oci_manifest manifest CLEANUP(oci_manifest_free) = {0};
	struct err err = {0};

	if (!json)
		return 0;
	if (oci_manifest_read(json, &manifest, &err) < 0) {
		check_error(&err);
		demand(!manifest.layers, "nothing is left of a bad one");
	} else {
		demand(!oci_is_index("", json), "a manifest is no index");
		demand(manifest.layer_count > 0 && manifest.layer_count <= OCI_LAYERS_MAX,
		       "the layers are bounded");
		check_descriptor(&manifest.config, OCI_DOCUMENT_MAX);
		for (size_t i = 0; i < manifest.layer_count; i++)
			check_descriptor(&manifest.layers[i], OCI_BLOB_MAX);
	}
	for (size_t i = 0; i < ARRAY_SIZE(platforms); i++) {
		CLEANUP_FREE struct digest *ids = NULL, *all = NULL;
		struct oci_descriptor chosen;
		size_t count;

		if (oci_index_choose(json, &platforms[i], &chosen, &err) < 0) {
			check_error(&err);
		} else {
			check_descriptor(&chosen, OCI_DOCUMENT_MAX);
			demand(oci_is_document_type(chosen.media_type), "a document was chosen");
		}
		if (oci_config_read(json, &platforms[i], 2, &ids, &err) < 0)
			check_error(&err);
		else
			demand(oci_config_diff_ids(json, &all, &count, &err) == 0 && count == 2,
			       "both readers agree");
	}
	return 0;
}
