/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was built in the shape of the file that Packer's manifest post-processor writes, for pipelines
 * that read that one.
 */
#ifndef INGOT_ATTEST_PACKER_H
#define INGOT_ATTEST_PACKER_H

#include "base/json.h"

/* Makes the object from manifests that have a member "folder" (as build_run gives them): a build for each,
 * with its images as files and version, root_hash and digests in custom_data. build_time is the source
 * date and the run's UUID comes from the content: same build, same bytes. (Packer, "Manifest
 * Post-Processor".) Caller decrefs. */
json_t *packer_manifest(const json_t *manifests);

#endif
