/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Package URLs (purl, ECMA-427): the names by which SBOMs and provenance call packages.
 */
#ifndef INGOT_ATTEST_PURL_H
#define INGOT_ATTEST_PURL_H

#include "base/str.h"

struct purl_qualifier {
	const char *key;   /* lower case; the caller's list is sorted by key */
	const char *value; /* NULL or empty: left out */
};

/* Appends pkg:TYPE/NAMESPACE/NAME@VERSION?KEY=VALUE&... with everything but type and keys percent-encoded;
 * namespace may be NULL (or several parts with '/'), version may be NULL. qualifiers end with a NULL key.
 * Letters of namespace and name become lower case for the types deb and oci, as these want it. */
void purl_add(struct str *to, const char *type, const char *namespace, const char *name,
	      const char *version, const struct purl_qualifier *qualifiers);

/* Appends the purl of a Debian package: vendor is what the repository calls itself ("Debian"), architecture
 * "source" for a source package, distro ("debian-13") may be NULL. */
void purl_add_deb(struct str *to, const char *vendor, const char *name, const char *version,
		  const char *architecture, const char *distro);

/* Appends the purl of a container image from its reference ("host/path/name:tag@digest", each part but the
 * name may be absent) and digest ("sha256:..."). */
void purl_add_oci(struct str *to, const char *reference, const char *digest);

#endif
