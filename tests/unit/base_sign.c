/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of base/sign*.c. Every signature is also judged by the openssl program, every key made by it is
 * read; keys on a token are those of SoftHSM.
 */
#include "tap.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/sign.h"
#include "memimage.h"

#include <sys/stat.h>

#define MODULE "/usr/lib/softhsm/libsofthsm2.so"
static const char message[] = "sha256  file\nanother line\n";

/* What `openssl pkeyutl` says of the signature. */
static bool judge(const char *public, const char *signature, size_t len)
{
	struct err err = {0};

	tap_spew("message", message, strlen(message));
	tap_spew("signature", signature, len);
	return RUN(NULL, &err, "openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey",
		   public, "-sigfile", "signature", "-in", "message") == 0;
}

static void check_key(struct sign_key *key, struct sign_key *open, const char *public,
		      const char *kind)
{
	CLEANUP(str_free) struct str signature = {0}, again = {0};
	char changed[sizeof(message)];
	struct err err = {0};

	CHECK_OK(sign_bytes(key, message, strlen(message), &signature, &err), &err);
	CHECK_STR(sign_key_kind(key), kind);
	CHECK_STR(sign_key_kind(open), kind);
	CHECK_STR(sign_key_id(key), sign_key_id(open));
	CHECK(sign_verify(open, message, strlen(message), signature.data, signature.len));
	CHECK(sign_verify(key, message, strlen(message), signature.data, signature.len));
	CHECK(judge(public, signature.data, signature.len));
	CHECK_ERR(sign_bytes(open, "", 0, &again, &err), &err, ERR_OTHER, "public key");
	memcpy(changed, message, sizeof(message));
	changed[3] ^= 1;
	CHECK(!sign_verify(open, changed, strlen(message), signature.data, signature.len));
	CHECK(!sign_verify(open, message, strlen(message) - 1, signature.data, signature.len));
	CHECK(!sign_verify(open, message, strlen(message), signature.data, signature.len - 1));
	CHECK(!sign_verify(open, message, strlen(message), signature.data, 0));
	CHECK_OK(sign_bytes(key, message, strlen(message), &again, &err), &err);
	if (sign_is_deterministic(key))
		CHECK(again.len == signature.len &&
		      memcmp(again.data, signature.data, again.len) == 0);
	for (size_t i = 0; i < signature.len; i += 7) {
		signature.data[i] ^= 0x40;
		CHECK(!sign_verify(open, message, strlen(message), signature.data, signature.len));
		signature.data[i] ^= 0x40;
	}
}

/* The hexadecimal SHA-256 of what openssl says is the DER form of the public key. */
static void check_id(const struct sign_key *key, const char *public)
{
	struct err err = {0};
	struct digest digest;
	char hex[DIGEST_HEX_SIZE];

	CHECK_OK(RUN(NULL, &err, "openssl", "pkey", "-pubin", "-in", public, "-outform", "DER",
		     "-out", "der"),
		 &err);
	CHECK_OK(digest_file("der", &digest, &err), &err);
	CHECK_STR(sign_key_id(key), digest_hex(&digest, hex));
}

TEST(keys_that_we_make)
{
	static const struct {
		enum sign_type type;
		const char *kind;
	} rows[] = {{SIGN_ED25519, "Ed25519"}, {SIGN_ECDSA, "ECDSA P-256"}, {SIGN_RSA, "RSA 3072"}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = {0};
		CLEANUP(sign_cleanup) struct sign_key *key = sign_generate(rows[i].type, &err);
		CLEANUP(sign_cleanup) struct sign_key *back = NULL, *open = NULL;
		bool encrypted = true;
		struct stat st;

		CHECK_OK_PTR(key, &err);
		CHECK_OK(sign_write_private(key, "k.key", &encrypted, &err), &err);
		CHECK(!encrypted);
		CHECK_OK(sign_write_public(key, "k.pub", &err), &err);
		CHECK_INT(stat("k.key", &st), 0);
		CHECK_INT(st.st_mode & 07777, 0600);
		CHECK_ERR(sign_write_private(key, "k.key", &encrypted, &err), &err, ERR_OTHER,
			  "cannot create 'k.key': File exists");
		CHECK_ERR(sign_write_public(key, "k.pub", &err), &err, ERR_OTHER, "File exists");
		back = sign_open_private("k.key", &err);
		CHECK_OK_PTR(back, &err);
		open = sign_open_public("k.pub", &err);
		CHECK_OK_PTR(open, &err);
		check_key(back, open, "k.pub", rows[i].kind);
		check_id(back, "k.pub");
		unlink("k.key");
		unlink("k.pub");
	}
}

