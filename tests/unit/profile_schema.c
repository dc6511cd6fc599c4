/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contracts of the schema table, checked row by row: defaults are valid, every key refuses wrong
 * shapes and values, documents name every key; and what explain prints.
 */
#include "tap.h"

#include "profile/load.h"

/* Per type a value that is good and one that is not; NULL where any line of text is good. */
static const struct {
	const struct schema_type *type;
	const char *good, *bad;
} samples[] = {
	{&schema_type_bool, "true", "maybe"},
	{&schema_type_integer, "2", "x"},
	{&schema_type_id, "2", "x"},
	{&schema_type_size, "1024M", "1Q"},
	{&schema_type_block, "64K", "1Q"},
	{&schema_type_mode, "0644", "888"},
	{&schema_type_ports, "1-2", "x"},
	{&schema_type_name, "a-b", "A"},
	{&schema_type_version, "1.2~a-3", "1+2"},
	{&schema_type_line, "a line", "'a\n\n b'"},
	{&schema_type_text, "anything", NULL},
	{&schema_type_word, "a-1", "A b"},
	{&schema_type_title, "a title, (1)", "'#'"},
	{&schema_type_image_path, "/a/b", "a/b"},
	{&schema_type_etc_path, "a/b", "/a/b"},
	{&schema_type_package, "libc6:amd64=2.41-1~a+b1", "X"},
	{&schema_type_unit, "getty@tty1.service", "getty"},
	{&schema_type_module, "br_netfilter", "a b"},
	{&schema_type_sysctl, "1 2 3", "'a\n\n b'"},
	{&schema_type_argument, "console=ttyS0,115200n8", "a b"},
	{&schema_type_user, "_apt", "A"},
	{&schema_type_owner, "root", "-1"},
	{&schema_type_network, "10.0.0.0/8", "10.0.0.0"},
	{&schema_type_host, "2001:db8::1", "a b"},
	{&schema_type_url, "https://repo.example:8080/debian", "ftp://repo.example"},
	{&schema_type_release, "trixie", "13"},
	{&schema_type_component, "non-free", "a b"},
	{&schema_type_digest, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	 "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"},
	{&schema_type_locale, "de_DE.UTF-8@euro", "de_DE"},
	{&schema_type_timezone, "America/Argentina/Buenos_Aires", "a b"},
	{&schema_type_hash, "$y$j9T$abc./$def", "secret"},
	{&schema_type_image,
	 "Registry.example.com:5000/team/app__x--y:1.4-A@sha256:"
	 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	 "team/App:1"},
	{&schema_type_image_name, "[fd00::1]:5000/app:1.4", "app@sha256:0"},
	{&schema_type_registry, "localhost", "registry"},
	{&schema_type_mirror, "[fd00::1]:5000", "https://mirror.example.net/"},
	{&schema_type_label, "ssd", "a b"},
	{&schema_type_label_key, "disk.kind", "com.docker.disk"},
	{&schema_type_ssh_key, "ssh-rsa AAAAB3Nza+/= me@there", "AAAA"},
};

static const char *sample(const struct schema_row *row, bool good)
{
	if (row->choices)
		return good ? row->choices[0] : "no-such-choice";
	if (row->type == &schema_type_overlay || row->type->store == SCHEMA_PATH)
		return good ? "/" : "/no/such/thing";
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		if (samples[i].type == row->type)
			return good ? samples[i].good : samples[i].bad;
	FAIL("add a sample for the type of '%s'", row->key);
}

/* Wraps value so that it stands at key: "disk.var.minimum" gives {disk: {var: {minimum: value}}}. */
static void add_at_key(struct str *text, const char *key, const char *value)
{
	size_t len = strcspn(key, ".[");
	bool table = key[len] == '[';

	str_addf(text, "{%.*s: ", (int)len, key);
	if (key[len]) {
		str_add(text, table ? "[" : "");
		add_at_key(text, key + len + (table ? 3 : 1), value);
		str_add(text, table ? "]" : "");
	} else {
		str_add(text, value);
	}
	str_add(text, "}");
}

