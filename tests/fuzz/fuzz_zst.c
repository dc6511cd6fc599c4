/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a file in zstd: it is refused, or its disk can be read wherever it says that it has
 * something, or an error is told.
 */
#include "fuzz/image.h"

#include "output/formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_image(data, size, zst_read);
	return 0;
}
