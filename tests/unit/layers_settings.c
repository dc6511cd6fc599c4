/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a profile makes of a small tree: units, users, firewall and the shape of the root.
 */
#include "tap.h"

#include "base/fd.h"
#include "base/path.h"
#include "base/proc.h"
#include "layers/settings.h"
#include "layers/settings_parts.h"

#define UNITS "/usr/lib/systemd/system/"
#define ETC "/etc/systemd/system/"

static struct tree *make_tree(void)
{
	static const struct {
		const char *path, *text;
	} files[] = {
		{"/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nfirst:x:1000:1000::/x:/bin/sh\n"},
		{"/etc/group", "root:x:0:\nsudo:x:27:\nfirst:x:1000:\nempty:x:50:a\n"},
		{"/etc/shadow", "root:*:1:0:99999:7:::\nfirst:!:1:0:99999:7:::\n"},
		{"/etc/gshadow", "root:*::\nsudo:*::\nfirst:!::\nempty:*::a\n"},
		{"/usr/lib/os-release", "ID=debian\nIMAGE_ID=old\n"},
		{"/usr/share/zoneinfo/Europe/Berlin", "x"},
		{"/var/lib/dpkg/status", "x"},
		{"/boot/vmlinuz-1", "x"},
		{UNITS "a.service",
		 "[Unit]\nWantedBy=no.target\n[Install]\nWantedBy=x.target y.target\n"
		 "Also=b.socket\nAlias=other.service\n"},
		{UNITS "b.socket", "[Install]\nRequiredBy=sockets.target\n"},
		{UNITS "t@.service", "[Install]\nWantedBy=x.target\n"},
		{UNITS "static.service", "[Service]\nExecStart=/bin/true\n"},
		{UNITS "evil.service", "[Install]\nWantedBy=../../../x\n"},
	};
	struct tree *tree = tree_new();
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		CHECK_OK(tree_put_file(tree, files[i].path, 0644, files[i].text,
				       strlen(files[i].text), "t", &err),
			 &err);
	CHECK_OK(tree_put_symlink(tree, "/etc/os-release", "../usr/lib/os-release", "t", &err),
		 &err);
	return tree;
}

static void check_text(const struct tree *tree, const char *path, const char *want)
{
	const struct tree_node *node = tree_resolve(tree, path);
	struct err err = {0};
	char *text;
	size_t len;

	if (!node)
		FAIL("no %s", path);
	CHECK_OK(tree_read(node, 1 << 20, &text, &len, &err), &err);
	CHECK_STR(text, want);
	free(text);
}

static void check_link(const struct tree *tree, const char *path, const char *want)
{
	const struct tree_node *node = tree_find(tree, path);

	if (!node || node->inode->type != TREE_SYMLINK)
		FAIL("no link %s", path);
	CHECK_STR(node->inode->target, want);
}

static struct profile_list list(const char **items, size_t count)
{
	return (struct profile_list){items, count};
}

TEST(enable_makes_the_links_of_install)
{
	struct tree *tree = make_tree();
	struct err err = {0};

	CHECK_OK(settings_unit_enable(tree, "a", &err), &err);
	check_link(tree, ETC "x.target.wants/a.service", UNITS "a.service");
	check_link(tree, ETC "y.target.wants/a.service", UNITS "a.service");
	check_link(tree, ETC "other.service", UNITS "a.service");
	check_link(tree, ETC "sockets.target.requires/b.socket", UNITS "b.socket");
	CHECK(!tree_find(tree, ETC "no.target.wants"));
	CHECK_OK(settings_unit_enable(tree, "t@one.service", &err), &err);
	check_link(tree, ETC "x.target.wants/t@one.service", UNITS "t@.service");
	CHECK_ERR(settings_unit_enable(tree, "static", &err), &err, ERR_PROFILE, "no [Install]");
	CHECK_ERR(settings_unit_enable(tree, "evil", &err), &err, ERR_PROFILE, "bad name");
	CHECK_ERR(settings_unit_enable(tree, "statik", &err), &err, ERR_PROFILE,
		  "no unit 'statik.service'");
	CHECK_STR(err.hint, "did you mean 'static.service'?");
	tree_free(tree);
}

