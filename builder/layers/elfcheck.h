/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a program built on this machine runs against the libraries of an image.
 */
#ifndef INGOT_LAYERS_ELFCHECK_H
#define INGOT_LAYERS_ELFCHECK_H

#include "tree/tree.h"

/* Checks the ELF program at path in the tree and, recursively, the libraries that it needs, and those that
 * it loads while it runs (names ended by NULL, or NULL): each must be in the image's library folders, of the
 * same machine, and define every symbol version that is asked of it. ERR_VERIFY names program, library and
 * version. The files may be hostile. */
int elfcheck_program(const struct tree *tree, const char *path, const char *const *loads,
		     struct err *err);

#endif
