/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Google Cloud's images: NAME.tar.gz with one member, disk.raw, as a sparse file of old GNU format. The
 * data are the grains that other formats have too, one behind the other. The map of the holes stands
 * before them but is known last: there is room for the largest that a disk of the size can have, and what
 * is left of it is filled with empty blocks of deflate. Holes are whole chunks, so that this is little (12
 * bytes for 1 MiB of disk) and depends on the content alone.
 */
#include "output/formats.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/size.h"
#include "disk/endian.h"
#include "output/bigendian.h"
#include "output/compress.h"
#include "output/oldtar.h"
#include "output/sinkfile.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define GZIP_HEADER 10
#define GZIP_TRAILER 8
#define STORED_HEADER 5
/* Bytes of the tar header that one stored block (RFC 1951, 3.2.4) gets: whole blocks of tar. */
#define STORED ((size_t)126 * OLDTAR_BLOCK)
/* With so much room any length can be filled with pieces of 5 and 6 bytes. */
#define PADDING_MIN 20
#define WORD_BITS 64

struct gcp {
	int fd;
	char *path;
	bool no_sync;
	uint64_t chunks;          /* of the disk */
	uint64_t *data;           /* a bit for each chunk: it is not all zero */
	uint64_t data_len;        /* bytes that these chunks have */
	uint32_t crc;             /* of their bytes */
	z_crc_t cluster_op;       /* moves a CRC over one cluster */
	uint64_t reserved;        /* bytes of the file before the data */
	uint64_t next;            /* where the next grain goes */
	uint64_t flushed;         /* bytes that the kernel was told to write out */
	struct output_grain zero; /* for zeros in a chunk that is not all zero */
	uint8_t zero_bytes[COMPRESS_GRAIN_MAX];
};

/* The tar header with its map, on its way into stored blocks. */
struct head {
	struct gcp *gcp;
	uint8_t block[STORED_HEADER + STORED];
	size_t len;      /* bytes of tar in block */
	uint64_t at;     /* where block goes */
	uint64_t total;  /* bytes of tar so far, without block */
	uint32_t crc;    /* of them */
	uint64_t cursor; /* chunk from which on the map goes on */
};

static uint64_t head_size(uint64_t entries)
{
	uint64_t more = entries > OLDTAR_HEADER_ENTRIES ? entries - OLDTAR_HEADER_ENTRIES : 0;

	return OLDTAR_BLOCK * (1 + (more + OLDTAR_BLOCK_ENTRIES - 1) / OLDTAR_BLOCK_ENTRIES);
}

static void make_zero_grain(struct gcp *gcp)
{
	CLEANUP_FREE uint8_t *zeros = mem_alloc(OUTPUT_CLUSTER);
	struct compressor *compressor = compressor_new(COMPRESS_DEFLATE);

	gcp->zero.bytes = gcp->zero_bytes;
	gcp->zero.len = (uint32_t)compressor_run(compressor, zeros, gcp->zero_bytes,
						 sizeof(gcp->zero_bytes));
	compress_checksums(zeros, &gcp->zero.crc32, &gcp->zero.adler32);
	compressor_free(compressor);
}

static struct output_sink *gcp_open(int fd, const char *path, const struct region_list *disk,
				    const struct output_options *options, struct err *err)
{
	struct gcp *gcp = mem_alloc(sizeof(*gcp));
	uint64_t head;

	(void)err;
	gcp->fd = fd;
	gcp->path = mem_strdup(path);
	gcp->no_sync = options->no_sync;
	gcp->chunks = disk->size / OUTPUT_CHUNK;
	/* With one bit more, which stays clear. */
	gcp->data = mem_alloc_array(gcp->chunks / WORD_BITS + 1, sizeof(*gcp->data));
	gcp->cluster_op = (z_crc_t)crc32_combine_gen(OUTPUT_CLUSTER);
	make_zero_grain(gcp);
	/* At most every second chunk has an entry, and so has the end. */
	head = head_size((gcp->chunks + 1) / 2 + 1);
	gcp->reserved =
		GZIP_HEADER + head + STORED_HEADER * ((head + STORED - 1) / STORED) + PADDING_MIN;
	gcp->next = gcp->reserved;
	return (struct output_sink *)gcp;
}

static int gcp_write(struct output_sink *sink, const struct output_chunk *chunk, void *prepared,
		     struct err *err)
{
	struct gcp *gcp = (struct gcp *)sink;
	uint64_t number = chunk->offset / OUTPUT_CHUNK;

	(void)prepared;
	if (!chunk->bytes)
		return 0;
	for (size_t i = 0; i < OUTPUT_CLUSTERS; i++) {
		const struct output_grain *grain =
			chunk->zero & 1u << i ? &gcp->zero : &chunk->grains[i];

		if (fd_pwrite(gcp->fd, grain->bytes, grain->len, gcp->next, gcp->path, err) < 0)
			return -1;
		gcp->next += grain->len;
		gcp->crc = (uint32_t)crc32_combine_op(gcp->crc, grain->crc32, gcp->cluster_op);
	}
	gcp->data[number / WORD_BITS] |= (uint64_t)1 << number % WORD_BITS;
	gcp->data_len += OUTPUT_CHUNK;
	if (!gcp->no_sync)
		sinkfile_hint(gcp->fd, &gcp->flushed, gcp->next);
	return 0;
}

