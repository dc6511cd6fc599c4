/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Provenance: what the statement says, what it must not say, and that order does not matter. Its schema is
 * checked by tests/cli/papers.t.
 */
#include "tap.h"

#include "attest/provenance.h"
#include "base/mem.h"

#define A256 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define B256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const char *const formats[] = {"raw", "qcow2", NULL};
static const char *const set[] = {"version=1.1",
				  "disk.root=3G",
				  "users=[{name: a, password: $6$secret}]",
				  "base.mirror=https://mirror.example/debian",
				  "base.keyring=/home/me/key.gpg",
				  "kernel.cmdline=[quiet]",
				  "no-value",
				  NULL};
static const struct provenance_pair steps[] = {{"packages", A256}, {"root", B256}};
static const struct provenance_pair tools[] = {{"zstd", "1.5.7"}, {"deflate", "zlib 1.3.1"}};
static const struct provenance_resource subjects[] = {
	{.name = "demo_1.1.raw", .sha256 = A256},
	{.name = "demo_1.1.qcow2", .sha256 = B256},
};
static const struct provenance_resource dependencies[] = {
	{.name = "profile", .sha256 = A256, .media_type = "application/json"},
	{.name = "bash",
	 .uri = "pkg:deb/debian/bash@5.2.37-2?arch=amd64&distro=debian-13",
	 .sha256 = B256,
	 .path = "pool/main/b/bash/bash_5.2.37-2_amd64.deb"},
	{.name = "old", .uri = "pkg:deb/debian/old@1?arch=all&distro=debian-13"},
	{.name = "overlay base", .sha256 = A256},
};
static const struct provenance_resource byproducts[] = {
	{.name = "demo_1.1.spdx.json", .sha256 = A256, .media_type = "application/spdx+json"},
};

static struct provenance sample(void)
{
	return (struct provenance){
		.profile = "demo",
		.version = "1.1",
		.profile_digest = {{0xab}},
		.created = 1700000000,
		.formats = formats,
		.set = set,
		.steps = steps,
		.step_count = ARRAY_SIZE(steps),
		.tools = tools,
		.tool_count = ARRAY_SIZE(tools),
		.subjects = subjects,
		.subject_count = ARRAY_SIZE(subjects),
		.dependencies = dependencies,
		.dependency_count = ARRAY_SIZE(dependencies),
		.byproducts = byproducts,
		.byproduct_count = ARRAY_SIZE(byproducts),
	};
}

static json_t *make(const struct provenance *p)
{
	struct err err = {0};
	json_t *value = provenance_make(p, &err);

	CHECK_OK_PTR(value, &err);
	return value;
}

static void leave(const char *name, const struct provenance *p)
{
	const char *dir = getenv("INGOT_PAPERS");
	CLEANUP_JSON json_t *value = make(p);
	CLEANUP_FREE char *path = mem_printf("%s/%s.provenance.json", dir ? dir : ".", name);
	struct err err = {0};

	CHECK_OK(json_write_file(path, value, false, &err), &err);
}

/* tests/cli/papers.t runs this one with INGOT_PAPERS, a folder. */
TEST(leaves_documents)
{
	static const char *const odd[] = {"\xff=\xff", "=", "", "disk\n=\x01", NULL};
	struct provenance p = sample(), hostile = sample(), least = sample();
	struct provenance_resource bad = {
		.name = "a/../b \xff\n", .sha256 = A256, .path = "\xfe\x7f"};

	leave("sample", &p);
	hostile.profile = "\xff%";
	hostile.version = "\x01";
	hostile.set = odd;
	hostile.subjects = &bad;
	hostile.subject_count = 1;
	hostile.dependencies = &bad;
	hostile.dependency_count = 1;
	leave("hostile", &hostile);
	least.formats = least.set = NULL;
	least.step_count = least.tool_count = least.dependency_count = least.byproduct_count = 0;
	leave("least", &least);
}

