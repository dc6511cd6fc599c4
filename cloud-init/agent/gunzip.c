/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gzip by zlib, all members one after the other; who calls counts first and then takes just the memory that is
 * needed.
 */
#include "agent/gunzip.h"

#include "base/mem.h"

#include <stdint.h>
#include <string.h>
#include <zlib.h>

size_t gunzip_all(const void *packed, size_t len, void *to, size_t max)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)packed, .avail_in = (uInt)len};
	unsigned char scratch[16384];
	size_t total = 0;
	int r = Z_OK;

	if (inflateInit2(&z, 15 + 16) != Z_OK)
		return SIZE_MAX;
	while (total <= max) {
		size_t room = to ? max - total : sizeof(scratch);

		z.next_out = to ? (Bytef *)to + total : scratch;
		z.avail_out = (uInt)room;
		r = inflate(&z, Z_NO_FLUSH);
		total += room - z.avail_out;
		if (r == Z_STREAM_END) {
			/* Another member may follow. */
			if (z.avail_in < 3 || memcmp(z.next_in, "\x1f\x8b\x08", 3) != 0)
				break;
			r = inflateReset(&z);
		}
		if (r != Z_OK)
			break;
	}
	inflateEnd(&z);
	mem_wipe(scratch, sizeof(scratch));
	return r == Z_STREAM_END || total > max ? total : SIZE_MAX;
}
