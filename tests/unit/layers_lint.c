/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each rule of the image lint fires on what it is for, and not on its innocent neighbour.
 */
#include "tap.h"

#include "base/mem.h"
#include "layers/lint.h"

/* An entry that breaks the rule and one that does not. */
static const struct sample {
	const char *rule;
	const char *bad, *bad_content;
	uint32_t bad_mode;
	const char *good, *good_content;
	uint32_t good_mode;
} samples[] = {
	{"ssh-host-key", "/etc/ssh/ssh_host_ed25519_key", "x", 0600, "/etc/ssh/ssh_config", "x",
	 0644},
	{"machine-id", "/etc/machine-id", "0123\n", 0444, "/etc/machine-id", "", 0444},
	{"machine-id", "/var/lib/dbus/machine-id", "", 0444, "/etc/machine-id", "uninitialized\n",
	 0444},
	{"random-seed", "/var/lib/systemd/random-seed", "x", 0600, "/var/lib/systemd/x", "x", 0600},
	{"engine-state", "/var/lib/docker/engine-id", "x", 0600, "/var/lib/docker/x", "x", 0600},
	{"private-key", "/etc/ssl/private/x.key",
	 "-----BEGIN EC "
	 "PRIVATE KEY-----\nx",
	 0600, "/usr/share/doc/example.key",
	 "-----BEGIN EC "
	 "PRIVATE KEY-----\nx",
	 0644},
	{"private-key", "/root/id",
	 "-----BEGIN OPENSSH "
	 "PRIVATE KEY-----\nx",
	 0600, "/etc/ssl/certs/x.pem", "-----BEGIN CERTIFICATE-----\nx", 0644},
	{"world-writable", "/etc/x", "x", 0666, "/etc/x", "x", 0664},
	{"setuid", "/usr/bin/x", "x", 04755, "/usr/bin/sudo", "x", 04755},
	{"setuid", "/usr/bin/x", "x", 02755, "/usr/bin/x", "x", 0755},
	{"build-leftover", "/usr/sbin/policy-rc.d", "x", 0755, "/usr/sbin/policy", "x", 0755},
	{"build-leftover", "/var/lib/apt/lists/x", "", 0644, "/var/lib/apt/x", "x", 0644},
	{"build-leftover", "/var/log/dpkg.log", "x", 0644, "/var/log/wtmp", "", 0644},
	{"build-leftover", "/etc/resolv.conf", "nameserver x", 0644, "/etc/resolv", "x", 0644},
	{"backup", "/etc/x.dpkg-old", "x", 0644, "/etc/x.dpkg", "x", 0644},
	{"backup", "/etc/shadow-", "x", 0600, "/etc/x-", "x", 0644},
	{"empty-password", "/etc/shadow", "root:*:1:\nx::2:0\n", 0600, "/etc/shadow",
	 "root:*:1:0\nx:!:2:0\n", 0600},
	{"second-root", "/etc/passwd", "root:x:0:0\ntoor:x:0:0\n", 0644, "/etc/passwd",
	 "root:x:0:0\nx:x:1:0\n", 0644},
};

static struct profile *profile(void)
{
	static const char *allowed[] = {"/usr/bin/sudo"};
	static struct profile p;

	p.setuid.items = allowed;
	p.setuid.count = 1;
	return &p;
}

static int lint_file(const char *path, const char *content, uint32_t mode, struct err *err)
{
	struct tree *tree = tree_new();
	int r = tree_put_file(tree, path, mode, content, strlen(content), "test", err);

	if (r == 0)
		r = lint_tree(tree, profile(), err);
	tree_free(tree);
	return r;
}

TEST(rules_fire_on_what_they_are_for)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		const struct sample *s = &samples[i];
		struct err err = {0};

		CHECK_ERR(lint_file(s->bad, s->bad_content, s->bad_mode, &err), &err, ERR_LINT,
			  s->rule);
		CHECK_CONTAINS(err.msg, s->bad);
		err_clear(&err);
		CHECK_OK(lint_file(s->good, s->good_content, s->good_mode, &err), &err);
	}
}

TEST(every_rule_has_a_sample)
{
	for (const struct lint_rule *rule = lint_rules; rule->name; rule++) {
		bool found = strcmp(rule->name, "dangling-unit") == 0 || /* below */
			     strcmp(rule->name, "container-layers") == 0;

		for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
			found |= strcmp(samples[i].rule, rule->name) == 0;
		if (!found)
			FAIL("rule %s has no sample", rule->name);
	}
}

