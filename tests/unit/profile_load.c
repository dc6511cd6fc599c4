/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading good profiles: parents, merging, --set, defaults, lookup of names, and the limits on what
 * comes from outside.
 */
#include "tap.h"

#include "base/size.h"
#include "profile/load.h"

static void spew(const char *path, const char *text)
{
	tap_spew(path, text, strlen(text));
}

static struct profile *load_with(const char *file, const struct profile_options *options)
{
	struct profile_problems problems = {0};
	struct err err = {0};
	struct profile *profile = profile_load(file, options, &problems, &err);

	if (!profile)
		FAIL("%s\n%s", err.msg, problems.text.data ? problems.text.data : "");
	profile_problems_free(&problems);
	return profile;
}

static struct profile *load(const char *file)
{
	return load_with(file, NULL);
}

/* Loads what must be refused; returns what was printed, to be freed. */
static char *refused(const char *file, const struct profile_options *options)
{
	struct profile_problems problems = {0};
	struct err err = {0};
	struct profile *profile = profile_load(file, options, &problems, &err);
	struct str text = {0};

	if (profile)
		FAIL("%s was accepted", file);
	str_addf(&text, "%s%s\n", problems.text.data ? problems.text.data : "", err.msg);
	profile_problems_free(&problems);
	return text.data;
}

static void check_list(const struct profile_list *list, const char *want)
{
	struct str text = {0};

	str_add(&text, "");
	for (size_t i = 0; i < list->count; i++)
		str_addf(&text, "%s%s", i ? " " : "", list->items[i]);
	CHECK_STR(text.data, want);
	str_free(&text);
}

TEST(defaults_fill_what_is_not_given)
{
	struct profile *p;

	spew("a.yaml", "name: web\nversion: 1.10\n");
	p = load("a.yaml");
	CHECK_STR(p->source, "a.yaml");
	CHECK_STR(p->version, "1.10");
	CHECK_STR(p->description, NULL);
	CHECK_STR(p->base.release, "trixie");
	CHECK_STR(p->base.mirror, NULL);
	check_list(&p->base.components, "main");
	CHECK_STR(p->kernel.package, "linux-image-amd64");
	CHECK_INT(p->firewall.enabled, true);
	CHECK_U64(p->disk.esp, 512 * MIB);
	CHECK_U64(p->disk.root, 2 * GIB);
	CHECK_U64(p->disk.align, GIB);
	CHECK_U64(p->disk.var.minimum, 4 * GIB);
	CHECK_STR(p->disk.var.filesystem, "ext4");
	CHECK_STR(p->rootfs.compression, "zstd");
	CHECK_INT(p->rootfs.level, 3);
	CHECK_INT(p->rootfs.block, 128 * KIB);
	CHECK_STR(p->etc.mode, "transient");
	CHECK_STR(p->join.kind, "none");
	CHECK_STR(p->join.role, NULL);
	check_list(&p->formats, "raw qcow2");
	CHECK_INT(p->packages.count, 0);
	profile_free(p);
}

