/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User-data in all its formats: what becomes of it. Every tests/bad-userdata/NAME is read with exactly the
 * problems of NAME.err.
 */
#include "tap.h"

#include "agent/userdata/userdata.h"

#include "base/base64.h"
#include "base/mem.h"

#include <zlib.h>

static char top[PATH_MAX];

/* Each test runs in a folder of its own; the files are in the one where the program was started. */
__attribute__((constructor)) static void remember(void)
{
	if (!getcwd(top, sizeof(top)))
		abort();
}

/* ---- helpers --------------------------------------------------------------------------------- */

static struct userdata read_both(const char *vendor, const void *user, size_t len)
{
	struct instance instance = {
		.source = (char *)"nocloud", .id = (char *)"i-7", .hostname = (char *)"web7"};
	struct userdata userdata;

	str_add(&instance.vendor_data, vendor);
	str_add_bytes(&instance.user_data, user, len);
	userdata_read(&(struct userdata_input){.instance = &instance}, &userdata);
	str_free(&instance.vendor_data);
	str_free(&instance.user_data);
	return userdata;
}

static struct userdata read_text(const char *text)
{
	return read_both("", text, strlen(text));
}

static void check_good(const struct userdata *userdata)
{
	if (userdata->problem_count)
		FAIL("%s", userdata->problems.data);
	CHECK(!userdata->settings_wrong);
}

/* One line: key=value of the config, then when:name of the scripts. */
static const char *show(const struct userdata *userdata)
{
	static const char *const whens[] = {"hook", "boot", "instance", "once"};
	static char line[1024];
	size_t len = 0;

	line[0] = '\0';
	for (size_t i = 0; userdata->config && i < userdata->config->count; i++) {
		const struct doc_pair *pair = &userdata->config->pairs[i];

		len += (size_t)snprintf(line + len, sizeof(line) - len, "%s=%s ", pair->key,
					pair->value->kind == DOC_SCALAR
						? pair->value->text
						: doc_node_what(pair->value));
	}
	for (size_t i = 0; i < userdata->script_count; i++)
		len += (size_t)snprintf(line + len, sizeof(line) - len, "%s:%s ",
					whens[userdata->scripts[i].when],
					userdata->scripts[i].name);
	return line;
}

#define CHECK_GOOD(text, want)                               \
	do {                                                 \
		struct userdata userdata_ = read_text(text); \
		check_good(&userdata_);                      \
		CHECK_STR(show(&userdata_), want);           \
		userdata_free(&userdata_);                   \
	} while (0)

/* ---- plain formats --------------------------------------------------------------------------- */

TEST(nothing)
{
	CHECK_GOOD("", "");
	CHECK_GOOD("\n \n", "");
	CHECK_GOOD("#cloud-config\n", "");
}

TEST(cloud_config)
{
	CHECK_GOOD("#cloud-config\nhostname: a\n", "hostname=a ");
	CHECK_GOOD("\xef\xbb\xbf#cloud-config\r\nhostname: a\r\n", "hostname=a ");
	CHECK_GOOD("\n\n#Cloud-Config # and more\nhostname: a\nrun: [b]\n",
		   "hostname=a run=a list ");
	CHECK_GOOD("#cloud-config\n{\"hostname\": \"a\"}\n", "hostname=a ");
}

TEST(scripts)
{
	struct userdata userdata = read_text("\n#!/bin/sh\necho a\n");

	check_good(&userdata);
	CHECK_STR(show(&userdata), "instance:part-001 ");
	CHECK_STR(userdata.scripts[0].text, "#!/bin/sh\necho a\n");
	CHECK_INT((intmax_t)userdata.scripts[0].len, 17);
	userdata_free(&userdata);
	userdata = read_text("#cloud-boothook\n\n#!/bin/sh\necho b\n");
	check_good(&userdata);
	CHECK_STR(show(&userdata), "hook:part-001 ");
	CHECK_STR(userdata.scripts[0].text, "#!/bin/sh\necho b\n");
	userdata_free(&userdata);
}

/* ---- wrapped --------------------------------------------------------------------------------- */

static struct str gzipped(const char *text)
{
	struct str out = {0};
	z_stream z = {.next_in = (Bytef *)(uintptr_t)text, .avail_in = (uInt)strlen(text)};

	str_reserve(&out, strlen(text) + 100);
	CHECK(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	z.next_out = (Bytef *)out.data;
	z.avail_out = (uInt)(strlen(text) + 100);
	CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
	out.len = (size_t)z.total_out;
	deflateEnd(&z);
	return out;
}

static struct str encoded(const struct str *bytes, size_t line)
{
	struct str whole = {0}, out = {0};

