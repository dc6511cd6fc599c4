/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The containers of a profile: short and long form, what children change, and that the JSON Schema and
 * explain see the same.
 */
#include "tap.h"

#include "profile/load.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void spew(const char *path, const char *text)
{
	tap_spew(path, text, strlen(text));
}

static struct profile *load(const char *file, const char *const *set)
{
	struct profile_options options = {.set = set};
	struct profile_problems problems = {0};
	struct err err = {0};
	struct profile *profile = profile_load(file, &options, &problems, &err);

	if (!profile)
		FAIL("%s\n%s", err.msg, problems.text.data ? problems.text.data : "");
	profile_problems_free(&problems);
	return profile;
}

static void write_parent(void)
{
	CHECK(mkdir("layout", 0755) == 0);
	spew("app.tar", "");
	spew("ca.pem", "");
	spew("parent.yaml", "containers:\n"
			    "  engine: docker\n"
			    "  images:\n"
			    "  - registry.example.com/team/app:1.4@sha256:" HEX "\n"
			    "  - image: debian:12\n"
			    "  - oci: ./layout\n"
			    "    name: team/own:1\n"
			    "  - oci: app.tar\n"
			    "  registries:\n"
			    "  - name: registry.example.com\n"
			    "    mirrors: [mirror.example.net:5000, 'localhost:5001']\n"
			    "    ca: ca.pem\n"
			    "  - name: localhost:5000\n"
			    "    insecure: true\n"
			    "  elsewhere: [other/app:2]\n");
}

TEST(both_forms_fill_the_structure)
{
	struct profile *p;

	write_parent();
	spew("a.yaml", "extends: parent\nname: a\nversion: 1\n");
	p = load("a.yaml", NULL);
	CHECK_INT(p->containers.engines.count, 1);
	CHECK_STR(p->containers.engines.items[0], "docker");
	CHECK_INT(p->containers.image_count, 4);
	CHECK_STR(p->containers.images[0].image, "registry.example.com/team/app:1.4@sha256:" HEX);
	CHECK_STR(p->containers.images[0].oci, NULL);
	CHECK_STR(p->containers.images[1].image, "debian:12");
	CHECK_STR(p->containers.images[2].image, NULL);
	CHECK_STR(p->containers.images[2].oci, "./layout");
	CHECK_STR(p->containers.images[2].name, "team/own:1");
	CHECK_STR(p->containers.images[3].oci, "app.tar");
	CHECK_STR(p->containers.images[3].name, NULL);
	CHECK_INT(p->containers.registry_count, 2);
	CHECK_STR(p->containers.registries[0].name, "registry.example.com");
	CHECK_INT(p->containers.registries[0].mirrors.count, 2);
	CHECK_STR(p->containers.registries[0].mirrors.items[1], "localhost:5001");
	CHECK_STR(p->containers.registries[0].ca, "ca.pem");
	CHECK_INT(p->containers.registries[0].insecure, false);
	CHECK_STR(p->containers.registries[1].ca, NULL);
	CHECK_INT(p->containers.registries[1].insecure, true);
	CHECK_INT(p->containers.elsewhere.count, 1);
	CHECK_STR(p->containers.elsewhere.items[0], "other/app:2");
	profile_free(p);
}

TEST(without_the_section_nothing_is_there)
{
	struct profile *p;

	spew("a.yaml", "name: a\nversion: 1\n");
	p = load("a.yaml", NULL);
	CHECK_INT(p->containers.engines.count, 0);
	CHECK_INT(p->containers.image_count, 0);
	CHECK_INT(p->containers.registry_count, 0);
	CHECK_INT(p->containers.elsewhere.count, 0);
	profile_free(p);
}

/* Paths are relative to the file that names them, also in a parent elsewhere. */
TEST(paths_start_at_the_folder_of_their_file)
{
	struct profile *p;

	CHECK(mkdir("sub", 0755) == 0 && mkdir("sub/layout", 0755) == 0);
	spew("sub/p.yaml", "containers: {engine: containerd, images: [{oci: layout}]}\n");
	spew("a.yaml", "extends: ./sub/p.yaml\nname: a\nversion: 1\n");
	p = load("a.yaml", NULL);
	CHECK_STR(p->containers.images[0].oci, "./sub/layout");
	profile_free(p);
}

TEST(children_add_replace_and_remove)
{
	static const char other[] =
		"1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	const char *const set[] = {"containers.elsewhere=[more:1]", "containers.engine=containerd",
				   "containers.images=[set:1]", NULL};
	struct str text = {0};
	struct profile *p;

	write_parent();
	str_addf(&text,
		 "extends: parent\nname: a\nversion: 1\ncontainers:\n"
		 "  images: [registry.example.com/team/app:1.4@sha256:%s, -app.tar, '-debian:12',\n"
		 "    {oci: ./layout, name: own:2}, debian:13]\n"
		 "  registries: [-localhost:5000]\n",
		 other);
	spew("a.yaml", text.data);
	str_free(&text);
	p = load("a.yaml", set);
	CHECK_INT(p->containers.engines.count, 2);
	CHECK_STR(p->containers.engines.items[1], "containerd");
	CHECK_INT(p->containers.image_count, 4);
	/* Another digest of the same tag takes the place of the first. */
	CHECK(str_has_suffix(p->containers.images[0].image, other));
	CHECK_STR(p->containers.images[1].oci, "./layout");
	CHECK_STR(p->containers.images[1].name, "own:2");
	CHECK_STR(p->containers.images[2].image, "debian:13");
	CHECK_STR(p->containers.images[3].image, "set:1");
	CHECK_INT(p->containers.registry_count, 1);
	CHECK_INT(p->containers.elsewhere.count, 2);
	profile_free(p);
}

