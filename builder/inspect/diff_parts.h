/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the comparison share. Private to inspect/diff*.c.
 */
#ifndef INGOT_INSPECT_DIFF_PARTS_H
#define INGOT_INSPECT_DIFF_PARTS_H

#include "inspect/diff.h"

/* Calls work for a and b at the same time. The first error wins. */
int diff_in_parallel(int (*work)(void *context, struct err *err), void *a, void *b,
		     struct err *err);

/* Compares the files; both have some. Returns the value of "files" (see diff.h), which the caller decrefs;
 * *ret_same is set to false when one differs. */
json_t *diff_files(struct inventory *a, struct inventory *b, bool *ret_same, struct err *err);

#endif
