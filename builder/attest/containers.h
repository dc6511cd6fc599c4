/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an image says about its preloaded containers (images.json, written by builder/oci, read by the agent), in
 * the form in which manifests and reports show it.
 */
#ifndef INGOT_ATTEST_CONTAINERS_H
#define INGOT_ATTEST_CONTAINERS_H

#include "base/err.h"
#include "base/json.h"

#define CONTAINERS_FOLDER "/usr/share/ingot/containers"
#define CONTAINERS_FILE CONTAINERS_FOLDER "/images.json"
#define CONTAINERS_LAYERS CONTAINERS_FOLDER "/layers/"
#define CONTAINERS_BYTES_MAX ((size_t)16 << 20) /* of images.json */

/* Reads the description, which may be hostile; name is for messages. Returns an array of
 *   reference (its first name; without one its repository, or its digest), names [text], digest (of what the
 *   reference stands for), manifest, image (digests of the manifest and of the configuration, which is Docker's image
 *   ID), layers [diff_id, bottom first], bytes (of the files in its layers),
 * in the order of the description; all digests are "sha256:" and 64 hex digits. Bounded: 4096 images of 1024 names and
 * 1024 layers each. Anything that is not as the build writes it is ERR_VERIFY. Caller decrefs. */
json_t *containers_read(const json_t *description, const char *name, struct err *err);

/* The same from the text of the file. */
json_t *containers_parse(const char *text, size_t len, const char *name, struct err *err);

#endif