TEST(keys_that_openssl_makes)
{
	static const struct {
		const char *algorithm, *option, *kind;
	} rows[] = {{"ED25519", NULL, "Ed25519"},
		    {"EC", "ec_paramgen_curve:P-256", "ECDSA P-256"},
		    {"EC", "ec_paramgen_curve:P-384", "ECDSA P-384"},
		    {"RSA", "rsa_keygen_bits:2048", "RSA 2048"}};
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(sign_cleanup) struct sign_key *key = NULL, *open = NULL, *certified = NULL;

		CHECK_OK(RUN(NULL, &err, "openssl", "genpkey", "-algorithm", rows[i].algorithm,
			     "-out", "k.key", rows[i].option ? "-pkeyopt" : NULL, rows[i].option),
			 &err);
		CHECK_OK(RUN(NULL, &err, "openssl", "pkey", "-in", "k.key", "-pubout", "-out",
			     "k.pub"),
			 &err);
		CHECK_OK(RUN(NULL, &err, "openssl", "req", "-x509", "-new", "-key", "k.key",
			     "-subj", "/CN=test", "-out", "k.crt"),
			 &err);
		key = sign_open_private("k.key", &err);
		CHECK_OK_PTR(key, &err);
		open = sign_open_public("k.pub", &err);
		CHECK_OK_PTR(open, &err);
		check_key(key, open, "k.pub", rows[i].kind);
		certified = sign_open_public("k.crt", &err);
		CHECK_OK_PTR(certified, &err);
		CHECK_STR(sign_key_id(certified), sign_key_id(key));
	}
	/* Older forms of the file. */
	for (size_t i = 0; i < 2; i++) {
		CLEANUP(sign_cleanup) struct sign_key *key = NULL;

		if (i == 0)
			CHECK_OK(RUN(NULL, &err, "openssl", "genrsa", "-traditional", "-out",
				     "old.key", "2048"),
				 &err);
		else
			CHECK_OK(RUN(NULL, &err, "openssl", "ecparam", "-name", "prime256v1",
				     "-genkey", "-out", "old.key"),
				 &err);
		key = sign_open_private("old.key", &err);
		CHECK_OK_PTR(key, &err);
	}
}

static void check_refused(const char *algorithm, const char *option, const char *why)
{
	struct err err = {0};

	CHECK_OK(RUN(NULL, &err, "openssl", "genpkey", "-algorithm", algorithm, "-out", "weak.key",
		     option ? "-pkeyopt" : NULL, option),
		 &err);
	CHECK_OK(RUN(NULL, &err, "openssl", "pkey", "-in", "weak.key", "-pubout", "-out",
		     "weak.pub"),
		 &err);
	CHECK_ERR_PTR(sign_open_private("weak.key", &err), &err, ERR_PROFILE, why);
	CHECK_ERR_PTR(sign_open_public("weak.pub", &err), &err, ERR_PROFILE, why);
}