/* Loads a profile that has only this value; returns the problems. Entries may lack their identity. */
static char *problems_with(const char *key, const char *value)
{
	struct str text = {0};
	struct profile_problems problems = {0};
	struct err err = {0};

	add_at_key(&text, key, value);
	profile_free(profile_load_text("t.yaml", text.data, text.len, NULL, &problems, &err));
	str_free(&text);
	return str_steal(&problems.text);
}

static void check_refused(const struct schema_row *row, const char *value)
{
	char *text = problems_with(row->key, value);

	if (!strstr(text, ": error: ") || !strstr(text, ": note: "))
		FAIL("'%s: %s' gives\n%s", row->key, value, text);
	free(text);
}

static bool is_value(const struct schema_row *row)
{
	return row->shape == SCHEMA_VALUE;
}

TEST(every_key_refuses_another_shape)
{
	for (size_t i = 0; i < schema_row_count; i++) {
		const struct schema_row *row = &schema_rows[i];

		if (row->type == &schema_type_parent)
			continue;
		check_refused(row, is_value(row) ? "[a]" : "a");
		check_refused(row, is_value(row) || row->shape == SCHEMA_TABLE ? "{a: b}" : "a");
		check_refused(row, "~");
	}
}

/* What stands around a value of the row. */
static const char *before(const struct schema_row *row)
{
	return row->shape == SCHEMA_LIST ? "[" : row->shape == SCHEMA_SETTINGS ? "{a.b: " : "";
}

static const char *after(const struct schema_row *row)
{
	return row->shape == SCHEMA_LIST ? "]" : row->shape == SCHEMA_SETTINGS ? "}" : "";
}

TEST(every_key_refuses_a_bad_value)
{
	for (size_t i = 0; i < schema_row_count; i++) {
		const struct schema_row *row = &schema_rows[i];
		char value[128];

		if (!row->type || row->type == &schema_type_parent || !sample(row, false))
			continue;
		snprintf(value, sizeof(value), "%s%s%s", before(row), sample(row, false),
			 after(row));
		check_refused(row, value);
	}
}

TEST(every_key_accepts_a_good_value)
{
	for (size_t i = 0; i < schema_row_count; i++) {
		const struct schema_row *row = &schema_rows[i];
		const char *quote;
		char value[128], *text;

		if (!row->type || row->type == &schema_type_parent ||
		    row->type->store == SCHEMA_PATH)
			continue;
		quote = row->type->store == SCHEMA_STRING ? "'" : "";
		snprintf(value, sizeof(value), "%s%s%s%s%s", before(row), quote, sample(row, true),
			 quote, after(row));
		text = problems_with(row->key, value);
		/* Other keys are missing, but nothing is wrong at this one. */
		if (strstr(text, " is not ") || strstr(text, "out of range") ||
		    strstr(text, "unknown") || strstr(text, "must be"))
			FAIL("'%s: %s' gives\n%s", row->key, value, text);
		free(text);
	}
}

/* The pattern is what editors check: it must not refuse what the loader accepts. */
TEST(patterns_fit_their_samples)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		regex_t regex;

		if (!samples[i].type->pattern)
			continue;
		CHECK(regcomp(&regex, samples[i].type->pattern, REG_EXTENDED | REG_NOSUB) == 0);
		if (regexec(&regex, samples[i].good, 0, NULL, 0) != 0)
			FAIL("%s", samples[i].good);
		regfree(&regex);
	}
	for (const struct schema_type *const *type = schema_types; *type; type++) {
		CHECK((*type)->name && (*type)->article && (*type)->expected && (*type)->max);
		CHECK((*type)->pattern || (*type)->read || *type == &schema_type_text);
	}
}

