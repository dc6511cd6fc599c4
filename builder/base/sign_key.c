/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys in PEM files: reading, making and writing them. What was secret in memory is wiped.
 */
#include "base/sign_parts.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PEM_MAX ((size_t)64 << 10)
#define PASSPHRASE_MAX 1024  /* bytes with NUL; OpenSSL's own limit */
#define PBKDF2_ROUNDS 600000 /* of HMAC-SHA-256; OWASP's recommendation of 2023 */
#define PBKDF2_SALT 16       /* bytes */

struct secret_file {
	char *bytes;
	size_t len;
};

static void secret_file_wipe(struct secret_file *file)
{
	if (file->bytes)
		mem_wipe(file->bytes, PEM_MAX + 1);
	free(file->bytes);
}

const char *sign_passphrase(void)
{
	static char passphrase[PASSPHRASE_MAX];
	char *value = getenv(SIGN_PASSPHRASE);

	if (value) {
		/* A longer one than OpenSSL takes cannot be right; nor can what is left of it. */
		snprintf(passphrase, sizeof(passphrase), "%s", value);
		mem_wipe(value, strlen(value));
		unsetenv(SIGN_PASSPHRASE);
	}
	return passphrase[0] ? passphrase : NULL;
}

static int secret_file_read(const char *path, struct secret_file *ret, struct err *err)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "cannot open the key '%s'", path);
	ret->bytes = mem_alloc(PEM_MAX + 1);
	while (ret->len <= PEM_MAX) {
		ssize_t n = read(fd, ret->bytes + ret->len, PEM_MAX + 1 - ret->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "cannot read the key '%s'", path);
		if (n == 0)
			break;
		ret->len += (size_t)n;
	}
	if (ret->len > PEM_MAX)
		return err_set(err, ERR_PROFILE,
			       "cannot read the key '%s': it is larger than %zu KiB", path,
			       PEM_MAX >> 10);
	if (S_ISREG(st.st_mode) && st.st_mode & (S_IRWXG | S_IRWXO))
		log_warn("others than its owner can read the key '%s': chmod 600 it", path);
	return 0;
}

/* Gives OpenSSL the passphrase; *context (bool) tells that it was asked for. */
static int give_passphrase(char *to, int room, int writing, void *context)
{
	const char *passphrase = sign_passphrase();
	size_t len = passphrase ? strnlen(passphrase, (size_t)room + 1) : 0;

	(void)writing;
	*(bool *)context = true;
	if (!passphrase || len > (size_t)room)
		return -1;
	memcpy(to, passphrase, len);
	return (int)len;
}

static struct sign_key *open_file(const char *path, struct err *err)
{
	CLEANUP(secret_file_wipe) struct secret_file file = {0};
	bool encrypted = false;
	EVP_PKEY *secret;
	BIO *bio;

	if (secret_file_read(path, &file, err) < 0)
		return NULL;
	ERR_clear_error();
	bio = BIO_new_mem_buf(file.bytes, (int)file.len);
	secret = bio ? PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, &encrypted) : NULL;
	BIO_free(bio);
	if (secret)
		return sign_new(secret, NULL, path, err);
	ERR_clear_error();
	if (encrypted && !sign_passphrase()) {
		err_set(err, ERR_PROFILE, "cannot open the key '%s': it is encrypted", path);
		err_hint(err, "put its passphrase into the environment variable %s",
			 SIGN_PASSPHRASE);
	} else if (encrypted) {
		err_set(err, ERR_PROFILE,
			"cannot open the key '%s': the passphrase in %s is wrong or the file is "
			"damaged",
			path, SIGN_PASSPHRASE);
	} else {
		err_set(err, ERR_PROFILE, "cannot open the key '%s': no private key in PEM format",
			path);
		err_hint(err, "'ingot keygen' makes one");
	}
	return NULL;
}

struct sign_key *sign_open_private(const char *where, struct err *err)
{
	struct sign_key *key;

	/* Whoever needs it or not: no other program gets to see it. */
	sign_passphrase();
	key = str_has_prefix(where, "pkcs11:") ? sign_open_token(where, err)
					       : open_file(where, err);
	return key;
}

/* The key of one PEM block; *ret_found tells that the block should hold one. */
static EVP_PKEY *parse_block(const char *type, const unsigned char *der, long len, bool *ret_found)
{
	const unsigned char *at = der;
	EVP_PKEY *key = NULL;

	*ret_found = true;
	if (strcmp(type, PEM_STRING_PUBLIC) == 0) {
		key = d2i_PUBKEY(NULL, &at, len);
	} else if (strcmp(type, PEM_STRING_X509) == 0 || strcmp(type, PEM_STRING_X509_OLD) == 0) {
		X509 *certificate = d2i_X509(NULL, &at, len);

		key = certificate ? X509_get_pubkey(certificate) : NULL;
		X509_free(certificate);
	} else {
		*ret_found = false;
		return NULL;
	}
	if (key && at != der + len) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	return key;
}