TEST(dangling_units)
{
	struct tree *tree = tree_new();
	struct err err = {0};

	CHECK_OK(tree_put_file(tree, "/usr/lib/systemd/system/a.service", 0644, "x", 1, "t", &err),
		 &err);
	CHECK_OK(tree_put_symlink(tree, "/etc/systemd/system/x.wants/a.service",
				  "/usr/lib/systemd/system/a.service", "t", &err),
		 &err);
	CHECK_OK(tree_put_symlink(tree, "/etc/systemd/system/b.service", "/dev/null", "t", &err),
		 &err);
	CHECK_OK(lint_tree(tree, profile(), &err), &err);
	CHECK_OK(tree_put_symlink(tree, "/etc/systemd/system/x.wants/c.service",
				  "/usr/lib/systemd/system/c.service", "t", &err),
		 &err);
	CHECK_ERR(lint_tree(tree, profile(), &err), &err, ERR_LINT,
		  "x.wants/c.service: dangling-unit");
	tree_free(tree);
}

#define LAYERS "/usr/share/ingot/containers/layers"

/* Whatever is in a layer is the container's; the folder that holds them is for root alone. */
TEST(container_layers_are_passed_over)
{
	static const uint32_t modes[] = {0755, 0701, 01700, 02700};
	struct tree *tree = tree_new();
	struct tree_inode other = {.type = TREE_DIR, .mode = 0700, .gid = 1, .origin = "t"};
	struct err err = {0};

	CHECK_OK(tree_put_dir(tree, LAYERS, 0700, "t", &err), &err);
	CHECK_OK(tree_put_file(tree, LAYERS "/0/usr/bin/su", 04755, "x", 1, "t", &err), &err);
	CHECK_OK(tree_put_file(tree, LAYERS "/0/etc/ssh/ssh_host_rsa_key", 0666, "x", 1, "t", &err),
		 &err);
	CHECK_OK(lint_tree(tree, profile(), &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		CHECK_OK(tree_put_dir(tree, LAYERS, modes[i], "t", &err), &err);
		CHECK_ERR(lint_tree(tree, profile(), &err), &err, ERR_LINT,
			  LAYERS ": container-layers");
		CHECK_CONTAINS(err.msg, "breaks 1 rule ");
		err_clear(&err);
	}
	CHECK_OK_PTR(tree_put(tree, LAYERS, &other, &err), &err);
	CHECK_ERR(lint_tree(tree, profile(), &err), &err, ERR_LINT, LAYERS ": container-layers");
	err_clear(&err);
	tree_remove(tree, LAYERS);
	CHECK_OK(tree_put_file(tree, LAYERS, 0600, "x", 1, "t", &err), &err);
	CHECK_ERR(lint_tree(tree, profile(), &err), &err, ERR_LINT, LAYERS ": container-layers");
	err_clear(&err);
	/* A name that only starts like it is the host's. */
	tree_remove(tree, LAYERS);
	CHECK_OK(tree_put_file(tree, LAYERS "2/su", 04755, "x", 1, "t", &err), &err);
	CHECK_ERR(lint_tree(tree, profile(), &err), &err, ERR_LINT, "setuid");
	tree_free(tree);
}

TEST(sticky_folders_may_be_written)
{
	struct tree *tree = tree_new();
	struct err err = {0};

	CHECK_OK(tree_put_dir(tree, "/tmp", 01777, "t", &err), &err);
	CHECK_OK(lint_tree(tree, profile(), &err), &err);
	CHECK_OK(tree_put_dir(tree, "/srv", 0777, "t", &err), &err);
	CHECK_ERR(lint_tree(tree, profile(), &err), &err, ERR_LINT, "/srv: world-writable");
	tree_free(tree);
}

TEST(many_findings_are_counted_and_cut)
{
	struct tree *tree = tree_new();
	struct err err = {0};

	for (int i = 0; i < 30; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/etc/%02d.dpkg-new", i);
		CHECK_OK(tree_put_file(tree, path, 0644, "x", 1, "t", &err), &err);
	}
	CHECK_ERR(lint_tree(tree, profile(), &err), &err, ERR_LINT, "breaks 30 rules");
	CHECK_CONTAINS(err.msg, "19.dpkg-new");
	CHECK(!strstr(err.msg, "20.dpkg-new"));
	tree_free(tree);
}
