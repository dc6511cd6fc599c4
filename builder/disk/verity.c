/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dm-verity hash trees, built from a stream and checked on finished images. The lowest level is kept in
 * memory: 32 bytes per 4 KiB of data.
 */
#include "disk/verity.h"

#include "base/mem.h"

#include <stdbool.h>
#include <string.h>

#define PER_BLOCK (VERITY_BLOCK / DIGEST_SIZE)
#define LEVELS_MAX 16
#define CHUNK ((size_t)1 << 20)

struct superblock {
	uint8_t signature[8];
	uint8_t version[4], hash_type[4];
	uint8_t uuid[16];
	char algorithm[32];
	uint8_t data_block[4], hash_block[4];
	uint8_t data_blocks[8];
	uint8_t salt_size[2], pad1[6];
	uint8_t salt[VERITY_SALT_MAX];
	uint8_t pad2[168];
};
_Static_assert(sizeof(struct superblock) == 512, "verity superblock");

struct verity {
	struct superblock head;
	size_t salt_len;
	struct digest_ctx *salted; /* the state after the salt */
	struct digest_ctx *work;
	struct str leaves; /* digests of the data blocks */
	uint8_t partial[VERITY_BLOCK];
	size_t partial_len;
	uint64_t blocks;
};

static void put_le(uint8_t *to, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		to[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_le(const uint8_t *from, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = bytes; i--;)
		value = value << 8 | from[i];
	return value;
}

struct verity *verity_new(const uint8_t *salt, size_t salt_len, const uint8_t uuid[16])
{
	struct verity *v = mem_alloc(sizeof(*v));

	if (salt_len > VERITY_SALT_MAX)
		salt_len = VERITY_SALT_MAX;
	memcpy(v->head.signature, "verity\0\0", 8);
	put_le(v->head.version, 1, 4);
	put_le(v->head.hash_type, 1, 4);
	memcpy(v->head.uuid, uuid, 16);
	memcpy(v->head.algorithm, "sha256", 6);
	put_le(v->head.data_block, VERITY_BLOCK, 4);
	put_le(v->head.hash_block, VERITY_BLOCK, 4);
	put_le(v->head.salt_size, salt_len, 2);
	if (salt_len)
		memcpy(v->head.salt, salt, salt_len);
	v->salt_len = salt_len;
	v->salted = digest_start();
	if (salt_len)
		digest_add(v->salted, salt, salt_len);
	v->work = digest_start();
	return v;
}

void verity_free(struct verity *v)
{
	if (!v)
		return;
	digest_ctx_free(v->salted);
	digest_ctx_free(v->work);
	str_free(&v->leaves);
	free(v);
}

static void hash_block(struct verity *v, const void *block, struct digest *ret)
{
	digest_restart_from(v->work, v->salted);
	digest_add(v->work, block, VERITY_BLOCK);
	digest_peek(v->work, ret);
}

static void add_leaf(struct verity *v, const void *block)
{
	struct digest d;

	hash_block(v, block, &d);
	str_add_bytes(&v->leaves, d.bytes, DIGEST_SIZE);
	v->blocks++;
}

void verity_add(struct verity *v, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	if (v->partial_len) {
		size_t take = VERITY_BLOCK - v->partial_len;

		take = take < len ? take : len;
		memcpy(v->partial + v->partial_len, p, take);
		v->partial_len += take;
		p += take;
		len -= take;
		if (v->partial_len < VERITY_BLOCK)
			return;
		add_leaf(v, v->partial);
		v->partial_len = 0;
	}
	for (; len >= VERITY_BLOCK; p += VERITY_BLOCK, len -= VERITY_BLOCK)
		add_leaf(v, p);
	memcpy(v->partial, p, len);
	v->partial_len = len;
}

void verity_join(struct verity *v, struct verity *next)
{
	str_add_bytes(&v->leaves, next->leaves.data, next->leaves.len);
	v->blocks += next->blocks;
	str_free(&next->leaves);
	next->blocks = 0;
}

static void pad_to_block(struct str *s)
{
	static const uint8_t zeros[VERITY_BLOCK];

	if (s->len % VERITY_BLOCK)
		str_add_bytes(s, zeros, VERITY_BLOCK - s->len % VERITY_BLOCK);
}

int verity_finish(struct verity *v, struct digest *ret_root, struct str *ret_hash_area,
		  uint64_t *ret_data_blocks, struct err *err)
{
	struct str levels[LEVELS_MAX] = {{0}};
	size_t count = 0;

	if (v->partial_len || v->blocks == 0)
		return err_set(err, ERR_OTHER,
			       "cannot make a hash tree: the data are no whole blocks");
	put_le(v->head.data_blocks, v->blocks, 8);
	/* A level is the digests of the one below, in blocks; a single digest is the root. */
	levels[0] = v->leaves;
	v->leaves = (struct str){0};
	while (levels[count].len > DIGEST_SIZE) {
		struct str *below = &levels[count++];
		struct digest d;

		pad_to_block(below);
		for (size_t at = 0; at < below->len; at += VERITY_BLOCK) {
			hash_block(v, below->data + at, &d);
			str_add_bytes(&levels[count], d.bytes, DIGEST_SIZE);
		}
	}
	memcpy(ret_root->bytes, levels[count].data, DIGEST_SIZE);
	str_free(&levels[count]);
	str_add_bytes(ret_hash_area, &v->head, sizeof(v->head));
	pad_to_block(ret_hash_area);
	while (count--) {
		str_add_bytes(ret_hash_area, levels[count].data, levels[count].len);
		str_free(&levels[count]);
	}
	*ret_data_blocks = v->blocks;
	return 0;
}

static int read_head(struct image *image, uint64_t offset, uint64_t data_size,
		     struct superblock *head, struct err *err)
{
	static const struct superblock none;

	*head = none;
	if (image->pread(image, head, sizeof(*head), offset, err) < 0)
		return -1;
	if (memcmp(head->signature, "verity\0\0", 8) != 0)
		return err_set(err, ERR_VERIFY, "'%s': no verity superblock", image->name);
	if (get_le(head->version, 4) != 1 || get_le(head->hash_type, 4) != 1 ||
	    strncmp(head->algorithm, "sha256", sizeof(head->algorithm)) != 0 ||
	    get_le(head->data_block, 4) != VERITY_BLOCK ||
	    get_le(head->hash_block, 4) != VERITY_BLOCK ||
	    get_le(head->salt_size, 2) > VERITY_SALT_MAX)
		return err_set(err, ERR_VERIFY,
			       "'%s': not a hash tree of SHA-256 over 4 KiB blocks", image->name);
	if (get_le(head->data_blocks, 8) == 0 ||
	    get_le(head->data_blocks, 8) > data_size / VERITY_BLOCK)
		return err_set(err, ERR_VERIFY,
			       "'%s': the hash tree covers %llu blocks, the data have %llu",
			       image->name, (unsigned long long)get_le(head->data_blocks, 8),
			       (unsigned long long)(data_size / VERITY_BLOCK));
	return 0;
}

/* Compares what was computed with what is stored; both have the same layout. The stored tree counts
 * also when the data are right: the kernel reads that one. */
static int compare(struct image *image, const struct str *area, uint64_t hash_offset,
		   uint64_t hash_size, uint64_t blocks, bool right_root, struct err *err)
{
	CLEANUP_FREE char *stored = NULL;
	size_t leaves = ((size_t)blocks + PER_BLOCK - 1) / PER_BLOCK * VERITY_BLOCK;
	size_t first = area->len - (area->len > VERITY_BLOCK ? leaves : 0);

	if (area->len > hash_size)
		return err_set(err, ERR_VERIFY, "'%s': the hash partition is too small",
			       image->name);
	stored = mem_alloc(area->len);
	if (image->pread(image, stored, area->len, hash_offset, err) < 0)
		return -1;
	for (uint64_t i = 0; area->len > VERITY_BLOCK && i < blocks; i++)
		if (memcmp(stored + first + i * DIGEST_SIZE, area->data + first + i * DIGEST_SIZE,
			   DIGEST_SIZE) != 0)
			return err_set(err, ERR_VERIFY,
				       "'%s': data block %llu does not match its hash", image->name,
				       (unsigned long long)i);
	if (right_root &&
	    memcmp(stored + VERITY_BLOCK, area->data + VERITY_BLOCK, area->len - VERITY_BLOCK) == 0)
		return 0;
	return err_set(err, ERR_VERIFY, "'%s': the hash tree does not lead to the root hash",
		       image->name);
}

int verity_check(struct image *image, uint64_t data_offset, uint64_t data_size,
		 uint64_t hash_offset, uint64_t hash_size, const struct digest *root,
		 struct err *err)
{
	CLEANUP(str_free) struct str area = {0};
	CLEANUP_FREE char *buffer = mem_alloc(CHUNK);
	struct superblock head;
	struct verity *v;
	struct digest found;
	uint64_t size, blocks = 0;
	int r = 0;

	if (read_head(image, hash_offset, data_size, &head, err) < 0)
		return -1;
	size = get_le(head.data_blocks, 8) * VERITY_BLOCK;
	v = verity_new(head.salt, (size_t)get_le(head.salt_size, 2), head.uuid);
	for (uint64_t at = 0; r == 0 && at < size; at += CHUNK) {
		size_t len = size - at < CHUNK ? (size_t)(size - at) : CHUNK;

		r = image->pread(image, buffer, len, data_offset + at, err);
		if (r == 0)
			verity_add(v, buffer, len);
	}
	if (r == 0)
		r = verity_finish(v, &found, &area, &blocks, err);
	verity_free(v);
	if (r == 0 && area.data)
		r = compare(image, &area, hash_offset, hash_size, blocks,
			    memcmp(found.bytes, root->bytes, DIGEST_SIZE) == 0, err);
	return r;
}
