/* SPDX-License-Identifier: Apache-2.0 */
/*
 * streamOptimized VMDK, version 3, laid out as VMware's own open-vmdk does it: header, descriptor,
 * grain directory and grain tables, whose size is known before, then the grains in the disk's order.
 * The tables are written as the pass goes, the rest of the front at the end.
 */
#include "output/vmdk_parts.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/size.h"
#include "output/bigendian.h"
#include "output/compress.h"
#include "output/formats.h"
#include "output/sinkfile.h"
#include "output/vmdk.h"

#include <inttypes.h>
#include <string.h>

#define GRAIN_SECTORS (OUTPUT_CLUSTER / VMDK_SECTOR)
#define DESCRIPTOR_AT 1
#define DESCRIPTOR_SECTORS 20
#define DIRECTORY_AT (DESCRIPTOR_AT + DESCRIPTOR_SECTORS)
/* zlib's header (RFC 1950) and the grain and its end and the checksum. */
#define GRAIN_MAX (VMDK_MARKER + 2 + COMPRESS_GRAIN_MAX + 4)
#define BUFFER_SIZE (OUTPUT_CLUSTERS * (size_t)(GRAIN_MAX + VMDK_SECTOR))
/* Of 255 heads and 63 sectors, as the descriptor of all large disks says. */
#define CYLINDER ((uint64_t)255 * 63)
#define CYLINDERS_MAX 65535

struct vmdk_writer {
	int fd;
	char *path, *name;
	uint64_t base; /* of the extent in the file, bytes */
	uint64_t sectors;
	uint64_t tables; /* number of grain tables */
	uint64_t first;  /* sector of the first of them */
	uint64_t next;   /* sector for the next grain */
	uint64_t grains; /* written */
	uint64_t table;  /* the one in entries */
	bool table_used;
	uint8_t entries[(size_t)VMDK_TABLE_ENTRIES * 4];
	uint8_t *buffer; /* grains of a chunk, as they are in the file */
	uint64_t flushed;
	bool no_sync;
};

char *vmdk_safe_name(const char *path, const char *suffix)
{
	const char *slash = strrchr(path, '/');
	char *name = mem_strdup(slash ? slash + 1 : path);
	size_t len = strlen(name);

	if (suffix && str_has_suffix(name, suffix) && len > strlen(suffix))
		name[len - strlen(suffix)] = 0;
	for (char *c = name; *c; c++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._+~",
			    *c))
			*c = '_';
	return name;
}

struct vmdk_writer *vmdk_writer_new(int fd, const char *path, const char *name, uint64_t base,
				    uint64_t disk_size, bool no_sync)
{
	struct vmdk_writer *w = mem_alloc(sizeof(*w));
	uint64_t covers = (uint64_t)VMDK_TABLE_ENTRIES * OUTPUT_CLUSTER;

	w->fd = fd;
	w->path = mem_strdup(path);
	w->name = mem_strdup(name);
	w->base = base;
	w->sectors = disk_size / VMDK_SECTOR;
	w->tables = (disk_size + covers - 1) / covers;
	w->first = DIRECTORY_AT + size_align(w->tables * 4, VMDK_SECTOR) / VMDK_SECTOR;
	w->next = w->first + w->tables * VMDK_TABLE_SECTORS;
	w->buffer = mem_resize(NULL, 1, BUFFER_SIZE);
	w->flushed = base;
	w->no_sync = no_sync;
	return w;
}

void vmdk_writer_free(struct vmdk_writer *w)
{
	if (!w)
		return;
	free(w->buffer);
	free(w->name);
	free(w->path);
	free(w);
}

static int write_at(struct vmdk_writer *w, const uint8_t *bytes, size_t len, uint64_t sector,
		    struct err *err)
{
	return fd_pwrite(w->fd, bytes, len, w->base + sector * VMDK_SECTOR, w->path, err);
}

/* Tables of nothing but zeros stay holes of the file. */
static int flush_table(struct vmdk_writer *w, struct err *err)
{
	if (!w->table_used)
		return 0;
	w->table_used = false;
	if (write_at(w, w->entries, sizeof(w->entries), w->first + w->table * VMDK_TABLE_SECTORS,
		     err) < 0)
		return -1;
	memset(w->entries, 0, sizeof(w->entries));
	return 0;
}