TEST(defaults_are_valid)
{
	struct schema_patterns patterns = {0};
	struct schema_value value;

	for (size_t i = 0; i < schema_row_count; i++) {
		const struct schema_row *row = &schema_rows[i];

		if (row->fallback && row->shape == SCHEMA_VALUE &&
		    !schema_read(&patterns, row, row->type, row->fallback, &value))
			FAIL("default of '%s'", row->key);
		if (row->fallback && row->shape == SCHEMA_LIST) {
			char *text = problems_with(row->key, row->fallback);

			CHECK(!strstr(text, row->key));
			free(text);
		}
		CHECK(!(row->fallback && row->computed));
		CHECK(row->help && str_has_suffix(row->help, "."));
		CHECK((row->shape == SCHEMA_TABLE) == (row->size && !row->type));
	}
	schema_patterns_free(&patterns);
}

/* Every key, also those in entries, appears in each document. */
TEST(documents_name_every_key)
{
	struct str keys = {0}, markdown = {0};
	json_t *schema = profile_json_schema();
	char *line = json_line(schema);

	profile_document_keys(&keys);
	profile_document_markdown(&markdown);
	for (size_t i = 0; i < schema_row_count; i++) {
		char want[128];

		snprintf(want, sizeof(want), "\n%s\n    ", schema_rows[i].key);
		CHECK_CONTAINS(keys.data, want);
		snprintf(want, sizeof(want), "\n| `%s` | ", schema_rows[i].key);
		CHECK_CONTAINS(markdown.data, want);
		snprintf(want, sizeof(want), "\"%s\":{", schema_leaf(&schema_rows[i]));
		CHECK_CONTAINS(line, want);
	}
	CHECK_CONTAINS(line, "\"$schema\":\"https://json-schema.org/draft/2020-12/schema\"");
	CHECK_CONTAINS(line, "\"additionalProperties\":false");
	for (const char *p = markdown.data; *p; p++) {
		size_t columns = 0;

		for (; *p != '\n'; p++)
			columns += *p == '|' && (p == markdown.data || p[-1] != '\\');
		CHECK_INT(columns, 6);
	}
	free(line);
	json_decref(schema);
	str_free(&keys);
	str_free(&markdown);
}

static struct profile *example(void)
{
	static const char base[] = "packages: [curl]\nsysctl: {vm.swappiness: 10}\n"
				   "disk:\n  var:\n    minimum: 8G\n";
	static const char role[] =
		"extends: base\nname: web\nversion: 1\npackages:\n- nginx\n"
		"files:\n- path: /etc/motd\n  content: |\n    hello\n"
		"firewall: {allow: [{name: ssh, port: 22, from: [10.0.0.0/8]}]}\n";
	struct profile_problems problems = {0};
	struct err err = {0};
	struct profile *profile;

	tap_spew("base.yaml", base, strlen(base));
	tap_spew("web.yaml", role, strlen(role));
	profile = profile_load("web.yaml", NULL, &problems, &err);
	if (!profile)
		FAIL("%s%s", problems.text.data, err.msg);
	profile_problems_free(&problems);
	return profile;
}

static void check_explained(const struct profile *profile, const char *key, const char *want)
{
	struct str text = {0};
	struct err err = {0};

	CHECK_OK(profile_explain(profile, key, &text, &err), &err);
	CHECK_STR(text.data, want);
	str_free(&text);
}

