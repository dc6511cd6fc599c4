/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of image formats, in the order of help and README, which come from it. A new one is a file
 * that fills a struct output_format, and its row here.
 */
#include "output/formats.h"

#include <string.h>

const struct output_format *const output_formats[] = {
	&format_raw,
	&format_raw_zst,
	&format_bmap,
	&format_qcow2,
	&format_qcow2_zlib,
	&format_vhd,
	&format_vmdk,
	NULL,
};

const struct output_format *output_format_find(const char *name)
{
	for (const struct output_format *const *f = output_formats; *f; f++)
		if (strcmp((*f)->name, name) == 0)
			return *f;
	return NULL;
}