/* The first chunk from at on that has data (or has none), or the end. */
static uint64_t find(const struct gcp *gcp, uint64_t at, bool data)
{
	while (at < gcp->chunks) {
		uint64_t word = gcp->data[at / WORD_BITS];

		word = (data ? word : ~word) >> at % WORD_BITS;
		if (word)
			return at + (uint64_t)__builtin_ctzll(word);
		at = (at / WORD_BITS + 1) * WORD_BITS;
	}
	return gcp->chunks;
}

/* The next entry of the map; false when there is none. A disk that ends in a hole has an entry of no
 * length at its end. */
static bool next_entry(const struct gcp *gcp, uint64_t *cursor, uint64_t *ret_offset,
		       uint64_t *ret_len)
{
	uint64_t from, to;

	if (*cursor == gcp->chunks)
		return false;
	from = find(gcp, *cursor, true);
	to = find(gcp, from, false);
	*ret_offset = from * OUTPUT_CHUNK;
	*ret_len = (to - from) * OUTPUT_CHUNK;
	*cursor = to;
	return true;
}

/* A number as tar has it: octal digits, or bytes when these do not suffice (GNU). */
static void put_number(uint8_t *to, size_t field, uint64_t value)
{
	if (value >> 3 * (field - 1) != 0) {
		memset(to, 0, field);
		to[0] = 0x80;
		put_be64(to + field - 8, value);
		return;
	}
	to[field - 1] = 0;
	for (size_t i = field - 1; i > 0; i--, value >>= 3)
		to[i - 1] = (uint8_t)('0' + (value & 7));
}

static void put_entries(struct head *head, uint8_t *to, size_t room)
{
	uint64_t offset, len;

	for (size_t i = 0; i < room && next_entry(head->gcp, &head->cursor, &offset, &len); i++) {
		put_number(to + i * OLDTAR_ENTRY, 12, offset);
		put_number(to + i * OLDTAR_ENTRY + 12, 12, len);
	}
}

static void put_header(struct head *head, uint8_t *h, bool extended)
{
	unsigned sum = 0;

	put_text(h + OLDTAR_AT_NAME, OLDTAR_MEMBER, strlen(OLDTAR_MEMBER));
	put_number(h + OLDTAR_AT_MODE, 8, 0644);
	put_number(h + OLDTAR_AT_UID, 8, 0);
	put_number(h + OLDTAR_AT_GID, 8, 0);
	put_number(h + OLDTAR_AT_SIZE, 12, head->gcp->data_len);
	put_number(h + OLDTAR_AT_MTIME, 12, 0);
	h[OLDTAR_AT_TYPE] = 'S';
	put_text(h + OLDTAR_AT_MAGIC, "ustar  ", 7);
	put_entries(head, h + OLDTAR_AT_MAP, OLDTAR_HEADER_ENTRIES);
	h[OLDTAR_AT_EXTENDED] = extended;
	put_number(h + OLDTAR_AT_REALSIZE, 12, head->gcp->chunks * OUTPUT_CHUNK);

	memset(h + OLDTAR_AT_CHECKSUM, ' ', 8);
	for (size_t i = 0; i < OLDTAR_BLOCK; i++)
		sum += h[i];
	put_number(h + OLDTAR_AT_CHECKSUM, 7, sum);
}

static int flush_head(struct head *head, struct err *err)
{
	uint8_t *b = head->block;

	if (head->len == 0)
		return 0;
	b[0] = 0; /* stored, and not the last block */
	put_le16(b + 1, (uint16_t)head->len);
	put_le16(b + 3, (uint16_t)~head->len);
	head->crc = (uint32_t)crc32(head->crc, b + STORED_HEADER, (uInt)head->len);
	if (fd_pwrite(head->gcp->fd, b, STORED_HEADER + head->len, head->at, head->gcp->path, err) <
	    0)
		return -1;
	head->at += STORED_HEADER + head->len;
	head->total += head->len;
	head->len = 0;
	return 0;
}

/* Room for one more block of tar, zeroed; NULL on error. */
static uint8_t *add_block(struct head *head, struct err *err)
{
	uint8_t *block;

	if (head->len == STORED && flush_head(head, err) < 0)
		return NULL;
	block = head->block + STORED_HEADER + head->len;
	memset(block, 0, OLDTAR_BLOCK);
	head->len += OLDTAR_BLOCK;
	return block;
}

static uint64_t count_entries(const struct gcp *gcp)
{
	uint64_t cursor = 0, offset, len, count = 0;

	while (next_entry(gcp, &cursor, &offset, &len))
		count++;
	return count;
}

