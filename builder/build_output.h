/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The output folder of a profile (OUT/NAME) and the manifest in it; private to build*.c.
 */
#ifndef INGOT_BUILD_OUTPUT_H
#define INGOT_BUILD_OUTPUT_H

#include "build_files.h"
#include "build_job.h"
#include "disk/plan.h"
#include "output/output.h"

/* Makes the folder and locks it until *ret_fd is closed, so that builds into it come one after the other;
 * waits for another one and says so. Removes the unfinished files that killed builds left. Where folders
 * cannot be locked *ret_fd is -1 and nothing is removed. */
int build_output_lock(struct job *job, int *ret_fd, struct err *err);

/* True when the images in the folder are right, but for what only the manifest tells (tests, say). */
bool build_output_has_disk(const struct job *job);

/* Writes the manifest and the files beside it anew for images that stay as they are. Needs build_output_has_disk. */
int build_output_renew(struct job *job, struct err *err);

/* Makes the manifest of complete images and the files beside them (build_files_prepare), sets job->manifest,
 * and removes what describes the images that are there: they are about to be replaced. content is the
 * digest of the disk. End with build_output_finish or build_files_abandon. */
int build_output_prepare(struct job *job, const struct disk *disk, const struct digest *root_hash,
			 const struct digest *content, const struct output_target *targets,
			 const struct output_result *results, size_t count, struct build_files *ret,
			 struct err *err);

/* Gives the files their names, once the images have theirs, and notes how they look. */
int build_output_finish(struct job *job, struct build_files *files, struct err *err);

#endif
