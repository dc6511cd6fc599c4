/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pax tar writer: ustar headers, extended headers only for what ustar cannot say, large writes,
 * and SHA-256 of everything on the way.
 */
#include "tree/pax.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

#define BLOCK 512
#define BUFFER ((size_t)1 << 20)

/* POSIX.1-2017, pax, "ustar Interchange Format". */
struct ustar {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type;
	char link[100], magic[6], version[2], uname[32], gname[32], major[8], minor[8];
	char prefix[155], pad[12];
};

_Static_assert(sizeof(struct ustar) == BLOCK, "a tar header is one block");

struct pax {
	int fd;
	const char *name;
	struct digest_ctx *digest;
	uint64_t offset;
	size_t used;
	struct str records; /* of the extended header being built */
	char buffer[BUFFER];
};

struct pax *pax_new(int fd, const char *name)
{
	struct pax *pax = mem_alloc(sizeof(*pax));

	pax->fd = fd;
	pax->name = name;
	pax->digest = digest_start();
	return pax;
}

void pax_free(struct pax *pax)
{
	if (!pax)
		return;
	digest_ctx_free(pax->digest);
	str_free(&pax->records);
	free(pax);
}

uint64_t pax_offset(const struct pax *pax)
{
	return pax->offset;
}

static int flush(struct pax *pax, struct err *err)
{
	size_t used = pax->used;

	pax->used = 0;
	digest_add(pax->digest, pax->buffer, used);
	return fd_write(pax->fd, pax->buffer, used, pax->name, err);
}

int pax_data(struct pax *pax, const void *bytes, size_t len, struct err *err)
{
	const char *p = bytes;

	pax->offset += len;
	while (len) {
		size_t n = BUFFER - pax->used;

		if (pax->used == 0 && len >= BUFFER / 4) {
			digest_add(pax->digest, p, len);
			return fd_write(pax->fd, p, len, pax->name, err);
		}
		n = n < len ? n : len;
		memcpy(pax->buffer + pax->used, p, n);
		pax->used += n;
		p += n;
		len -= n;
		if (pax->used == BUFFER && flush(pax, err) < 0)
			return -1;
	}
	return 0;
}

int pax_zeros(struct pax *pax, uint64_t len, struct err *err)
{
	static const char zeros[65536];

	while (len) {
		size_t n = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);

		if (pax_data(pax, zeros, n, err) < 0)
			return -1;
		len -= n;
	}
	return 0;
}

int pax_end_data(struct pax *pax, struct err *err)
{
	return pax_zeros(pax, (BLOCK - pax->offset % BLOCK) % BLOCK, err);
}

/* Writes digits octal digits and NUL. False when the number is too large for them. */
static bool octal(char *field, int digits, uint64_t value)
{
	if (value >> (3 * digits))
		return false;
	for (int i = digits - 1; i >= 0; i--, value >>= 3)
		field[i] = (char)('0' + (value & 7));
	field[digits] = '\0';
	return true;
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts its own digits. */
static void record(struct pax *pax, const char *key, const void *value, size_t len)
{
	size_t rest = strlen(key) + len + 3, total = rest + 1;
	char digits[24];

	while (rest + (size_t)snprintf(digits, sizeof(digits), "%zu", total) > total)
		total++;
	str_addf(&pax->records, "%zu %s=", total, key);
	str_add_bytes(&pax->records, value, len);
	str_add(&pax->records, "\n");
}

static void record_number(struct pax *pax, const char *key, long long value)
{
	char digits[24];

	record(pax, key, digits, (size_t)snprintf(digits, sizeof(digits), "%lld", value));
}

static void name_or_record(struct pax *pax, char field[100], const char *key, const char *text)
{
	size_t len = strlen(text);

	memcpy(field, text, len < 100 ? len : 100);
	if (len > 100)
		record(pax, key, text, len);
}

static int block(struct pax *pax, struct ustar *h, struct err *err)
{
	unsigned sum = 0;

	memcpy(h->magic, "ustar", 6);
	memcpy(h->version, "00", 2);
	memset(h->checksum, ' ', sizeof(h->checksum));
	for (size_t i = 0; i < BLOCK; i++)
		sum += ((const unsigned char *)h)[i];
	octal(h->checksum, 6, sum);
	return pax_data(pax, h, BLOCK, err);
}

static int extended(struct pax *pax, struct err *err)
{
	struct ustar h = {.type = 'x', .name = "PaxHeaders/entry"};

	if (!pax->records.len)
		return 0;
	octal(h.mode, 7, 0644);
	octal(h.uid, 7, 0);
	octal(h.gid, 7, 0);
	octal(h.mtime, 11, 0);
	octal(h.size, 11, pax->records.len);
	if (block(pax, &h, err) < 0 || pax_data(pax, pax->records.data, pax->records.len, err) < 0)
		return -1;
	pax->records.len = 0;
	return pax_end_data(pax, err);
}

static void xattrs(struct pax *pax, const struct tree_inode *inode)
{
	for (size_t i = 0; i < inode->xattr_count; i++) {
		const struct tree_xattr *x = &inode->xattrs[i];
		CLEANUP_FREE char *key = mem_printf("SCHILY.xattr.%s", x->name);

		record(pax, key, x->value, x->len);
	}
}

int pax_header(struct pax *pax, const char *path, const struct tree_inode *inode, const char *link,
	       struct err *err)
{
	static const char types[] = {[TREE_DIR] = '5',  [TREE_FILE] = '0',  [TREE_SYMLINK] = '2',
				     [TREE_CHAR] = '3', [TREE_BLOCK] = '4', [TREE_FIFO] = '6'};
	CLEANUP_FREE char *name =
		mem_printf("./%s%s", path, *path && inode->type == TREE_DIR ? "/" : "");
	CLEANUP_FREE char *target = link ? mem_printf("./%s", link) : NULL;
	struct ustar h = {.type = link ? '1' : types[inode->type]};
	uint64_t size = !link && inode->type == TREE_FILE ? inode->data.size : 0;

	name_or_record(pax, h.name, "path", name);
	if (target || inode->type == TREE_SYMLINK)
		name_or_record(pax, h.link, "linkpath", target ? target : inode->target);
	octal(h.mode, 7, inode->mode);
	if (!octal(h.uid, 7, inode->uid))
		record_number(pax, "uid", inode->uid);
	if (!octal(h.gid, 7, inode->gid))
		record_number(pax, "gid", inode->gid);
	if (!octal(h.size, 11, size))
		record_number(pax, "size", (long long)size);
	if (!octal(h.mtime, 11, (uint64_t)inode->mtime))
		record_number(pax, "mtime", inode->mtime);
	if (inode->type == TREE_CHAR || inode->type == TREE_BLOCK)
		if (!octal(h.major, 7, inode->major) || !octal(h.minor, 7, inode->minor))
			return err_set(err, ERR_VERIFY,
				       "cannot write '%s': device number of '%s' too large",
				       pax->name, path);
	if (!link)
		xattrs(pax, inode);
	if (extended(pax, err) < 0)
		return -1;
	return block(pax, &h, err);
}

int pax_finish(struct pax *pax, struct digest *ret, struct err *err)
{
	if (pax_zeros(pax, (uint64_t)2 * BLOCK, err) < 0 || flush(pax, err) < 0)
		return -1;
	digest_finish(pax->digest, ret);
	pax->digest = NULL;
	return 0;
}
