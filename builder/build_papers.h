/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The papers of an image: SBOMs and provenance, beside its manifest; private to build*.c.
 */
#ifndef INGOT_BUILD_PAPERS_H
#define INGOT_BUILD_PAPERS_H

#include "base/str.h"
#include "build_job.h"

enum { PAPER_SPDX, PAPER_CYCLONEDX, PAPER_PROVENANCE, PAPER_COUNT };

struct build_paper {
	const char *type; /* "spdx", "cyclonedx", "provenance" */
	char *file;       /* name beside the manifest: NAME_VERSION.spdx.json, ... */
	struct str text;  /* the content of the file */
	struct digest digest;
};

struct build_papers {
	struct build_paper items[PAPER_COUNT];
};

/* Makes the papers of the images that a manifest describes (manifest_json: artifacts, root_hash, profile, keys),
 * from the package layer (opened if it is not) and the entry of the root step. The statement names the
 * SBOMs by their digests; nobody's machine is in any of them. A damaged entry is ERR_VERIFY and marked in the job.
 * Free with build_papers_free, also after an error. */
int build_papers_make(struct job *job, const json_t *manifest, struct build_papers *ret,
		      struct err *err);

/* What the manifest says of them: array of {type, file, sha256}. Caller decrefs. */
json_t *build_papers_json(const struct build_papers *papers);

/* Frees them; usable with CLEANUP() on zeroed ones. */
void build_papers_free(struct build_papers *papers);

/* For the root step: writes DIR/files.json, the files of the final tree that no package brought with their
 * digests, so that papers can be made without reading them again. Reads these files. */
int build_papers_record(const struct job *job, const struct tree *tree, const char *dir,
			struct err *err);

#endif