TEST(the_statement_says_it_all)
{
	struct provenance p = sample();
	CLEANUP_JSON json_t *v = make(&p);
	json_t *predicate = json_object_get(v, "predicate");
	json_t *definition = json_object_get(predicate, "buildDefinition");
	json_t *details = json_object_get(predicate, "runDetails"), *list;
	CLEANUP_FREE char *subject = json_line(json_object_get(v, "subject"));
	CLEANUP_FREE char *parameters = NULL, *bash = NULL, *internal = NULL;

	CHECK_STR(json_member_string(v, "_type"), "https://in-toto.io/Statement/v1");
	CHECK_STR(json_member_string(v, "predicateType"), "https://slsa.dev/provenance/v1");
	CHECK_STR(subject, "[{\"digest\":{\"sha256\":\"" B256 "\"},\"name\":\"demo_1.1.qcow2\"},"
			   "{\"digest\":{\"sha256\":\"" A256 "\"},\"name\":\"demo_1.1.raw\"}]");
	CHECK_STR(json_member_string(definition, "buildType"), "urn:ingot:build-type:image:v1");
	internal = json_line(json_object_get(definition, "internalParameters"));
	CHECK_STR(internal,
		  "{\"sourceDate\":\"2023-11-14T22:13:20Z\",\"steps\":{\"packages\":\"" A256
		  "\",\"root\":\"" B256 "\"},\"tools\":{\"deflate\":\"zlib 1.3.1\","
		  "\"zstd\":\"1.5.7\"}}");
	list = json_object_get(definition, "resolvedDependencies");
	CHECK_INT(json_array_size(list), 4);
	bash = json_line(json_array_get(list, 0));
	CHECK_STR(bash, "{\"annotations\":{\"path\":\"pool/main/b/bash/bash_5.2.37-2_amd64.deb\"},"
			"\"digest\":{\"sha256\":\"" B256 "\"},\"name\":\"bash\",\"uri\":"
			"\"pkg:deb/debian/bash@5.2.37-2?arch=amd64&distro=debian-13\"}");
	parameters = json_line(
		json_object_get(json_object_get(definition, "externalParameters"), "formats"));
	CHECK_STR(parameters, "[\"qcow2\",\"raw\"]");
	CHECK_STR(json_member_string(json_object_get(details, "builder"), "id"),
		  "urn:ingot:builder:v1");
	CHECK_STR(json_member_string(json_array_get(json_object_get(details, "byproducts"), 0),
				     "name"),
		  "demo_1.1.spdx.json");
}

/* The value of one --set as it appears; caller frees. */
static char *shown(const char *assignment)
{
	const char *const one[] = {assignment, NULL};
	struct provenance p = sample();
	CLEANUP_JSON json_t *v = NULL;

	p.set = one;
	v = make(&p);
	return json_line(json_array_get(
		json_object_get(json_object_get(json_object_get(json_object_get(v, "predicate"),
								"buildDefinition"),
						"externalParameters"),
				"set"),
		0));
}

TEST(values_that_tell_too_much_are_digests)
{
	static const char *const hidden[] = {"users=x",       "users[0].password=x",
					     "base.mirror=x", "base.keyring=x",
					     "base=x",        "overlays=x",
					     "files=x",       "extends=x",
					     "tests=x",       "ntp=x",
					     "new.secret=x",  "diskette=x",
					     "join=x",        "=x",
					     ".disk=x"};
	static const char *const public[] = {"disk=x",     "disk.root=x", "base.release=x",
					     "version=x",  "packages=x",  "sysctl.a.b=x",
					     "join.role=x"};
	CLEANUP_FREE char *without = shown("new"), *whole = NULL;
	struct provenance p = sample();
	CLEANUP_JSON json_t *v = make(&p);

	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
		CLEANUP_FREE char *text = shown(hidden[i]);

		/* printf x | sha256sum */
		CHECK_CONTAINS(text,
			       "\"valueSha256\":\"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db"
			       "02258717921a4881\"");
		CHECK(!strstr(text, "\"value\""));
	}
	for (size_t i = 0; i < ARRAY_SIZE(public); i++) {
		CLEANUP_FREE char *text = shown(public[i]);

		CHECK_CONTAINS(text, "\"value\":\"x\"");
	}
	CHECK_STR(without, "{\"key\":\"new\",\"valueSha256\":\"" B256 "\"}");
	whole = json_text(v);
	CHECK(!strstr(whole, "secret") && !strstr(whole, "mirror.example") &&
	      !strstr(whole, "/home/me"));
}

