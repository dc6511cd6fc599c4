/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk image that is to be written again, as regions. Private to output/.
 */
#ifndef INGOT_OUTPUT_SOURCE_H
#define INGOT_OUTPUT_SOURCE_H

#include "base/err.h"
#include "base/image.h"
#include "base/region.h"

#include <stdint.h>

struct source {
	struct image *image;
	int fd;                  /* of a raw input, to find its holes; else -1 */
	struct region_list disk; /* what is written; the caller adds to it and sets its size */
};

#define SOURCE_NONE ((struct source){.fd = -1})

/* Opens an image of any format that image_open knows. Close with source_close, also after an error. */
int source_open(const char *path, struct source *source, struct err *err);

/* Adds regions for what has content between from and to (bytes on the disk); what cannot tell its holes is one
 * region. */
int source_add(struct source *source, uint64_t from, uint64_t to, struct err *err);

/* Closes what is open; usable with CLEANUP(). */
void source_close(struct source *source);

#endif
