/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SBOMs: what is in them, that order and repetition do not matter, and what hostile values become. Their
 * schemas are checked by tests/cli/papers.t on the documents that the first test here leaves.
 */
#include "tap.h"

#include "attest/ownfiles.h"
#include "attest/purl.h"
#include "attest/sbom.h"
#include "base/mem.h"
#include "base/str.h"

#define SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SHA1 "da39a3ee5e6b4b0d3255bfef95601890afd80709"
#define ABC256 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define ABC1 "a9993e364706816aba3e25717850c26c9cd0d89d"

static const char *const bash_depends[] = {"libc6", "base-files", "gone", "libc6"};
static const char *const other_depends[] = {"libc6:i386", "bash"};

static const struct sbom_package packages[] = {
	{.name = "libc6",
	 .version = "2.41-12",
	 .architecture = "amd64",
	 .source = "glibc",
	 .source_version = "2.41-12",
	 .sha256 = SHA256},
	{.name = "libc6",
	 .version = "2.41-12",
	 .architecture = "i386",
	 .source = "glibc",
	 .source_version = "2.41-12"},
	{.name = "bash",
	 .version = "5.2.37-2+b5",
	 .architecture = "amd64",
	 .source = "bash",
	 .source_version = "5.2.37-2",
	 .maintainer = "Matthias Klose <doko@debian.org>",
	 .homepage = "https://www.gnu.org/software/bash/",
	 .section = "shells",
	 .summary = "GNU Bourne Again SHell",
	 .sha256 = ABC256,
	 .size = 1500000,
	 .origin = "Debian",
	 .suite = "trixie",
	 .component = "main",
	 .path = "pool/main/b/bash/bash_5.2.37-2+b5_amd64.deb",
	 .depends = bash_depends,
	 .depend_count = 4},
	{.name = "base-files", .version = "13.8", .architecture = "all"},
	{.name = "docker-ce",
	 .version = "5:28.0~x",
	 .architecture = "amd64",
	 .maintainer = "Docker (team) <support@docker.com>",
	 .origin = "Docker",
	 .depends = other_depends,
	 .depend_count = 2},
};

static const struct sbom_file files[] = {
	{"/usr/bin/ingot-agent", ABC256, ABC1, 3, "ingot-agent"},
	{"/etc/motd", SHA256, SHA1, 0, "overlay base"},
	{"/etc/issue", ABC256, ABC1, 3, "overlay base"},
};

static const char *const container_layers[] = {"sha256:" ABC256, "sha256:" SHA256};

static const struct sbom_container containers[] = {
	{.reference = "registry.example:5000/team/App:1.2",
	 .digest = "sha256:" ABC256,
	 .config = "sha256:" SHA256,
	 .layers = container_layers,
	 .layer_count = ARRAY_SIZE(container_layers),
	 .size = 12},
	{.reference = "nginx", .digest = "sha256:" SHA256},
};

static struct sbom sample(void)
{
	return (struct sbom){
		.name = "demo",
		.version = "1.0",
		.architecture = "amd64",
		.description = "A demo",
		.distribution = "debian",
		.release = "trixie",
		.release_version = "13",
		.created = 1700000000,
		.root_hash = {{0xcd}},
		.profile = {{0xab}},
		.packages = packages,
		.package_count = ARRAY_SIZE(packages),
		.files = files,
		.file_count = ARRAY_SIZE(files),
		.containers = containers,
		.container_count = ARRAY_SIZE(containers),
	};
}

static json_t *make(json_t *(*writer)(const struct sbom *, struct err *), const struct sbom *s)
{
	struct err err = {0};
	json_t *value = writer(s, &err);

	CHECK_OK_PTR(value, &err);
	return value;
}

#define BYTES "\x01\x7f\xff\xc3( <>(){}[]\"'\\%/@?#&=:;,+*|~^`$!\n\t\xe2\x80\xae\xf0\x9f\x90\xa7"

