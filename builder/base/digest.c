/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 by OpenSSL's EVP interface, which picks the processor's own instructions. The algorithm
 * is fetched once: EVP_sha256() would look it up again for every message.
 */
#include "base/digest.h"

#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

struct digest_ctx {
	EVP_MD_CTX *evp;
};

static EVP_MD *algorithm, *sha1;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fetch(void)
{
	algorithm = EVP_MD_fetch(NULL, "SHA2-256", NULL);
	sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
}

/* OpenSSL fails here only without memory or with a broken provider: neither can be worked on. */
static void must(int ok)
{
	if (ok != 1)
		abort();
}

static struct digest_ctx *start(EVP_MD *const *which)
{
	struct digest_ctx *ctx = mem_alloc(sizeof(*ctx));

	pthread_once(&once, fetch);
	ctx->evp = EVP_MD_CTX_new();
	must(ctx->evp && *which);
	must(EVP_DigestInit_ex2(ctx->evp, *which, NULL));
	return ctx;
}

struct digest_ctx *digest_start(void)
{
	return start(&algorithm);
}

struct digest_ctx *digest_start_sha1(void)
{
	return start(&sha1);
}

void digest_add(struct digest_ctx *ctx, const void *bytes, size_t len)
{
	must(EVP_DigestUpdate(ctx->evp, bytes, len));
}

void digest_peek(struct digest_ctx *ctx, struct digest *ret)
{
	must(EVP_DigestFinal_ex(ctx->evp, ret->bytes, NULL));
}

void digest_finish(struct digest_ctx *ctx, struct digest *ret)
{
	digest_peek(ctx, ret);
	digest_ctx_free(ctx);
}

void digest_restart_from(struct digest_ctx *ctx, const struct digest_ctx *base)
{
	must(EVP_MD_CTX_copy_ex(ctx->evp, base->evp));
}

void digest_ctx_free(struct digest_ctx *ctx)
{
	if (!ctx)
		return;
	EVP_MD_CTX_free(ctx->evp);
	free(ctx);
}

void digest_bytes(const void *bytes, size_t len, struct digest *ret)
{
	struct digest_ctx *ctx = digest_start();

	digest_add(ctx, bytes, len);
	digest_finish(ctx, ret);
}

int digest_file(const char *path, struct digest *ret, struct err *err)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	CLEANUP_FREE char *buffer = mem_alloc((size_t)1 << 18);
	struct digest_ctx *ctx;
	ssize_t n;

	if (fd < 0)
		return err_sys(err, errno, "cannot read '%s'", path);
	ctx = digest_start();
	while ((n = read(fd, buffer, (size_t)1 << 18)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			digest_ctx_free(ctx);
			return err_sys(err, errno, "cannot read '%s'", path);
		}
		digest_add(ctx, buffer, (size_t)n);
	}
	digest_finish(ctx, ret);
	return 0;
}

static char *to_hex(const uint8_t *bytes, size_t len, char *hex)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		hex[2 * i] = digits[bytes[i] >> 4];
		hex[2 * i + 1] = digits[bytes[i] & 15];
	}
	hex[2 * len] = '\0';
	return hex;
}

char *digest_hex(const struct digest *d, char hex[DIGEST_HEX_SIZE])
{
	return to_hex(d->bytes, DIGEST_SIZE, hex);
}

char *digest_finish_sha1(struct digest_ctx *ctx, char hex[DIGEST_SHA1_HEX_SIZE])
{
	uint8_t bytes[20];

	must(EVP_DigestFinal_ex(ctx->evp, bytes, NULL));
	digest_ctx_free(ctx);
	return to_hex(bytes, sizeof(bytes), hex);
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int digest_parse(const char *hex, struct digest *ret, struct err *err)
{
	if (strlen(hex) != DIGEST_HEX_SIZE - 1)
		return err_set(err, ERR_VERIFY, "a SHA-256 digest has 64 hex digits, not %zu",
			       strlen(hex));
	for (size_t i = 0; i < DIGEST_SIZE; i++) {
		int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return err_set(err, ERR_VERIFY, "'%.64s' is not a SHA-256 digest", hex);
		ret->bytes[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}