static int write_map(struct head *head, struct err *err)
{
	uint64_t left = head_size(count_entries(head->gcp)) / OLDTAR_BLOCK - 1;
	uint8_t *block = add_block(head, err);

	if (!block)
		return -1;
	put_header(head, block, left > 0);
	while (left-- > 0) {
		block = add_block(head, err);
		if (!block)
			return -1;
		put_entries(head, block, OLDTAR_BLOCK_ENTRIES);
		block[OLDTAR_AT_MORE] = left > 0;
	}
	return flush_head(head, err);
}

/* Fills up to the data with blocks of deflate that have nothing in them. */
static int write_padding(struct head *head, struct err *err)
{
	static const uint8_t five[] = {0x00, 0x00, 0x00, 0xff, 0xff}; /* stored */
	/* Of fixed codes, whose end leaves 6 bits of the second byte; stored, which leaves the rest. */
	static const uint8_t six[] = {0x02, 0x00, 0x00, 0x00, 0xff, 0xff};
	uint8_t *b = head->block;
	uint64_t left = head->gcp->reserved - head->at;
	size_t n = 0, sixes = left % 5;

	for (; sixes > 0; sixes--, n += sizeof(six))
		memcpy(b + n, six, sizeof(six));
	left -= n;
	if (fd_pwrite(head->gcp->fd, b, n, head->at, head->gcp->path, err) < 0)
		return -1;
	head->at += n;
	for (n = 0; n < STORED / 5 * 5 && n < left; n += sizeof(five))
		memcpy(b + n, five, sizeof(five));
	for (; left > 0; left -= n, head->at += n) {
		if (n > left)
			n = (size_t)left;
		if (fd_pwrite(head->gcp->fd, b, n, head->at, head->gcp->path, err) < 0)
			return -1;
	}
	return 0;
}

/* What stands before the data. */
static int write_head(struct head *head, struct err *err)
{
	/* Deflate, no name, no time; written under no system. */
	static const uint8_t gzip[GZIP_HEADER] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff};

	if (fd_pwrite(head->gcp->fd, gzip, sizeof(gzip), 0, head->gcp->path, err) < 0)
		return -1;
	head->at = sizeof(gzip);
	if (write_map(head, err) < 0)
		return -1;
	return write_padding(head, err);
}

/* The zeros that end an archive, as the last blocks of deflate, and the trailer of gzip. */
static int write_tail(struct gcp *gcp, const struct head *head, struct err *err)
{
	static const uint8_t zeros[OLDTAR_RECORD + 2 * OLDTAR_BLOCK];
	uint64_t before = head->total + gcp->data_len;
	uint64_t total = size_align(before + (uint64_t)2 * OLDTAR_BLOCK, OLDTAR_RECORD);
	uInt len = (uInt)(total - before);
	uint8_t b[512];
	z_stream z = {.next_in = (Bytef *)(uintptr_t)zeros, /* zlib does not write to it */
		      .avail_in = len,
		      .next_out = b,
		      .avail_out = sizeof(b) - GZIP_TRAILER};
	uint32_t crc = (uint32_t)crc32_combine(head->crc, gcp->crc, (z_off_t)gcp->data_len);
	int ret = deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8,
			       Z_DEFAULT_STRATEGY);

	if (ret == Z_OK)
		ret = deflate(&z, Z_FINISH);
	deflateEnd(&z);
	if (ret != Z_STREAM_END)
		return err_set(err, ERR_OTHER, "cannot write '%s': zlib fails with %d", gcp->path,
			       ret);
	crc = (uint32_t)crc32_combine(crc, (uint32_t)crc32(0, zeros, len), len);
	put_le32(z.next_out, crc);
	put_le32(z.next_out + 4, (uint32_t)total);
	z.next_out += GZIP_TRAILER;
	if (fd_pwrite(gcp->fd, b, (size_t)(z.next_out - b), gcp->next, gcp->path, err) < 0)
		return -1;
	gcp->next += (size_t)(z.next_out - b);
	return 0;
}

static int gcp_finish(struct output_sink *sink, const struct output_content *content,
		      struct digest *ret_digest, struct err *err)
{
	struct gcp *gcp = (struct gcp *)sink;
	CLEANUP_FREE struct head *head = mem_alloc(sizeof(*head));

	(void)content;
	head->gcp = gcp;
	if (write_head(head, err) < 0 || write_tail(gcp, head, err) < 0)
		return -1;
	return sinkfile_digest(gcp->fd, gcp->path, gcp->next, ret_digest, err);
}

static void gcp_close(struct output_sink *sink)
{
	struct gcp *gcp = (struct gcp *)sink;

	if (!gcp)
		return;
	free(gcp->data);
	free(gcp->path);
	free(gcp);
}

const struct output_format format_gcp = {
	.name = "gcp",
	.suffix = ".gcp.tar.gz",
	.summary = "disk.raw in a sparse tar of old GNU format, gzip, for Google Cloud",
	.multiple = GIB,
	.deflate = true,
	.open = gcp_open,
	.write = gcp_write,
	.finish = gcp_finish,
	.close = gcp_close,
	.is = gcp_is,
	.read = gcp_read,
};