struct sign_key *sign_parse_public(const char *pem, size_t len, const char *name, struct err *err)
{
	BIO *bio = len <= PEM_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
	char *type = NULL, *header = NULL;
	unsigned char *der = NULL;
	bool found = false, private = false;
	EVP_PKEY *key = NULL;
	long der_len;

	while (bio && !found && PEM_read_bio(bio, &type, &header, &der, &der_len) == 1) {
		key = parse_block(type, der, der_len, &found);
		private |= strstr(type, "PRIVATE KEY") != NULL;
		OPENSSL_free(type);
		OPENSSL_free(header);
		OPENSSL_clear_free(der, (size_t)der_len);
	}
	BIO_free(bio);
	ERR_clear_error();
	if (key)
		return sign_new(NULL, key, name, err);
	if (private && !found) {
		err_set(err, ERR_PROFILE, "cannot use '%s': it is a private key", name);
		err_hint(err,
			 "who verifies needs the public key only (NAME.pub of 'ingot keygen')");
		return NULL;
	}
	err_set(err, ERR_PROFILE,
		"cannot read the key '%s': no public key or certificate in PEM format", name);
	return NULL;
}

struct sign_key *sign_open_public(const char *path, struct err *err)
{
	CLEANUP(str_free) struct str pem = {0};

	str_add(&pem, "");
	if (fd_read_file(path, PEM_MAX, &pem, err) < 0) {
		err_wrap(err, "cannot read the key '%s'", path);
		return NULL;
	}
	return sign_parse_public(pem.data, pem.len, path, err);
}

struct sign_key *sign_generate(enum sign_type type, struct err *err)
{
	EVP_PKEY *secret = NULL;

	switch (type) {
	case SIGN_ED25519:
		secret = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
		break;
	case SIGN_ECDSA:
		secret = EVP_EC_gen("P-256");
		break;
	case SIGN_RSA:
		secret = EVP_RSA_gen(3072);
		break;
	}
	if (!secret) {
		sign_failed(err, ERR_OTHER, "cannot make a key");
		return NULL;
	}
	return sign_new(secret, NULL, "new", err);
}

/* PKCS #8, encrypted: OpenSSL's own call for it takes 2048 rounds only. */
static int write_encrypted(BIO *bio, const EVP_PKEY *secret, const char *passphrase)
{
	PKCS8_PRIV_KEY_INFO *plain = EVP_PKEY2PKCS8(secret);
	unsigned char salt[PBKDF2_SALT];
	X509_ALGOR *method = NULL;
	X509_SIG *sealed = NULL;
	int ok = 0;

	if (plain && RAND_bytes(salt, sizeof(salt)) == 1)
		method = PKCS5_pbe2_set_iv(EVP_aes_256_cbc(), PBKDF2_ROUNDS, salt, sizeof(salt),
					   NULL, NID_hmacWithSHA256);
	if (method)
		sealed = PKCS8_set0_pbe(passphrase, (int)strlen(passphrase), plain, method);
	if (sealed)
		ok = PEM_write_bio_PKCS8(bio, sealed);
	else
		X509_ALGOR_free(method);
	X509_SIG_free(sealed);
	PKCS8_PRIV_KEY_INFO_free(plain);
	return ok;
}

static int write_new(const char *path, mode_t mode, BIO *bio, struct err *err)
{
	CLEANUP(outfile_abandon) struct outfile out = OUTFILE_NONE;
	char *bytes = NULL;
	long len = BIO_get_mem_data(bio, &bytes);

	if (outfile_open(&out, path, err) < 0)
		return -1;
	if (fchmod(out.fd, mode) < 0)
		return err_sys(err, errno, "cannot write '%s'", path);
	if (fd_write(out.fd, bytes, (size_t)len, path, err) < 0)
		return -1;
	return outfile_finish_new(&out, err);
}

int sign_write_private(const struct sign_key *key, const char *path, bool *ret_encrypted,
		       struct err *err)
{
	const char *passphrase = sign_passphrase();
	BIO *bio = BIO_new(BIO_s_mem());
	int r = 0, ok = 0;

	if (bio && passphrase)
		ok = write_encrypted(bio, key->secret, passphrase);
	else if (bio)
		ok = PEM_write_bio_PKCS8PrivateKey(bio, key->secret, NULL, NULL, 0, NULL, NULL);
	if (ok != 1)
		r = sign_failed(err, ERR_OTHER, "cannot write the key '%s'", path);
	else
		r = write_new(path, 0600, bio, err);
	BIO_free(bio); /* wipes its memory */
	*ret_encrypted = passphrase != NULL;
	return r;
}

int sign_write_public(const struct sign_key *key, const char *path, struct err *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int r;

	if (!bio || PEM_write_bio_PUBKEY(bio, key->open) != 1)
		r = sign_failed(err, ERR_OTHER, "cannot write the key '%s'", path);
	else
		r = write_new(path, 0644, bio, err);
	BIO_free(bio);
	return r;
}