TEST(disable_and_mask)
{
	static const char *off[] = {"a"}, *masked[] = {"b.socket", "never"};
	struct profile p = {.services = {.disable = list(off, 1), .mask = list(masked, 2)}};
	struct settings_input input = {.profile = &p};
	struct tree *tree = make_tree();
	struct err err = {0};

	CHECK_OK(settings_unit_enable(tree, "a", &err), &err);
	CHECK_OK(settings_units(&input, tree, &err), &err);
	CHECK(!tree_find(tree, ETC "x.target.wants/a.service"));
	CHECK(!tree_find(tree, ETC "other.service"));
	CHECK(!tree_find(tree, ETC "sockets.target.requires/b.socket"));
	check_link(tree, ETC "b.socket", "/dev/null");
	check_link(tree, ETC "never.service", "/dev/null");
	tree_free(tree);
}

TEST(users)
{
	static const char *groups[] = {"sudo", "empty"},
			  *keys[] = {"ssh-ed25519 AAAA a", "ssh-rsa B"};
	struct profile_user people[] = {
		{.name = "ada",
		 .uid = -1,
		 .home = "/home/ada",
		 .shell = "/bin/bash",
		 .groups = list(groups, 2),
		 .ssh_keys = list(keys, 2)},
		{.name = "root", .uid = -1, .home = "/root", .password = "$y$hash"},
	};
	struct profile p = {.users = people, .user_count = 2};
	struct settings_input input = {.profile = &p, .epoch = 10 * 86400 + 5};
	struct tree *tree = make_tree();
	struct err err = {0};
	uint32_t id;

	CHECK_OK(settings_users(&input, tree, &err), &err);
	check_text(tree, "/etc/passwd",
		   "root:x:0:0:root:/root:/bin/bash\nfirst:x:1000:1000::/x:/bin/sh\n"
		   "ada:x:1001:1001::/home/ada:/bin/bash\n");
	check_text(tree, "/etc/group",
		   "root:x:0:\nsudo:x:27:ada\nfirst:x:1000:\nempty:x:50:a,ada\nada:x:1001:\n");
	check_text(tree, "/etc/gshadow",
		   "root:*::\nsudo:*::ada\nfirst:!::\nempty:*::a,ada\nada:!::\n");
	check_text(tree, "/etc/shadow",
		   "root:$y$hash:1:0:99999:7:::\nfirst:!:1:0:99999:7:::\nada:!:10:0:99999:7:::\n");
	check_text(tree, "/etc/ssh/authorized_keys.d/ada", "ssh-ed25519 AAAA a\nssh-rsa B\n");
	check_text(tree, "/usr/lib/tmpfiles.d/ingot-users.conf",
		   "d /var/home 0755 root root -\nd /var/home/ada 0700 ada ada -\n");
	CHECK_OK(settings_id(tree, "/etc/passwd", "ada", &id, &err), &err);
	CHECK_U64(id, 1001);
	CHECK_OK(settings_id(tree, "/etc/passwd", "42", &id, &err), &err);
	CHECK_U64(id, 42);
	CHECK_ERR(settings_id(tree, "/etc/group", "nobody", &id, &err), &err, ERR_PROFILE,
		  "nobody");
	people[0].name = "bob";
	people[0].uid = 1000;
	CHECK_ERR(settings_users(&input, tree, &err), &err, ERR_PROFILE,
		  "user 'bob': the number 1000");
	people[0].uid = -1;
	groups[0] = "nogroup";
	CHECK_ERR(settings_users(&input, tree, &err), &err, ERR_PROFILE, "no group 'nogroup'");
	tree_free(tree);
}

static struct profile_rule rules[] = {
	{.name = "ssh", .protocol = "tcp", .port = 22, .port_last = 22},
	{.name = "nodes", .protocol = "udp", .port = 7000, .port_last = 7010},
	{.name = "data", .protocol = "esp"},
	{.name = "mixed", .protocol = "tcp", .port = 80, .port_last = 80},
};

TEST(firewall)
{
	static const char *from[] = {"10.0.0.0/8", "fd00::/8", "192.168.0.0/16"};
	struct profile p = {.firewall = {true, rules, 4}};
	static const char *const nft[] = {"unshare", "-n", "nft", "-c", "-f", "rules", NULL};
	struct str text = {0};
	struct err err = {0};
	char *program;

	rules[3].from = list(from, 3);
	settings_firewall(&p, &text);
	CHECK_CONTAINS(text.data, "policy drop;");
	CHECK_CONTAINS(text.data, "\ttcp dport 22 accept comment \"ssh\"\n");
	CHECK_CONTAINS(text.data, "\tudp dport 7000-7010 accept");
	CHECK_CONTAINS(text.data, "\tmeta l4proto esp accept");
	CHECK_CONTAINS(text.data, "\tip saddr { 10.0.0.0/8, 192.168.0.0/16 } tcp dport 80 accept");
	CHECK_CONTAINS(text.data, "\tip6 saddr { fd00::/8 } tcp dport 80 accept");
	CHECK(!strstr(text.data, "forward"));
	CHECK(!strstr(text.data, "flush"));
	CHECK_OK(outfile_write("rules", text.data, text.len, false, &err), &err);
	str_free(&text);
	p.firewall.enabled = false;
	settings_firewall(&p, &text);
	CHECK(!strstr(text.data, "policy"));
	str_free(&text);
	proc_fix_path();
	program = proc_find("nft");
	if (!program || geteuid() != 0) {
		free(program);
		SKIP("nft cannot check the rules here (needs nftables and root)");
	}
	free(program);
	CHECK_OK(proc_run(&(struct proc){.argv = nft}, &err), &err);
}

