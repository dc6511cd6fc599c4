/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which container images a finished tree is going to run: commands of enabled units, quadlets, Compose
 * files and stacks, static pods. And which of them are not preloaded.
 */
#ifndef INGOT_LAYERS_IMAGEUSE_H
#define INGOT_LAYERS_IMAGEUSE_H

#include "profile/profile.h"
#include "tree/tree.h"

struct imageuse {
	char *image;   /* as written, variables filled in; NULL when it cannot be told */
	char *why;     /* then: the reason */
	char *file;    /* in the image, absolute */
	uint32_t line; /* counts from 1; 0 when the whole file is meant */
	const char
		*engine; /* "docker", "containerd", "podman"; NULL for whichever there is; static */
};

struct imageuse_list {
	struct imageuse *items; /* in the order of the tree's files */
	size_t count, room;
	bool compose; /* there are Compose files */
};

/* Finds the uses in a finished tree. Units count when something enables them: links in .wants, .requires and .upholds
 * folders, presets, services.enable, and what such units want, trigger or require. Compose files are those that such
 * units name, and files of the profile (no package brought them) called *compose*.y[a]ml or *stack*.y[a]ml that have
 * services. Container layers in the tree are passed over. What cannot be read or told is an item without image. ERR_OTHER
 * when contents cannot be read. Free with imageuse_list_free, also after an error. Does not block but on disk. */
int imageuse_find(const struct tree *tree, const struct profile *profile, struct imageuse_list *ret,
		  struct err *err);

/* Frees the list; usable with CLEANUP() on a zeroed one. */
void imageuse_list_free(struct imageuse_list *list);

/* A preloaded image. */
struct imageuse_image {
	const char *text; /* as the profile has it, for messages */
	const char *const
		*names; /* what it can be called by, as normalise writes it; ended by NULL */
};

struct imageuse_known {
	const struct imageuse_image *images;
	size_t image_count;
	const struct profile_list *elsewhere, *engines;
	/* The full form of a reference, "registry/repository:tag", or "registry/repository@sha256:..." when it has a
	 * digest (a tag beside it says nothing then). NULL with err set when it is no reference. Caller frees. */
	char *(*normalise)(const char *text, struct err *err);
};

/* Compares. Images that are used and neither preloaded for the engine that uses them nor elsewhere are one ERR_LINT that
 * lists up to 10 with file and line. What cannot be told is a warning in the log, a preloaded image that nothing uses an
 * information. Says nothing at all about a profile without engines and Compose files. */
int imageuse_check(const struct imageuse_list *uses, const struct imageuse_known *known,
		   struct err *err);

#endif