/* What no package should have and a damaged database may. */
static struct sbom hostile(void)
{
	static const char *const depends[] = {"a/../b", "", ":", ":amd64", BYTES, "deb-a-b"};
	static const struct sbom_package bad[] = {
		{.name = BYTES,
		 .version = BYTES,
		 .architecture = BYTES,
		 .source = BYTES,
		 .source_version = BYTES,
		 .maintainer = BYTES,
		 .homepage = BYTES,
		 .section = BYTES,
		 .summary = BYTES,
		 .origin = BYTES,
		 .suite = BYTES,
		 .component = BYTES,
		 .path = BYTES,
		 .depends = depends,
		 .depend_count = ARRAY_SIZE(depends)},
		{.name = "a/../b", .version = "1", .architecture = "amd64", .maintainer = "<a@b>"},
		{.name = "a+b", .version = "1", .architecture = "amd64", .maintainer = "<>"},
		{.name = "a-b", .version = "1", .architecture = "amd64", .maintainer = "("},
		{.name = "a_b",
		 .version = "1",
		 .architecture = "amd64",
		 .maintainer = "A <b c>",
		 .homepage = "https://a b"},
		{.name = "A+B",
		 .version = "1",
		 .architecture = "amd64",
		 .homepage = "https://a/%zz",
		 .path = "/"},
		{.name = "a-b",
		 .version = "1",
		 .architecture = "amd64-",
		 .path = "x/",
		 .homepage = "javascript:alert(1)"},
		{.name = "a-b-",
		 .version = "1",
		 .architecture = "amd64",
		 .source = "x",
		 .homepage = "https:///etc"},
		{.name = "a-b-amd64",
		 .version = "1",
		 .architecture = "-",
		 .source = "x/y",
		 .homepage = "https://example.org/#a#b",
		 .depends = depends,
		 .depend_count = ARRAY_SIZE(depends)},
	};
	static const struct sbom_file hostile_files[] = {
		{"/" BYTES, SHA256, SHA1, 0, BYTES},
		{"/\xff", SHA256, SHA1, 0, "overlay a"},
		{"/\xfe", ABC256, ABC1, 3, "overlay a"}, /* the same text */
		{"/a b", SHA256, SHA1, 0, "overlay a b"},
		{"/a-b", SHA256, SHA1, 0, "overlay a-b"},
		{"/a b", SHA256, SHA1, 0, ""},
	};
	static const struct sbom_container hostile_containers[] = {
		{.reference = BYTES, .digest = "sha256:" SHA256},
		{.reference = "a:b:c@d@e", .digest = "sha256:" SHA256},
		{.reference = "/", .digest = "sha256:" SHA256},
	};
	struct sbom s = sample();

	s.name = "de mo/%\xff";
	s.version = BYTES;
	s.description = BYTES;
	s.release_version = BYTES;
	s.packages = bad;
	s.package_count = ARRAY_SIZE(bad);
	s.files = hostile_files;
	s.file_count = ARRAY_SIZE(hostile_files);
	s.containers = hostile_containers;
	s.container_count = ARRAY_SIZE(hostile_containers);
	return s;
}

static void leave(const char *name, const struct sbom *s)
{
	const char *dir = getenv("INGOT_PAPERS");
	CLEANUP_JSON json_t *spdx = make(sbom_spdx, s), *cyclonedx = make(sbom_cyclonedx, s);
	CLEANUP_FREE char *a = mem_printf("%s/%s.spdx.json", dir ? dir : ".", name);
	CLEANUP_FREE char *b = mem_printf("%s/%s.cdx.json", dir ? dir : ".", name);
	struct err err = {0};

	CHECK_OK(json_write_file(a, spdx, false, &err), &err);
	CHECK_OK(json_write_file(b, cyclonedx, false, &err), &err);
}

/* tests/cli/papers.t runs this one with INGOT_PAPERS, a folder. */
TEST(leaves_documents)
{
	struct sbom s = sample(), bad = hostile();
	struct sbom empty = {.name = "e",
			     .version = "1",
			     .architecture = "arm64",
			     .distribution = "debian",
			     .release = "trixie"};

	leave("sample", &s);
	leave("hostile", &bad);
	leave("empty", &empty);
}