/* A tagged image is taken out without writing its digest; one without a tag needs it. */
TEST(removal_of_pinned_images)
{
	struct profile *p;

	spew("p.yaml", "containers: {engine: docker, images: ['a:1@sha256:" HEX "', "
		       "'a@sha256:" HEX "', 'localhost:5000/a@sha256:" HEX "']}\n");
	spew("a.yaml", "extends: p\nname: a\nversion: 1\ncontainers:\n"
		       "  images: ['-a:1', '-a@sha256:" HEX "']\n");
	p = load("a.yaml", NULL);
	CHECK_INT(p->containers.image_count, 1);
	CHECK_STR(p->containers.images[0].image, "localhost:5000/a@sha256:" HEX);
	profile_free(p);
}

/* An image and a file of one spelling are two things. */
TEST(kinds_of_identity_stay_apart)
{
	struct profile *p;

	CHECK(mkdir("app", 0755) == 0);
	spew("p.yaml", "containers: {engine: docker, images: [{oci: app, name: own:1}]}\n");
	spew("a.yaml", "extends: p\nname: a\nversion: 1\ncontainers: {images: [app]}\n");
	p = load("a.yaml", NULL);
	CHECK_INT(p->containers.image_count, 2);
	CHECK_STR(p->containers.images[0].oci, "app");
	CHECK_STR(p->containers.images[1].image, "app");
	CHECK_STR(p->containers.images[1].name, NULL);
	profile_free(p);
}

TEST(explain_shows_one_form)
{
	struct str text = {0};
	struct err err = {0};
	struct profile *p;

	spew("a.yaml", "name: a\nversion: 1\ncontainers:\n  engine: docker\n"
		       "  images:\n  - app:1\n  - image: app:2\n");
	p = load("a.yaml", NULL);
	CHECK_OK(profile_explain(p, "containers.images", &text, &err), &err);
	CHECK_STR(text.data, "containers.images:\n"
			     "  - image: app:1  # a.yaml:6\n"
			     "  - image: app:2  # a.yaml:7\n");
	str_free(&text);
	CHECK_OK(profile_explain(p, "containers.engine", &text, &err), &err);
	CHECK_STR(text.data, "containers.engine:\n  - docker  # a.yaml:4\n");
	str_free(&text);
	profile_free(p);
}

/* Finds "a.b.c" in nested objects. */
static json_t *at(json_t *json, const char *const *keys)
{
	for (; *keys && json; keys++)
		json = json_is_array(json) ? json_array_get(json, (size_t)atoi(*keys))
					   : json_object_get(json, *keys);
	if (!json)
		FAIL("the schema lacks it");
	return json;
}

TEST(schema_takes_both_forms)
{
	json_t *schema = profile_json_schema();
	json_t *section =
		at(schema, (const char *const[]){"properties", "containers", "properties", NULL});
	json_t *forms = at(section, (const char *const[]){"images", "items", "anyOf", NULL});
	json_t *engine = at(section, (const char *const[]){"engine", "anyOf", NULL});

	CHECK_INT(json_array_size(forms), 3);
	CHECK_INT(json_array_size(at(forms, (const char *const[]){"0", "oneOf", NULL})), 2);
	CHECK_STR(json_string_value(at(forms, (const char *const[]){"2", "type", NULL})), "string");
	CHECK_STR(json_string_value(at(forms, (const char *const[]){"2", "pattern", NULL})),
		  schema_type_image.pattern);
	CHECK_INT(json_array_size(engine), 2);
	CHECK_STR(json_string_value(at(engine, (const char *const[]){"0", "type", NULL})), "array");
	json_decref(schema);
}

/* Names that distribution/reference takes, and some that it does not. */
TEST(references_by_their_grammar)
{
	static const char *const good[] = {
		"a",
		"debian",
		"library/debian:12",
		"a/b/c/d:1",
		"registry.example.com/a",
		("registry.example.com:5000/a:1@sha256:" HEX),
		"Registry/a",
		"localhost/a",
		"[2001:db8::1]:5000/a/b",
		"a__b",
		"a.b_c-d---e",
		"1/2",
		"a:A_.-9",
		"xn--n3h.example.com/a",
	};
	static const char *const bad[] = {
		"A",        "a/",       "/a",       "a//b",     "a:",       "a:.1",
		"a@",       "-a",       "a_",       "a___b",    "a..b",     "a b",
		"a:1:2/",   "a:1/b:2@", "-b.com/a", "b-.com/a", "b..com/a", "[::1/a",
		"a@sha1:0", "http://a", "a\\b",     "\xc3\xa4",
	};
	struct schema_patterns patterns = {0};
	const struct schema_row *row = schema_find("containers.images[].image");
	struct schema_value value;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		if (!schema_read(&patterns, row, row->type, good[i], &value))
			FAIL("'%s' is refused: %s %s", good[i], value.problem, value.note);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (schema_read(&patterns, row, row->type, bad[i], &value))
			FAIL("'%s' is accepted", bad[i]);
	schema_patterns_free(&patterns);
}
