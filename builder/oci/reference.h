/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References to container images as Docker writes them: "debian", "team/app:1.4",
 * "registry.example.com:5000/team/app:1.4@sha256:...".
 */
#ifndef INGOT_OCI_REFERENCE_H
#define INGOT_OCI_REFERENCE_H

#include "base/digest.h"

#include <stdbool.h>

struct oci_reference {
	char *registry; /* "docker.io" when none is written; lower case if it has '.' or ':', with port if written */
	char *repository; /* "library/debian" for a short name of docker.io */
	char *tag; /* "latest" when neither tag nor digest is written; NULL with a digest alone */
	bool has_digest;
	struct digest digest; /* SHA-256, the only algorithm that is taken */
};

/* Parses a reference by the grammar and rules of github.com/distribution/reference: the first part is a
 * registry when it has '.' or ':' or is "localhost" or has upper-case letters. At most 255 bytes of name, 128 of tag. ERR_PROFILE
 * that says what is wrong. Free with oci_reference_free, also after an error. */
int oci_reference_parse(const char *text, struct oci_reference *ret, struct err *err);

/* The full name: "docker.io/library/debian:12", with "@sha256:..." when it has a digest. Caller frees. */
char *oci_reference_text(const struct oci_reference *ref);

/* The full name without tag and digest: "docker.io/library/debian". Caller frees. */
char *oci_reference_name(const struct oci_reference *ref);

/* As Docker shows it to people: "debian:12", "team/app:1.4", with "@sha256:..." when it has a digest. Caller
 * frees. */
char *oci_reference_familiar(const struct oci_reference *ref);

/* Frees it; usable with CLEANUP() on a zeroed one. */
void oci_reference_free(struct oci_reference *ref);

#endif