static const json_t *find(const json_t *list, const char *key, const char *value)
{
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item)
	{
		const char *text = json_member_string(item, key);

		if (text && strcmp(text, value) == 0)
			return item;
	}
	FAIL("nothing has %s = %s", key, value);
}

static const json_t *spdx_package(const json_t *document, const char *purl)
{
	size_t i;
	json_t *item;

	json_array_foreach(json_object_get(document, "packages"), i, item)
	{
		const json_t *refs = json_object_get(item, "externalRefs");
		const char *text = json_member_string(json_array_get(refs, 0), "referenceLocator");

		if (text && strcmp(text, purl) == 0)
			return item;
	}
	FAIL("no package %s", purl);
}

static bool related(const json_t *document, const json_t *from, const char *type, const json_t *to)
{
	size_t i;
	json_t *item;

	json_array_foreach(json_object_get(document, "relationships"), i,
			   item) if (strcmp(json_member_string(item, "spdxElementId"),
					    json_member_string(from, "SPDXID")) == 0 &&
				     strcmp(json_member_string(item, "relationshipType"), type) ==
					     0 &&
				     strcmp(json_member_string(item, "relatedSpdxElement"),
					    json_member_string(to, "SPDXID")) == 0) return true;
	return false;
}

#define BASH "pkg:deb/debian/bash@5.2.37-2%2Bb5?arch=amd64&distro=debian-13"
#define BASH_SOURCE "pkg:deb/debian/bash@5.2.37-2?arch=source&distro=debian-13"
#define LIBC "pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=debian-13"
#define LIBC_I386 "pkg:deb/debian/libc6@2.41-12?arch=i386&distro=debian-13"
#define DOCKER "pkg:deb/docker/docker-ce@5:28.0~x?arch=amd64"

TEST(spdx_holds_it_all)
{
	struct sbom s = sample();
	CLEANUP_JSON json_t *v = make(sbom_spdx, &s);
	const json_t *root = spdx_package(v, "pkg:generic/demo@1.0?arch=amd64");
	const json_t *bash = spdx_package(v, BASH), *docker = spdx_package(v, DOCKER);
	const json_t *ours = find(json_object_get(v, "packages"), "name", "overlay base");
	CLEANUP_FREE char *text = NULL;

	CHECK_STR(json_member_string(v, "name"), "demo-1.0");
	CHECK(str_has_prefix(json_member_string(v, "documentNamespace"),
			     "https://spdx.org/spdxdocs/demo-"));
	CHECK_STR(json_member_string(json_object_get(v, "creationInfo"), "created"),
		  "2023-11-14T22:13:20Z");
	CHECK(related(v, v, "DESCRIBES", root));
	CHECK(related(v, root, "CONTAINS", bash));
	CHECK(related(v, bash, "GENERATED_FROM", spdx_package(v, BASH_SOURCE)));
	CHECK(related(v, bash, "DEPENDS_ON", spdx_package(v, LIBC)));
	CHECK(!related(v, bash, "DEPENDS_ON", spdx_package(v, LIBC_I386)));
	CHECK(related(v, docker, "DEPENDS_ON", spdx_package(v, LIBC_I386)));
	CHECK_STR(json_member_string(bash, "versionInfo"), "5.2.37-2+b5");
	CHECK_STR(json_member_string(bash, "supplier"), "Organization: Debian");
	CHECK_STR(json_member_string(bash, "originator"),
		  "Person: Matthias Klose (doko@debian.org)");
	CHECK_STR(json_member_string(docker, "originator"),
		  "Person: Docker [team] (support@docker.com)");
	CHECK_STR(json_member_string(bash, "packageFileName"), "bash_5.2.37-2+b5_amd64.deb");
	CHECK_STR(
		json_member_string(bash, "sourceInfo"),
		"'pool/main/b/bash/bash_5.2.37-2+b5_amd64.deb' of suite 'trixie', component 'main'");
	CHECK_STR(json_member_string(bash, "homepage"), "https://www.gnu.org/software/bash/");
	text = json_line(json_object_get(bash, "checksums"));
	CHECK_STR(text, "[{\"algorithm\":\"SHA256\",\"checksumValue\":\"" ABC256 "\"}]");
	/* printf da39..09 and a999..9d, sorted, behind each other | sha1sum */
	CHECK_STR(json_member_string(json_object_get(ours, "packageVerificationCode"),
				     "packageVerificationCodeValue"),
		  "29d0dbdfff975c93e2d75e5024fe8b650ec847af");
	CHECK(related(v, ours, "CONTAINS",
		      find(json_object_get(v, "files"), "fileName", "./etc/motd")));
	CHECK(!related(v, ours, "CONTAINS",
		       find(json_object_get(v, "files"), "fileName", "./usr/bin/ingot-agent")));
	ours = spdx_package(v, "pkg:oci/app@sha256:" ABC256
			       "?repository_url=registry.example:5000%2Fteam%2FApp&tag=1.2");
	CHECK_STR(json_member_string(ours, "sourceInfo"),
		  "configuration sha256:" SHA256 ", layers sha256:" ABC256 " sha256:" SHA256);
	CHECK_STR(json_member_string(ours, "primaryPackagePurpose"), "CONTAINER");
	ours = spdx_package(v, "pkg:oci/nginx@sha256:" SHA256);
	CHECK(!json_object_get(ours, "sourceInfo"));
}