TEST(weak_and_foreign_keys_are_refused)
{
	struct err err = {0};

	check_refused("RSA", "rsa_keygen_bits:1024", "RSA with 1024 bits");
	check_refused("EC", "ec_paramgen_curve:secp256k1", "the curve is secp256k1");
	check_refused("EC", "ec_paramgen_curve:P-521", "the curve is secp521r1");
	CHECK_OK(RUN(NULL, &err, "openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
		     "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit", "-out",
		     "spelt.key"),
		 &err);
	CHECK_ERR_PTR(sign_open_private("spelt.key", &err), &err, ERR_PROFILE, "spelt out");
	check_refused("ED448", NULL, "neither Ed25519");
	check_refused("X25519", NULL, "neither Ed25519");
	check_refused("RSA-PSS", "rsa_keygen_bits:2048", "neither Ed25519");
}

TEST(files_that_are_no_keys)
{
	static char large[100000];
	struct err err = {0};
	CLEANUP(sign_cleanup) struct sign_key *key = sign_generate(SIGN_ED25519, &err);
	bool encrypted;

	CHECK_OK_PTR(key, &err);
	CHECK_OK(sign_write_private(key, "k.key", &encrypted, &err), &err);
	CHECK_OK(sign_write_public(key, "k.pub", &err), &err);
	CHECK_ERR_PTR(sign_open_private("absent", &err), &err, ERR_OTHER,
		      "cannot open the key 'absent': No such file");
	CHECK_ERR_PTR(sign_open_public("absent", &err), &err, ERR_OTHER, "cannot read the key");
	CHECK_ERR_PTR(sign_open_private("k.pub", &err), &err, ERR_PROFILE,
		      "cannot open the key 'k.pub': no private key");
	CHECK_ERR_PTR(sign_open_public("k.key", &err), &err, ERR_PROFILE,
		      "cannot use 'k.key': it is a private key");
	tap_spew("empty", "", 0);
	CHECK_ERR_PTR(sign_open_private("empty", &err), &err, ERR_PROFILE, "no private key");
	CHECK_ERR_PTR(sign_open_public("empty", &err), &err, ERR_PROFILE, "no public key");
	memset(large, 'x', sizeof(large));
	tap_spew("large", large, sizeof(large));
	CHECK_ERR_PTR(sign_open_private("large", &err), &err, ERR_PROFILE, "larger than 64 KiB");
	CHECK_ERR_PTR(sign_open_public("large", &err), &err, ERR_OTHER, "larger");
	CHECK_ERR_PTR(sign_open_private(".", &err), &err, ERR_OTHER, "Is a directory");
	CHECK_ERR_PTR(sign_parse_public("-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC "
					"KEY-----\n",
					62, "x", &err),
		      &err, ERR_PROFILE, "no public key");
}

TEST(encrypted_keys)
{
	struct err err = {0};
	CLEANUP(sign_cleanup) struct sign_key *key = sign_generate(SIGN_ECDSA, &err);
	CLEANUP(sign_cleanup) struct sign_key *back = NULL, *other = NULL;
	CLEANUP_FREE char *text = NULL;
	bool encrypted = false;

	CHECK_OK_PTR(key, &err);
	setenv(SIGN_PASSPHRASE, "correct horse", 1);
	CHECK_OK(sign_write_private(key, "k.key", &encrypted, &err), &err);
	CHECK(encrypted);
	CHECK(getenv(SIGN_PASSPHRASE) == NULL);
	text = tap_slurp("k.key", NULL);
	CHECK_CONTAINS(text, "BEGIN ENCRYPTED PRIVATE KEY");
	/* Kept for the next one; taken from where children would see it. */
	back = sign_open_private("k.key", &err);
	CHECK_OK_PTR(back, &err);
	CHECK_STR(sign_key_id(back), sign_key_id(key));
	/* The openssl program opens it, and what that encrypts we open. */
	CHECK_OK(RUN(NULL, &err, "openssl", "pkey", "-in", "k.key", "-passin", "pass:correct horse",
		     "-out", "plain.key"),
		 &err);
	CHECK_OK(RUN(NULL, &err, "openssl", "pkey", "-in", "plain.key", "-aes256", "-passout",
		     "pass:other", "-out", "other.key"),
		 &err);
	CHECK_ERR_PTR(sign_open_private("other.key", &err), &err, ERR_PROFILE,
		      "the passphrase in INGOT_KEY_PASSPHRASE is wrong");
	setenv(SIGN_PASSPHRASE, "other", 1);
	other = sign_open_private("other.key", &err);
	CHECK_OK_PTR(other, &err);
}

