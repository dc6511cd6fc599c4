/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OVA: a ustar archive of descriptor, manifest and disk, in this order, so that it can be imported
 * while it is received. What stands before the disk has a length that is known at the start, and is
 * written last.
 */
#include "output/vmdk_parts.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/size.h"
#include "disk/endian.h"
#include "output/formats.h"
#include "output/ova_parts.h"
#include "output/sinkfile.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SUFFIX ".ova"
/* Of 11 octal digits. */
#define OCTAL_MAX (((uint64_t)1 << 33) - 1)

struct ova {
	int fd;
	char *path;
	char *machine;
	char *descriptor, *manifest, *disk; /* names of the members */
	uint64_t disk_size;
	size_t descriptor_len, manifest_len;
	uint64_t disk_at; /* where the disk's bytes start */
	struct vmdk_writer *vmdk;
};

static void write_descriptor(const struct ova *ova, uint64_t file_size, uint64_t populated,
			     struct str *text)
{
	const struct ovf ovf = {
		.name = ova->machine,
		.disk = ova->disk,
		.file_size = file_size,
		.capacity = ova->disk_size,
		.populated = populated,
	};

	ovf_write(text, &ovf);
}

static void write_manifest(const struct ova *ova, const struct digest *descriptor,
			   const struct digest *disk, struct str *text)
{
	char hex[2][DIGEST_HEX_SIZE];

	str_addf(text, "SHA256(%s)= %s\nSHA256(%s)= %s\n", ova->descriptor,
		 digest_hex(descriptor, hex[0]), ova->disk, digest_hex(disk, hex[1]));
}

/* Where the member behind one of len bytes starts. */
static uint64_t behind(uint64_t header_at, size_t len)
{
	return header_at + TAR_BLOCK + size_align(len, TAR_BLOCK);
}

static void ova_close(struct output_sink *sink)
{
	struct ova *ova = (struct ova *)sink;

	if (!ova)
		return;
	vmdk_writer_free(ova->vmdk);
	free(ova->descriptor);
	free(ova->manifest);
	free(ova->disk);
	free(ova->machine);
	free(ova->path);
	free(ova);
}

static struct output_sink *ova_open(int fd, const char *path, const struct region_list *disk,
				    const struct output_options *options, struct err *err)
{
	CLEANUP_FREE char *stem = vmdk_safe_name(path, SUFFIX);
	CLEANUP(str_free) struct str descriptor = {0}, manifest = {0};
	const struct digest zero = {0};
	struct ova *ova;

	if (strlen(stem) + strlen("-disk1.vmdk") >= TAR_NAME_SIZE) {
		err_set(err, ERR_OTHER, "cannot write '%s': its name is too long for an OVA", path);
		return NULL;
	}
	ova = mem_alloc(sizeof(*ova));
	ova->fd = fd;
	ova->path = mem_strdup(path);
	ova->machine = mem_strdup(options->name ? options->name : stem);
	ova->descriptor = mem_printf("%s.ovf", stem);
	ova->manifest = mem_printf("%s.mf", stem);
	ova->disk = mem_printf("%s-disk1.vmdk", stem);
	ova->disk_size = disk->size;
	write_descriptor(ova, 0, 0, &descriptor);
	write_manifest(ova, &zero, &zero, &manifest);
	ova->descriptor_len = descriptor.len;
	ova->manifest_len = manifest.len;
	ova->disk_at = behind(behind(0, descriptor.len), manifest.len) + TAR_BLOCK;
	ova->vmdk =
		vmdk_writer_new(fd, path, ova->disk, ova->disk_at, disk->size, options->no_sync);
	return (struct output_sink *)ova;
}

static int ova_write(struct output_sink *sink, const struct output_chunk *chunk, void *prepared,
		     struct err *err)
{
	struct ova *ova = (struct ova *)sink;

	(void)prepared;
	return vmdk_writer_add(ova->vmdk, chunk, err);
}

