/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The papers of an image from what steps left in the cache: what gets into which, that they name each other, and
 * that nothing of the building machine does. tests/cli/papers.t checks their schemas.
 */
#include "tap.h"

#include "base/fd.h"
#include "base/mem.h"
#include "build_papers.h"

#define ABC256 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const char packages[] =
	"[{\"name\":\"bash\",\"version\":\"5.2-2+b1\",\"architecture\":\"amd64\",\"source\":\"bash\","
	"\"source_version\":\"5.2-2\",\"sha256\":\"" ABC256 "\",\"size\":3,\"origin\":\"Debian\","
	"\"suite\":\"trixie\",\"component\":\"main\",\"path\":\"pool/main/b/bash/bash_5.2_amd64.deb\","
	"\"depends\":[\"libc6\"]},"
	"{\"name\":\"libc6\",\"version\":\"2.41\",\"architecture\":\"amd64\",\"source\":\"glibc\","
	"\"source_version\":\"2.41\",\"origin\":null,\"suite\":null,\"component\":null,\"path\":null}]";
static const char build_packages[] =
	"[{\"name\":\"dracut\",\"version\":\"106\",\"architecture\":\"all\",\"source\":\"dracut\","
	"\"source_version\":\"106\",\"sha256\":\"" EMPTY256 "\",\"size\":1}]";

static struct job job;
static struct build_options options;

static void write_papers(const struct build_papers *papers, const char *dir)
{
	for (size_t i = 0; i < PAPER_COUNT; i++) {
		const struct build_paper *p = &papers->items[i];
		CLEANUP_FREE char *path = mem_printf("%s/%s", dir, p->file);
		struct err err = {0};

		CHECK_OK(outfile_write(path, p->text.data, p->text.len, false, &err), &err);
	}
}

static json_t *parse(const char *text)
{
	struct err err = {0};
	json_t *value = json_parse(text, strlen(text), "text", &err);

	CHECK_OK_PTR(value, &err);
	return value;
}

static void put(struct tree *tree, const char *path, const char *origin)
{
	const struct tree_inode inode = {.type = TREE_FILE,
					 .mode = 0644,
					 .origin = origin,
					 .data = {.size = 3, .bytes = "abc", .fd = -1}};
	struct err err = {0};

	CHECK_OK_PTR(tree_put(tree, path, &inode, &err), &err);
}

/* A job whose package and root steps are done. */
static void make_job(const char *const *set)
{
	static const char profile[] = "name: demo\nversion: 1.0\ndescription: A demo\n"
				      "base: {distribution: debian, release: trixie}\n"
				      "packages: [bash]\noverlays: [./over/base]\n";
	static const char osrel[] =
		"NAME=x\\nMY_VERSION_ID=7\\nVERSION_ID=\\\"13\\\"\\nIMAGE_ID=demo\\n";
	CLEANUP_FREE char *record = mem_printf("{\"os_release\":\"%s\"}", osrel);
	struct tree *tree CLEANUP(tree_cleanup) = tree_new();
	struct err err = {0};
	struct digest d;

	mkdir("over", 0755);
	mkdir("over/base", 0755);
	mkdir("entry", 0755);
	tap_spew("demo.yaml", profile, strlen(profile));
	tap_spew("entry/root.json", record, strlen(record));
	tap_spew("layer.tar", "", 0);
	options.set = set;
	job.options = &options;
	job.profile = profile_load("demo.yaml", &(struct profile_options){0}, NULL, &err);
	CHECK_OK_PTR(job.profile, &err);
	job.epoch = 1700000000;
	job.dirs[STEP_ROOT] = mem_strdup("entry");
	job.layer_open = true;
	job.layer.tar_fd = open("layer.tar", O_RDONLY | O_CLOEXEC);
	job.layer.packages = parse(packages);
	job.layer.build_packages = parse(build_packages);
	put(tree, "/etc/motd", job.profile->overlays[0].path);
	put(tree, "/usr/bin/ingot-agent", "ingot-agent");
	put(tree, "/etc/os-release", "the package layer");
	CHECK_OK(build_papers_record(&job, tree, "entry", &err), &err);
	digest_bytes("abc", 3, &d);
	cache_key_add_digest(&job.keys[STEP_ROOT], "overlay /some/where/base", &d);
	cache_key_add_digest(&job.keys[STEP_ROOT], "packages", &d);
	cache_key_add(&job.keys[STEP_ROOT], "profile packages", ABC256);
	cache_key_add(&job.keys[STEP_PACKAGES], "source 0",
		      "deb https://mirror.example/debian trixie main");
	cache_key_add_digest(&job.keys[STEP_PACKAGES], "suite trixie", &d);
	cache_key_add(&job.keys[STEP_PACKAGES], "image", EMPTY256);
	cache_key_add_digest(&job.keys[STEP_IMAGES], "firmware/loader", &d);
}