/* Puts a grain to "to" as it is in the file; returns its length, whole sectors. */
static size_t pack(uint8_t *to, uint64_t lba, const struct output_grain *grain)
{
	size_t len = 2 + (size_t)grain->len + 2 + 4, all;
	uint8_t *end = to + VMDK_MARKER + len;

	put_le64(to, lba);
	put_le32(to + 8, (uint32_t)len);
	to[VMDK_MARKER] = 0x78; /* deflate, 32 KiB window */
	to[VMDK_MARKER + 1] = 0x01;
	memcpy(to + VMDK_MARKER + 2, grain->bytes, (size_t)grain->len + 2);
	put_be32(end - 4, grain->adler32);
	all = size_align(VMDK_MARKER + len, VMDK_SECTOR);
	memset(end, 0, all - VMDK_MARKER - len);
	return all;
}

int vmdk_writer_add(struct vmdk_writer *w, const struct output_chunk *chunk, struct err *err)
{
	uint64_t grain = chunk->offset / OUTPUT_CLUSTER, start = w->next;
	size_t len = 0;

	if (!chunk->grains)
		return 0;
	/* A chunk never spans two tables. */
	if (grain / VMDK_TABLE_ENTRIES != w->table) {
		if (flush_table(w, err) < 0)
			return -1;
		w->table = grain / VMDK_TABLE_ENTRIES;
	}
	for (size_t i = 0; i < OUTPUT_CLUSTERS; i++) {
		size_t n;

		if (chunk->grains[i].len == 0)
			continue;
		if (w->next > UINT32_MAX)
			return err_set(err, ERR_OTHER,
				       "cannot write '%s': more content than a VMDK can have",
				       w->path);
		put_le32(w->entries + (grain + i) % VMDK_TABLE_ENTRIES * 4, (uint32_t)w->next);
		w->table_used = true;
		w->grains++;
		n = pack(w->buffer + len, (grain + i) * GRAIN_SECTORS, &chunk->grains[i]);
		len += n;
		w->next += n / VMDK_SECTOR;
	}
	if (len > 0 && write_at(w, w->buffer, len, start, err) < 0)
		return -1;
	if (!w->no_sync)
		sinkfile_hint(w->fd, &w->flushed, w->base + w->next * VMDK_SECTOR);
	return 0;
}

/* The values are those of open-vmdk: other adapter types and versions are refused by some ESXi. */
static void add_descriptor(const struct vmdk_writer *w, const struct digest *disk, struct str *text)
{
	struct str seed = {0};
	struct digest digest;
	uint64_t cylinders = (w->sectors + CYLINDER - 1) / CYLINDER;
	char id[DIGEST_HEX_SIZE];

	str_add_bytes(&seed, "ingot vmdk content", sizeof("ingot vmdk content"));
	str_add_bytes(&seed, disk->bytes, DIGEST_SIZE);
	digest_bytes(seed.data, seed.len, &digest);
	str_free(&seed);
	/* The two highest content IDs mean "none" and "any". */
	if (memcmp(digest.bytes + 12, "\xff\xff\xff", 3) == 0)
		digest.bytes[12] = 0;
	digest_hex(&digest, id);
	id[32] = 0;
	str_addf(text,
		 "# Disk DescriptorFile\n"
		 "version=1\n"
		 "encoding=\"UTF-8\"\n"
		 "CID=%s\n"
		 "parentCID=ffffffff\n"
		 "createType=\"streamOptimized\"\n"
		 "\n"
		 "# Extent description\n"
		 "RW %" PRIu64 " SPARSE \"%s\"\n"
		 "\n"
		 "# The Disk Data Base\n"
		 "#DDB\n"
		 "\n"
		 "ddb.longContentID = \"%s\"\n"
		 "ddb.virtualHWVersion = \"4\"\n"
		 "ddb.geometry.cylinders = \"%" PRIu64 "\"\n"
		 "ddb.geometry.heads = \"255\"\n"
		 "ddb.geometry.sectors = \"63\"\n"
		 "ddb.adapterType = \"lsilogic\"\n"
		 "ddb.toolsInstallType = \"4\"\n"
		 "ddb.toolsVersion = \"2147483647\"\n",
		 id + 24, w->sectors, w->name, id,
		 cylinders > CYLINDERS_MAX ? CYLINDERS_MAX : cylinders);
}

