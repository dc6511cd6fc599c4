/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Overlays by qemu-img, and one byte of damage for the test that damage is found.
 */
#include "vm/disk.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/size.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define QCOW2_EXTERNAL_DATA 4
#define DISK_MAX ((uint64_t)64 << 40)

static uint32_t be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static uint64_t be64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

/* docs/interop/qcow2.txt of QEMU. */
static int inspect_qcow2(const char *image, const uint8_t *head, struct vm_disk_info *ret,
			 struct err *err)
{
	bool v3 = be32(head + 4) >= 3;

	if (be64(head + 8) != 0 || (v3 && (be64(head + 72) & QCOW2_EXTERNAL_DATA)))
		return err_set(err, ERR_VERIFY,
			       "cannot use '%s': it is a qcow2 file that refers to another file",
			       image);
	ret->format = "qcow2";
	ret->virtual_size = be64(head + 24);
	return 0;
}

int vm_disk_inspect(const char *image, struct vm_disk_info *ret, struct err *err)
{
	CLEANUP_FD int fd = open(image, O_RDONLY | O_CLOEXEC);
	uint8_t head[104] = {0};
	struct stat st;

	*ret = (struct vm_disk_info){0};
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "cannot open '%s'", image);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_USAGE, "cannot boot '%s': not a regular file", image);
	if ((uint64_t)st.st_size < sizeof(head))
		return err_set(err, ERR_VERIFY, "cannot boot '%s': too small for a disk", image);
	if (fd_pread(fd, head, sizeof(head), 0, image, err) < 0)
		return -1;
	if (memcmp(head, "QFI\xfb", 4) == 0) {
		if (inspect_qcow2(image, head, ret, err) < 0)
			return -1;
	} else {
		ret->format = "raw";
		ret->virtual_size = (uint64_t)st.st_size;
	}
	if (ret->virtual_size < MIB || ret->virtual_size > DISK_MAX)
		return err_set(err, ERR_VERIFY,
			       "cannot boot '%s': %llu bytes are no size for a disk", image,
			       (unsigned long long)ret->virtual_size);
	return 0;
}

int vm_disk_create(const struct vm_tools *tools, const char *image, const char *path, uint64_t size,
		   struct err *err)
{
	CLEANUP_FREE char *backing = realpath(image, NULL);
	CLEANUP_FREE char *bytes = NULL;
	struct vm_disk_info info;

	if (!backing)
		return err_sys(err, errno, "cannot open '%s'", image);
	if (vm_disk_inspect(backing, &info, err) < 0)
		return -1;
	if (size == 0)
		size = info.virtual_size + 8 * GIB;
	if (size < info.virtual_size || size > DISK_MAX) {
		char text[16];

		return err_set(err, ERR_USAGE, "the disk must be at least as large as '%s' (%s)",
			       image, size_format(info.virtual_size, text));
	}
	bytes = mem_printf("%llu", (unsigned long long)size_align(size, 64 * KIB));
	const char *argv[] = {
		tools->qemu_img, "create", "-q", "-f",  "qcow2", "-F", info.format, "-b",
		backing,         "--",     path, bytes, NULL};
	struct proc proc = {.argv = argv};

	if (proc_run(&proc, err) < 0)
		return err_wrap(err, "cannot create a disk over '%s'", image);
	return 0;
}

int vm_disk_damage(const char *disk, const struct vm_damage *damage, struct err *err)
{
	CLEANUP_FREE char *io = proc_find("qemu-io");
	CLEANUP_FREE char *command = mem_printf("write -P %u %llu 1", (unsigned)damage->value,
						(unsigned long long)damage->offset);

	if (!io) {
		err_set(err, ERR_TOOL, "cannot find 'qemu-io'");
		return err_hint(err,
				"install the package qemu-utils (scripts/install-deps does it)");
	}
	const char *argv[] = {io, "-f", "qcow2", "-c", command, disk, NULL};
	struct proc proc = {.argv = argv};

	if (proc_run(&proc, err) < 0)
		return err_wrap(err, "cannot change a byte of '%s'", disk);
	return 0;
}