TEST(cyclonedx_holds_it_all)
{
	struct sbom s = sample();
	CLEANUP_JSON json_t *v = make(sbom_cyclonedx, &s);
	const json_t *list = json_object_get(v, "components"), *graph;
	const json_t *bash = find(list, "purl", BASH), *libc = find(list, "purl", LIBC), *node;
	CLEANUP_FREE char *hashes = NULL, *depends = NULL, *want = NULL;

	CHECK(str_has_prefix(json_member_string(v, "serialNumber"), "urn:uuid:"));
	CHECK_STR(json_member_string(json_object_get(json_object_get(v, "metadata"), "component"),
				     "type"),
		  "operating-system");
	CHECK_STR(json_member_string(bash, "publisher"), "Matthias Klose <doko@debian.org>");
	CHECK_STR(json_member_string(json_object_get(bash, "supplier"), "name"), "Debian");
	CHECK_STR(
		json_member_string(
			json_array_get(
				json_object_get(json_object_get(bash, "pedigree"), "ancestors"), 0),
			"purl"),
		BASH_SOURCE);
	hashes = json_line(json_object_get(bash, "hashes"));
	CHECK_STR(hashes, "[{\"alg\":\"SHA-256\",\"content\":\"" ABC256 "\"}]");
	node = find(list, "name", "registry.example:5000/team/App:1.2");
	CHECK_STR(json_member_string(node, "type"), "container");
	free(hashes);
	hashes = json_line(json_object_get(node, "properties"));
	CHECK_STR(hashes, "[{\"name\":\"ingot:oci:config\",\"value\":\"sha256:" SHA256
			  "\"},{\"name\":\"ingot:oci:layer\",\"value\":\"sha256:" ABC256
			  "\"},{\"name\":\"ingot:oci:layer\",\"value\":\"sha256:" SHA256
			  "\"},{\"name\":\"ingot:size\",\"value\":\"12\"}]");
	graph = json_object_get(v, "dependencies");
	node = find(graph, "ref", json_member_string(bash, "bom-ref"));
	depends = json_line(json_object_get(node, "dependsOn"));
	want = mem_printf("[\"%s\",\"%s\"]",
			  json_member_string(find(list, "name", "base-files"), "bom-ref"),
			  json_member_string(libc, "bom-ref"));
	CHECK_STR(depends, want);
	/* The image depends on all: 5 packages, 3 files, 2 containers. */
	node = json_array_get(graph, 0);
	CHECK_INT(json_array_size(json_object_get(node, "dependsOn")), 10);
	find(list, "purl", DOCKER);
	CHECK_STR(json_member_string(find(list, "name", "/etc/issue"), "type"), "file");
}

