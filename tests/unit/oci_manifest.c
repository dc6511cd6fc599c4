/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests, indexes and configurations: what is read of good ones, and what is refused of bad ones.
 */
#include "tap.h"

#include "base/mem.h"
#include "base/str.h"
#include "oci/manifest.h"

#define A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define GZIP "application/vnd.oci.image.layer.v1.tar+gzip"
#define DESCRIPTOR(type, digest, size) \
	"{'mediaType':'" type "','digest':'" digest "','size':" size "}"
#define CONFIG DESCRIPTOR(OCI_TYPE_CONFIG, A, "100")
#define LAYER DESCRIPTOR(GZIP, B, "7")
#define MANIFEST(config, layers) "{'schemaVersion':2,'config':" config ",'layers':[" layers "]}"
#define ENTRY(digest, platform)                                  \
	"{'mediaType':'" OCI_TYPE_MANIFEST "','digest':'" digest \
	"','size':500,'platform':{" platform "}}"
#define INDEX(entries) "{'schemaVersion':2,'manifests':[" entries "]}"
#define AMD64 "'os':'linux','architecture':'amd64'"
#define ARM64 "'os':'linux','architecture':'arm64'"

static const struct oci_platform amd64 = {.architecture = "amd64"};
static const struct oci_platform arm64 = {.architecture = "arm64"};

/* JSON with single quotes for double ones. */
static json_t *json(const char *text)
{
	CLEANUP_FREE char *own = mem_strdup(text);
	struct err err = {0};
	json_t *value;

	for (char *p = own; *p; p++)
		if (*p == '\'')
			*p = '"';
	value = json_parse(own, strlen(own), "test", &err);
	CHECK_OK_PTR(value, &err);
	return value;
}

/* The first digit of a digest tells which it is. */
static char first(const struct oci_descriptor *d)
{
	char hex[DIGEST_HEX_SIZE];

	return digest_hex(&d->digest, hex)[0];
}

TEST(good_manifests)
{
	static const char *const types[] = {
		OCI_TYPE_LAYER,
		GZIP,
		OCI_TYPE_LAYER "+zstd",
		"application/vnd.docker.image.rootfs.diff.tar.gzip",
		"application/vnd.docker.image.rootfs.diff.tar",
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct oci_manifest manifest CLEANUP(oci_manifest_free) = {0};
		CLEANUP_FREE char *text = mem_printf(
			MANIFEST(CONFIG, "{'mediaType':'%s','digest':'" B "','size':7}," LAYER),
			types[i]);
		CLEANUP_JSON json_t *document = json(text);
		struct err err = {0};

		CHECK_OK(oci_manifest_read(document, &manifest, &err), &err);
		CHECK_U64(manifest.layer_count, 2);
		CHECK_STR(manifest.layers[0].media_type, types[i]);
		CHECK_U64(manifest.layers[0].size, 7);
		CHECK_INT(first(&manifest.layers[0]), 'b');
		CHECK_U64(manifest.config.size, 100);
		CHECK_INT(first(&manifest.config), 'a');
	}
}

