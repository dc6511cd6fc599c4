/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HMAC and HKDF by OpenSSL's one-call HMAC and its EVP_KDF. They fail only without memory or with a broken
 * provider: neither can be worked on.
 */
#include "base/hmac.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

static void must(bool ok)
{
	if (!ok)
		abort();
}

void hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len, struct digest *ret)
{
	size_t out_len = 0;

	must(key_len > 0);
	must(EVP_Q_mac(NULL, "HMAC", NULL, "SHA2-256", NULL, key, key_len, bytes, len, ret->bytes,
		       sizeof(ret->bytes), &out_len) != NULL &&
	     out_len == sizeof(ret->bytes));
}

/* OpenSSL does not write to octet strings of parameters; its type for them is older than const. */
static OSSL_PARAM octets(const char *name, const void *bytes, size_t len)
{
	return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)bytes, len);
}

void hkdf_sha256(const void *secret, size_t secret_len, const void *salt, size_t salt_len,
		 const void *info, size_t info_len, void *out, size_t out_len)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	char hash[] = "SHA2-256";
	OSSL_PARAM params[5];
	size_t n = 0;

	must(ctx && secret_len > 0 && out_len > 0 && out_len <= HKDF_MAX);
	params[n++] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, hash, 0);
	params[n++] = octets(OSSL_KDF_PARAM_KEY, secret, secret_len);
	if (salt_len > 0)
		params[n++] = octets(OSSL_KDF_PARAM_SALT, salt, salt_len);
	if (info_len > 0)
		params[n++] = octets(OSSL_KDF_PARAM_INFO, info, info_len);
	params[n] = OSSL_PARAM_construct_end();
	must(EVP_KDF_derive(ctx, out, out_len, params) == 1);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}