	base64_add(bytes->data, bytes->len, &whole);
	for (size_t i = 0; i < whole.len; i += line) {
		size_t n = whole.len - i < line ? whole.len - i : line;

		str_add_bytes(&out, whole.data + i, n);
		str_add(&out, "\r\n");
	}
	str_free(&whole);
	return out;
}

static void check_bytes(const struct str *bytes, const char *want)
{
	struct userdata userdata = read_both("", bytes->data, bytes->len);

	check_good(&userdata);
	CHECK_STR(show(&userdata), want);
	userdata_free(&userdata);
}

TEST(gzip_and_base64)
{
	static const char config[] = "#cloud-config\nhostname: a\n";
	struct str plain = {0}, gzip = gzipped(config), double_gzip = {0}, text;

	check_bytes(&gzip, "hostname=a ");
	text = encoded(&gzip, 20);
	check_bytes(&text, "hostname=a ");
	str_free(&text);
	str_add(&plain, config);
	/* As long as the lines may be. */
	for (size_t line = 4; line < 80; line += 36) {
		text = encoded(&plain, line);
		check_bytes(&text, "hostname=a ");
		str_free(&text);
	}
	/* Two members make one text. */
	str_free(&gzip);
	gzip = gzipped("#cloud-config\n");
	str_add_bytes(&double_gzip, gzip.data, gzip.len);
	str_free(&gzip);
	gzip = gzipped("fqdn: b\n");
	str_add_bytes(&double_gzip, gzip.data, gzip.len);
	check_bytes(&double_gzip, "fqdn=b ");
	str_free(&gzip);
	str_free(&double_gzip);
	str_free(&plain);
}

/* Sizes at both sides of the bound; what is larger takes no memory. */
TEST(gzip_bound)
{
	const size_t max = (size_t)4 << 20;
	char *big = mem_alloc(max + 2);
	struct userdata userdata;
	struct str gzip;

	memset(big, '\n', max + 1);
	memcpy(big, "#!/bin/sh", 9);
	gzip = gzipped(big);
	userdata = read_both("", gzip.data, gzip.len);
	CHECK_CONTAINS(userdata.problems.data, "user-data:1:1: error: larger than 4 MiB\n");
	CHECK(userdata.settings_wrong);
	userdata_free(&userdata);
	str_free(&gzip);
	big[max] = '\0';
	gzip = gzipped(big);
	check_bytes(&gzip, "instance:part-001 ");
	str_free(&gzip);
	free(big);
}

/* ---- MIME ------------------------------------------------------------------------------------ */

TEST(multipart)
{
	CHECK_GOOD("From nobody Mon Nov 30 00:00:00 2026\n"
		   "Number-Attachments: 4\n"
		   "content-type: MULTIPART/mixed;\n\tboundary=\"=== B \\\"x\\\" ===\"\n"
		   "MIME-Version: 1.0\n\n"
		   "The preamble.\n"
		   "--=== B \"x\" ===\n"
		   "Content-Type: text/cloud-config; charset=\"us-ascii\"\n"
		   "Content-Transfer-Encoding: 7bit\n"
		   "Content-Disposition: attachment; filename=\"a.cfg\"\n\n"
		   "hostname: a\n"
		   "--=== B \"x\" ===  \n"
		   "Content-Type: text/x-shellscript-per-boot\n"
		   "Content-Disposition: attachment; filename=\"../etc/b c.sh\"\n\n"
		   "#!/bin/sh\n"
		   "--=== B \"x\" ===\n"
		   "Content-Type: text/x-shellscript-per-once; name=once\n\n"
		   "#!/bin/sh\n"
		   "--=== B \"x\" ===\n"
		   "Content-Type: text/x-shellscript-per-instance; name=once\n"
		   "Content-Transfer-Encoding: BASE64\n\n"
		   "IyEvYmlu\nL3No\n"
		   "--=== B \"x\" ===--\n"
		   "The epilogue.\n",
		   "hostname=a boot:_._etc_b_c.sh once:once instance:part-004-once ");
}

TEST(multipart_in_multipart)
{
	CHECK_GOOD("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=A\r\n\r\n"
		   "--A\r\nContent-Type: multipart/alternative; boundary=AA\r\n\r\n"
		   "--AA\r\nContent-Type: text/cloud-boothook\r\n\r\n#!/bin/sh\r\necho\r\n"
		   "--AA--\r\n"
		   "--A\r\n\r\n#cloud-config\r\nfqdn: b\r\n"
		   "--A--\r\n",
		   "fqdn=b hook:part-001 ");
}

/* CR LF of the mail is not CR LF of the script; quoted-printable lines end where they say. */
TEST(line_ends)
{
	struct userdata userdata = read_text(
		"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=A\r\n\r\n"
		"--A\r\nContent-Type: text/x-shellscript\r\n\r\n#!/bin/sh\r\necho 1\r\n\r\n"
		"--A\r\nContent-Type: text/x-shellscript\r\n"
		"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
		"#!/bin/sh\r\necho =3D=C3=A9 =\r\nx \t\r\ny=20\r\n"
		"--A--");

	check_good(&userdata);
	CHECK_INT((intmax_t)userdata.script_count, 2);
	CHECK_STR(userdata.scripts[0].text, "#!/bin/sh\necho 1\n");
	CHECK_STR(userdata.scripts[1].text, "#!/bin/sh\necho =\xc3\xa9 x\ny ");
	userdata_free(&userdata);
}

TEST(one_part_with_headers)
{
	CHECK_GOOD("Content-Type: text/cloud-config\n\nhostname: a\n", "hostname=a ");
}

/* ---- archive, template ----------------------------------------------------------------------- */

TEST(archive)
{
	CHECK_GOOD("#cloud-config-archive\n"
		   "- \"#!/bin/sh\\necho\"\n"
		   "- \"hostname: a\"\n"
		   "- type: text/x-shellscript-per-boot\n"
		   "  filename: c\n"
		   "  content: |\n    #!/bin/sh\n    echo\n"
		   "- content: |\n    #cloud-config-archive\n    - \"fqdn: b\"\n",
		   "hostname=a fqdn=b instance:part-001 boot:c ");
}

TEST(template)
{
	CHECK_GOOD(
		"## template: jinja\n#cloud-config\n{# the name #}hostname: {{ v1.local_hostname }}\n"
		"fqdn: '{{instance_id}}.{{ ds.meta_data.instance_id }}'\n",
		"hostname=web7 fqdn=i-7.i-7 ");
	CHECK_GOOD(
		"Content-Type: text/jinja2\n\n## template: jinja\n#!/bin/sh\necho {{ cloud_name }}\n",
		"instance:part-001 ");
	CHECK_GOOD(
		"Content-Type: text/cloud-config\n\n## template: jinja\n#cloud-config\na: {{v1.instance_id}}\n",
		"a=i-7 ");
	/* Without the header nothing is put in. */
	CHECK_GOOD("#cloud-config\na: \"{{ v1.instance_id }}\"\n", "a={{ v1.instance_id }} ");
}

/* ---- merging --------------------------------------------------------------------------------- */

TEST(later_parts_replace)
{
	struct userdata userdata = read_text("#cloud-config-archive\n"
					     "- \"{a: 1, m: {x: 1, y: 1}, l: [1, 2]}\"\n"
					     "- \"{b: 2, m: {x: 2}, l: [3]}\"\n");
	const struct doc_node *map;

	check_good(&userdata);
	CHECK_STR(show(&userdata), "a=1 m=a map l=a list b=2 ");
	map = doc_node_get(userdata.config, "m");
	CHECK_INT((intmax_t)map->count, 1);
	CHECK_STR(doc_node_string(map, "x"), "2");
	CHECK_STR(map->pairs[0].place.file, "user-data part-002");
	CHECK_INT((intmax_t)doc_node_get(userdata.config, "l")->count, 1);
	userdata_free(&userdata);
}

/* The lists a: [1, 2] and then [3], and the maps m, merged as the second part says. */
static void check_merge(const char *how, const char *header, const char *want_list,
			const char *want_map)
{
	char text[1024], list[64] = "", map[64] = "";
	struct userdata userdata;
	const struct doc_node *node;

	snprintf(
		text, sizeof(text),
		"Content-Type: multipart/mixed; boundary=A\n\n"
		"--A\nContent-Type: text/cloud-config\n\na: [1, 2]\nm: {x: 1, y: 1}\ns: p\n"
		"--A\nContent-Type: text/cloud-config\n%s\na: [3]\nm: {x: 2, z: 3, y: }\ns: q\n%s\n"
		"--A--\n",
		header, how);
	userdata = read_text(text);
	check_good(&userdata);
	CHECK(!doc_node_get(userdata.config, "merge_how"));
	node = doc_node_get(userdata.config, "a");
	for (size_t i = 0; i < node->count; i++)
		strcat(list, node->items[i]->text);
	node = doc_node_get(userdata.config, "m");
	for (size_t i = 0; i < node->count; i++)
		sprintf(map + strlen(map), "%s%s", node->pairs[i].key, node->pairs[i].value->text);
	strcat(map, doc_node_string(userdata.config, "s"));
	CHECK_STR(list, want_list);
	CHECK_STR(map, want_map);
	userdata_free(&userdata);
}

/* What cloud-init 22.4.2 does with the same text. */
TEST(parts_say_how_they_are_merged)
{
	check_merge("", "", "3", "x2z3yq");
	check_merge("merge_how: list(append)+dict(recurse_array)+str()", "", "123", "x1y1z3p");
	check_merge("merge_type: 'dict(recurse_list, recurse_str)+list(prepend)+str(append)'", "",
		    "312", "x1y1z3pq");
	check_merge("", "Merge-Type: list(append)+dict(recurse_array,replace)+str()\n", "3",
		    "x2z3yq");
	check_merge("merge_how: [{name: list, settings: [append]},\n"
		    "  {name: dict, settings: [no_replace, recurse_list]}]",
		    "", "123", "x1y1z3p");
	check_merge("merge_how: list()+dict(recurse_list)+str()", "", "32", "x1y1z3p");
	check_merge("merge_how: list(no_replace)+dict(recurse_list)+str()", "", "12", "x1y1z3p");
	check_merge("merge_how: list(append)+dict(recurse_list,allow_delete)", "", "123", "x1z3p");
	/* Without a rule for maps nothing is taken. */
	check_merge("merge_how: list(append)", "", "12", "x1y1p");
	/* The part's own rule goes before that of its header. */
	check_merge("merge_how: list(prepend)+dict(recurse_list)",
		    "X-Merge-Type: list(append)+dict(recurse_list)\n", "312", "x1y1z3p");
}

TEST(vendor_data_is_below)
{
	static const char user[] = "#cloud-config\nm: {x: 2}\nl: [3]\nv: {}\n";
	struct userdata userdata = read_both(
		"#cloud-config\na: 1\nm: {x: 1, y: 1}\nl: [1, 2]\nv: 1\n", user, strlen(user));
	const struct doc_node *map;

	check_good(&userdata);
	CHECK_STR(show(&userdata), "m=a map l=a list v=a map a=1 ");
	map = doc_node_get(userdata.config, "m");
	CHECK_STR(doc_node_string(map, "x"), "2");
	CHECK_STR(doc_node_string(map, "y"), "1");
	CHECK_INT((intmax_t)doc_node_get(userdata.config, "l")->count, 1);
	userdata_free(&userdata);
}

TEST(vendor_scripts_run_first)
{
	static const char user[] = "#!/bin/sh\n";
	struct userdata userdata = read_both("#!/bin/sh\n", user, strlen(user));

	check_good(&userdata);
	CHECK_STR(show(&userdata), "instance:vendor-part-001 instance:part-001 ");
	userdata_free(&userdata);
}

TEST(vendor_data_can_be_refused)
{
	static const char user[] = "#cloud-config\nvendor_data: {enabled: false}\nb: 1\n";
	struct userdata userdata = read_both("#cloud-config\na: 1\n", user, strlen(user));

	check_good(&userdata);
	CHECK_STR(show(&userdata), "b=1 ");
	userdata_free(&userdata);
}

TEST(vendor_data_of_platforms)
{
	struct userdata userdata =
		read_both("{\"other\": {}, \"cloud-init\": \"#cloud-config\\na: 1\\n\"}", "", 0);

	check_good(&userdata);
	CHECK_STR(show(&userdata), "a=1 ");
	userdata_free(&userdata);
	userdata = read_both("{\"other\": {}}", "", 0);
	check_good(&userdata);
	CHECK_STR(show(&userdata), "");
	userdata_free(&userdata);
}

/* ---- include --------------------------------------------------------------------------------- */

static unsigned fetched;
static bool network = true;

static int fetch(const char *url, struct str *text, struct err *err)
{
	fetched++;
	if (!network)
		return err_set(err, ERR_NETWORK, "cannot reach '%s'", url);
	if (strcmp(url, "http://a/loop") == 0)
		str_add(text, "#include http://a/loop\n");
	else if (strcmp(url, "https://a/list?token=hunter2") == 0)
		str_add(text, "#include\nhttp://a/once\n");
	else
		str_addf(text, "#cloud-config\nhostname: n%u\n", fetched);
	return 0;
}

static struct userdata include(const struct agent *agent, const char *id, const char *text)
{
	struct instance instance = {.id = (char *)id};
	struct userdata userdata;

