/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The downloads of apt (.deb files): their digests, and the folder of the cache that keeps them. For the
 * files of this folder.
 */
#ifndef INGOT_LAYERS_DEBS_H
#define INGOT_LAYERS_DEBS_H

#include "base/json.h"
#include "layers/packages.h"

/* Folder of the cache that keeps the downloads for the profile's base; caller frees. */
char *debs_folder(const struct cache *cache, const struct profile *profile);

/* The name that apt gives to the download of a package (name, version, architecture); caller frees. */
char *debs_name(const json_t *package);

/* Adds sha256 and size of its download in folder to each of the packages. One that is not there is
 * ERR_OTHER: what was installed has to be accounted for. Reads all of the files. */
int debs_digest(const char *folder, json_t *packages, struct err *err);

/* Moves the downloads to where the next build finds them; losing some is no error. */
void debs_keep(const char *from, const char *to);

/* Removes what is kept of the packages, when something is wrong with one of them: apt takes a kept
 * download of the right size as it is. */
void debs_forget(const char *folder, const json_t *packages);

#endif
