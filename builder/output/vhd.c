/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fixed VHD images, what Azure takes: the disk byte by byte, then a footer of one sector. Azure wants
 * whole MiB, and the size of the disk in the footer rather than what cylinders and heads make of it.
 */
#include "output/formats.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/size.h"
#include "disk/endian.h"
#include "disk/gpt.h"
#include "output/bigendian.h"
#include "output/sinkfile.h"
#include "output/vhd.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Of the specification: the largest size that its sector numbers can hold. */
#define SIZE_MAX_DISK (2040 * GIB)
#define CYLINDERS_MAX 65535
#define CREATOR_VERSION 0x000a0000u

struct vhd {
	int fd;
	char *path;
	uint64_t size;    /* of the disk */
	uint64_t flushed; /* bytes of the file that the kernel was told to write out */
	bool no_sync;
};

static struct output_sink *vhd_open(int fd, const char *path, const struct region_list *disk,
				    const struct output_options *options, struct err *err)
{
	struct vhd *vhd;

	if (ftruncate(fd, (off_t)(disk->size + VHD_FOOTER)) < 0) {
		err_sys(err, errno, "cannot write '%s'", path);
		return NULL;
	}
	vhd = mem_alloc(sizeof(*vhd));
	vhd->fd = fd;
	vhd->path = mem_strdup(path);
	vhd->size = disk->size;
	vhd->no_sync = options->no_sync;
	return (struct output_sink *)vhd;
}

static int vhd_write(struct output_sink *sink, const struct output_chunk *chunk, void *prepared,
		     struct err *err)
{
	struct vhd *vhd = (struct vhd *)sink;

	(void)prepared;
	if (sinkfile_write(vhd->fd, vhd->path, chunk, err) < 0)
		return -1;
	if (!vhd->no_sync)
		sinkfile_hint(vhd->fd, &vhd->flushed, chunk->offset + chunk->len);
	return 0;
}

/* The appendix of the specification, "CHS Calculation". */
static void put_geometry(uint8_t *to, uint64_t size)
{
	const uint64_t most = (uint64_t)CYLINDERS_MAX * 16 * 255;
	uint64_t sectors = size / 512 < most ? size / 512 : most;
	uint64_t per_track = 255, heads = 16, tracks = sectors / 255;

	if (sectors < (uint64_t)CYLINDERS_MAX * 16 * 63) {
		per_track = 17;
		tracks = sectors / 17;
		heads = (tracks + 1023) / 1024;
		if (heads < 4)
			heads = 4;
		if (tracks >= heads * 1024 || heads > 16) {
			per_track = 31;
			heads = 16;
			tracks = sectors / 31;
		}
		if (tracks >= heads * 1024) {
			per_track = 63;
			heads = 16;
			tracks = sectors / 63;
		}
	}
	put_be16(to, (uint16_t)(tracks / heads));
	to[2] = (uint8_t)heads;
	to[3] = (uint8_t)per_track;
}

static void make_footer(uint64_t size, const struct digest *content, uint8_t f[VHD_FOOTER])
{
	struct guid guid, printed;

	memset(f, 0, VHD_FOOTER);
	put_text(f, VHD_COOKIE, 8);
	put_be32(f + VHD_AT_FEATURES, 2); /* reserved, always set */
	put_be32(f + VHD_AT_VERSION, VHD_VERSION);
	put_be64(f + VHD_AT_DATA, UINT64_MAX);
	/* The time stays 0: the same disk gives the same file, whenever it is written. */
	/* Who goes by the name of the creator (QEMU, old Azure tools) takes the size of this one's from
	 * the footer and not from the geometry. */
	put_text(f + VHD_AT_CREATOR, "win ", 4);
	put_be32(f + VHD_AT_CREATOR_VERSION, CREATOR_VERSION);
	put_text(f + VHD_AT_CREATOR_OS, "Wi2k", 4);
	put_be64(f + VHD_AT_ORIGINAL_SIZE, size);
	put_be64(f + VHD_AT_SIZE, size);
	put_geometry(f + VHD_AT_GEOMETRY, size);
	put_be32(f + VHD_AT_TYPE, VHD_FIXED);
	guid_derive("ingot vhd uuid", content, &guid);
	/* Here the bytes stand in the order in which they are printed. */
	guid_from_bytes(guid.bytes, &printed);
	memcpy(f + VHD_AT_UUID, printed.bytes, sizeof(printed.bytes));
	put_be32(f + VHD_AT_CHECKSUM, vhd_checksum(f));
}

static int vhd_finish(struct output_sink *sink, const struct output_content *content,
		      struct digest *ret_digest, struct err *err)
{
	struct vhd *vhd = (struct vhd *)sink;
	uint8_t footer[VHD_FOOTER];
	struct digest_ctx *digest;

	make_footer(vhd->size, &content->digest, footer);
	if (fd_pwrite(vhd->fd, footer, sizeof(footer), vhd->size, vhd->path, err) < 0)
		return -1;
	digest = digest_start();
	digest_restart_from(digest, content->running);
	digest_add(digest, footer, sizeof(footer));
	digest_finish(digest, ret_digest);
	return 0;
}

static void vhd_close(struct output_sink *sink)
{
	struct vhd *vhd = (struct vhd *)sink;

	if (!vhd)
		return;
	free(vhd->path);
	free(vhd);
}

const struct output_format format_vhd = {
	.name = "vhd",
	.suffix = ".vhd",
	.summary = "fixed VHD, for Azure and Hyper-V",
	.multiple = MIB,
	.size_max = SIZE_MAX_DISK,
	.open = vhd_open,
	.write = vhd_write,
	.finish = vhd_finish,
	.close = vhd_close,
	.is = vhd_is,
	.read = vhd_read,
};