TEST(the_whole)
{
	static const char *enable[] = {"a"}, *persist[] = {"kubernetes"};
	struct profile_setting sysctl = {"vm.swappiness", "1"};
	struct profile_file file = {.path = "/etc/motd",
				    .content = "hello\n",
				    .mode = 0640,
				    .owner = "first",
				    .group = "sudo"};
	struct profile p = {
		.name = "demo",
		.version = "1",
		.base.architecture = "amd64",
		.locale = "C.UTF-8",
		.timezone = "Europe/Berlin",
		.services.enable = list(enable, 1),
		.sysctl = &sysctl,
		.sysctl_count = 1,
		.etc = {"transient", list(persist, 1)},
		.files = &file,
		.file_count = 1,
		.json = json_pack("{s:{s:s}}", "join", "kind", "none"),
	};
	struct settings_input input = {.profile = &p, .data = ".", .programs = ".", .epoch = 7};
	struct tree *tree = make_tree();
	struct err err = {0};

	CHECK_OK(path_make_dirs("cloud-init/units", &err), &err);
	CHECK_OK(outfile_write("cloud-init/units/ingot-x.service",
			       "[Unit]\n[Install]\nWantedBy=x.target\n", 36, false, &err),
		 &err);
	CHECK_OK(outfile_write("ingot-agent", "binary", 6, false, &err), &err);
	CHECK_OK(settings_apply(&input, tree, &err), &err);
	check_text(tree, "/usr/lib/os-release",
		   "ID=debian\nIMAGE_ID=\"demo\"\nIMAGE_VERSION=\"1\"\n");
	check_text(tree, "/usr/lib/sysctl.d/60-ingot.conf", "vm.swappiness = 1\n");
	check_text(tree, "/usr/lib/ingot/etc-mode", "transient\n");
	check_text(tree, "/usr/lib/ingot/etc-persist", "kubernetes\n");
	check_text(tree, "/usr/lib/sysimage/dpkg/status", "x");
	check_text(tree, "/var/lib/dpkg/status", "x");
	check_text(tree, "/etc/motd", "hello\n");
	check_text(tree, "/usr/bin/ingot-agent", "binary");
	check_text(tree, "/usr/lib/ingot/image.json",
		   "{\"architecture\":\"amd64\",\"description\":\"\",\"firewall\":false,"
		   "\"join\":{\"kind\":\"none\"},\"name\":\"demo\",\"schema\":1,"
		   "\"services\":[\"a\"],\"version\":\"1\"}\n");
	check_link(tree, "/etc/localtime", "/usr/share/zoneinfo/Europe/Berlin");
	check_link(tree, "/home", "var/home");
	check_link(tree, ETC "x.target.wants/ingot-x.service", UNITS "ingot-x.service");
	check_link(tree, ETC "x.target.wants/a.service", UNITS "a.service");
	CHECK_U64(tree_find(tree, "/etc/motd")->inode->uid, 1000);
	CHECK_U64(tree_find(tree, "/etc/motd")->inode->gid, 27);
	CHECK_U64(tree_find(tree, "/etc/motd")->inode->mode, 0640);
	CHECK(!tree_find(tree, "/boot/vmlinuz-1"));
	/* systemd mounts the ESP on /efi only when /boot holds something. */
	CHECK(tree_find(tree, "/boot/README"));
	CHECK_U64(tree_find(tree, "/tmp")->inode->mode, 01777);
	CHECK(tree_find(tree, "/efi") != NULL);
	check_text(tree, "/etc/machine-id", "");
	p.timezone = "Mars/Olympus";
	CHECK_ERR(settings_apply(&input, tree, &err), &err, ERR_PROFILE,
		  "no time zone 'Mars/Olympus'");
	tree_free(tree);
	json_decref(p.json);
}
