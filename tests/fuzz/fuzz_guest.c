/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a foreign image: its format is told or it is refused; what is told to be a qcow2 has no
 * backing file.
 */
#include "demand.h"
#include "memimage.h"

#include "disk/guest_parts.h"

#include <stdlib.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t none[8];
	int fd = memfd_create("image", MFD_CLOEXEC);
	const char *format = NULL;
	struct err err = {0};

	demand(fd >= 0 && fd_pwrite(fd, data, size, 0, "image", &err) == 0, "memory for a file");
	if (guest_probe_format(fd, "image", &format, &err) < 0)
		demand(err.code == ERR_VERIFY && err.msg[0], "an error is told");
	else if (strcmp(format, "qcow2") == 0)
		demand(memcmp(data + 8, none, sizeof(none)) == 0, "no backing file");
	else if (strcmp(format, "vmdk") == 0)
		demand(memcmp(data + 12, none, sizeof(none)) != 0, "a disk of its own");
	close(fd);
	return 0;
}