TEST(explain_says_where_values_come_from)
{
	struct profile *profile = example();
	struct str all = {0};
	struct err err = {0};

	check_explained(profile, "disk.var",
			"disk.var.filesystem: ext4  # default\n"
			"disk.var.minimum: 8G       # base.yaml:5\n");
	check_explained(profile, "disk.var.minimum", "disk.var.minimum: 8G  # base.yaml:5\n");
	check_explained(profile, "packages",
			"packages:\n  - curl   # base.yaml:1\n  - nginx  # web.yaml:5\n");
	check_explained(profile, "files",
			"files:\n"
			"  - path: /etc/motd     # web.yaml:7\n"
			"    content: \"hello\\n\"  # web.yaml:8\n"
			"    mode: 0644          # default\n"
			"    owner: root         # default\n"
			"    group: root         # default\n");
	check_explained(profile, "firewall.allow",
			"firewall.allow:\n"
			"  - name: ssh       # web.yaml:10\n"
			"    protocol: tcp   # default\n"
			"    port: 22        # web.yaml:10\n"
			"    from:\n"
			"      - 10.0.0.0/8  # web.yaml:10\n");
	check_explained(profile, "sysctl", "sysctl:\n  vm.swappiness: 10  # base.yaml:2\n");
	check_explained(profile, "sysctl.vm.swappiness",
			"sysctl.vm.swappiness: 10  # base.yaml:2\n");
	check_explained(profile, "ntp", "ntp: []  # default\n");
	check_explained(profile, "base.mirror", "base.mirror:  # not set\n");
	check_explained(profile, "extends",
			"extends:\n  - base.yaml  # web.yaml:1\n  - web.yaml   # web.yaml:1\n");
	CHECK_OK(profile_explain(profile, NULL, &all, &err), &err);
	CHECK_CONTAINS(all.data, "\nrootfs.level: 3");
	str_free(&all);
	profile_free(profile);
}

TEST(explain_refuses_unknown_keys)
{
	struct profile *profile = example();
	struct str text = {0};
	struct err err = {0};

	CHECK_ERR(profile_explain(profile, "disk.vra", &text, &err), &err, ERR_USAGE,
		  "unknown key 'disk.vra'");
	CHECK_STR(err.hint, "did you mean 'disk.var'?");
	CHECK_ERR(profile_explain(profile, "name.x", &text, &err), &err, ERR_USAGE, "unknown key");
	CHECK_ERR(profile_explain(profile, "files.path", &text, &err), &err, ERR_USAGE, "unknown");
	CHECK_ERR(profile_explain(profile, "files.", &text, &err), &err, ERR_USAGE, "unknown");
	CHECK_ERR(profile_explain(profile, "", &text, &err), &err, ERR_USAGE, "unknown key ''");
	CHECK_ERR(profile_explain(profile, ".", &text, &err), &err, ERR_USAGE, "unknown key '.'");
	CHECK_ERR(profile_explain(profile, "sysctl.a.b", &text, &err), &err, ERR_USAGE, "not set");
	CHECK_ERR_PTR(profile_explain_json(profile, "nonsense", &err), &err, ERR_USAGE, "unknown");
	CHECK(!text.data);
	profile_free(profile);
}

static void check_json(const struct profile *profile, const char *key, const char *want)
{
	struct err err = {0};
	json_t *json = profile_explain_json(profile, key, &err);
	char *line;

	CHECK_OK_PTR(json, &err);
	line = json_line(json);
	CHECK_CONTAINS(line, want);
	free(line);
	json_decref(json);
}

TEST(explain_as_json)
{
	struct profile *profile = example();

	check_json(profile, "disk.var",
		   "{\"disk.var.filesystem\":{\"column\":null,\"file\":null,\"line\":null,"
		   "\"value\":\"ext4\"},\"disk.var.minimum\":{\"column\":14,\"file\":\"base.yaml\","
		   "\"line\":5,\"value\":8589934592}}");
	check_json(profile, "packages", "\"items\":[{\"column\":12,\"file\":\"base.yaml\",");
	check_json(profile, "sysctl", "\"sysctl.vm.swappiness\":{");
	check_json(profile, "sysctl.vm.swappiness", "\"value\":\"10\"");
	check_json(profile, NULL, "\"firewall.allow\":{");
	check_json(profile, "base.mirror", "{}");
	profile_free(profile);
}