TEST(encrypted_key_without_passphrase)
{
	struct err err = {0};

	CHECK_OK(RUN(NULL, &err, "openssl", "genpkey", "-algorithm", "ED25519", "-aes256", "-pass",
		     "pass:x1234", "-out", "k.key"),
		 &err);
	CHECK_ERR_PTR(sign_open_private("k.key", &err), &err, ERR_PROFILE, "it is encrypted");
	CHECK_CONTAINS(err.hint, "INGOT_KEY_PASSPHRASE");
	/* CI systems set what they do not have to nothing. */
	setenv(SIGN_PASSPHRASE, "", 1);
	CHECK_ERR_PTR(sign_open_private("k.key", &err), &err, ERR_PROFILE, "it is encrypted");
}

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

/* The provider, not the engine, loads modules with RTLD_DEEPBIND, at which AddressSanitizer gives up. The
 * normal build runs these tests. */
static void skip_if_impossible(void)
{
	struct err err = {0};
	CLEANUP(str_free) struct str modules = {0};

	CHECK_OK(RUN(&modules, &err, "find", "/usr/lib", "-path", "*/ossl-modules/pkcs11.so"),
		 &err);
	if (SANITIZED && modules.len > 0)
		SKIP("AddressSanitizer does not bear how the PKCS #11 provider loads modules");
}

/* A token with an RSA and an EC key. */
static void make_token(void)
{
	struct err err = {0};
	char here[512], text[600];

	skip_if_impossible();
	CHECK(getcwd(here, sizeof(here)));
	CHECK_INT(mkdir("tokens", 0700), 0);
	snprintf(text, sizeof(text), "directories.tokendir = %s/tokens\nlog.level = ERROR\n", here);
	tap_spew("softhsm2.conf", text, strlen(text));
	setenv("SOFTHSM2_CONF", "softhsm2.conf", 1);
	CHECK_OK(RUN(NULL, &err, "softhsm2-util", "--init-token", "--free", "--label", "ingot test",
		     "--pin", "4321", "--so-pin", "87654321"),
		 &err);
	CHECK_OK(RUN(NULL, &err, "openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt",
		     "rsa_keygen_bits:2048", "-out", "rsa.key"),
		 &err);
	CHECK_OK(RUN(NULL, &err, "openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
		     "ec_paramgen_curve:P-256", "-out", "ec.key"),
		 &err);
	CHECK_OK(RUN(NULL, &err, "softhsm2-util", "--import", "rsa.key", "--token", "ingot test",
		     "--label", "rsa", "--id", "01", "--pin", "4321"),
		 &err);
	CHECK_OK(RUN(NULL, &err, "softhsm2-util", "--import", "ec.key", "--token", "ingot test",
		     "--label", "ec", "--id", "02", "--pin", "4321"),
		 &err);
	CHECK_OK(RUN(NULL, &err, "openssl", "pkey", "-in", "rsa.key", "-pubout", "-out", "rsa.pub"),
		 &err);
	CHECK_OK(RUN(NULL, &err, "openssl", "pkey", "-in", "ec.key", "-pubout", "-out", "ec.pub"),
		 &err);
}

static void check_token(const char *uri, const char *public, const char *kind)
{
	struct err err = {0};
	CLEANUP(sign_cleanup) struct sign_key *key = sign_open_private(uri, &err);
	CLEANUP(sign_cleanup) struct sign_key *open = sign_open_public(public, &err);

	CHECK_OK_PTR(key, &err);
	CHECK_OK_PTR(open, &err);
	check_key(key, open, public, kind);
}

