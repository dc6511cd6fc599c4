/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading fixed VHD images, which may be hostile. A file that is told to be one by most of its footer
 * is no raw disk, so that one damaged byte does not let it pass for one with a sector too many.
 */
#include "output/formats.h"

#include "base/fd.h"
#include "base/mem.h"
#include "output/bigendian.h"
#include "output/vhd.h"

#include <string.h>

struct vhd_image {
	struct image image;
	int fd;
	char *name;
};

/* Cookie, features and version: what each footer starts with. */
static const uint8_t start[16] = {'c', 'o', 'n', 'e', 'c', 't', 'i', 'x', 0, 0, 0, 2, 0, 1, 0, 0};

/* A footer of which at most the cookie is damaged. */
static bool looks_like_footer(const uint8_t *f)
{
	return memcmp(f, VHD_COOKIE, 8) == 0 ||
	       (memcmp(f + 8, start + 8, 8) == 0 && get_be64(f + VHD_AT_DATA) == UINT64_MAX &&
		get_be32(f + VHD_AT_TYPE) == VHD_FIXED);
}

bool vhd_is(const uint8_t *head, const uint8_t *tail)
{
	/* Dynamic ones have a copy of the footer in front; a cut one has a part of it at the end. */
	return memcmp(head, start, sizeof(start)) == 0 || looks_like_footer(tail) ||
	       memmem(tail, VHD_FOOTER, start, sizeof(start));
}

static int damaged(const char *name, const char *what, struct err *err)
{
	return err_set(err, ERR_VERIFY, "cannot read '%s': damaged VHD image: %s", name, what);
}

static int refuse_type(const char *name, uint32_t type, struct err *err)
{
	if (type != VHD_DYNAMIC && type != VHD_DIFFERENCING)
		return damaged(name, "unknown type of disk", err);
	err_set(err, ERR_VERIFY, "cannot read '%s': a %s VHD image; only fixed ones are read", name,
		type == VHD_DYNAMIC ? "dynamic" : "differencing");
	return err_hint(err, "make it fixed: qemu-img convert -O vpc -o subformat=fixed,force_size "
			     "IN OUT");
}

static int check_footer(const char *name, const uint8_t *f, uint64_t file_size, struct err *err)
{
	uint64_t size = get_be64(f + VHD_AT_SIZE);

	if (memcmp(f, VHD_COOKIE, 8) != 0)
		return damaged(name, "no footer at its end", err);
	if (get_be32(f + VHD_AT_CHECKSUM) != vhd_checksum(f))
		return damaged(name, "the footer's checksum is wrong", err);
	if (get_be32(f + VHD_AT_VERSION) != VHD_VERSION)
		return damaged(name, "unknown version", err);
	if (get_be32(f + VHD_AT_TYPE) != VHD_FIXED)
		return refuse_type(name, get_be32(f + VHD_AT_TYPE), err);
	if (size == 0 || size % 512 != 0 || size != file_size - VHD_FOOTER)
		return damaged(name, "its size is not what the footer says", err);
	return 0;
}

static int vhd_pread(struct image *image, void *bytes, size_t len, uint64_t offset, struct err *err)
{
	struct vhd_image *vhd = (struct vhd_image *)image;

	if (offset > image->size || len > image->size - offset)
		return err_set(err, ERR_VERIFY, "cannot read '%s': beyond the end", vhd->name);
	return fd_pread(vhd->fd, bytes, len, offset, vhd->name, err);
}

static void vhd_image_close(struct image *image)
{
	struct vhd_image *vhd = (struct vhd_image *)image;

	fd_close(&vhd->fd);
	free(vhd->name);
	free(vhd);
}

struct image *vhd_read(int fd, const char *path, struct err *err)
{
	uint8_t footer[VHD_FOOTER];
	struct vhd_image *vhd;
	uint64_t size;
	int ret;

	ret = fd_size(fd, path, &size, err);
	if (ret == 0 && size < VHD_FOOTER)
		ret = damaged(path, "truncated", err);
	if (ret == 0)
		ret = fd_pread(fd, footer, sizeof(footer), size - VHD_FOOTER, path, err);
	if (ret == 0)
		ret = check_footer(path, footer, size, err);
	if (ret < 0) {
		fd_close(&fd);
		return NULL;
	}
	vhd = mem_alloc(sizeof(*vhd));
	vhd->fd = fd;
	vhd->name = mem_strdup(path);
	vhd->image = (struct image){.size = size - VHD_FOOTER,
				    .format = "vhd",
				    .name = vhd->name,
				    .pread = vhd_pread,
				    .close = vhd_image_close};
	return &vhd->image;
}
