/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures and what a key must be. Whatever holds the secret, a signature is verified by OpenSSL's own
 * code before anybody gets it: a broken token must not sign a release.
 */
#include "base/sign_parts.h"

#include "base/mem.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 16384

int sign_failed(struct err *err, int code, const char *fmt, ...)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ERR_clear_error();
	return err_set(err, code, "%s: %s", text, reason ? reason : "OpenSSL does not say why");
}

/* The kind of the key; a key that nobody should trust is refused. */
static int judge(struct sign_key *key, const char *where, struct err *err)
{
	int bits = EVP_PKEY_get_bits(key->open);
	char group[64] = "";
	int is_explicit = 0;

	key->hash_first = true;
	if (EVP_PKEY_is_a(key->open, "ED25519")) {
		key->hash_first = false;
		snprintf(key->kind, sizeof(key->kind), "Ed25519");
		return 0;
	}
	if (EVP_PKEY_is_a(key->open, "RSA")) {
		if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
			return err_set(err, ERR_PROFILE,
				       "cannot use the key '%s': RSA with %d bits, at least %d and "
				       "at most %d are needed",
				       where, bits, RSA_BITS_MIN, RSA_BITS_MAX);
		snprintf(key->kind, sizeof(key->kind), "RSA %d", bits);
		return 0;
	}
	if (!EVP_PKEY_is_a(key->open, "EC"))
		return err_set(err, ERR_PROFILE,
			       "cannot use the key '%s': neither Ed25519 nor ECDSA nor RSA", where);
	if (EVP_PKEY_get_group_name(key->open, group, sizeof(group), NULL) != 1 ||
	    (strcmp(group, "prime256v1") != 0 && strcmp(group, "secp384r1") != 0)) {
		ERR_clear_error();
		return err_set(err, ERR_PROFILE,
			       "cannot use the key '%s': the curve is %s, P-256 or P-384 is needed",
			       where, group[0] ? group : "an unknown one");
	}
	/* The same curve spelt out: another file, and so another name, for the same key. */
	if (EVP_PKEY_get_int_param(key->open, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
				   &is_explicit) == 1 &&
	    is_explicit)
		return err_set(err, ERR_PROFILE,
			       "cannot use the key '%s': its curve is spelt out, not named", where);
	ERR_clear_error();
	snprintf(key->kind, sizeof(key->kind), "ECDSA P-%d", bits);
	return 0;
}

/* The public part on its own, through its DER form, whose digest is the key's name. */
static int set_public(struct sign_key *key, const char *where, struct err *err)
{
	unsigned char *der = NULL;
	const unsigned char *at;
	struct digest digest;
	int len = i2d_PUBKEY(key->open ? key->open : key->secret, &der);

	if (len <= 0)
		return sign_failed(err, ERR_PROFILE, "cannot read the public part of the key '%s'",
				   where);
	digest_bytes(der, (size_t)len, &digest);
	digest_hex(&digest, key->id);
	at = der;
	if (!key->open)
		key->open = d2i_PUBKEY(NULL, &at, len);
	OPENSSL_free(der);
	if (!key->open)
		return sign_failed(err, ERR_PROFILE, "cannot read the public part of the key '%s'",
				   where);
	return 0;
}

struct sign_key *sign_new(EVP_PKEY *secret, EVP_PKEY *open, const char *where, struct err *err)
{
	struct sign_key *key = mem_alloc(sizeof(*key));

	key->secret = secret;
	key->open = open;
	if (set_public(key, where, err) == 0 && judge(key, where, err) == 0)
		return key;
	sign_close(key);
	return NULL;
}

void sign_close(struct sign_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->secret);
	EVP_PKEY_free(key->open);
	sign_token_free(key->token);
	free(key);
}

const char *sign_key_id(const struct sign_key *key)
{
	return key->id;
}

const char *sign_key_kind(const struct sign_key *key)
{
	return key->kind;
}

bool sign_is_deterministic(const struct sign_key *key)
{
	return !EVP_PKEY_is_a(key->open, "EC");
}

int sign_bytes(const struct sign_key *key, const void *bytes, size_t len, struct str *signature,
	       struct err *err)
{
	unsigned char made[SIGN_SIGNATURE_MAX];
	size_t made_len = sizeof(made);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int r = 0;

	if (!key->secret)
		r = err_set(err, ERR_OTHER, "cannot sign with the public key %.16s...", key->id);
	else if (!ctx ||
		 EVP_DigestSignInit_ex(ctx, NULL, key->hash_first ? "SHA256" : NULL, key->library,
				       NULL, key->secret, NULL) != 1 ||
		 EVP_DigestSign(ctx, made, &made_len, bytes, len) != 1)
		r = sign_failed(err, ERR_OTHER, "cannot sign with the key %.16s...", key->id);
	else if (!sign_verify(key, bytes, len, made, made_len))
		r = err_set(err, ERR_OTHER,
			    "cannot sign with the key %.16s...: the signature that it made is "
			    "wrong",
			    key->id);
	EVP_MD_CTX_free(ctx);
	if (r == 0)
		str_add_bytes(signature, made, made_len);
	return r;
}

bool sign_verify(const struct sign_key *key, const void *bytes, size_t len, const void *signature,
		 size_t signature_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = ctx && signature_len > 0 && signature_len <= SIGN_SIGNATURE_MAX &&
		    EVP_DigestVerifyInit_ex(ctx, NULL, key->hash_first ? "SHA256" : NULL, NULL,
					    NULL, key->open, NULL) == 1 &&
		    EVP_DigestVerify(ctx, signature, signature_len, bytes, len) == 1;

	EVP_MD_CTX_free(ctx);
	/* What is wrong with a signature is of no interest. */
	ERR_clear_error();
	return good;
}
