/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The package layer: packages of a distribution, installed by apt in a sandbox (mmdebstrap), as a tar
 * with an index in the cache. Order of calls: repositories (or repositories_locked), key, cache_find, else
 * build, open.
 */
#ifndef INGOT_LAYERS_PACKAGES_H
#define INGOT_LAYERS_PACKAGES_H

#include "base/log.h"
#include "cache/cache.h"
#include "profile/profile.h"
#include "tree/tree.h"

#define PACKAGES_KIND "packages"   /* of the cache entry */
#define PACKAGES_ORIGIN "packages" /* of the tree entries that packages brought */

/* One suite of a repository, and the state in which it was seen. */
struct repository {
	char *line;           /* as in sources.list(5): "deb [options] URI SUITE COMPONENTS" */
	char *uri, *suite;    /* "trixie-security" */
	struct digest digest; /* SHA-256 of its InRelease file */
	int64_t date;         /* its Date field, seconds since 1970 */
};

struct repositories {
	struct repository *items;
	size_t count;
	int64_t epoch;   /* the newest date: what the package layer takes for SOURCE_DATE_EPOCH */
	int64_t checked; /* when they were asked, seconds since 1970 */
};

/* Finds out which repositories apt would use for the profile and in which state they are: the list comes
 * from mmdebstrap once (remembered in the cache; base.mirror takes the place of the release and updates
 * suites' mirror), the InRelease files from the network, all at once, if they changed. With offline the
 * remembered state is used; log_info says how old it is; ERR_NETWORK when there is none. The signatures
 * are checked by apt when packages are installed. Blocks on the network. Free with repositories_free. */
int packages_repositories(struct cache *cache, const struct profile *profile, bool offline,
			  struct repositories *ret, struct err *err);

/* Like packages_repositories, but nobody is asked: the suites (suite, digest and date count) are those of a
 * lock. ERR_VERIFY when the profile uses other suites. No network; half a second when mmdebstrap has to be
 * asked for its list. Free with repositories_free. */
int packages_repositories_locked(struct cache *cache, const struct profile *profile,
				 const struct repositories *locked, struct repositories *ret,
				 struct err *err);

/* Frees the list; usable with CLEANUP() on a zeroed one. */
void packages_repositories_free(struct repositories *repositories);

/* Adds everything that the package layer depends on to key: format, distribution, release, components,
 * keyring, each package by its name, each suite's InRelease, mmdebstrap, the scripts in
 * data/firmware/packages. The environment's SOURCE_DATE_EPOCH is no input: the layer takes the date of
 * its repositories, the image clamps times later. Reads a few small files. */
int packages_key(const struct profile *profile, const struct repositories *repositories,
		 const char *data, struct cache_key *key, struct err *err);

/* Appends the names of what the profile wants installed, the kernel included, sorted and once each. */
void packages_requested(const struct profile *profile, struct strv *names);

/* What a lock demands, lists as in struct packages_layer; borrowed. */
struct packages_pins {
	const json_t *packages, *build_packages;
};

/* Makes the files of the layer's cache entry (kind PACKAGES_KIND) in dir: layer.tar, layer.index,
 * packages.json. Every .deb that was installed is digested and compared with what the repositories say. With
 * pins exactly these packages are installed, whatever else the repositories have by now, or it is
 * ERR_VERIFY and the message names the first that differ. step (may be NULL) gets the progress. As root in a mount and PID namespace; else in a user
 * namespace with the user's subordinate ids (ERR_TOOL with a hint without them). Fails when a maintainer
 * script does, when a package is not installed completely (ERR_OTHER) and without pins when the
 * repositories are no longer as the key says (ERR_NETWORK). Blocks for minutes; nothing of it survives a kill but the sandbox's
 * folder in the cache, which the next call removes. */
int packages_build(struct cache *cache, const struct profile *profile,
		   const struct repositories *repositories, const struct packages_pins *pins,
		   const char *data, const char *dir, struct log_step *step, struct err *err);

/* A layer ready to be merged. */
struct packages_layer {
	struct tree *tree; /* its data refer to tar_fd */
	int tar_fd;
	/* What is installed: array, sorted, of {name, version, architecture, source, source_version, sha256
	 * and size (bytes) of the .deb, and where it came from: origin ("Debian"), suite ("trixie"),
	 * component ("main"), path ("pool/main/b/bash/bash_5.2.37-2_amd64.deb"; no host). These four
	 * are null for a package that no repository has. */
	json_t *packages;
	json_t *build_packages; /* as packages: those that only the build needed */
	struct digest digest;   /* SHA-256 of layer.tar */
	int64_t epoch;          /* the date of its repositories */
	char *dir;              /* the cache entry */
};

/* Opens the layer in a complete cache entry (from cache_find). Reads the index, not the tar. ERR_VERIFY
 * when it is damaged. Free with packages_close. */
int packages_open(const char *dir, struct packages_layer *layer, struct err *err);

/* Frees the layer; trees into which layer->tree was merged must not be read any more. Usable with
 * CLEANUP() on a zeroed one (tar_fd 0 or -1 is not closed). */
void packages_close(struct packages_layer *layer);

#endif
