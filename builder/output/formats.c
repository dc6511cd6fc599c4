/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of image formats. A new one is a file that fills a struct output_format, and its row
 * here; help and README come from the rows.
 */
#include "output/formats.h"

#include <stdlib.h>
#include <string.h>

const struct output_format output_formats[] = {
	{
		.name = "raw",
		.suffix = ".raw",
		.summary = "the disk byte by byte, zeros as holes",
		.open = raw_open,
		.write = raw_write,
		.finish = raw_finish,
		.close = raw_close,
	},
	{
		.name = "qcow2",
		.suffix = ".qcow2",
		.summary = "QEMU's format, version 3, compressed",
		.open = qcow2_open,
		.prepare = qcow2_prepare,
		.write = qcow2_write,
		.finish = qcow2_finish,
		.drop = free,
		.close = qcow2_close,
	},
	{0},
};

const struct output_format *output_format_find(const char *name)
{
	for (const struct output_format *f = output_formats; f->name; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}