/* Octal as far as it goes, else binary as GNU tar and libarchive read and write it. */
static void put_number(uint8_t *field, uint64_t number)
{
	if (number <= OCTAL_MAX) {
		snprintf((char *)field, TAR_SIZE_SIZE, "%011" PRIo64, number);
		return;
	}
	field[0] = 0x80;
	for (int i = TAR_SIZE_SIZE - 1; i > 0; i--, number >>= 8)
		field[i] = (uint8_t)number;
}

void ova_member_header(uint8_t h[TAR_BLOCK], const char *name, uint64_t size)
{
	memset(h, 0, TAR_BLOCK);
	put_text(h + TAR_NAME, name, strnlen(name, TAR_NAME_SIZE - 1));
	memcpy(h + TAR_MODE, "0000644", 8);
	memcpy(h + TAR_UID, "0000000", 8);
	memcpy(h + TAR_GID, "0000000", 8);
	put_number(h + TAR_SIZE, size);
	put_number(h + TAR_MTIME, 0);
	h[TAR_TYPE] = '0';
	memcpy(h + TAR_MAGIC, "ustar", 6);
	put_text(h + TAR_VERSION, "00", 2);
	snprintf((char *)h + TAR_CHECKSUM, TAR_CHECKSUM_SIZE, "%06" PRIo32, tar_sum(h));
	h[TAR_CHECKSUM + TAR_CHECKSUM_SIZE - 1] = ' ';
}

static int write_member(const struct ova *ova, const char *name, uint64_t header_at, uint64_t size,
			const struct str *text, struct err *err)
{
	uint8_t h[TAR_BLOCK];

	ova_member_header(h, name, size);
	if (fd_pwrite(ova->fd, h, sizeof(h), header_at, ova->path, err) < 0)
		return -1;
	if (!text)
		return 0;
	return fd_pwrite(ova->fd, text->data, text->len, header_at + TAR_BLOCK, ova->path, err);
}

static int write_front(const struct ova *ova, uint64_t size, uint64_t populated, struct err *err)
{
	CLEANUP(str_free) struct str descriptor = {0}, manifest = {0};
	uint64_t manifest_at = behind(0, ova->descriptor_len);
	struct digest of_descriptor, of_disk;

	if (sinkfile_digest_part(ova->fd, ova->path, ova->disk_at, size, &of_disk, err) < 0)
		return -1;
	write_descriptor(ova, size, populated, &descriptor);
	digest_bytes(descriptor.data, descriptor.len, &of_descriptor);
	write_manifest(ova, &of_descriptor, &of_disk, &manifest);
	if (write_member(ova, ova->descriptor, 0, descriptor.len, &descriptor, err) < 0 ||
	    write_member(ova, ova->manifest, manifest_at, manifest.len, &manifest, err) < 0)
		return -1;
	return write_member(ova, ova->disk, ova->disk_at - TAR_BLOCK, size, NULL, err);
}

static int ova_finish(struct output_sink *sink, const struct output_content *content,
		      struct digest *ret_digest, struct err *err)
{
	static const uint8_t end_of_archive[2 * TAR_BLOCK];
	struct ova *ova = (struct ova *)sink;
	uint64_t size = 0, populated = 0, end;

	if (vmdk_writer_finish(ova->vmdk, &content->digest, &size, &populated, err) < 0 ||
	    write_front(ova, size, populated, err) < 0)
		return -1;
	end = ova->disk_at + size;
	if (fd_pwrite(ova->fd, end_of_archive, sizeof(end_of_archive), end, ova->path, err) < 0)
		return -1;
	return sinkfile_digest(ova->fd, ova->path, end + sizeof(end_of_archive), ret_digest, err);
}

const struct output_format format_ova = {
	.name = "ova",
	.suffix = SUFFIX,
	.summary = "the VMDK and a machine with UEFI for it, to import into vSphere",
	.multiple = OUTPUT_CLUSTER,
	.size_max = VMDK_SIZE_MAX,
	.deflate = true,
	.open = ova_open,
	.write = ova_write,
	.finish = ova_finish,
	.close = ova_close,
	.is = ova_is,
	.read = ova_read,
};