	str_add(&instance.user_data, text);
	userdata_read(
		&(struct userdata_input){.agent = agent, .instance = &instance, .include = fetch},
		&userdata);
	str_free(&instance.user_data);
	CHECK(userdata.includes && (network || !agent || !userdata.missed));
	return userdata;
}

static void check_include(const char *id, const char *text, const char *want, unsigned times)
{
	struct agent agent = {.root = "root"};
	struct userdata userdata = include(&agent, id, text);

	check_good(&userdata);
	CHECK_STR(show(&userdata), want);
	CHECK_INT(fetched, times);
	userdata_free(&userdata);
}

TEST(includes_are_kept)
{
	static const char text[] = "#include\n# a comment\n\n  http://a/x  \n";

	check_include("i", text, "hostname=n1 ", 1);
	check_include("i", text, "hostname=n2 ", 2);
	/* Without the network what was fetched last counts. */
	network = false;
	check_include("i", text, "hostname=n2 ", 3);
	network = true;
	check_include("other", text, "hostname=n4 ", 4);
}

TEST(include_once)
{
	struct stat st;

	check_include("i", "#include-once http://a/x\n", "hostname=n1 ", 1);
	check_include("i", "#include-once\nhttp://a/x\n", "hostname=n1 ", 1);
	check_include("other", "#include-once http://a/x\n", "hostname=n2 ", 2);
	CHECK(system("test $(find root -type f | wc -l) = 1") == 0);
	CHECK(system("mv $(find root -type f) kept") == 0);
	CHECK(stat("kept", &st) == 0);
	CHECK_INT(st.st_mode & 07777, 0600);
}

TEST(include_of_include)
{
	check_include("i", "#include https://a/list?token=hunter2\n", "hostname=n2 ", 2);
}

TEST(include_without_end)
{
	struct userdata userdata = include(NULL, "i", "#include http://a/loop\n");

	CHECK_CONTAINS(userdata.problems.data, "error: parts are nested deeper than 8 levels");
	CHECK(fetched <= 16);
	userdata_free(&userdata);
}

TEST(include_hides_what_is_secret)
{
	struct userdata userdata;

	network = false;
	userdata = include(NULL, "i", "#include https://u:hunter2@a/list?token=hunter2\n");
	CHECK_STR(userdata.problems.data,
		  "user-data:1:1: error: cannot include 'https://a/list': cannot reach '...'\n");
	CHECK(userdata.settings_wrong && userdata.missed);
	userdata_free(&userdata);
}

/* ---- what is wrong --------------------------------------------------------------------------- */

static char *problems_of(const char *file)
{
	struct instance instance = {0};
	struct userdata userdata;
	size_t len;
	char *text = tap_slurp(file, &len);

	str_add_bytes(&instance.user_data, text, len);
	userdata_read(&(struct userdata_input){.instance = &instance, .name = file}, &userdata);
	free(text);
	text = mem_strdup(userdata.problems.data ? userdata.problems.data : "");
	if (!userdata.problem_count)
		FAIL("%s was accepted", file);
	userdata_free(&userdata);
	str_free(&instance.user_data);
	return text;
}

TEST(bad_userdata_has_its_messages)
{
	struct dirent **list;
	int count, checked = 0, wrong = 0;

	CHECK(chdir(top) == 0);
	if (chdir("tests/bad-userdata") != 0)
		FAIL("run this from the top of the source tree");
	count = scandir(".", &list, NULL, alphasort);
	CHECK(count > 0);
	for (int i = 0; i < count; i++) {
		char want_name[300], *got, *want;
		const char *name = list[i]->d_name;

		if (name[0] == '.' || str_has_suffix(name, ".err"))
			continue;
		snprintf(want_name, sizeof(want_name), "%s.err", name);
		got = problems_of(name);
		want = tap_slurp(want_name, NULL);
		if (strcmp(got, want) != 0) {
			tap_note("%s\n got: %s\nwant: %s", name, got, want);
			wrong++;
		}
		if (strstr(got, "hunter2")) {
			tap_note("%s: a secret is shown: %s", name, got);
			wrong++;
		}
		checked++;
		free(got);
		free(want);
	}
	for (int i = 0; i < count; i++)
		free(list[i]);
	free(list);
	CHECK_INT(wrong, 0);
	CHECK(checked >= 70);
}