TEST(every_field_is_filled)
{
	struct profile *p;
	CLEANUP_FREE char *line = NULL;

	CHECK(mkdir("layer", 0755) == 0);
	spew("key.gpg", "");
	spew("motd", "hello");
	spew("disk.qcow2", "");
	spew("a.yaml",
	     "name: web\nversion: '2.0~rc1'\ndescription: a web server\n"
	     "base: {architecture: arm64, release: forky, mirror: 'https://repo.example/d',"
	     " components: [main, contrib], keyring: key.gpg, image: disk.qcow2,"
	     " sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef}\n"
	     "packages: [curl, 'nginx=1.26-1']\noverlays: [layer]\n"
	     "files:\n- {path: /etc/a, content: x, mode: 4755, owner: web, group: 33}\n"
	     "- {path: /etc/motd, source: motd}\n"
	     "sysctl: {vm.swappiness: 10, net.core.somaxconn: 4096}\nmodules: [loop]\n"
	     "kernel: {cmdline: [quiet, console=ttyS0]}\n"
	     "services: {enable: [a.service], disable: [b.timer], mask: [c.socket]}\n"
	     "users:\n- {name: ops, uid: 1500, groups: [adm], shell: /bin/sh, home: /srv,\n"
	     "   password: $6$salt$hash, ssh_keys: [ssh-ed25519 AAAAC3Nz me@here]}\n"
	     "- {name: root}\n- {name: app}\n"
	     "firewall:\n  enabled: false\n  allow:\n"
	     "  - {name: web, port: 80, from: [10.0.0.0/8, 'fd00::/8']}\n"
	     "  - {name: range, protocol: udp, port: 30000-32767}\n"
	     "  - {name: ping, protocol: icmp}\n"
	     "locale: de_DE.UTF-8\ntimezone: Europe/Berlin\n");
	spew("b.yaml", "extends: a\nntp: [time.example, 192.0.2.1]\n"
		       "disk: {esp: 1GiB, root: 4096M, align: 1048576, var: {filesystem: xfs, "
		       "minimum: 1T}}\nrootfs: {compression: gzip, block: 1M}\n"
		       "etc: {mode: persistent, persist: [kubernetes]}\n"
		       "join: {kind: swarm, role: worker, availability: pause,\n"
		       "  labels: {disk: ssd, rack: 12}, node_labels: [disk, zone]}\n"
		       "tests:\n- {name: it runs, run: uptime, expect: up, timeout: 5}\n"
		       "formats: [qcow2]\nsetuid: [/usr/bin/su]\n");
	p = load("b.yaml");
	CHECK_STR(p->version, "2.0~rc1");
	CHECK_STR(p->description, "a web server");
	CHECK_STR(p->base.architecture, "arm64");
	CHECK_STR(p->base.mirror, "https://repo.example/d");
	CHECK_STR(p->base.keyring, "key.gpg");
	CHECK_STR(p->base.image, "disk.qcow2");
	CHECK_STR(p->base.sha256,
		  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
	CHECK_STR(p->kernel.package, "linux-image-arm64");
	check_list(&p->packages, "curl nginx=1.26-1");
	CHECK_INT(p->overlay_count, 1);
	CHECK_STR(p->overlays[0].name, "layer");
	CHECK_STR(p->overlays[0].path, "layer");
	CHECK_INT(p->file_count, 2);
	CHECK_STR(p->files[0].content, "x");
	CHECK_INT(p->files[0].mode, 04755);
	CHECK_STR(p->files[0].owner, "web");
	CHECK_STR(p->files[0].group, "33");
	CHECK_STR(p->files[1].content, NULL);
	CHECK_STR(p->files[1].source, "motd");
	CHECK_INT(p->files[1].mode, 0644);
	CHECK_INT(p->sysctl_count, 2);
	CHECK_STR(p->sysctl[1].key, "net.core.somaxconn");
	CHECK_STR(p->sysctl[1].value, "4096");
	check_list(&p->kernel.cmdline, "quiet console=ttyS0");
	check_list(&p->services.enable, "a.service");
	check_list(&p->services.disable, "b.timer");
	check_list(&p->services.mask, "c.socket");
	CHECK_INT(p->user_count, 3);
	CHECK_INT(p->users[0].uid, 1500);
	CHECK_STR(p->users[0].password, "$6$salt$hash");
	check_list(&p->users[0].ssh_keys, "ssh-ed25519 AAAAC3Nz me@here");
	CHECK_STR(p->users[1].home, "/root");
	CHECK_INT(p->users[2].uid, -1);
	CHECK_STR(p->users[2].home, "/home/app");
	CHECK_STR(p->users[2].shell, "/bin/bash");
	CHECK_INT(p->firewall.enabled, false);
	CHECK_INT(p->firewall.allow[0].port, 80);
	CHECK_INT(p->firewall.allow[0].port_last, 80);
	check_list(&p->firewall.allow[0].from, "10.0.0.0/8 fd00::/8");
	CHECK_INT(p->firewall.allow[1].port, 30000);
	CHECK_INT(p->firewall.allow[1].port_last, 32767);
	CHECK_INT(p->firewall.allow[2].port, 0);
	CHECK_STR(p->timezone, "Europe/Berlin");
	check_list(&p->ntp, "time.example 192.0.2.1");
	CHECK_U64(p->disk.esp, GIB);
	CHECK_U64(p->disk.root, 4 * GIB);
	CHECK_U64(p->disk.align, MIB);
	CHECK_U64(p->disk.var.minimum, 1024 * GIB);
	CHECK_INT(p->rootfs.level, 9);
	CHECK_INT(p->rootfs.block, MIB);
	check_list(&p->etc.persist, "kubernetes");
	CHECK_STR(p->join.availability, "pause");
	CHECK_INT(p->join.label_count, 2);
	CHECK_STR(p->join.labels[1].key, "rack");
	CHECK_STR(p->join.labels[1].value, "12");
	check_list(&p->join.node_labels, "disk zone");
	/* The agent reads this part as it is, in image.json. */
	line = json_line(json_object_get(p->json, "join"));
	CHECK_STR(line, "{\"availability\":\"pause\",\"kind\":\"swarm\",\"labels\":"
			"{\"disk\":\"ssd\",\"rack\":\"12\"},\"node_labels\":[\"disk\",\"zone\"],"
			"\"role\":\"worker\"}");
	CHECK_STR(p->join.role, "worker");
	CHECK_STR(p->tests[0].expect, "up");
	CHECK_INT(p->tests[0].timeout, 5);
	check_list(&p->formats, "qcow2");
	check_list(&p->setuid, "/usr/bin/su");
	profile_free(p);
}

TEST(lists_append_and_take_out)
{
	struct profile *p;

	spew("base.yaml", "packages: [nano, curl=1.0, git]\nkernel: {cmdline: [quiet]}\n");
	spew("a.yaml", "name: a\nversion: 1\nextends: base\npackages: [vim, -nano, curl=2.0, git]\n"
		       "kernel: {cmdline: [-quiet, debug]}\n");
	p = load("a.yaml");
	check_list(&p->packages, "curl=2.0 git vim");
	check_list(&p->kernel.cmdline, "debug");
	profile_free(p);
}

TEST(entries_merge_by_their_first_key)
{
	struct profile *p;

	spew("base.yaml", "users: [{name: ops, groups: [adm]}, {name: old}]\n"
			  "files: [{path: /a, content: x, mode: 600}]\n"
			  "firewall: {allow: [{name: ssh, port: 22, from: [10.0.0.0/8]}]}\n");
	spew("text", "");
	spew("a.yaml", "name: a\nversion: 1\nextends: base\n"
		       "users: [-old, {name: new}, {name: ops, shell: /bin/sh, groups: [sudo]}]\n"
		       "files: [{path: /a, source: text}]\n"
		       "firewall: {allow: [{name: ssh, port: 2222}]}\n");
	p = load("a.yaml");
	CHECK_INT(p->user_count, 2);
	CHECK_STR(p->users[0].name, "ops");
	CHECK_STR(p->users[0].shell, "/bin/sh");
	check_list(&p->users[0].groups, "adm sudo");
	CHECK_STR(p->users[1].name, "new");
	CHECK_STR(p->files[0].content, NULL);
	CHECK_STR(p->files[0].source, "text");
	CHECK_INT(p->files[0].mode, 0600);
	CHECK_INT(p->firewall.allow[0].port, 2222);
	check_list(&p->firewall.allow[0].from, "10.0.0.0/8");
	profile_free(p);
}

/* base is extended by both parents and merged once, first; then the parents in order. */
TEST(diamond_is_merged_once)
{
	struct profile *p;

	spew("base.yaml", "locale: C.UTF-8\ntimezone: Etc/UTC\npackages: [one]\n");
	spew("left.yaml", "extends: base\nlocale: en_US.UTF-8\npackages: [-one, two]\n");
	spew("right.yaml", "extends: [base]\ntimezone: Europe/Rome\npackages: [three]\n");
	spew("a.yaml", "name: a\nversion: 1\nextends: [left, ./right.yaml, base.yaml]\n");
	p = load("a.yaml");
	CHECK_STR(p->locale, "en_US.UTF-8");
	CHECK_STR(p->timezone, "Europe/Rome");
	check_list(&p->packages, "two three");
	profile_free(p);
}

TEST(anchors_are_copies)
{
	struct profile *p;

	spew("a.yaml", "name: a\nversion: 1\n"
		       "firewall:\n  allow:\n"
		       "  - {name: a, port: 1, from: &lan [10.0.0.0/8]}\n"
		       "  - {name: b, port: &p 2, from: *lan}\n  - {name: c, port: *p}\n");
	p = load("a.yaml");
	check_list(&p->firewall.allow[1].from, "10.0.0.0/8");
	CHECK_INT(p->firewall.allow[2].port, 2);
	profile_free(p);
}

TEST(set_is_one_more_child)
{
	const char *set[] = {"disk.var.minimum=8G",
			     "packages=[vim, -nano]",
			     "sysctl.net.ipv4.ip_forward=1",
			     "name='b'",
			     "firewall.enabled=false",
			     "description=a = b",
			     NULL};
	struct profile_options options = {.set = set};
	struct profile *p;

	spew("a.yaml", "name: a\nversion: 1\npackages: [nano]\ndisk: {var: {filesystem: xfs}}\n");
	p = load_with("a.yaml", &options);
	CHECK_U64(p->disk.var.minimum, 8 * GIB);
	CHECK_STR(p->disk.var.filesystem, "xfs");
	check_list(&p->packages, "vim");
	CHECK_STR(p->sysctl[0].key, "net.ipv4.ip_forward");
	CHECK_STR(p->name, "b");
	CHECK_STR(p->description, "a = b");
	CHECK_INT(p->firewall.enabled, false);
	profile_free(p);
}

static void check_set(const char *setting, const char *want)
{
	const char *set[] = {"locale=C.UTF-8", setting, NULL};
	struct profile_options options = {.set = set};
	char *text = refused("a.yaml", &options);

	CHECK_CONTAINS(text, want);
	free(text);
}

TEST(bad_settings_have_places)
{
	spew("a.yaml", "name: a\nversion: 1\n");
	check_set("disk.rot=2G", "--set:2:6: error: unknown key 'rot' in 'disk'\n"
				 "--set:2:6: note: did you mean 'root'?\n");
	check_set("disk.root=big", "--set:2:11: error: 'big' is not a size\n");
	check_set("name=[a,\n b]", "--set:2:6: error: 'name' must be one value");
	check_set("packages=[curl, Git]", "--set:2:17: error: 'Git' is not a package name\n");
	check_set("disk=2G", "--set:2:6: error: 'disk' must be a map, this is text\n");
	check_set("name=", "--set:2:1: error: 'name' has no value\n");
	check_set("name=[", "--set:2:6: error: not valid YAML: ");
	check_set("extends=base", "--set:2:1: error: 'extends' cannot be set\n");
	check_set("users.ops.shell=/bin/sh", "--set:2:1: error: 'users' must be a list of maps");
	check_set("nothing", "cannot use --set 'nothing': expected KEY=VALUE\n");
	check_set("=x", "cannot use --set '=x': expected KEY=VALUE\n");
	check_set("disk..esp=1G", "--set:2:6: error: unknown key '' in 'disk'\n");
	check_set(".=1", "--set:2:1: error: unknown key ''\n");
}

TEST(setting_without_value_is_misuse)
{
	const char *set[] = {"name", NULL};
	struct profile_options options = {.set = set};
	struct err err = {0};

	spew("a.yaml", "name: a\nversion: 1\n");
	CHECK_ERR_PTR(profile_load("a.yaml", &options, NULL, &err), &err, ERR_USAGE, "KEY=VALUE");
}

TEST(names_are_looked_up_in_order)
{
	const char *search[] = {"lib/profiles", NULL};
	struct profile_options options = {.search = search};
	struct err err = {0};
	struct profile *p;

	CHECK(system("mkdir -p mine/profiles mine/overlays/one lib/profiles lib/overlays/one "
		     "lib/overlays/two") == 0);
	spew("lib/profiles/base.yaml", "timezone: Etc/GMT\noverlays: [one]\n");
	spew("lib/profiles/role.yaml", "name: role\nversion: 1\nextends: base\n");
	spew("mine/profiles/x.yaml", "name: x\nversion: 1\nextends: base\noverlays: [two]\n");
	p = load_with("mine/profiles/x.yaml", &options);
	CHECK_STR(p->timezone, "Etc/GMT");
	CHECK_INT(p->overlay_count, 2);
	CHECK_STR(p->overlays[0].path, "lib/profiles/../overlays/one");
	CHECK_STR(p->overlays[1].path, "lib/profiles/../overlays/two");
	profile_free(p);
	p = load_with("role", &options);
	CHECK_STR(p->source, "lib/profiles/role.yaml");
	profile_free(p);
	/* A name is never a file of the current folder. */
	spew("rolf.yaml", "name: rolf\nversion: 1\n");
	CHECK_ERR_PTR(profile_load("rolf", &options, NULL, &err), &err, ERR_PROFILE,
		      "cannot find profile 'rolf'");
	CHECK_STR(err.hint, "did you mean 'role'?");
	CHECK_ERR_PTR(profile_load("rolf", NULL, NULL, &err), &err, ERR_PROFILE, "cannot find");
	CHECK_ERR_PTR(profile_load("x/rolf.yaml", NULL, NULL, &err), &err, ERR_PROFILE,
		      "cannot read 'x/rolf.yaml': No such file");
	CHECK_ERR_PTR(profile_load("..", &options, NULL, &err), &err, ERR_PROFILE, "cannot find");
}

TEST(json_is_the_same_wherever_the_files_are)
{
	struct profile *a, *b;
	char *one, *two;

	CHECK(system("mkdir -p p/profiles p/overlays/o q/profiles q/overlays/o") == 0);
	spew("p/profiles/a.yaml", "name: a\nversion: 1\noverlays: [o]\ndisk: {root: 2048M}\n"
				  "files: [{path: /a, source: a.yaml, mode: 600}]\n");
	CHECK(system("cp p/profiles/a.yaml q/profiles/a.yaml") == 0);
	a = load("p/profiles/a.yaml");
	b = load("q/profiles/a.yaml");
	one = json_line(a->json);
	two = json_line(b->json);
	CHECK_STR(one, two);
	CHECK_CONTAINS(one,
		       "\"disk\":{\"align\":1073741824,\"esp\":536870912,\"root\":2147483648,");
	CHECK_CONTAINS(one, "\"mode\":\"0600\"");
	CHECK_CONTAINS(one, "\"enabled\":true");
	free(one);
	free(two);
	profile_free(a);
	profile_free(b);
}

/* Writes a file from a head, a part many times, and a tail. */
static void spew_many(const char *path, const char *head, const char *part, size_t times,
		      const char *tail)
{
	struct str text = {0};

	str_add(&text, head);
	while (times--)
		str_add(&text, part);
	str_add(&text, tail);
	tap_spew(path, text.data, text.len);
	str_free(&text);
}

static void check_refused(const char *file, const char *want)
{
	char *text = refused(file, NULL);

	CHECK_CONTAINS(text, want);
	free(text);
}

TEST(sizes_are_bounded)
{
	spew_many("bytes.yaml", "name: a\nversion: 1\n", "# filling\n", 110000, "");
	check_refused("bytes.yaml", "cannot read 'bytes.yaml': larger than 1 MiB");
	spew_many("fits.yaml", "name: a\nversion: 1\n", "# filling\n", 100000, "");
	profile_free(load("fits.yaml"));
	spew_many("nodes.yaml", "name: a\nversion: 1\nx:\n", "- {a: [b, c, d, e, f]}\n", 3900, "");
	check_refused("nodes.yaml", ": error: larger than 20000 values");
	spew_many("items.yaml", "name: a\nversion: 1\npackages:\n", "- nano\n", 4001, "");
	check_refused("items.yaml", "items.yaml:4004:3: error: more than 4000 items in one list");
	spew_many("anchors.yaml", "name: a\nversion: 1\npackages:\n", "- &a nano\n", 257, "");
	check_refused("anchors.yaml", "anchors.yaml:260:3: error: more than 256 anchors");
	spew_many("deep.yaml", "name: a\nversion: 1\nx: ", "[", 1000, "");
	check_refused("deep.yaml", "deep.yaml:3:35: error: nested deeper than 32 levels");
}

TEST(keys_of_a_map_are_bounded)
{
	struct str text = {0};

	str_add(&text, "name: a\nversion: 1\nsysctl:\n");
	for (int i = 0; i < 2001; i++)
		str_addf(&text, "  a.b%d: 1\n", i);
	tap_spew("a.yaml", text.data, text.len);
	str_free(&text);
	check_refused("a.yaml", "a.yaml:2004:3: error: more than 2000 keys in one map");
}

/* Depth counts through aliases: each level hides the next behind one. */
TEST(aliases_do_not_hide_depth)
{
	struct str text = {0};

	str_add(&text, "name: a\nversion: 1\na0: &a0 x\n");
	for (int i = 1; i < 40; i++)
		str_addf(&text, "a%d: &a%d [*a%d]\n", i, i, i - 1);
	tap_spew("a.yaml", text.data, text.len);
	str_free(&text);
	check_refused("a.yaml", "nested deeper than 32 levels");
}

TEST(number_of_files_is_bounded)
{
	for (int i = 0; i < 70; i++) {
		char name[32], text[64];

		snprintf(name, sizeof(name), "p%d.yaml", i);
		snprintf(text, sizeof(text), "name: a\nversion: 1\nextends: p%d\n", i + 1);
		spew(name, text);
	}
	spew("p70.yaml", "name: a\n");
	check_refused("p0.yaml", "p63.yaml:3:10: error: more than 64 files\n");
	profile_free(load("p7.yaml"));
}

TEST(only_regular_files_are_read)
{
	CHECK(mkfifo("pipe.yaml", 0600) == 0);
	check_refused("pipe.yaml", "cannot read 'pipe.yaml': not a regular file");
	CHECK(symlink("/dev/zero", "zero.yaml") == 0);
	check_refused("zero.yaml", "cannot read 'zero.yaml': not a regular file");
	spew("a.yaml", "extends: zero\n");
	check_refused("a.yaml", "a.yaml:1:10: error: cannot read 'zero.yaml': not a regular file");
}

TEST(label_is_bounded)
{
	spew("a.yaml", "name: long-name-for-an-images\nversion: 2026.11.21-1\n");
	profile_free(load("a.yaml"));
	spew("a.yaml", "name: long-name-for-an-images\nversion: 2026.11.21-10\n");
	check_refused("a.yaml", "too long: 37 characters");
}
