/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines of sources.list(5) that a build uses. For the files of this folder.
 */
#ifndef INGOT_LAYERS_SOURCES_H
#define INGOT_LAYERS_SOURCES_H

#include "layers/packages.h"

#define SOURCES_MAX 32

/* Asks mmdebstrap (the program at this path) which lines it would write for the profile: an array of
 * strings. Installs nothing, needs neither rights nor the network; takes half a second. Caller decrefs. */
json_t *sources_learn(const char *program, const struct profile *profile, struct err *err);

/* Fills line, uri and suite of ret's items from such an array; mirror (may be NULL) takes the place of
 * the URI of all but the security suites, which have a place of their own. On error ret may be partly
 * filled. */
int sources_parse(const json_t *lines, const char *mirror, struct repositories *ret,
		  struct err *err);

#endif
