/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What inspect.c (the disk) and inspect_boot.c (the kernel images on its ESP) share. Private to them.
 */
#ifndef INGOT_INSPECT_INSPECT_PARTS_H
#define INGOT_INSPECT_INSPECT_PARTS_H

#include "disk/gpt.h"
#include "inspect/inspect.h"

struct inspect {
	struct image *image;
	struct gpt gpt;
	bool verify;
	json_t *value, *entries, *problems;
};

/* Sets a member, taking the reference; NULL becomes null. */
void inspect_set(json_t *object, const char *key, json_t *value);

/* Adds a text to the problems; what is too much is left out. */
void inspect_add_problem(struct inspect *in, const char *text);

/* True when the partition has the type with that name (struct gpt_type). */
bool inspect_has_type(const struct gpt_partition *p, const char *name);

/* Opens a partition as an image; free with image_close. */
int inspect_open_partition(struct inspect *in, const struct gpt_partition *p, struct image **ret,
			   struct err *err);

/* Adds an entry for each kernel image on the ESPs, verifies its root when that is asked for. What is
 * damaged is a problem; a root that is not what its hash says is ERR_VERIFY. */
int inspect_add_esp(struct inspect *in, struct err *err);

#endif
