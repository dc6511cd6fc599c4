/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of cloud-config on a root folder: what each makes, what is told of wrong values, the same again at the next boot,
 * and after being killed.
 */
#include "fake/cloudconfig.h"

#include "agent/provision/accounts.h"
#include "agent/provision/place.h"
#include "agent/provision/script.h"

#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB me@example"

static char *read_all(const char *path)
{
	CLEANUP_FREE char *full = mem_printf("root%s", path);
	CLEANUP(str_free) struct str text = {0};
	struct err err = {0};

	CHECK_OK(fd_read_file(full, 1 << 20, &text, &err), &err);
	str_add(&text, "");
	return str_steal(&text);
}

static void check_contains(const char *path, const char *part)
{
	CLEANUP_FREE char *text = read_all(path);

	CHECK_CONTAINS(text, part);
}

static unsigned mode_of(const char *path)
{
	CLEANUP_FREE char *full = mem_printf("root%s", path);
	struct stat st;

	CHECK(lstat(full, &st) == 0);
	return st.st_mode & 07777;
}

/* ---- host --------------------------------------------------------------------------------------------------- */
TEST(hostname)
{
	config_root();
	config_good("hostname: m1\nfqdn: m1.example.com\n");
	CHECK_FILE("root/etc/hostname", "m1\n");
	CHECK_FILE("root/var/lib/ingot/hostname", "m1\n"); /* the initrd reads it */
	CHECK_FILE("root/etc/hosts",
		   "127.0.0.1 localhost\n127.0.1.1 m1.example.com m1 # ingot: this machine\n");
	/* Another stage of the same boot: one line, not two. */
	config_good("hostname: m2.example.org\n");
	CHECK_FILE("root/etc/hosts",
		   "127.0.0.1 localhost\n127.0.1.1 m2.example.org m2 # ingot: this machine\n");
	config_root();
	config_good("preserve_hostname: true\nhostname: m1\n");
	CHECK_MISSING("root/etc/hostname");
	config_good("manage_etc_hosts: false\nhostname: m1\n");
	CHECK_FILE("root/etc/hosts", "127.0.0.1 localhost\n");
	config_bad("hostname: 'a b'\n", 1, "no name for a host");
	config_bad("hostname: [m1]\n", 1, "hostname must be text");
	config_bad("fqdn: -x.example\n", 1, "no name for a host");
}

TEST(hostname_of_the_metadata)
{
	struct config_run *run;

	config_root();
	run = config_apply("timezone: Europe/Rome\n", CC_EARLY);
	run->instance.hostname = mem_strdup("from-metadata.example");
	cc_apply(&run->cc, CC_EARLY, run->keys);
	CHECK_FILE("root/etc/hostname", "from-metadata\n");
	config_close(run);
}

TEST(time)
{
	char target[64] = "";

	config_root();
	config_good(
		"timezone: Europe/Rome\nntp: {servers: [10.0.0.1, time.example], pools: [p.example]}\n");
	CHECK(readlink("root/etc/localtime", target, sizeof(target) - 1) > 0);
	CHECK_STR(target, "/usr/share/zoneinfo/Europe/Rome");
	CHECK_FILE("root/etc/timezone", "Europe/Rome\n");
	check_contains("/etc/systemd/timesyncd.conf.d/90-user-data.conf",
		       "[Time]\nNTP=\nNTP=10.0.0.1 time.example p.example\n");
	config_bad("timezone: ../../../etc/passwd\n", 1, "no time zone");
	config_bad("timezone: Moon/Base\n", 1, "no time zone");
	config_bad("ntp: {servers: ['a\\nb c']}\n", 1, "cannot be a time server");
	config_bad("ntp:\n  serverz: [a]\n", 2, "unknown key 'serverz'");
	config_bad("ntp:\n  ntp_client: chrony\n", 2, "systemd-timesyncd");
	config_bad("ntp:\n  enabled: false\n", 2, "cannot be left alone");
}

