/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing by OpenSSL's AES-256-GCM. What the associated data consists of is written with lengths, so that no two
 * places give the same bytes.
 */
#include "base/seal.h"

#include "base/base64.h"
#include "base/hmac.h"
#include "base/mem.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define VERSION 1
#define OVERHEAD ((size_t)1 + SEAL_NONCE_SIZE + SEAL_TAG_SIZE)
#define TEXT_MAX ((SEAL_MAX + OVERHEAD + 2) / 3 * 4)
#define SALT "ingot seal 1"

/* OpenSSL fails here only without memory or with a broken provider: neither can be worked on. */
static void must(bool ok)
{
	if (!ok)
		abort();
}

static void add_number(struct str *s, uint64_t value)
{
	uint8_t bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(value >> (56 - 8 * i));
	str_add_bytes(s, bytes, sizeof(bytes));
}

static void add_text(struct str *s, const char *text)
{
	add_number(s, strlen(text));
	str_add(s, text);
}

void seal_key_derive(const char *secret, const char *purpose, const char *cluster,
		     struct seal_key *ret)
{
	CLEANUP(str_free) struct str info = {0};

	add_text(&info, purpose);
	add_text(&info, cluster);
	hkdf_sha256(secret, strlen(secret), SALT, strlen(SALT), info.data, info.len, ret->bytes,
		    sizeof(ret->bytes));
}

void seal_key_wipe(struct seal_key *key)
{
	mem_wipe(key, sizeof(*key));
}

void seal_gcm_encrypt(const struct seal_key *key, const uint8_t nonce[SEAL_NONCE_SIZE],
		      const void *aad, size_t aad_len, const void *in, size_t len, void *out,
		      uint8_t ret_tag[SEAL_TAG_SIZE])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0;

	must(ctx && aad_len <= INT32_MAX && len <= INT32_MAX);
	must(EVP_EncryptInit_ex2(ctx, EVP_aes_256_gcm(), key->bytes, nonce, NULL) == 1);
	must(EVP_EncryptUpdate(ctx, NULL, &n, aad, (int)aad_len) == 1);
	must(EVP_EncryptUpdate(ctx, out, &n, in, (int)len) == 1 && (size_t)n == len);
	must(EVP_EncryptFinal_ex(ctx, (uint8_t *)out + len, &n) == 1 && n == 0);
	must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG_SIZE, ret_tag) == 1);
	/* This wipes the key schedule. */
	EVP_CIPHER_CTX_free(ctx);
}

int seal_gcm_decrypt(const struct seal_key *key, const uint8_t nonce[SEAL_NONCE_SIZE],
		     const void *aad, size_t aad_len, const void *in, size_t len, void *out,
		     const uint8_t tag[SEAL_TAG_SIZE])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t want[SEAL_TAG_SIZE];
	int n = 0;
	bool good;

	memcpy(want, tag, sizeof(want));
	must(ctx && aad_len <= INT32_MAX && len <= INT32_MAX);
	must(EVP_DecryptInit_ex2(ctx, EVP_aes_256_gcm(), key->bytes, nonce, NULL) == 1);
	must(EVP_DecryptUpdate(ctx, NULL, &n, aad, (int)aad_len) == 1);
	must(EVP_DecryptUpdate(ctx, out, &n, in, (int)len) == 1 && (size_t)n == len);
	must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG_SIZE, want) == 1);
	good = EVP_DecryptFinal_ex(ctx, (uint8_t *)out + len, &n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (!good)
		mem_wipe(out, len);
	return good ? 0 : -1;
}

static void associated(const struct seal_place *place, struct str *aad)
{
	add_text(aad, place->cluster);
	add_number(aad, place->epoch);
	add_text(aad, place->name);
}

int seal_bytes(const struct seal_key *key, const struct seal_place *place, const void *bytes,
	       size_t len, struct str *text, struct err *err)
{
	CLEANUP(str_free) struct str aad = {0};
	uint8_t record[OVERHEAD + SEAL_MAX];

	if (len > SEAL_MAX)
		return err_set(err, ERR_OTHER, "cannot seal '%s': %zu bytes, at most %zu",
			       place->name, len, SEAL_MAX);
	record[0] = VERSION;
	if (getrandom(record + 1, SEAL_NONCE_SIZE, 0) != SEAL_NONCE_SIZE)
		return err_sys(err, errno, "cannot seal '%s': no random bytes", place->name);
	associated(place, &aad);
	seal_gcm_encrypt(key, record + 1, aad.data, aad.len, bytes, len,
			 record + 1 + SEAL_NONCE_SIZE, record + 1 + SEAL_NONCE_SIZE + len);
	base64_add(record, OVERHEAD + len, text);
	return 0;
}

int seal_open(const struct seal_key *key, const struct seal_place *place, const char *text,
	      char *bytes, size_t size, size_t *ret_len, struct err *err)
{
	CLEANUP(str_free) struct str record = {0}, aad = {0};
	size_t text_len = strnlen(text, TEXT_MAX + 1), len;
	const uint8_t *r;

	if (text_len > TEXT_MAX || base64_decode(text, text_len, &record) < 0 ||
	    record.len < OVERHEAD || record.len - OVERHEAD >= size)
		return err_set(err, ERR_VERIFY,
			       "cannot open the sealed '%s': it is no sealed value of its size",
			       place->name);
	len = record.len - OVERHEAD;
	r = (const uint8_t *)record.data;
	if (r[0] != VERSION)
		return err_set(err, ERR_VERIFY,
			       "cannot open the sealed '%s': version %u, this agent knows %u",
			       place->name, r[0], VERSION);
	associated(place, &aad);
	if (seal_gcm_decrypt(key, r + 1, aad.data, aad.len, r + 1 + SEAL_NONCE_SIZE, len, bytes,
			     r + 1 + SEAL_NONCE_SIZE + len) < 0) {
		err_set(err, ERR_VERIFY,
			"cannot open the sealed '%s' of cluster '%s', epoch %llu: it was sealed "
			"under another secret, for another place, or was changed",
			place->name, place->cluster, (unsigned long long)place->epoch);
		return err_hint(err, "give all machines of the cluster the same secret");
	}
	bytes[len] = '\0';
	*ret_len = len;
	return 0;
}
