/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as an OVA: it is refused, or its disk can be read or an error is told. The checksums of
 * headers are made right when the first byte is odd, as no fuzzer guesses them.
 */
#include "fuzz/image.h"

#include "base/mem.h"
#include "output/formats.h"
#include "output/ova_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fix_checksums(uint8_t *file, size_t size)
{
	for (size_t at = 0; at + TAR_BLOCK <= size; at += TAR_BLOCK) {
		uint8_t *h = file + at;

		if (memcmp(h + TAR_MAGIC, "ustar", 5) == 0)
			snprintf((char *)h + TAR_CHECKSUM, TAR_CHECKSUM_SIZE, "%06o", tar_sum(h));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE uint8_t *file = NULL;

	if (size < 1)
		return 0;
	file = mem_alloc(size);
	memcpy(file, data + 1, --size);
	if (data[0] & 1)
		fix_checksums(file, size);
	try_image(file, size, ova_read);
	return 0;
}