TEST(bad_manifests)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"[]", "bad manifest: no object"},
		{"{}", "no schemaVersion 2"},
		{"{'schemaVersion':'2'}", "no schemaVersion 2"},
		{"{'schemaVersion':1,'fsLayers':[]}", "Docker's schema 1"},
		{"{'schemaVersion':2,'mediaType':'" OCI_TYPE_INDEX "'}", "that of something else"},
		{"{'schemaVersion':2,'manifests':[]}", "it is an index"},
		{MANIFEST("{}", LAYER), "bad configuration: no digest"},
		{MANIFEST("[]", LAYER), "bad configuration: no object"},
		{MANIFEST(CONFIG, ""), "it has no layers"},
		{"{'schemaVersion':2,'config':" CONFIG "}", "it has no layers"},
		{MANIFEST(CONFIG, "7"), "bad layer 1: no object"},
		{MANIFEST(CONFIG, LAYER ",{'digest':'" B "','size':7}"),
		 "bad layer 2: no media type"},
		{MANIFEST(CONFIG, "{'mediaType':'" GZIP "','digest':'" B "'}"),
		 "bad layer 1: no size"},
		{MANIFEST(CONFIG, DESCRIPTOR(GZIP, B, "-1")), "no size"},
		{MANIFEST(CONFIG, DESCRIPTOR(GZIP, B, "1.5")), "no size"},
		{MANIFEST(CONFIG, DESCRIPTOR(GZIP, B, "68719476737")),
		 "68719476737 bytes are more than the 68719476736"},
		{MANIFEST(DESCRIPTOR(OCI_TYPE_CONFIG, A, "4194305"), LAYER),
		 "more than the 4194304"},
		{MANIFEST(CONFIG, DESCRIPTOR(GZIP, "sha512:00", "7")), "is not of SHA-256"},
		{MANIFEST(CONFIG, DESCRIPTOR(GZIP, "sha256:00", "7")), "bad layer 1"},
		{MANIFEST(CONFIG, DESCRIPTOR(GZIP, B "b", "7")), "bad layer 1"},
		{MANIFEST(CONFIG, DESCRIPTOR(GZIP, "sha256:../../../../etc/passwd", "7")),
		 "digest 'sha256:../../../../etc/passwd'"},
		{MANIFEST(CONFIG, DESCRIPTOR(GZIP,
					     "sha256:BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"
					     "BBBBBBBBBBBBBBBBBB",
					     "7")),
		 "bad layer 1: digest"},
		{MANIFEST(CONFIG, DESCRIPTOR("a b/c", B, "7")), "no media type"},
		{MANIFEST(CONFIG, DESCRIPTOR("text/html", B, "7")),
		 "'text/html' is no kind of layer"},
		{MANIFEST(CONFIG, DESCRIPTOR(GZIP "+encrypted", B, "7")), "it is encrypted"},
		{MANIFEST(CONFIG,
			  DESCRIPTOR("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", B,
				     "7")),
		 "a foreign layer"},
		{MANIFEST(CONFIG,
			  DESCRIPTOR("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
				     B, "7")),
		 "a foreign layer"},
		{MANIFEST(CONFIG, "{'mediaType':'" GZIP "','digest':'" B
				  "','size':7,'urls':['https://example.com/x']}"),
		 "a foreign layer"},
		{MANIFEST(DESCRIPTOR("application/vnd.cncf.helm.config.v1+json", A, "1"), LAYER),
		 "no container image but an artifact"},
		/* Go's JSON would read the second one. */
		{"{'schemaVersion':2,'config':" CONFIG ",'layers':[" LAYER "],'Layers':[]}",
		 "member 'Layers' for 'layers'"},
		{MANIFEST(CONFIG,
			  "{'mediaType':'" GZIP "','digest':'" B "','size':7,'DIGEST':'" A "'}"),
		 "member 'DIGEST' for 'digest'"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct oci_manifest manifest CLEANUP(oci_manifest_free) = {0};
		CLEANUP_JSON json_t *document = json(rows[i].text);
		struct err err = {0};

		CHECK_ERR(oci_manifest_read(document, &manifest, &err), &err, ERR_VERIFY,
			  rows[i].why);
		CHECK(manifest.layers == NULL);
	}
}

TEST(many_layers)
{
	for (int count = OCI_LAYERS_MAX; count <= OCI_LAYERS_MAX + 1; count++) {
		struct oci_manifest manifest CLEANUP(oci_manifest_free) = {0};
		CLEANUP(str_free) struct str text = {0};
		CLEANUP_JSON json_t *document = NULL;
		struct err err = {0};

		str_add(&text, "{'schemaVersion':2,'config':" CONFIG ",'layers':[" LAYER);
		for (int i = 1; i < count; i++)
			str_add(&text, "," LAYER);
		str_add(&text, "]}");
		document = json(text.data);
		if (count == OCI_LAYERS_MAX)
			CHECK_OK(oci_manifest_read(document, &manifest, &err), &err);
		else
			CHECK_ERR(oci_manifest_read(document, &manifest, &err), &err, ERR_VERIFY,
				  "501 layers are more than 500");
	}
}

TEST(what_is_an_index)
{
	CLEANUP_JSON json_t *index = json(INDEX(""));
	CLEANUP_JSON json_t *manifest = json(MANIFEST(CONFIG, LAYER));
	CLEANUP_JSON json_t *says = json("{'mediaType':'" DOCKER_TYPE_INDEX "','layers':[]}");
	CLEANUP_JSON json_t *nothing = json("{}");

	CHECK(oci_is_index("", index));
	CHECK(!oci_is_index("", manifest));
	CHECK(oci_is_index("", says));
	/* The document counts, not what a server says about it. */
	CHECK(!oci_is_index(OCI_TYPE_INDEX, manifest));
	CHECK(oci_is_index(OCI_TYPE_MANIFEST, index));
	CHECK(oci_is_index(OCI_TYPE_INDEX, nothing));
	CHECK(!oci_is_index("", nothing));
}