static void free_job(void)
{
	close(job.layer.tar_fd);
	json_decref(job.layer.packages);
	json_decref(job.layer.build_packages);
	for (size_t i = 0; i < STEP_COUNT; i++) {
		cache_key_free(&job.keys[i]);
		free(job.dirs[i]);
	}
	profile_free(job.profile);
}

static json_t *make_manifest(void)
{
	return parse(
		"{\"root_hash\":\"" EMPTY256 "\",\"profile\":\"" ABC256 "\","
		"\"keys\":{\"root\":\"" EMPTY256 "\",\"images\":\"" ABC256 "\"},"
		"\"artifacts\":[{\"format\":\"raw\",\"file\":\"demo_1.0.raw\",\"sha256\":\"" ABC256
		"\"},{\"format\":\"qcow2\",\"file\":\"demo_1.0.qcow2\",\"sha256\":\"" EMPTY256
		"\"}]}");
}

static const char *const set[] = {"version=1.0", "base.mirror=https://mirror.example/debian", NULL};

TEST(leaves_documents)
{
	CLEANUP(build_papers_free) struct build_papers papers = {0};
	CLEANUP_JSON json_t *manifest = make_manifest();
	const char *dir = getenv("INGOT_PAPERS");
	struct err err = {0};

	make_job(set);
	CHECK_OK(build_papers_make(&job, manifest, &papers, &err), &err);
	write_papers(&papers, dir ? dir : ".");
	free_job();
}

static const json_t *named(const json_t *list, const char *key, const char *name)
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i,
			   item) if (strcmp(json_member_string(item, key), name) == 0) return item;
	FAIL("nothing has %s = %s", key, name);
}

static void check_statement(const struct build_papers *papers)
{
	CLEANUP_JSON json_t *v = parse(papers->items[PAPER_PROVENANCE].text.data);
	const json_t *predicate = json_object_get(v, "predicate");
	const json_t *list = json_object_get(json_object_get(predicate, "buildDefinition"),
					     "resolvedDependencies");
	const json_t *products =
		json_object_get(json_object_get(predicate, "runDetails"), "byproducts");
	char hex[DIGEST_HEX_SIZE];

	CHECK_INT(json_array_size(json_object_get(v, "subject")), 2);
	CHECK_STR(json_member_string(named(list, "name", "bash"), "uri"),
		  "pkg:deb/debian/bash@5.2-2%2Bb1?arch=amd64&distro=debian-13");
	named(list, "name", "libc6");
	named(list, "name", "dracut");
	named(list, "name", "overlay base");
	named(list, "name", "suite trixie");
	named(list, "name", "base image");
	named(list, "name", "firmware/loader");
	named(list, "name", "profile");
	CHECK_INT(json_array_size(list), 8);
	for (int i = 0; i < PAPER_PROVENANCE; i++) {
		const json_t *product = named(products, "name", papers->items[i].file);

		CHECK_STR(json_member_string(json_object_get(product, "digest"), "sha256"),
			  digest_hex(&papers->items[i].digest, hex));
	}
}