/* ---- users -------------------------------------------------------------------------------------------------- */
TEST(users)
{
	const char *text =
		"users:\n"
		"  - default\n"
		"  - {name: ann, groups: [sudo, wheel], gecos: Ann, ssh_authorized_keys: ['" KEY
		"']}\n"
		"  - {name: bob, uid: 1001, shell: /bin/sh, lock_passwd: false, passwd: "
		"'$6$salt$abcdefgh'}\n"
		"ssh_authorized_keys: ['" KEY " all']\n";
	CLEANUP_FREE char *first = NULL, *second = NULL;

	config_root();
	config_good(text);
	check_contains("/etc/passwd", "ann:x:1002:1002:Ann:/home/ann:/bin/bash\n");
	check_contains("/etc/passwd", "bob:x:1001:1001::/home/bob:/bin/sh\n");
	check_contains("/etc/shadow", "ann:!::0:99999:7:::\n");
	check_contains("/etc/shadow", "bob:$6$salt$abcdefgh::0:99999:7:::\n");
	check_contains("/etc/group", "sudo:x:27:ann\n");
	check_contains("/etc/gshadow", "sudo:*::ann\n");
	check_contains("/etc/group", "wheel:x:");
	CHECK_INT(mode_of("/etc/shadow"), 0640);
	CHECK_INT(mode_of("/var/home/ann"), 0700);
	CHECK_FILE("root/var/home/ann/.profile", "# profile\n");
	CHECK_FILE("root/run/ingot/authorized_keys/ann", KEY "\n");
	CHECK_FILE("root/run/ingot/authorized_keys/root", KEY " all\n");
	check_contains("/etc/ssh/sshd_config.d/05-user-data-keys.conf",
		       "/run/ingot/authorized_keys/%u\n");
	/* The next boot has the image's /etc again; numbers and homes are what they were. */
	first = read_all("/etc/passwd");
	config_file("/var/home/ann/mine", "kept");
	config_root();
	config_good(text);
	second = read_all("/etc/passwd");
	CHECK_STR(second, first);
	CHECK_FILE("root/var/home/ann/mine", "kept");
}

TEST(numbers_stay_when_the_list_changes)
{
	config_root();
	config_good("users: [{name: ann}, {name: bob}]\n");
	config_root();
	config_good("users: [{name: zoe}, {name: bob}]\n");
	check_contains("/etc/passwd", "bob:x:1002:1002:");
	check_contains("/etc/passwd", "zoe:x:1003:1003:"); /* not ann's: she has files */
}

TEST(a_user_who_is_in_the_image)
{
	config_root();
	config_good(
		"users: [{name: admin, groups: sudo, lock_passwd: false, passwd: '$6$salt$abcdefgh', "
		"ssh_authorized_keys: '" KEY "'}]\n");
	check_contains("/etc/shadow", "admin:$6$salt$abcdefgh:19000:0:99999:7:::\n");
	check_contains("/etc/group", "sudo:x:27:admin\n");
	CHECK_FILE("root/run/ingot/authorized_keys/admin", KEY "\n");
}

TEST(default_user_and_root)
{
	config_root();
	config_good("user: ann\nssh_authorized_keys: ['" KEY "']\n");
	CHECK_FILE("root/run/ingot/authorized_keys/ann", KEY "\n");
	CHECK_MISSING("root/run/ingot/authorized_keys/root");
	config_root();
	config_good("disable_root: true\nusers: [{name: bob}]\nssh_authorized_keys: ['" KEY "']\n");
	CHECK_FILE("root/run/ingot/authorized_keys/bob", KEY "\n");
	check_contains("/etc/ssh/sshd_config.d/05-user-data-keys.conf", "PermitRootLogin no\n");
	config_root();
	config_bad("disable_root: true\nssh_authorized_keys: ['" KEY "']\n", 1, "root's stay");
	CHECK_FILE("root/run/ingot/authorized_keys/root", KEY "\n");
}