TEST(keys_on_a_token)
{
	char uri[1024], here[512];

	make_token();
	CHECK(getcwd(here, sizeof(here)));
	tap_spew("pin", "4321\n", 5);
	check_token("pkcs11:token=ingot%20test;object=rsa?module-path=" MODULE "&pin-value=4321",
		    "rsa.pub", "RSA 2048");
	snprintf(uri, sizeof(uri),
		 "pkcs11:token=ingot%%20test;object=ec;type=private?pin-source=file:%s/pin"
		 "&module-path=" MODULE,
		 here);
	check_token(uri, "ec.pub", "ECDSA P-256");
	setenv(SIGN_PASSPHRASE, "4321", 1);
	check_token("pkcs11:id=%02?module-path=" MODULE, "ec.pub", "ECDSA P-256");
}

/* A test has a process of its own, so nothing is left of a good PIN. */
static void check_no_token(const char *uri, int code, const char *why, const char *hint)
{
	struct err err = {0};

	CHECK_ERR_PTR(sign_open_private(uri, &err), &err, code, why);
	CHECK_CONTAINS(err.hint, hint);
	CHECK(!strstr(err.msg, "9999") && !strstr(err.hint, "9999"));
}

TEST(token_without_pin)
{
	make_token();
	check_no_token("pkcs11:token=ingot%20test;object=rsa?x=1&module-path=" MODULE, ERR_PROFILE,
		       "cannot open the key 'pkcs11:token=ingot%20test;object=rsa;type=private?x=1'"
		       ": its PIN is not known",
		       "INGOT_KEY_PASSPHRASE");
}

TEST(token_with_wrong_pin)
{
	make_token();
	check_no_token("pkcs11:token=ingot%20test;object=rsa?module-path=" MODULE "&pin-value=9999",
		       ERR_PROFILE, "cannot open the key 'pkcs11:token=ingot%20test;object=rsa",
		       "PIN");
}

TEST(token_without_the_key)
{
	make_token();
	check_no_token("pkcs11:token=ingot%20test;object=absent?module-path=" MODULE
		       "&pin-value=4321",
		       ERR_PROFILE, "object=absent", "the key on it");
}

TEST(module_that_is_not_there)
{
	skip_if_impossible();
	check_no_token("pkcs11:object=rsa?module-path=/nonexistent/module.so&pin-value=9999",
		       ERR_PROFILE, "object=rsa", "module-path");
}

TEST(bad_uris)
{
	static char large[4096];
	struct err err = {0};

	CHECK_ERR_PTR(sign_open_private("pkcs11:object=a b", &err), &err, ERR_PROFILE,
		      "percent-encoded");
	CHECK_ERR_PTR(sign_open_private("pkcs11:object=a?pin-value=%zz", &err), &err, ERR_PROFILE,
		      "the value of pin-value is not percent-encoded");
	CHECK_ERR_PTR(sign_open_private("pkcs11:object=a?pin-value=12%003", &err), &err,
		      ERR_PROFILE, "pin-value");
	CHECK_ERR_PTR(sign_open_private("pkcs11:object=a?module-path=%2", &err), &err, ERR_PROFILE,
		      "module-path");
	CHECK_ERR_PTR(sign_open_private("pkcs11:object=a?pin-source=relative", &err), &err,
		      ERR_PROFILE, "absolute path");
	CHECK_ERR_PTR(sign_open_private("pkcs11:object=a?pin-source=/nonexistent", &err), &err,
		      ERR_OTHER, "cannot read the PIN");
	memset(large, 'x', sizeof(large) - 1);
	memcpy(large, "pkcs11:", 7);
	CHECK_ERR_PTR(sign_open_private(large, &err), &err, ERR_PROFILE, "too long");
}
