/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which format an image has, and whether it names other files. QEMU opens what an image names, with
 * the rights of who runs it: a hostile image could have any file of this machine built into a product.
 */
#include "disk/guest_parts.h"

#include "base/fd.h"
#include "base/mem.h"
#include "disk/endian.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* QEMU looks for the descriptor of a VMDK in the first 10.5 KiB; ours is a wider look. */
#define HEAD_SIZE ((size_t)64 << 10)
#define FOOTER_SIZE 512
#define VMDK_FOOTER_SIZE 1536

struct head {
	const char *name;
	uint8_t *bytes; /* HEAD_SIZE and a NUL; zeros behind the end of the file */
	uint8_t footer[VMDK_FOOTER_SIZE];
};

static uint32_t get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t get_be64(const uint8_t *p)
{
	return (uint64_t)get_be32(p) << 32 | get_be32(p + 4);
}

static int refuse(const struct head *head, const char *what, struct err *err)
{
	err_set(err, ERR_VERIFY, "cannot use '%s': it %s", head->name, what);
	return err_hint(err, "write it again as one file with 'qemu-img convert', if you trust it");
}

/* docs/interop/qcow2.txt of QEMU: version at 4, offset of the backing file's name at 8, encryption at 32,
 * incompatible features at 72 from version 3 on (bit 2: external data file). */
static int check_qcow2(const struct head *head, struct err *err)
{
	uint32_t version = get_be32(head->bytes + 4);

	if (version != 2 && version != 3)
		return err_set(err, ERR_VERIFY,
			       "cannot use '%s': qcow2 version %u is not supported", head->name,
			       version);
	if (get_be64(head->bytes + 8) != 0)
		return refuse(head, "has a backing file", err);
	if (get_be32(head->bytes + 32) != 0)
		return err_set(err, ERR_VERIFY, "cannot use '%s': it is encrypted", head->name);
	if (version == 3 && (get_be64(head->bytes + 72) & 4))
		return refuse(head, "keeps its data in another file", err);
	return 0;
}

/* The sparse header of VMDK: capacity at 12, offset of the grain directory at 56 (all ones: the header
 * that counts is in the footer, 1024 bytes before the end). Capacity 0 means that the descriptor's extents
 * count, which may be other files. */
static int check_vmdk(const struct head *head, struct err *err)
{
	const uint8_t *second = head->footer + 512;

	if (get_le64(head->bytes + 12) == 0)
		return refuse(head, "describes a disk that is in other files", err);
	if (get_le64(head->bytes + 56) == UINT64_MAX &&
	    (memcmp(second, "KDMV", 4) != 0 || get_le64(second + 12) == 0))
		return refuse(head, "has no footer of a disk", err);
	if (memmem(head->bytes, HEAD_SIZE, "parentFileNameHint", 18))
		return refuse(head, "has a parent", err);
	return 0;
}

/* Type of a VHD at 60 of its footer: 2 fixed, 3 dynamic, 4 differencing. */
static int check_vhd(const struct head *head, const uint8_t *footer, struct err *err)
{
	return get_be32(footer + 60) == 4 ? refuse(head, "has a parent", err) : 0;
}

/* Type of a VDI at 76: 1 dynamic, 2 fixed, 3 undo, 4 differencing. */
static int check_vdi(const struct head *head, struct err *err)
{
	return get_le32(head->bytes + 76) > 2 ? refuse(head, "has a parent", err) : 0;
}

static int check(const struct head *head, const char **ret_format, struct err *err)
{
	const uint8_t *b = head->bytes, *end = head->footer + VMDK_FOOTER_SIZE - FOOTER_SIZE;
	size_t blank = strspn((const char *)b, " \t\r\n");

	*ret_format = "raw";
	if (memcmp(b, "QFI\xfb", 4) == 0) {
		*ret_format = "qcow2";
		return check_qcow2(head, err);
	}
	if (memcmp(b, "KDMV", 4) == 0) {
		*ret_format = "vmdk";
		return check_vmdk(head, err);
	}
	if (strncmp((const char *)b + blank, "# Disk DescriptorFile", 21) == 0)
		return refuse(head, "describes a disk that is in other files", err);
	if (memcmp(b, "vhdxfile", 8) == 0) {
		*ret_format = "vhdx"; /* QEMU refuses one with a parent */
		return 0;
	}
	if (get_le32(b + 64) == 0xbeda107f) {
		*ret_format = "vdi";
		return check_vdi(head, err);
	}
	if (memcmp(b, "conectix", 8) == 0 || memcmp(end, "conectix", 8) == 0) {
		*ret_format = "vpc";
		return check_vhd(head, memcmp(end, "conectix", 8) == 0 ? end : b, err);
	}
	return 0;
}

int guest_probe_format(int fd, const char *name, const char **ret_format, struct err *err)
{
	CLEANUP_FREE uint8_t *bytes = mem_alloc(HEAD_SIZE + 1);
	struct head head = {.name = name, .bytes = bytes};
	off_t size = lseek(fd, 0, SEEK_END);
	size_t len;

	if (size < 512)
		return err_set(err, ERR_VERIFY, "cannot use '%s': it is no image of a disk", name);
	len = (uint64_t)size < HEAD_SIZE ? (size_t)size : HEAD_SIZE;
	if (fd_pread(fd, bytes, len, 0, name, err) < 0)
		return -1;
	len = (uint64_t)size < VMDK_FOOTER_SIZE ? (size_t)size : VMDK_FOOTER_SIZE;
	if (fd_pread(fd, head.footer + VMDK_FOOTER_SIZE - len, len, (uint64_t)size - len, name,
		     err) < 0)
		return -1;
	return check(&head, ret_format, err);
}