TEST(papers_hold_what_the_steps_left)
{
	CLEANUP(build_papers_free) struct build_papers papers = {0};
	CLEANUP_JSON json_t *manifest = make_manifest(), *sbom = NULL, *list = NULL;
	struct err err = {0};

	make_job(set);
	CHECK_OK(build_papers_make(&job, manifest, &papers, &err), &err);
	check_statement(&papers);
	sbom = parse(papers.items[PAPER_CYCLONEDX].text.data);
	named(json_object_get(sbom, "components"), "name", "/etc/motd");
	named(json_object_get(sbom, "components"), "name", "/usr/bin/ingot-agent");
	named(json_object_get(sbom, "components"), "name", "/etc/os-release");
	CHECK_INT(json_array_size(json_object_get(sbom, "components")), 5);
	for (size_t i = 0; i < PAPER_COUNT; i++) {
		char *cwd = getcwd(NULL, 0);
		const char *text = papers.items[i].text.data;

		CHECK(!strstr(text, "mirror.example") && !strstr(text, "/some/where") &&
		      !strstr(text, cwd) && !strstr(text, "over/base"));
		free(cwd);
	}
	write_papers(&papers, ".");
	CHECK_FILE("demo_1.0.spdx.json", papers.items[PAPER_SPDX].text.data);
	CHECK_FILE("demo_1.0.cdx.json", papers.items[PAPER_CYCLONEDX].text.data);
	CHECK_FILE("demo_1.0.provenance.json", papers.items[PAPER_PROVENANCE].text.data);
	list = build_papers_json(&papers);
	CHECK_INT(json_array_size(list), 3);
	for (size_t i = 0; i < PAPER_COUNT; i++) {
		const json_t *row = json_array_get(list, i);
		char hex[DIGEST_HEX_SIZE];
		struct digest d;

		CHECK_OK(digest_file(json_member_string(row, "file"), &d, &err), &err);
		CHECK_STR(json_member_string(row, "sha256"), digest_hex(&d, hex));
	}
	CHECK_STR(json_member_string(json_array_get(list, 1), "type"), "cyclonedx");
	free_job();
}

TEST(the_lock_is_named)
{
	CLEANUP(build_papers_free) struct build_papers papers = {0};
	CLEANUP_JSON json_t *manifest = make_manifest(), *v = NULL;
	struct err err = {0};

	make_job(NULL);
	job.has_lock = true;
	digest_bytes("", 0, &job.lock_digest);
	CHECK_OK(build_papers_make(&job, manifest, &papers, &err), &err);
	v = parse(papers.items[PAPER_PROVENANCE].text.data);
	CHECK_STR(json_member_string(
			  json_object_get(
				  named(json_object_get(
						json_object_get(json_object_get(v, "predicate"),
								"buildDefinition"),
						"resolvedDependencies"),
					"name", "lock"),
				  "digest"),
			  "sha256"),
		  EMPTY256);
	free_job();
}

static void refuse(const json_t *manifest, int code, const char *part)
{
	CLEANUP(build_papers_free) struct build_papers papers = {0};
	struct err err = {0};

	CHECK_ERR(build_papers_make(&job, manifest, &papers, &err), &err, code, part);
}

TEST(damage_is_told)
{
	CLEANUP_JSON json_t *manifest = make_manifest();

	make_job(NULL);
	json_object_del(manifest, "root_hash");
	refuse(manifest, ERR_VERIFY, "the manifest has no 'root_hash'");
	CHECK(!job.damaged[STEP_ROOT]);
	tap_spew("entry/files.json", "[{}]", 4);
	refuse(manifest, ERR_VERIFY, "the record of file 1 is damaged");
	CHECK(job.damaged[STEP_ROOT]);
	tap_spew("entry/files.json", "[", 1);
	job.damaged[STEP_ROOT] = false;
	refuse(manifest, ERR_OTHER, "files.json:1:");
	CHECK(job.damaged[STEP_ROOT]);
	unlink("entry/files.json");
	refuse(manifest, ERR_OTHER, "files.json");
	CHECK(job.damaged[STEP_ROOT]);
	free_job();
}