TEST(order_does_not_matter)
{
	struct provenance p = sample(), q = sample();
	struct provenance_resource s[2 * ARRAY_SIZE(subjects)], d[2 * ARRAY_SIZE(dependencies)];
	const char *const other[] = {"qcow2", "raw", NULL};
	const struct provenance_pair turned[] = {steps[1], steps[0]};
	CLEANUP_JSON json_t *first = make(&p), *again = make(&p), *second = NULL, *third = NULL;
	const char *const swapped[] = {set[1], set[0], NULL}, *const straight[] = {set[0], set[1],
										   NULL};
	CLEANUP_FREE char *a = json_text(first), *b = json_text(again), *c = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		s[i] = subjects[ARRAY_SIZE(subjects) - 1 - i % ARRAY_SIZE(subjects)];
	for (size_t i = 0; i < ARRAY_SIZE(d); i++)
		d[i] = dependencies[ARRAY_SIZE(dependencies) - 1 - i % ARRAY_SIZE(dependencies)];
	q.subjects = s;
	q.subject_count = ARRAY_SIZE(s);
	q.dependencies = d;
	q.dependency_count = ARRAY_SIZE(d);
	q.formats = other;
	q.steps = turned;
	second = make(&q);
	c = json_text(second);
	CHECK_STR(b, a);
	CHECK_STR(c, a);
	/* But that of --set does: the last one wins. */
	p.set = straight;
	q.set = swapped;
	json_decref(second);
	second = make(&p);
	third = make(&q);
	CHECK(!json_equal(second, third));
}

static const char *invocation(const json_t *v)
{
	const json_t *details = json_object_get(json_object_get(v, "predicate"), "runDetails");

	return json_member_string(json_object_get(details, "metadata"), "invocationId");
}

TEST(invocations_are_told_apart)
{
	struct provenance p = sample(), q = sample(), r = sample();
	CLEANUP_JSON json_t *a = make(&p), *b = NULL, *c = NULL;

	q.created++;
	b = make(&q);
	r.subject_count = 1;
	c = make(&r);
	CHECK(strcmp(invocation(a), invocation(b)) != 0);
	CHECK(strcmp(invocation(a), invocation(c)) != 0);
	CHECK_INT(strlen(invocation(a)), strlen("urn:uuid:") + 36);
}

static void refuse(const struct provenance *p, const char *part)
{
	struct err err = {0};

	CHECK_ERR_PTR(provenance_make(p, &err), &err, ERR_VERIFY, part);
}

TEST(what_is_missing_is_an_error)
{
	const struct provenance_resource no_digest = {.name = "a", .uri = "pkg:generic/a"};
	const struct provenance_resource nothing = {.name = "b"};
	const struct provenance_resource bad = {.name = "c", .sha256 = "BA78"};
	struct provenance p = sample();

	p.subject_count = 0;
	refuse(&p, "there is no image");
	p = sample();
	p.subjects = &no_digest;
	p.subject_count = 1;
	refuse(&p, "'a' has no name or no SHA-256");
	p = sample();
	p.byproducts = &no_digest;
	refuse(&p, "'a' has no name or no SHA-256");
	p = sample();
	p.dependencies = &nothing;
	p.dependency_count = 1;
	refuse(&p, "'b' has no name or no SHA-256");
	p.dependencies = &bad;
	refuse(&p, "'c' has no name or no SHA-256");
}
