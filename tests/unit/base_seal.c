/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of base/seal.c: vectors of AES-256-GCM (NIST's from the paper of McGrew and Viega), and that nothing opens
 * which was changed or moved.
 */
#include "tap.h"

#include "base/base64.h"
#include "base/mem.h"
#include "base/seal.h"

#define SECRET "0123456789abcdef0123456789abcdef"

static void unhex(const char *hex, uint8_t *bytes)
{
	for (size_t i = 0; i < strlen(hex) / 2; i++) {
		unsigned int value;

		CHECK_INT(sscanf(hex + 2 * i, "%2x", &value), 1);
		bytes[i] = (uint8_t)value;
	}
}

TEST(gcm_vectors)
{
	/* Test cases 13, 14, 15 and 16. */
	static const struct {
		const char *key, *nonce, *aad, *plain, *cipher, *tag;
	} rows[] = {
		{"0000000000000000000000000000000000000000000000000000000000000000",
		 "000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
		{"0000000000000000000000000000000000000000000000000000000000000000",
		 "000000000000000000000000", "", "00000000000000000000000000000000",
		 "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
		{"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
		 "cafebabefacedbaddecaf888", "",
		 "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
		 "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
		 "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
		 "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
		 "b094dac5d93471bdec1a502270e3cc6c"},
		{"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
		 "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
		 "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
		 "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
		 "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
		 "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
		 "76fc6ece0f4e1768cddf8853bb2d551b"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t nonce[SEAL_NONCE_SIZE], aad[20], plain[64], cipher[64], got[64], tag[16],
			want[16];
		size_t len = strlen(rows[i].plain) / 2, aad_len = strlen(rows[i].aad) / 2;
		struct seal_key key;

		unhex(rows[i].key, key.bytes);
		unhex(rows[i].nonce, nonce);
		unhex(rows[i].aad, aad);
		unhex(rows[i].plain, plain);
		unhex(rows[i].cipher, cipher);
		unhex(rows[i].tag, want);
		seal_gcm_encrypt(&key, nonce, aad, aad_len, plain, len, got, tag);
		CHECK_MEM(got, cipher, len);
		CHECK_MEM(tag, want, sizeof(tag));
		CHECK_INT(seal_gcm_decrypt(&key, nonce, aad, aad_len, cipher, len, got, want), 0);
		CHECK_MEM(got, plain, len);
		want[15] ^= 1;
		CHECK_INT(seal_gcm_decrypt(&key, nonce, aad, aad_len, cipher, len, got, want), -1);
		memset(plain, 0, sizeof(plain));
		CHECK_MEM(got, plain, len);
	}
}

TEST(what_is_sealed_opens_at_its_place_only)
{
	static const struct seal_place here = {"prod", 3, "worker"};
	static const struct seal_place elsewhere[] = {{"prod", 4, "worker"},
						      {"prod", 3, "manager"},
						      {"pro", 3, "worker"},
						      {"prod", 3, "worke"}};
	CLEANUP(str_free) struct str text = {0}, again = {0};
	struct seal_key key, other;
	char back[64];
	size_t len;
	struct err err = {0};

	seal_key_derive(SECRET, "rendezvous", "prod", &key);
	CHECK_OK(seal_bytes(&key, &here, "SWMTKN-1-abc", 12, &text, &err), &err);
	CHECK_OK(seal_bytes(&key, &here, "SWMTKN-1-abc", 12, &again, &err), &err);
	CHECK(strcmp(text.data, again.data) != 0);
	CHECK(!strstr(text.data, "SWMTKN"));
	CHECK_OK(seal_open(&key, &here, text.data, back, sizeof(back), &len, &err), &err);
	CHECK_U64(len, 12);
	CHECK_STR(back, "SWMTKN-1-abc");
	for (size_t i = 0; i < ARRAY_SIZE(elsewhere); i++)
		CHECK_ERR(seal_open(&key, &elsewhere[i], text.data, back, sizeof(back), &len, &err),
			  &err, ERR_VERIFY, "another place");
	CHECK_CONTAINS(err.hint, "same secret");
	seal_key_derive(SECRET "x", "rendezvous", "prod", &other);
	CHECK_ERR(seal_open(&other, &here, text.data, back, sizeof(back), &len, &err), &err,
		  ERR_VERIFY, "another secret");
	seal_key_derive(SECRET, "something else", "prod", &other);
	CHECK_ERR(seal_open(&other, &here, text.data, back, sizeof(back), &len, &err), &err,
		  ERR_VERIFY, "another secret");
	seal_key_derive(SECRET, "rendezvous", "test", &other);
	CHECK_ERR(seal_open(&other, &here, text.data, back, sizeof(back), &len, &err), &err,
		  ERR_VERIFY, "another secret");
	seal_key_wipe(&key);
	for (size_t i = 0; i < sizeof(key); i++)
		CHECK_INT(key.bytes[i], 0);
}

TEST(every_flipped_bit_is_seen)
{
	static const struct seal_place here = {"prod", 1, "manager"};
	CLEANUP(str_free) struct str text = {0}, record = {0};
	struct seal_key key;
	char back[64];
	size_t len;
	struct err err = {0};

	seal_key_derive(SECRET, "rendezvous", "prod", &key);
	CHECK_OK(seal_bytes(&key, &here, "secret", 6, &text, &err), &err);
	CHECK_INT(base64_decode(text.data, text.len, &record), 0);
	CHECK_U64(record.len, 1 + 12 + 6 + 16);
	for (size_t bit = 0; bit < 8 * record.len; bit++) {
		CLEANUP(str_free) struct str changed = {0};

		record.data[bit / 8] ^= (char)(1 << bit % 8);
		base64_add(record.data, record.len, &changed);
		record.data[bit / 8] ^= (char)(1 << bit % 8);
		CHECK_ERR(seal_open(&key, &here, changed.data, back, sizeof(back), &len, &err),
			  &err, ERR_VERIFY, "cannot open the sealed 'manager'");
	}
}

TEST(sizes_are_bounded)
{
	static const struct seal_place here = {"prod", 1, "x"};
	static const char *const bad[] = {"", "AQ==", "no base64",
					  "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRo="};
	CLEANUP(str_free) struct str text = {0}, full = {0};
	CLEANUP_FREE char *large = mem_alloc(SEAL_MAX + 2);
	struct seal_key key;
	char back[7];
	size_t len;
	struct err err = {0};

	seal_key_derive(SECRET, "rendezvous", "prod", &key);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_ERR(seal_open(&key, &here, bad[i], back, sizeof(back), &len, &err), &err,
			  ERR_VERIFY, "no sealed value");
	CHECK_OK(seal_bytes(&key, &here, "sevenby", 7, &text, &err), &err);
	CHECK_ERR(seal_open(&key, &here, text.data, back, sizeof(back), &len, &err), &err,
		  ERR_VERIFY, "of its size");
	CHECK_ERR(seal_bytes(&key, &here, large, SEAL_MAX + 1, &text, &err), &err, ERR_OTHER,
		  "at most 4096");
	CHECK_OK(seal_bytes(&key, &here, large, SEAL_MAX, &full, &err), &err);
	CHECK_OK(seal_open(&key, &here, full.data, large, SEAL_MAX + 2, &len, &err), &err);
	CHECK_U64(len, SEAL_MAX);
}