TEST(choosing_from_an_index)
{
	static const struct {
		const char *entries;
		char want_amd64, want_arm64; /* first digit of the digest, 0: none */
	} rows[] = {
		{ENTRY(A, AMD64) "," ENTRY(B, ARM64), 'a', 'b'},
		{ENTRY(A, AMD64) "," ENTRY(B, AMD64), 'a', 0},
		{ENTRY(B, ARM64 ",'variant':'v8'"), 0, 'b'},
		{ENTRY(B, ARM64 ",'variant':'v9'"), 0, 0},
		{ENTRY(A, AMD64 ",'variant':'v3'") "," ENTRY(B, AMD64), 'b', 0},
		{ENTRY(A, AMD64 ",'variant':'v1'"), 'a', 0},
		{ENTRY(A, "'os':'windows','architecture':'amd64'") "," ENTRY(B, AMD64), 'b', 0},
		/* An attestation is for nobody. */
		{ENTRY(A, "'os':'unknown','architecture':'unknown'") "," ENTRY(B, AMD64), 'b', 0},
		{ENTRY(A, "'os':'unknown','architecture':'unknown'"), 0, 0},
		/* What says nothing may be it. */
		{DESCRIPTOR(OCI_TYPE_MANIFEST, A, "1"), 'a', 'a'},
		{DESCRIPTOR(OCI_TYPE_MANIFEST, A, "1") "," ENTRY(B, ARM64), 'a', 'b'},
		{DESCRIPTOR(OCI_TYPE_INDEX, A, "1") "," ENTRY(B, ARM64), 'a', 'b'},
		{DESCRIPTOR("application/vnd.example", A, "1"), 0, 0},
		{"7", 0, 0},
		{"", 0, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_FREE char *text = mem_printf(INDEX("%s"), rows[i].entries);
		CLEANUP_JSON json_t *index = json(text);
		struct oci_descriptor got;

		CHECK_INT(oci_index_choose(index, &amd64, &got, NULL) == 0 ? first(&got) : 0,
			  rows[i].want_amd64);
		CHECK_INT(oci_index_choose(index, &arm64, &got, NULL) == 0 ? first(&got) : 0,
			  rows[i].want_arm64);
	}
}

TEST(an_index_without_our_platform_says_what_it_has)
{
	CLEANUP_JSON json_t *index = json(INDEX(
		ENTRY(A, "'os':'windows','architecture':'amd64'") "," ENTRY(B, "'os':'linux','architecture':'arm','variant':'v7'") "," ENTRY(
			A,
			"'os':'unknown','architecture':'unknown'") "," ENTRY(A,
									     "'os':'linux','architecture':'x\\u001b[31m'")));
	struct oci_descriptor got;
	struct err err = {0};

	CHECK_ERR(oci_index_choose(index, &amd64, &got, &err), &err, ERR_VERIFY,
		  "not there for linux/amd64, only for windows/amd64, linux/arm/v7, linux/x");
	CHECK(strchr(err.msg, 033) == NULL);
}

TEST(bad_indexes)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"{'schemaVersion':2}", "no list of manifests"},
		{"{'schemaVersion':2,'manifests':{}}", "no list of manifests"},
		{"{'manifests':[]}", "no schemaVersion 2"},
		{INDEX(ENTRY("sha256:0", AMD64)), "bad entry of the index"},
		{INDEX("{'mediaType':'" OCI_TYPE_MANIFEST "','digest':'" A
		       "','size':5000000,'platform':{" AMD64 "}}"),
		 "more than the 4194304"},
		{INDEX("{'mediaType':'" OCI_TYPE_MANIFEST "','digest':'" A "','Digest':'" B
		       "','size':5,'platform':{" AMD64 "}}"),
		 "member 'Digest' for 'digest'"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_JSON json_t *index = json(rows[i].text);
		struct oci_descriptor got;
		struct err err = {0};

		CHECK_ERR(oci_index_choose(index, &amd64, &got, &err), &err, ERR_VERIFY,
			  rows[i].why);
	}
}

TEST(configurations)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"{" AMD64 ",'rootfs':{'type':'layers','diff_ids':['" A "','" B "']}}", NULL},
		{"{" AMD64 ",'variant':'v1','rootfs':{'type':'layers','diff_ids':['" A "','" B
		 "']}}",
		 NULL},
		{"{" ARM64 ",'rootfs':{'type':'layers','diff_ids':['" A "','" B "']}}",
		 "for linux/arm64, not for linux/amd64"},
		{"{'rootfs':{'type':'layers','diff_ids':['" A "','" B "']}}", "for ?/?"},
		{"{" AMD64 ",'rootfs':{'type':'layers','diff_ids':['" A "']}}",
		 "it has 1 layers and the manifest 2"},
		{"{" AMD64 ",'rootfs':{'type':'layers','diff_ids':[]}}", "has no layers"},
		{"{" AMD64 ",'rootfs':{'diff_ids':['" A "','" B "']}}", "has no layers"},
		{"{" AMD64 "}", "bad rootfs"},
		{"[]", "bad configuration"},
		{"{" AMD64 ",'rootfs':{'type':'layers','diff_ids':['" A "',7]}}", "bad diff_id"},
		{"{" AMD64 ",'rootfs':{'type':'layers','diff_ids':['" A "','" B "']},'ROOTFS':{}}",
		 "member 'ROOTFS'"},
		{"{" AMD64 ",'rootfs':{'type':'layers','diff_ids':['" A "','" B
		 "'],'Diff_Ids':[]}}",
		 "member 'Diff_Ids'"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_JSON json_t *config = json(rows[i].text);
		CLEANUP_FREE struct digest *ids = NULL;
		struct err err = {0};
		int r = oci_config_read(config, &amd64, 2, &ids, &err);

		if (rows[i].why) {
			CHECK_ERR(r, &err, ERR_VERIFY, rows[i].why);
			continue;
		}
		CHECK_OK(r, &err);
		CHECK_INT(ids[0].bytes[0], 0xaa);
		CHECK_INT(ids[1].bytes[31], 0xbb);
	}
}