TEST(wrong_users)
{
	config_root();
	config_bad("users:\n  - {name: 'a:b'}\n", 2, "cannot be the name of a user");
	config_bad("users:\n  - {name: ../x}\n", 2, "cannot be the name of a user");
	config_bad("users:\n  - {gecos: x}\n", 2, "needs a name");
	config_bad("users:\n  - {name: c1, gecos: 'x:0:0'}\n", 2, "colons");
	config_bad("users:\n  - {name: c2, gecos: \"x\\nroot2:x:0:0::/:/bin/sh\"}\n", 2, "control");
	config_bad("users:\n  - {name: c3, passwd: plain}\n", 2, "no hash");
	config_bad("users:\n  - {name: c4, shell: /bin/none}\n", 2, "has no shell");
	config_bad("users:\n  - {name: c5, uid: 1000}\n", 2, "is taken");
	config_bad("users:\n  - {name: c6, homedir: /usr/x}\n", 2, "read-only");
	config_bad("users:\n  - {name: c7, plain_text_passwd: hunter2}\n", 2, "not supported");
	config_bad("users:\n  - {name: c8, ssh_authorized_keys: ['no key']}\n", 2, "no public key");
	config_bad("users:\n  - {name: c9, sudo: 'ALL=(ALL) ALL'}\n", 2, "has no sudo");
	config_bad("users:\n  - {name: d1, shel: /bin/sh}\n", 2, "did you mean 'shell'");
	config_bad("users: {name: x}\n", 1, "must be a list");
	/* No secret in a message. */
	{
		struct config_run *run =
			config_apply("users: [{name: d2, passwd: hunter2}]\n", CC_EARLY);

		CHECK(!strstr(run->cc.text.data, "hunter2"));
		config_close(run);
	}
	/* The others were made. */
	config_bad("users:\n  - {name: '0'}\n  - {name: good}\n", 2, "cannot be the name");
	check_contains("/etc/passwd", "good:x:");
	{
		CLEANUP_FREE char *passwd = read_all("/etc/passwd");

		CHECK(!strstr(passwd, "root2"));
	}
}

TEST(groups_and_sudo)
{
	config_root();
	config_file("/usr/bin/sudo", "");
	config_good(
		"groups: [ops, {dev: [ann, admin]}]\nusers: [{name: ann, sudo: ['ALL=(ALL) NOPASSWD:ALL']}]\n");
	check_contains("/etc/group", "ops:x:");
	check_contains("/etc/group", ":ann,admin\n");
	CHECK_FILE("root/etc/sudoers.d/90-user-data",
		   "# Made by ingot-agent from user-data.\nann ALL=(ALL) NOPASSWD:ALL\n");
	CHECK_INT(mode_of("/etc/sudoers.d/90-user-data"), 0440);
	config_bad("users:\n  - {name: ann, sudo: \"ALL=(ALL) ALL\\nbob ALL=(ALL) ALL\"}\n", 2,
		   "no rule for sudo");
	config_bad("groups: ['a b']\n", 1, "cannot be the name of a group");
}

TEST(passwords)
{
	config_root();
	config_good(
		"chpasswd: {expire: false, users: [{name: admin, password: '$6$salt$abcdefgh', type: hash}]}\n"
		"ssh_pwauth: true\n");
	check_contains("/etc/shadow", "admin:$6$salt$abcdefgh:19000");
	check_contains("/etc/ssh/sshd_config.d/05-user-data-passwords.conf",
		       "PasswordAuthentication yes\n");
	config_root();
	config_good(
		"chpasswd: {list: \"admin:$y$j9T$abcdefgh\\nroot:*\\n\", expire: false}\nssh_pwauth: unchanged\n");
	check_contains("/etc/shadow", "admin:$y$j9T$abcdefgh:");
	CHECK_MISSING("root/etc/ssh/sshd_config.d/05-user-data-passwords.conf");
	config_bad("chpasswd: {users: [{name: admin, password: x, type: text}]}\n", 1,
		   "only type 'hash'");
	config_bad("chpasswd:\n  list: ['admin:plain']\n", 2, "is no hash");
	config_bad("chpasswd:\n  list: ['nobody0:$6$salt$abcdefgh']\n", 2, "no user 'nobody0'");
	config_bad("chpasswd:\n  expire: true\n", 2, "cannot expire");
	config_bad("ssh_pwauth: perhaps\n", 1, "must be true or false");
}

