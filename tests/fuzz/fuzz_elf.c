/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs and libraries of an image may be anything: the same bytes are both here.
 */
#include "layers/elfcheck.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tree *tree = tree_new();
	struct err err = {0};

	if (tree_put_file(tree, "/usr/bin/program", 0755, data, size, "fuzz", &err) == 0 &&
	    tree_put_link(tree, "/usr/lib/libc.so.6", "/usr/bin/program", &err) == 0)
		elfcheck_program(tree, "/usr/bin/program", NULL, &err);
	tree_free(tree);
	return 0;
}