static char *text_of(json_t *(*writer)(const struct sbom *, struct err *), const struct sbom *s)
{
	CLEANUP_JSON json_t *value = make(writer, s);
	char *text = json_text(value);

	CHECK(text != NULL);
	return text;
}

/* In reverse, and each twice: the same sets. */
static void check_order(struct sbom s, json_t *(*writer)(const struct sbom *, struct err *))
{
	struct sbom_package *p = mem_alloc_array(2 * s.package_count, sizeof(*p));
	struct sbom_file *f = mem_alloc_array(2 * s.file_count, sizeof(*f));
	struct sbom_container *c = mem_alloc_array(2 * s.container_count, sizeof(*c));
	CLEANUP_FREE char *first = text_of(writer, &s), *again = text_of(writer, &s), *other = NULL;
	struct sbom t = s;

	for (size_t i = 0; i < 2 * s.package_count; i++)
		p[i] = s.packages[s.package_count - 1 - i % s.package_count];
	for (size_t i = 0; i < 2 * s.file_count; i++)
		f[i] = s.files[s.file_count - 1 - i % s.file_count];
	for (size_t i = 0; i < 2 * s.container_count; i++)
		c[i] = s.containers[s.container_count - 1 - i % s.container_count];
	t.packages = p;
	t.package_count *= 2;
	t.files = f;
	t.file_count *= 2;
	t.containers = c;
	t.container_count *= 2;
	other = text_of(writer, &t);
	CHECK_STR(again, first);
	CHECK_STR(other, first);
	free(p);
	free(f);
	free(c);
}

TEST(order_does_not_matter)
{
	check_order(sample(), sbom_spdx);
	check_order(sample(), sbom_cyclonedx);
	check_order(hostile(), sbom_spdx);
	check_order(hostile(), sbom_cyclonedx);
}

static char *id_of(json_t *(*writer)(const struct sbom *, struct err *), const struct sbom *s,
		   const char *key)
{
	CLEANUP_JSON json_t *value = make(writer, s);

	return mem_strdup(json_member_string(value, key));
}

/* Other content is another document: consumers go by these names. */
TEST(names_of_documents_tell_content_apart)
{
	struct sbom s = sample(), t = sample(), u = sample();
	CLEANUP_FREE char *a = id_of(sbom_spdx, &s, "documentNamespace");
	CLEANUP_FREE char *c = id_of(sbom_cyclonedx, &s, "serialNumber");

	t.root_hash.bytes[5] = 1;
	u.package_count--;
	for (int i = 0; i < 2; i++) {
		CLEANUP_FREE char *b = id_of(sbom_spdx, i ? &u : &t, "documentNamespace");
		CLEANUP_FREE char *d = id_of(sbom_cyclonedx, i ? &u : &t, "serialNumber");

		CHECK(strcmp(a, b) != 0);
		CHECK(strcmp(c, d) != 0);
	}
	CHECK_INT(strlen(c), strlen("urn:uuid:") + 36);
	CHECK(strcmp(strrchr(a, '-'), strrchr(c, '-')) != 0);
}

static void refuse(const struct sbom *s, const char *part)
{
	struct err err = {0};

	CHECK_ERR_PTR(sbom_spdx(s, &err), &err, ERR_VERIFY, part);
	err_clear(&err);
	CHECK_ERR_PTR(sbom_cyclonedx(s, &err), &err, ERR_VERIFY, part);
}

