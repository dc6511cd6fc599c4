/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One profile on its way through the pipeline; private to build*.c.
 */
#ifndef INGOT_BUILD_JOB_H
#define INGOT_BUILD_JOB_H

#include "attest/lock.h"
#include "base/log.h"
#include "build.h"
#include "cache/cache.h"
#include "layers/packages.h"
#include "oci/pull.h"
#include "profile/profile.h"
#include "tree/tree.h"

enum { STEP_PACKAGES, STEP_INITRD, STEP_CONTAINERS, STEP_ROOT, STEP_IMAGES, STEP_COUNT };

struct job {
	const struct build_options *options;
	struct cache *cache;
	struct profile *profile;
	struct repositories repos; /* where packages come from, and their state */
	int64_t epoch;             /* source date, seconds since 1970 */
	char *out;                 /* OUT/NAME */
	struct cache_key keys[STEP_COUNT];
	struct digest digests[STEP_COUNT];
	char *dirs[STEP_COUNT];   /* finished cache entries, NULL while not there */
	bool damaged[STEP_COUNT]; /* entries that could not be opened */
	struct packages_layer layer;
	bool layer_open;
	struct oci_resolved *resolved; /* what the profile's container images stand for, in order */
	struct oci_set containers;
	bool containers_open;
	struct digest disk_digest; /* of the images' inputs without those of the manifest only */
	json_t *manifest;          /* once the images are there */
	bool found;                /* set by run: another build has done it meanwhile */
	bool has_lock;             /* built by a lock: nothing may differ from it */
	struct lock lock;
	char *lock_file;           /* its path */
	struct digest lock_digest; /* SHA-256 of the file */
};

struct step {
	const char *name; /* for the user; also the kind of its cache entry */
	const char *summary;
	/* Adds what the step depends on; must not need the results of earlier steps, only their
	 * keys. */
	int (*key)(struct job *job, struct cache_key *key, struct err *err);
	/* Makes the files of the entry in dir; NULL for a step that is done by its own means. */
	int (*run)(struct job *job, const char *dir, struct log_step *progress, struct err *err);
	/* Whether the result is there already; NULL: look into the cache. */
	bool (*done)(struct job *job);
	/* Whether the job has this step; NULL: every job has. One without has no key and no result. */
	bool (*wanted)(const struct job *job);
};

/* The steps in order; STEP_COUNT rows. */
extern const struct step build_steps[];

/* True when the profile of the job has step i of build_steps[]. */
bool build_step_wanted(const struct job *job, size_t i);

/* Reads the lock of the job (build_options.lock, else beside the profile), checks that it is for the profile,
 * its base and its packages, and fills job->repos with the state that it records: nobody is asked.
 * ERR_VERIFY with a hint when it does not fit. */
int build_lock_open(struct job *job, struct err *err);

/* Checks that the package layer is what the lock says; opens it. Without a lock nothing is done. */
int build_lock_check(struct job *job, struct err *err);

/* Names the lock in an error of the package step that it caused, with a hint. Returns -1. */
int build_lock_explain(const struct job *job, struct err *err);

/* Makes the lock of a job whose layer is open. Free with lock_free. */
void build_lock_take(const struct job *job, struct lock *ret);

/* Opens the package layer of the job if it is not open. Its step must be done. */
int build_open_layer(struct job *job, struct err *err);

/* Key of the package step: distribution, packages, repositories, hooks. */
int build_packages_key(struct job *job, struct cache_key *key, struct err *err);

/* Takes the files of the profile's base.image, if it has one, into the cache, and checks that the system on
 * it is what the profile says. Starts libguestfs' appliance when the cache does not have them. */
int build_base(struct job *job, struct log_step *step, struct err *err);

/* Runs the package manager; needs network, unless everything is cached, and root or subordinate ids. */
int build_packages_run(struct job *job, const char *dir, struct log_step *progress,
		       struct err *err);

/* Key of the initrd step. */
int build_initrd_key(struct job *job, struct cache_key *key, struct err *err);

/* Writes DIR/initrd.zst: the package layer's initrd, firmware/initrd, ingot-initrd, normalised. */
int build_initrd_run(struct job *job, const char *dir, struct log_step *progress, struct err *err);

/* True when the profile has container images to preload. */
bool build_has_containers(const struct job *job);

/* Finds out what the container images of the profile stand for: asks registries unless offline or locked. */
int build_containers_resolve(struct job *job, struct err *err);

/* Key of the containers step: the digests that the images resolved to. */
int build_containers_key(struct job *job, struct cache_key *key, struct err *err);

/* Fetches the images and unpacks their layers into the cache; needs network for what the cache lacks. */
int build_containers_run(struct job *job, const char *dir, struct log_step *progress,
			 struct err *err);

/* Opens the layers of the job's containers if they are not open. Their step must be done. */
int build_open_containers(struct job *job, struct err *err);

/* Lays the containers, if there are any, into the tree of the root, once the engine in it is one that they fit.
 * Their contents belong to job->containers, which must live as long as the tree. */
int build_containers_install(struct job *job, struct tree *tree, struct err *err);

/* Compares the images that the finished tree is going to run with those that are preloaded: ERR_LINT for missing
 * ones. Reads units and Compose files of the tree. */
int build_containers_check(const struct job *job, const struct tree *tree, struct err *err);

/* The images of the containers step as containers_read has them, empty without containers; NULL on error. Caller
 * decrefs. */
json_t *build_containers_list(const struct job *job, struct err *err);

/* Key of the root step. */
int build_root_key(struct job *job, struct cache_key *key, struct err *err);

/* Writes DIR/root.squashfs, root.verity, root.json and files.json: layers, overlays and settings merged. */
int build_root_run(struct job *job, const char *dir, struct log_step *progress, struct err *err);

/* Key of the images step. */
int build_images_key(struct job *job, struct cache_key *key, struct err *err);

/* Writes OUT/NAME/NAME_VERSION.* and manifest.json. */
int build_images_run(struct job *job, const char *dir, struct log_step *progress, struct err *err);

/* True when OUT/NAME holds exactly the images of this key, untouched. Reads the manifest. */
bool build_images_done(struct job *job);

#endif
