/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths on this machine and inside images.
 */
#ifndef INGOT_BASE_PATH_H
#define INGOT_BASE_PATH_H

#include "base/err.h"

#include <stdbool.h>

#define PATH_IMAGE_MAX 4096 /* longest path inside an image, bytes with NUL */

/* Returns "a/b" (b alone when it is absolute or a is empty); the caller frees it. */
char *path_join(const char *a, const char *b);

/* Returns the folder of the path ("." when there is none); the caller frees it. */
char *path_parent(const char *path);

/* The part behind the last slash; borrowed from path. */
const char *path_base(const char *path);

/* Makes the folder and its parents (mode 0777 less umask); an existing folder is fine. */
int path_make_dirs(const char *path, struct err *err);

/* Syncs the folder that holds path, so that a rename in it survives a power cut. */
int path_sync_parent(const char *path, struct err *err);

/* True when path is a clean path inside an image: absolute or relative, no empty, "." or ".."
 * component, no control characters, shorter than PATH_IMAGE_MAX, components up to 255 bytes. */
bool path_is_clean(const char *path);

/* Removes a file or a whole folder without following links; absent is fine. */
int path_remove_all(const char *path, struct err *err);

#endif
