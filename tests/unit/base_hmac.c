/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of base/hmac.c with the vectors of RFC 4231 and of RFC 5869, appendix A.
 */
#include "tap.h"

#include "base/hmac.h"
#include "base/mem.h"

/* Reads hex digits; returns how many bytes they are. */
static size_t unhex(const char *hex, uint8_t *bytes, size_t room)
{
	size_t len = strlen(hex) / 2;

	CHECK(len <= room);
	for (size_t i = 0; i < len; i++) {
		unsigned int value;

		CHECK_INT(sscanf(hex + 2 * i, "%2x", &value), 1);
		bytes[i] = (uint8_t)value;
	}
	return len;
}

static void fill(uint8_t *bytes, uint8_t value, size_t len)
{
	memset(bytes, value, len);
}

static void check_hmac(const void *key, size_t key_len, const void *bytes, size_t len,
		       const char *want)
{
	char hex[DIGEST_HEX_SIZE];
	struct digest got;

	hmac_sha256(key, key_len, bytes, len, &got);
	CHECK_STR(digest_hex(&got, hex), want);
}

TEST(hmac_as_in_rfc_4231)
{
	static const char long_text[] =
		"This is a test using a larger than block-size key and a larger than block-size "
		"data. The key needs to be hashed before being used by the HMAC algorithm.";
	uint8_t key[131], data[64];

	fill(key, 0x0b, 20);
	check_hmac(key, 20, "Hi There", 8,
		   "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	check_hmac("Jefe", 4, "what do ya want for nothing?", 28,
		   "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	fill(key, 0xaa, 20);
	fill(data, 0xdd, 50);
	check_hmac(key, 20, data, 50,
		   "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
	for (uint8_t i = 0; i < 25; i++)
		key[i] = (uint8_t)(i + 1);
	fill(data, 0xcd, 50);
	check_hmac(key, 25, data, 50,
		   "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
	fill(key, 0xaa, 131);
	check_hmac(key, 131, "Test Using Larger Than Block-Size Key - Hash Key First", 54,
		   "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	check_hmac(key, 131, long_text, strlen(long_text),
		   "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

TEST(hmac_of_nothing)
{
	/* Known from every implementation: HMAC_SHA256("key", ""). */
	check_hmac("key", 3, "", 0,
		   "5d5d139563c95b5967b9bd9a8c9b233a9dedb45072794cd232dc1b74832607d0");
}

TEST(hkdf_as_in_rfc_5869)
{
	static const struct {
		const char *secret, *salt, *info, *want;
	} rows[] = {
		{"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
		 "f0f1f2f3f4f5f6f7f8f9",
		 "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
		{"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
		 "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
		 "404142434445464748494a4b4c4d4e4f",
		 "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"
		 "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
		 "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
		 "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
		 "d0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeef"
		 "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
		 "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
		 "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
		 "cc30c58179ec3e87c14c01d5c1f3434f1d87"},
		{"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
		 "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t secret[80], salt[80], info[80], want[82], got[82];
		size_t secret_len = unhex(rows[i].secret, secret, sizeof(secret));
		size_t salt_len = unhex(rows[i].salt, salt, sizeof(salt));
		size_t info_len = unhex(rows[i].info, info, sizeof(info));
		size_t want_len = unhex(rows[i].want, want, sizeof(want));

		hkdf_sha256(secret, secret_len, salt_len ? salt : NULL, salt_len,
			    info_len ? info : NULL, info_len, got, want_len);
		CHECK_MEM(got, want, want_len);
	}
}
