/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files beside the images: manifest.json, SBOMs, provenance, SHA256SUMS, signatures; private to build*.c.
 */
#ifndef INGOT_BUILD_FILES_H
#define INGOT_BUILD_FILES_H

#include "base/fd.h"
#include "build_job.h"

#define BUILD_FILES_MAX 5

/* Complete under temporary names, in the order in which they get their own. */
struct build_files {
	struct outfile items[BUILD_FILES_MAX];
	size_t count;
};

/* Makes all of them for images that are complete, synced, under temporary names, and removes those that
 * describe what is about to be replaced, SHA256SUMS first. manifest has the images (artifacts) and gets the
 * member "papers". Needs the package layer and the root of the job. End with build_files_finish or
 * build_files_abandon. */
int build_files_prepare(struct job *job, json_t *manifest, struct build_files *ret,
			struct err *err);

/* Gives the files their names, once the images have theirs. */
int build_files_finish(const struct job *job, struct build_files *files, struct err *err);

/* Removes those that have no name yet; usable with CLEANUP(). */
void build_files_abandon(struct build_files *files);

/* Signs what is in the output folder with the key of the options, if there is one. Signatures of this key
 * that are there and right are kept. */
int build_files_sign(const struct job *job, struct err *err);

/* The names (allocated, in the folder) of all files that a manifest stands for: images, papers, sums. */
void build_files_names(const json_t *manifest, struct strv *ret);

#endif
