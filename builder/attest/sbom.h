/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in an image, and the two ways to write it down: SPDX 2.3 and CycloneDX 1.6. Pure functions:
 * equal values, in any order, give equal bytes. Strings may hold any bytes: what is no UTF-8 becomes U+FFFD.
 */
#ifndef INGOT_ATTEST_SBOM_H
#define INGOT_ATTEST_SBOM_H

#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"

#include <stddef.h>
#include <stdint.h>

/* A Debian package. Only the first three members must be there, the others may be NULL or 0. */
struct sbom_package {
	const char *name, *version, *architecture;
	const char *source, *source_version;
	const char *maintainer; /* "Name <address>" */
	const char *homepage, *section, *summary;
	const char *sha256;                            /* of the .deb, hex */
	uint64_t size;                                 /* bytes of the .deb */
	const char *origin, *suite, *component, *path; /* in the repository; no host */
	const char *const *depends; /* names of packages here, "name" or "name:architecture" */
	size_t depend_count;
};

/* A regular file that no package brought. */
struct sbom_file {
	const char *path;          /* in the image, with a leading slash */
	const char *sha256, *sha1; /* hex */
	uint64_t size;             /* bytes */
	const char *component;     /* "overlay base": where it comes from */
};

/* A preloaded container image. */
struct sbom_container {
	const char *reference;     /* "name:tag", with or without host */
	const char *digest;        /* "sha256:..." of its manifest */
	const char *config;        /* "sha256:..." of its configuration, or NULL */
	const char *const *layers; /* "sha256:..." of its unpacked layers (diff_id), bottom first */
	size_t layer_count;
	uint64_t size; /* bytes of the files in its layers, 0 when not known */
};

struct sbom {
	const char *name, *version, *architecture; /* of the image */
	const char *description;                   /* or NULL */
	const char *distribution, *release;        /* "debian", "trixie" */
	const char *release_version;               /* "13", or NULL */
	int64_t created;                           /* source date, seconds since 1970 */
	struct digest root_hash;                   /* of dm-verity */
	struct digest profile;                     /* of the resolved profile */
	const struct sbom_package *packages;
	size_t package_count;
	const struct sbom_file *files;
	size_t file_count;
	const struct sbom_container *containers;
	size_t container_count;
};

/* Makes the SPDX 2.3 document (JSON, spdx.github.io/spdx-spec/v2.3). The image is the package that it
 * describes; it contains the packages, which are generated from their source packages, a package for each
 * component of our own files, and the containers. Licences are NOASSERTION: dpkg does not know them. A digest that is
 * no hex number of its length, or an empty name, is ERR_VERIFY. Caller decrefs. */
json_t *sbom_spdx(const struct sbom *sbom, struct err *err);

/* Makes the CycloneDX 1.6 bill (ECMA-424, JSON) of the same, with the dependencies between packages.
 * Errors as sbom_spdx. Caller decrefs. */
json_t *sbom_cyclonedx(const struct sbom *sbom, struct err *err);

/* Reads the packages of a package layer (struct packages_layer: packages) into the arena; strings are
 * borrowed from list. ERR_VERIFY when one has no name, version or architecture. */
struct sbom_package *sbom_read_packages(const json_t *list, struct mem_arena *arena,
					size_t *ret_count, struct err *err);

/* Reads what ownfiles_list made into the arena; strings are borrowed from list. ERR_VERIFY when it is
 * damaged. */
struct sbom_file *sbom_read_files(const json_t *list, struct mem_arena *arena, size_t *ret_count,
				  struct err *err);

/* The name that purls give the release of a distribution: "debian-13", or with version NULL its code name.
 * Taken from the arena. */
const char *sbom_distro(const char *distribution, const char *release, const char *version,
			struct mem_arena *arena);

/* The purl of a package; the repository's own name for itself counts more than distribution. distro as from
 * sbom_distro, left out for other vendors' packages. Taken from the arena. */
const char *sbom_package_purl(const struct sbom_package *package, const char *distribution,
			      const char *distro, struct mem_arena *arena);

#endif