TEST(host_keys)
{
	CLEANUP_FREE char *key = NULL;
	CLEANUP(str_free) struct str indented = {0};

	if (system("ssh-keygen -q -t ed25519 -N '' -C '' -f key >/dev/null 2>&1") != 0)
		SKIP("ssh-keygen is missing");
	config_root();
	CHECK(rename("key", "root/key") == 0);
	key = read_all("/key");
	str_add(&indented, "ssh_keys:\n  ed25519_private: |\n");
	for (char *save = NULL, *line = strtok_r(key, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		str_addf(&indented, "    %s\n", line);
	config_good(indented.data);
	CHECK_INT(mode_of("/var/lib/ingot/etc/ssh/ssh_host_ed25519_key"), 0600);
	check_contains("/var/lib/ingot/etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519 ");
	config_bad(
		"ssh_keys:\n  ecdsa_private: |\n    -----BEGIN OPENSSH PRIVATE KEY-----\n    x\n",
		2, "no private key");
	CHECK_MISSING("root/var/lib/ingot/etc/ssh/ssh_host_ecdsa_key");
	CHECK_MISSING("root/run/ingot/host-key.check");
}

/* ---- files -------------------------------------------------------------------------------------------------- */
TEST(files)
{
	config_root();
	config_good(
		"write_files:\n"
		"  - {path: /etc/a/b.conf, content: \"x=1\\n\", permissions: '0640', owner: 'admin:shadow'}\n"
		"  - {path: /etc/c, content: aGVsbG8K, encoding: b64}\n"
		"  - {path: /etc/d, content: H4sIAAAAAAAAA8tIzcnJ5wIAIDA6NgYAAAA=, encoding: gz+b64}\n"
		"  - {path: /etc/members, content: "
		"H4sIAAAAAAAAA8vPS+UCAJ+oF/gEAAAAH4sIAAAAAAAAAyspz+cCAHQIF5YEAAAA, encoding: gz+b64}\n"
		"  - {path: /etc/hosts, content: \"10.0.0.1 db\\n\", append: true}\n"
		"  - {path: /home/admin/x, content: home}\n"
		"  - {path: /etc/later, content: late, defer: true}\n"
		"  - {path: /etc/empty}\n");
	CHECK_FILE("root/etc/a/b.conf", "x=1\n");
	CHECK_INT(mode_of("/etc/a/b.conf"), 0640);
	CHECK_FILE("root/etc/c", "hello\n");
	CHECK_FILE("root/etc/d", "hello\n");
	CHECK_FILE("root/etc/members", "one\ntwo\n");
	CHECK_FILE("root/etc/hosts", "127.0.0.1 localhost\n10.0.0.1 db\n");
	CHECK_FILE("root/var/home/admin/x", "home");
	CHECK_FILE("root/etc/empty", "");
	CHECK_MISSING("root/etc/later");
	if (geteuid() == 0) {
		struct stat st;

		CHECK(stat("root/etc/a/b.conf", &st) == 0 && st.st_uid == 1000 && st.st_gid == 42);
	}
	config_close(config_apply("write_files: [{path: /etc/later, content: late, defer: true}]\n",
				  CC_FINAL));
	CHECK_FILE("root/etc/later", "late");
}

TEST(files_again_at_the_next_boot)
{
	const char *text = "write_files:\n"
			   "  - {path: /var/lib/app/state, content: first}\n"
			   "  - {path: /etc/app, content: etc}\n"
			   "  - {path: /etc/hosts, content: \"10.0.0.1 db\\n\", append: true}\n";

	config_root();
	config_good(text);
	/* The same stage again, as after a kill: appended once. */
	config_good(text);
	CHECK_FILE("root/etc/hosts", "127.0.0.1 localhost\n10.0.0.1 db\n");
	/* What the machine has made of its file since stays; what was in /etc is written again. */
	config_file("/var/lib/app/state", "changed");
	config_root();
	config_good(text);
	CHECK_FILE("root/var/lib/app/state", "changed");
	CHECK_FILE("root/etc/app", "etc");
	/* A changed entry is another file. */
	config_good("write_files: [{path: /var/lib/app/state, content: second}]\n");
	CHECK_FILE("root/var/lib/app/state", "second");
}

TEST(wrong_files)
{
	config_root();
	config_bad("write_files:\n  - {path: /usr/bin/x, content: y}\n", 2, "read-only");
	config_bad("write_files:\n  - {path: /etc/../usr/x, content: y}\n", 2,
		   "no clean absolute path");
	config_bad("write_files:\n  - {path: etc/x, content: y}\n", 2, "no clean absolute path");
	config_bad("write_files:\n  - {path: /proc/sys/x, content: y}\n", 2, "read-only");
	config_bad("write_files:\n  - {path: /var/lib/ingot/agent/x, content: y}\n", 2,
		   "agent's own");
	config_bad("write_files:\n  - {path: /run/ingot/x, content: y}\n", 2, "agent's own");
	config_bad("write_files:\n  - {path: /var/run/ingot/x, content: y}\n", 2, "agent's own");
	config_bad("write_files:\n  - {content: y}\n", 2, "needs a path");
	config_bad("write_files:\n  - {path: /etc/x, content: '***', encoding: b64}\n", 2,
		   "not base64");
	config_bad("write_files:\n  - {path: /etc/x, content: aGVsbG8K, encoding: gz+b64}\n", 2,
		   "not gzip");
	config_bad("write_files:\n  - {path: /etc/x, content: y, encoding: rot13}\n", 2,
		   "unknown encoding");
	config_bad("write_files:\n  - {path: /etc/x, content: y, permissions: '0999'}\n", 2,
		   "no octal mode");
	config_bad("write_files:\n  - {path: /etc/x, content: y, permissions: '04755'}\n", 2,
		   "setuid");
	config_bad("write_files:\n  - {path: /etc/x, content: y, owner: nobody0}\n", 2, "no user");
	config_bad("write_files:\n  - {path: /etc/x, content: y, owner: 'root:none'}\n", 2,
		   "no group");
	config_bad("write_files:\n  - /etc/x\n", 2, "must be a map");
	config_bad("write_files:\n  - {path: /etc/x, source: {uri: 'http://x'}}\n", 2,
		   "'source' is not supported");
	config_bad("write_files: text\n", 1, "must be a list");
	CHECK_MISSING("root/etc/x");
	/* One that is wrong keeps no other one out. */
	config_bad(
		"write_files:\n  - {path: /usr/x, content: a}\n  - {path: /etc/right, content: b}\n",
		2, "read-only");
	CHECK_FILE("root/etc/right", "b");
}

/* Whoever may write below /var must not make root write somewhere else. */
TEST(links_are_not_followed)
{
	config_root();
	config_file("/var/home/admin/.keep", "");
	config_file("/secret", "untouched");
	CHECK(symlink("../../..", "root/var/home/admin/up") == 0);
	config_bad("write_files:\n  - {path: /home/admin/up/secret, content: owned}\n", 2,
		   "is a link or a file");
	CHECK_FILE("root/secret", "untouched");
	CHECK(symlink("/etc", "root/var/home/admin/etc") == 0);
	config_bad("write_files:\n  - {path: /home/admin/etc/x, content: owned}\n", 2,
		   "is a link or a file");
	/* A link with the file's name is replaced. */
	CHECK(symlink("../../../secret", "root/var/home/admin/f") == 0);
	config_good("write_files: [{path: /home/admin/f, content: mine}]\n");
	CHECK_FILE("root/secret", "untouched");
	CHECK_FILE("root/var/home/admin/f", "mine");
	/* Appending reads no link either. */
	CHECK(symlink("../../../secret", "root/var/home/admin/g") == 0);
	config_bad("write_files:\n  - {path: /home/admin/g, content: more, append: true}\n", 2,
		   "cannot append");
	CHECK_FILE("root/secret", "untouched");
	/* Nor a pipe, for ever. */
	CHECK(mkfifo("root/var/home/admin/p", 0666) == 0);
	config_bad("write_files:\n  - {path: /home/admin/p, content: more, append: true}\n", 2,
		   "no regular file");
	/* A home that is a link. */
	CHECK(symlink("../../etc", "root/var/home/eve") == 0);
	config_bad("users:\n  - {name: eve}\n", 2, "cannot open folder");
	CHECK_MISSING("root/etc/.profile");
}

/* ---- the table ---------------------------------------------------------------------------------------------- */
TEST(unknown_and_unsupported_keys)
{
	config_root();
	config_bad("hostnam: x\n", 1, "unknown key 'hostnam'");
	config_bad("packages: [vim]\n", 1,
		   "'packages' is not supported: packages are part of the image");
	config_bad("hostname: m1\napt: {}\n", 2, "'apt' is not supported");
	for (const struct cc_row *row = cc_rows; row->key; row++) {
		CLEANUP_FREE char *text = mem_printf("%s: null\n", row->key);
		struct config_run *run;

		CHECK(!row->instead || !row->apply);
		/* These two say how parts are merged, and are taken out by that. */
		if (!row->instead || str_has_prefix(row->key, "merge_"))
			continue;
		run = config_apply(text, CC_EARLY);
		/* Ignored is a remark, unsupported a problem; vendor_data is taken out before. */
		if (run->userdata.config && doc_node_get(run->userdata.config, row->key))
			CHECK(row->ignored ? json_array_size(run->cc.notes) == 1
					   : run->cc.problems.count == 1);
		config_close(run);
	}
}

/* Every key with every kind of value: told or applied, never a crash, and the hostname is set all the same. */
TEST_TIMEOUT(every_key_with_every_kind_of_value, 300)
{
	static const char *const values[] = {
		"null",
		"''",
		"text",
		"0",
		"-1",
		"18446744073709551616",
		"true",
		"[]",
		"[null]",
		"['']",
		"[[]]",
		"[[null]]",
		"[{}]",
		"[[a, b, c]]",
		"{}",
		"{a: b}",
		"{a: []}",
		"[{name: null}]",
		"[{name: []}]",
		"[{path: null}]",
		"[{path: {}}]",
		"{users: [null]}",
		"{list: {}}",
		"{list: null}",
		"{users: [{name: []}]}",
		"{trusted: [null]}",
		"{trusted: {}}",
		"{servers: {}}",
		"[{device: []}]",
		"{/dev/x: null}",
		"{/dev/x: {layout: [[]]}}",
		"{mode: []}",
		"{mode: reboot, delay: []}",
		"\"a\\nb\\0c\"",
	};

	config_root();
	for (const struct cc_row *row = cc_rows; row->key; row++)
		for (size_t i = 0; i < ARRAY_SIZE(values); i++)
			for (enum cc_stage stage = CC_EARLY; stage <= CC_LAST; stage++) {
				CLEANUP_FREE char *text = mem_printf(
					"timezone: Europe/Rome\n%s: %s\n", row->key, values[i]);
				struct config_run *run;

				if (strcmp(row->key, "timezone") == 0 ||
				    strcmp(row->key, "ingot") == 0 ||
				    strcmp(row->key, "merge_how") == 0 ||
				    strcmp(row->key, "merge_type") == 0 ||
				    strcmp(row->key, "runcmd") == 0 ||
				    strcmp(row->key, "bootcmd") == 0 ||
				    strcmp(row->key, "power_state") == 0 ||
				    strstr(values[i], "\\0"))
					continue;
				run = config_apply(text, stage);
				if (stage == CC_EARLY)
					CHECK_FILE("root/etc/timezone", "Europe/Rome\n");
				config_close(run);
			}
}

TEST(another_instance_starts_anew)
{
	struct config_run *run;
	struct err err = {0};

	config_root();
	run = config_apply("users: [{name: ann}]\n", CC_EARLY);
	CHECK_OK(cc_note(&run->cc, "done", "runcmd", &err), &err);
	CHECK_OK(cc_note(&run->cc, "once", "script a", &err), &err);
	CHECK(cc_was(&run->cc, "done", "runcmd"));
	json_decref(run->cc.kept);
	run->cc.kept = cc_kept_load(&run->agent, "i-2");
	CHECK(!cc_was(&run->cc, "done", "runcmd"));
	CHECK(cc_was(&run->cc, "once", "script a"));
	/* Numbers of users outlive it: their files do, too. */
	CHECK(json_object_get(json_object_get(run->cc.kept, "users"), "ann"));
	config_close(run);
}

/* ---- killed ------------------------------------------------------------------------------------------------- */
/* The child is killed after ever more time; whatever was done by then, the next run completes it. */
TEST_TIMEOUT(killed_anywhere, 120)
{
	const char *text = "hostname: m1\nusers: [{name: ann, groups: [ops]}, {name: bob}]\n"
			   "write_files:\n"
			   "  - {path: /var/lib/app/a, content: aaa}\n"
			   "  - {path: /etc/hosts, content: \"10.0.0.1 db\\n\", append: true}\n"
			   "ssh_authorized_keys: ['" KEY "']\n";
	CLEANUP_FREE char *want = NULL;
	unsigned killed = 0;

	config_root();
	config_good(text);
	want = read_all("/etc/passwd");
	for (unsigned wait = 0; wait < 60; wait++) {
		CLEANUP_FREE char *got = NULL;
		struct err err = {0};
		int status;
		pid_t pid;

		CHECK_OK(path_remove_all("root", &err), &err);
		config_root();
		pid = fork();
		if (pid == 0) {
			config_close(config_apply(text, CC_EARLY));
			_exit(0);
		}
		CHECK(pid > 0);
		usleep(wait * 150);
		kill(pid, SIGKILL);
		CHECK(waitpid(pid, &status, 0) == pid);
		killed += WIFSIGNALED(status);
		/* The next boot of the same disk. */
		config_root();
		config_good(text);
		got = read_all("/etc/passwd");
		CHECK_STR(got, want);
		CHECK_FILE("root/var/lib/app/a", "aaa");
		CHECK_FILE(
			"root/etc/hosts",
			"127.0.0.1 localhost\n127.0.1.1 m1 # ingot: this machine\n10.0.0.1 db\n");
		CHECK_FILE("root/var/home/ann/.profile", "# profile\n");
	}
	CHECK(killed > 0);
}

/* ---- scripts ------------------------------------------------------------------------------------------------ */
TEST(commands_become_one_script)
{
	struct config_run *run;
	CLEANUP(str_free) struct str text = {0}, quoted = {0};

	config_root();
	run = config_apply("runcmd: [\"cd /tmp\", [echo, \"it's\", \"$HOME\"], null, {a: b}]\n",
			   CC_EARLY);
	script_build(&run->cc, doc_node_get(run->cc.config, "runcmd"), "runcmd", "/f", &text);
	CHECK_CONTAINS(
		text.data,
		"\ncd /tmp\ningot_check 1\n'echo' 'it'\\''s' '$HOME'\ningot_check 2\nexit 0\n");
	CHECK_CONTAINS(run->cc.text.data, "runcmd: a command must be text or a list of words");
	config_close(run);
	script_quote(&quoted, "a'b\"c");
	CHECK_STR(quoted.data, "'a'\\''b\"c'");
}

TEST(power_state)
{
	static const struct {
		const char *value, *want;
	} bad[] = {
		{"{mode: restart}", "mode must be poweroff, reboot or halt"},
		{"{mode: reboot, delay: soon}", "delay must be 'now' or minutes"},
		{"{mode: reboot, dealy: 1}", "did you mean 'delay'"},
		{"{mode: reboot, condition: {a: b}}", "condition must be"},
		{"reboot", "must be a map"},
	};
	struct config_run *run;

	config_root();
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CLEANUP_FREE char *text = mem_printf("power_state: %s\n", bad[i].value);

		run = config_apply(text, CC_LAST);
		CHECK(run->cc.problems.count > 0);
		CHECK_CONTAINS(run->cc.text.data, bad[i].want);
		config_close(run);
		CHECK_OK(path_remove_all("root/var", &(struct err){0}), &(struct err){0});
	}
	run = config_apply("power_state: {mode: poweroff, condition: false}\n", CC_LAST);
	CHECK_U64(json_array_size(run->cc.notes), 0);
	config_close(run);
	run = config_apply("power_state: {mode: reboot, delay: 5, message: 'bye'}\n", CC_LAST);
	CHECK_STR(json_string_value(json_array_get(run->cc.notes, 0)), "power_state: reboot +5");
	config_close(run);
	/* Once: the machine would never stop going down. */
	run = config_apply("power_state: {mode: reboot}\n", CC_LAST);
	CHECK_U64(json_array_size(run->cc.notes), 0);
	config_close(run);
}

TEST(certificates)
{
	static const char pem[] =
		"-----BEGIN CERTIFICATE-----\n      AAAA\n      -----END CERTIFICATE-----\n";
	struct config_run *run;

	config_root();
	/* openssl says that this is none; without openssl nothing is linked, and it is in the bundle. */
	run = config_apply("ca_certs:\n  trusted:\n    - none\n", CC_EARLY);
	CHECK_CONTAINS(run->cc.text.data, "entry 1 has no certificate");
	config_close(run);
	config_bad("ca_certs:\n  remove_defaults: true\n", 2, "image's certificates stay");
	config_bad("ca_certs: []\n", 1, "must be a map");
	{
		CLEANUP_FREE char *text =
			mem_printf("ca_certs:\n  trusted:\n    - |\n      %s", pem);
		CLEANUP_FREE char *bundle = NULL;

		run = config_apply(text, CC_EARLY);
		bundle = read_all("/etc/ssl/certs/ca-certificates.crt");
		/* A certificate that openssl does not read is not trusted either. */
		CHECK(!strstr(bundle, "AAAA") || !run->cc.problems.count);
		config_close(run);
	}
}
