/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pipeline: from profiles to images, as a table of steps (build.c).
 */
#ifndef INGOT_BUILD_H
#define INGOT_BUILD_H

#include "attest/lock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/sign.h"

#include <stdbool.h>
#include <stddef.h>

struct build_options {
	const char *const *profiles;   /* paths or names, ended by NULL */
	const char *const *set;        /* "key=value", ended by NULL, or NULL */
	const char *const *search;     /* folders for profiles by name, ended by NULL */
	const char *formats;           /* "raw,qcow2", or NULL: what each profile says */
	const char *out;               /* output folder: images go to OUT/NAME/ */
	const char *cache;             /* or NULL */
	const char *data;              /* folder with firmware/ and overlays/ */
	const char *programs;          /* folder with ingot-agent and ingot-initrd */
	const struct sign_key *signer; /* signs sums and provenance; NULL: nobody does */
	unsigned jobs;
	bool offline;     /* never ask a repository; use what the cache holds */
	bool locked;      /* fail unless everything is as the profile's lock says */
	const char *lock; /* that lock, or NULL: PROFILE.lock beside the profile */
};

/* Builds every profile; what they share is built once. Results are OUT/NAME/manifest.json and the images
 * beside it. *ret_manifests (may be NULL) gets an array with the manifest of each, in order; caller
 * decrefs. Blocks for minutes when packages have to be installed. Needs no root, but for an ordinary
 * user subordinate ids (package uidmap). */
int build_run(const struct build_options *options, json_t **ret_manifests, struct err *err);

/* Says what build_run would do: an array of {profile, step, key, cached, why, inputs}. Changes nothing
 * but the cache's record of repositories. Caller decrefs. */
json_t *build_plan(const struct build_options *options, struct err *err);

/* Makes the lock of the first profile of options from what the repositories have now: its packages are
 * installed, unless the cache has them. *ret_file is where the lock belongs; caller frees it, and the
 * lock with lock_free. Blocks for minutes when packages have to be installed. */
int build_lock(const struct build_options *options, struct lock *ret, char **ret_file,
	       struct err *err);

#endif