TEST(what_is_missing_is_an_error)
{
	static const struct sbom_package no_version = {
		.name = "a", .version = "", .architecture = "all"};
	static const struct sbom_package bad_digest = {
		.name = "a", .version = "1", .architecture = "all", .sha256 = "E3B0"};
	static const struct sbom_file bad_file = {"/a", SHA256, NULL, 0, "x"};
	static const struct sbom_container bad_container = {.reference = "a",
							    .digest = "sha256:12"};
	static const char *const bad_layers[] = {"sha256:" ABC256, "x"};
	static const struct sbom_container bad_config = {
		.reference = "a", .digest = "sha256:" SHA256, .config = SHA256};
	static const struct sbom_container bad_layer = {.reference = "a",
							.digest = "sha256:" SHA256,
							.layers = bad_layers,
							.layer_count = 2};
	struct sbom s = sample();

	s.packages = &no_version;
	s.package_count = 1;
	refuse(&s, "package 1 has no name, version or architecture");
	s.packages = &bad_digest;
	refuse(&s, "the digest of package 'a' is no SHA-256");
	s = sample();
	s.files = &bad_file;
	s.file_count = 1;
	refuse(&s, "file '/a' has no SHA-256 and SHA-1");
	s = sample();
	s.containers = &bad_container;
	s.container_count = 1;
	refuse(&s, "container image 'a' has no digest");
	s.containers = &bad_config;
	refuse(&s, "the configuration or a layer of container image 1 has no digest");
	s.containers = &bad_layer;
	refuse(&s, "the configuration or a layer of container image 1 has no digest");
	s = sample();
	s.name = "";
	refuse(&s, "the image has no name");
}

