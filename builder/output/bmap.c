/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bmap: which blocks of the raw disk have to be written to a device, with their digests, as XML of version
 * 2.0 for bmaptool, which finds it beside NAME.raw and NAME.raw.zst.
 *
 * A device that was used before has old content wherever nothing is written. Zeros that matter (an empty
 * part of a file allocation table, a block that a hash tree covers) lie between other content, so runs of
 * zeros are left out only when they are long. Whatever mkfs makes has none that long.
 */
#include "output/formats.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/size.h"
#include "base/str.h"

#include <inttypes.h>
#include <string.h>

#define BLOCK ((uint64_t)4096)
#define SKIP_MIN (32 * MIB) /* a run of zeros that is as long is left out */

static const char zero_sum[] = "0000000000000000000000000000000000000000000000000000000000000000";

struct bmap {
	int fd;
	char *path;
	uint64_t size;     /* of the disk */
	struct str ranges; /* their elements */
	uint64_t mapped;   /* blocks in them */

	/* The range that grows, and the zeros behind it. */
	struct digest_ctx *digest; /* NULL: there is none */
	uint64_t start, end;       /* bytes */
	uint64_t zeros;            /* bytes from end on */
};

static struct output_sink *bmap_open(int fd, const char *path, const struct region_list *disk,
				     const struct output_options *options, struct err *err)
{
	struct bmap *b = mem_alloc(sizeof(*b));

	(void)options;
	(void)err;
	b->fd = fd;
	b->path = mem_strdup(path);
	b->size = disk->size;
	return (struct output_sink *)b;
}

static void end_range(struct bmap *b)
{
	uint64_t first = b->start / BLOCK, last = (b->end - 1) / BLOCK;
	char hex[DIGEST_HEX_SIZE];
	struct digest digest;

	if (!b->digest)
		return;
	digest_finish(MEM_STEAL(b->digest), &digest);
	str_addf(&b->ranges, "        <Range chksum=\"%s\"> %" PRIu64, digest_hex(&digest, hex),
		 first);
	if (last > first)
		str_addf(&b->ranges, "-%" PRIu64, last);
	str_add(&b->ranges, " </Range>\n");
	b->mapped += last - first + 1;
}

static void add_zeros(struct bmap *b)
{
	static const uint8_t zeros[OUTPUT_CLUSTER];

	for (uint64_t n; b->zeros > 0; b->zeros -= n) {
		n = b->zeros < sizeof(zeros) ? b->zeros : sizeof(zeros);
		digest_add(b->digest, zeros, n);
		b->end += n;
	}
}

static void add_content(struct bmap *b, const uint8_t *bytes, size_t len, uint64_t offset)
{
	if (!b->digest) {
		b->digest = digest_start();
		b->start = b->end = offset;
	}
	add_zeros(b);
	digest_add(b->digest, bytes, len);
	b->end += len;
}

static void skip(struct bmap *b, size_t len)
{
	if (!b->digest)
		return;
	b->zeros += len;
	if (b->zeros < SKIP_MIN)
		return;
	end_range(b);
	b->zeros = 0;
}

static int bmap_write(struct output_sink *sink, const struct output_chunk *chunk, void *prepared,
		      struct err *err)
{
	struct bmap *b = (struct bmap *)sink;

	(void)prepared;
	(void)err;
	for (size_t at = 0, n; at < chunk->len; at += n) {
		n = chunk->len - at < OUTPUT_CLUSTER ? chunk->len - at : OUTPUT_CLUSTER;
		if (!chunk->bytes || chunk->zero & 1u << at / OUTPUT_CLUSTER)
			skip(b, n);
		else
			add_content(b, chunk->bytes + at, n, chunk->offset + at);
	}
	return 0;
}

/* Adds the text up to the file's own checksum, for which zeros stand; returns where. */
static size_t add_head(const struct bmap *b, struct str *xml)
{
	size_t at;

	str_addf(xml,
		 "<?xml version=\"1.0\" ?>\n"
		 "<!-- Blocks of a disk image that must be written to a device. -->\n"
		 "<bmap version=\"2.0\">\n"
		 "    <ImageSize> %" PRIu64 " </ImageSize>\n"
		 "    <BlockSize> %" PRIu64 " </BlockSize>\n"
		 "    <BlocksCount> %" PRIu64 " </BlocksCount>\n"
		 "    <MappedBlocksCount> %" PRIu64 " </MappedBlocksCount>\n"
		 "    <ChecksumType> sha256 </ChecksumType>\n"
		 "    <BmapFileChecksum> ",
		 b->size, BLOCK, size_align(b->size, BLOCK) / BLOCK, b->mapped);
	at = xml->len;
	str_addf(xml, "%s </BmapFileChecksum>\n    <BlockMap>\n", zero_sum);
	return at;
}

static int bmap_finish(struct output_sink *sink, const struct output_content *content,
		       struct digest *ret_digest, struct err *err)
{
	struct bmap *b = (struct bmap *)sink;
	CLEANUP(str_free) struct str xml = {0};
	char hex[DIGEST_HEX_SIZE];
	struct digest own;
	size_t at;

	(void)content;
	end_range(b);
	at = add_head(b, &xml);
	str_add_bytes(&xml, b->ranges.data, b->ranges.len);
	str_add(&xml, "    </BlockMap>\n</bmap>\n");
	digest_bytes(xml.data, xml.len, &own);
	memcpy(xml.data + at, digest_hex(&own, hex), DIGEST_HEX_SIZE - 1);
	digest_bytes(xml.data, xml.len, ret_digest);
	return fd_pwrite(b->fd, xml.data, xml.len, 0, b->path, err);
}

static void bmap_close(struct output_sink *sink)
{
	struct bmap *b = (struct bmap *)sink;

	if (!b)
		return;
	digest_ctx_free(b->digest);
	str_free(&b->ranges);
	free(b->path);
	free(b);
}

const struct output_format format_bmap = {
	.name = "bmap",
	.suffix = ".raw.bmap",
	.summary = "which blocks of the raw disk a device needs, for bmaptool (XML)",
	.open = bmap_open,
	.write = bmap_write,
	.finish = bmap_finish,
	.close = bmap_close,
};