static void fill_header(const struct vmdk_writer *w, uint8_t *h)
{
	put_le32(h, VMDK_MAGIC);
	put_le32(h + VMDK_VERSION, 3); /* ESXi refuses compressed ones of version 1 */
	put_le32(h + VMDK_FLAGS, VMDK_FLAG_NEWLINES | VMDK_FLAG_COMPRESSED | VMDK_FLAG_MARKERS);
	put_le64(h + VMDK_CAPACITY, w->sectors);
	put_le64(h + VMDK_GRAIN, GRAIN_SECTORS);
	put_le64(h + VMDK_DESCRIPTOR, DESCRIPTOR_AT);
	put_le64(h + VMDK_DESCRIPTOR_SIZE, DESCRIPTOR_SECTORS);
	put_le32(h + VMDK_ENTRIES, VMDK_TABLE_ENTRIES);
	put_le64(h + VMDK_GD, DIRECTORY_AT);
	put_le64(h + VMDK_OVERHEAD, w->first + w->tables * VMDK_TABLE_SECTORS);
	put_text(h + VMDK_NEWLINES_AT, VMDK_NEWLINES, strlen(VMDK_NEWLINES));
	h[VMDK_COMPRESSION] = VMDK_DEFLATE;
}

int vmdk_writer_finish(struct vmdk_writer *w, const struct digest *disk, uint64_t *ret_size,
		       uint64_t *ret_populated, struct err *err)
{
	size_t len = w->first * VMDK_SECTOR;
	CLEANUP_FREE uint8_t *front = mem_alloc(len);
	static const uint8_t end_of_stream[VMDK_SECTOR];
	CLEANUP(str_free) struct str text = {0};

	if (flush_table(w, err) < 0)
		return -1;
	add_descriptor(w, disk, &text);
	if (text.len >= (size_t)DESCRIPTOR_SECTORS * VMDK_SECTOR)
		return err_set(err, ERR_OTHER, "cannot write '%s': its name is too long", w->path);
	fill_header(w, front);
	memcpy(front + (size_t)DESCRIPTOR_AT * VMDK_SECTOR, text.data, text.len);
	for (uint64_t i = 0; i < w->tables; i++)
		put_le32(front + (size_t)DIRECTORY_AT * VMDK_SECTOR + i * 4,
			 (uint32_t)(w->first + i * VMDK_TABLE_SECTORS));
	*ret_size = (w->next + 1) * VMDK_SECTOR;
	*ret_populated = w->grains * OUTPUT_CLUSTER;
	if (write_at(w, end_of_stream, sizeof(end_of_stream), w->next, err) < 0)
		return -1;
	return write_at(w, front, len, 0, err);
}

static struct output_sink *vmdk_open(int fd, const char *path, const struct region_list *disk,
				     const struct output_options *options, struct err *err)
{
	CLEANUP_FREE char *name = vmdk_safe_name(path, NULL);

	(void)err;
	return (struct output_sink *)vmdk_writer_new(fd, path, name, 0, disk->size,
						     options->no_sync);
}

static int vmdk_write(struct output_sink *sink, const struct output_chunk *chunk, void *prepared,
		      struct err *err)
{
	(void)prepared;
	return vmdk_writer_add((struct vmdk_writer *)sink, chunk, err);
}

static int vmdk_finish(struct output_sink *sink, const struct output_content *content,
		       struct digest *ret_digest, struct err *err)
{
	struct vmdk_writer *w = (struct vmdk_writer *)sink;
	uint64_t size = 0, populated;

	if (vmdk_writer_finish(w, &content->digest, &size, &populated, err) < 0)
		return -1;
	return sinkfile_digest(w->fd, w->path, size, ret_digest, err);
}

static void vmdk_close(struct output_sink *sink)
{
	vmdk_writer_free((struct vmdk_writer *)sink);
}

/* Descriptors and extents of other kinds are ours too, to be refused with the reason. */
static bool is_vmdk(const uint8_t *head, const uint8_t *tail)
{
	(void)tail;
	return get_le32(head) == VMDK_MAGIC || memcmp(head, "COWD", 4) == 0 ||
	       memcmp(head, VMDK_DESCRIPTOR_START, strlen(VMDK_DESCRIPTOR_START)) == 0;
}

const struct output_format format_vmdk = {
	.name = "vmdk",
	.suffix = ".vmdk",
	.summary = "VMware's format, streamOptimized (for import and OVA)",
	.multiple = OUTPUT_CLUSTER,
	.size_max = VMDK_SIZE_MAX,
	.deflate = true,
	.open = vmdk_open,
	.write = vmdk_write,
	.finish = vmdk_finish,
	.close = vmdk_close,
	.is = is_vmdk,
	.read = vmdk_read,
};