static double seconds_for(size_t count)
{
	static const char *const names[] = {"p1", "p2", "p3", "p4", "p5", "p7", "p11", "p4999"};
	struct sbom_package *p = mem_alloc_array(count, sizeof(*p));
	CLEANUP_ARENA struct mem_arena *arena = mem_arena_new();
	struct sbom s = sample();
	struct timespec from, to;

	for (size_t i = 0; i < count; i++) {
		p[i].name = mem_arena_printf(arena, "p%zu", i);
		p[i].version = "1.0-1";
		p[i].architecture = i % 3 ? "amd64" : "all";
		p[i].source = mem_arena_printf(arena, "s%zu", i / 2);
		p[i].sha256 = SHA256;
		p[i].depends = names;
		p[i].depend_count = ARRAY_SIZE(names);
	}
	s.packages = p;
	s.package_count = count;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	for (int i = 0; i < 2; i++) {
		CLEANUP_JSON json_t *v = make(i ? sbom_spdx : sbom_cyclonedx, &s);
		const json_t *list = json_object_get(v, i ? "packages" : "components");

		CHECK(json_array_size(list) > count);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	free(p);
	return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
}

/* Eight times as many take about eight times as long, not sixty-four; CPU time of one run. */
TEST(many_packages_take_linear_time)
{
	double few = seconds_for(2500), many = seconds_for(20000);

	if (many > 24 * few + 0.2)
		FAIL("2500 packages: %.3f s, 20000: %.3f s", few, many);
}

static void check_purl(const char *want, const char *type, const char *space, const char *name,
		       const char *version)
{
	CLEANUP(str_free) struct str text = {0};

	purl_add(&text, type, space, name, version, NULL);
	CHECK_STR(text.data, want);
}

TEST(purls_are_encoded)
{
	CLEANUP(str_free) struct str text = {0};

	check_purl("pkg:deb/debian/libstdc%2B%2B6@1:2.0~a", "deb", "Debian", "libstdc++6",
		   "1:2.0~a");
	check_purl("pkg:generic/A%2Fb%20%25@%C3%BC%3F%23%40", "generic", NULL, "A/b %",
		   "\xc3\xbc?#@");
	check_purl("pkg:deb/a/b%40/x", "deb", "/a//b@/", "X", "");
	purl_add_oci(&text, "localhost:5000/a:t@sha256:00", "sha256:00");
	CHECK_STR(text.data, "pkg:oci/a@sha256:00?repository_url=localhost:5000%2Fa&tag=t");
}

TEST(reads_what_the_steps_write)
{
	static const char text[] =
		"[{\"name\":\"a\",\"version\":\"1\",\"architecture\":\"all\",\"origin\":null,"
		"\"size\":7,\"sha256\":\"" SHA256 "\",\"depends\":[\"b\",3,\"c\"],\"new\":[]}]";
	CLEANUP_ARENA struct mem_arena *arena = mem_arena_new();
	CLEANUP_JSON json_t *list = NULL, *bad = json_pack("[{s:s}]", "name", "a"),
			    *files_json = NULL;
	struct err err = {0};
	struct sbom_package *p;
	struct sbom_file *f;
	size_t count = 0;

	list = json_parse(text, strlen(text), "text", &err);
	p = sbom_read_packages(list, arena, &count, &err);
	CHECK_OK_PTR(p, &err);
	CHECK_INT(count, 1);
	CHECK_STR(p->name, "a");
	CHECK_STR(p->origin, NULL);
	CHECK_STR(p->sha256, SHA256);
	CHECK_U64(p->size, 7);
	CHECK_INT(p->depend_count, 2);
	CHECK_STR(p->depends[1], "c");
	CHECK_ERR_PTR(sbom_read_packages(bad, arena, &count, &err), &err, ERR_VERIFY, "package 1");
	CHECK_ERR_PTR(sbom_read_files(bad, arena, &count, &err), &err, ERR_VERIFY, "file 1");
	files_json = json_pack("[{s:s, s:s, s:s, s:i, s:s}]", "path", "/a", "sha256", SHA256,
			       "sha1", SHA1, "size", 3, "component", "x");
	f = sbom_read_files(files_json, arena, &count, &err);
	CHECK_OK_PTR(f, &err);
	CHECK_STR(f->path, "/a");
	CHECK_STR(f->component, "x");
	CHECK_U64(f->size, 3);
}

static void put(struct tree *tree, const char *path, const char *origin, int fd, const char *bytes,
		uint64_t offset, uint64_t size)
{
	const struct tree_inode inode = {
		.type = TREE_FILE,
		.mode = 0644,
		.origin = origin,
		.data = {.size = size, .bytes = bytes, .fd = fd, .offset = offset}};
	struct err err = {0};

	CHECK_OK_PTR(tree_put(tree, path, &inode, &err), &err);
}

TEST(own_files_are_listed)
{
	static const struct ownfiles_name names[] = {{"/some/where/base", "overlay base"},
						     {NULL, NULL}};
	struct tree *tree CLEANUP(tree_cleanup) = tree_new();
	CLEANUP_JSON json_t *list = NULL;
	CLEANUP_FREE char *text = NULL;
	struct err err = {0};
	int layer, other;

	tap_spew("layer", "abcabc", 6);
	tap_spew("other", "xxabcxx", 7);
	layer = open("layer", O_RDONLY | O_CLOEXEC);
	other = open("other", O_RDONLY | O_CLOEXEC);
	put(tree, "/bin/sh", "layer", layer, NULL, 3, 3);
	put(tree, "/etc/empty", "layer", layer, NULL, 0, 0);
	put(tree, "/etc/passwd", "layer", -1, "abc", 0, 3); /* rewritten */
	put(tree, "/opt/\xff", "/some/where/base", other, NULL, 2, 3);
	put(tree, "/etc/none", "/some/where/base", -1, NULL, 0, 0);
	/* A container's: what it is made of is not listed by its files. */
	put(tree, "/usr/share/ingot/containers/layers/0/bin/x", "layer 0", other, NULL, 2, 3);
	CHECK_OK(tree_put_symlink(tree, "/etc/link", "none", "/some/where/base", &err), &err);
	list = ownfiles_list(tree, layer, names, &err);
	CHECK_OK_PTR(list, &err);
	text = json_line(list);
	CHECK_STR(text,
		  "[{\"component\":\"overlay base\",\"path\":\"/etc/none\",\"sha1\":\"" SHA1
		  "\",\"sha256\":\"" SHA256 "\",\"size\":0},"
		  "{\"component\":\"profile\",\"path\":\"/etc/passwd\",\"sha1\":\"" ABC1
		  "\",\"sha256\":\"" ABC256 "\",\"size\":3},"
		  "{\"component\":\"overlay base\",\"path\":\"/opt/\xef\xbf\xbd\",\"sha1\":\"" ABC1
		  "\",\"sha256\":\"" ABC256 "\",\"size\":3}]");
	put(tree, "/opt/short", "/some/where/base", other, NULL, 2, 30);
	CHECK_ERR_PTR(ownfiles_list(tree, layer, names, &err), &err, ERR_VERIFY, "/opt/short");
	close(layer);
	close(other);
}
