/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata sources that need no network, and what is kept of them from boot to boot.
 */
#include "tap.h"
#include "fake/machine.h"
#include "fake/registry.h"

#include "agent/source/source_parts.h"

#include "base/mem.h"

static const struct agent agent = {.root = FAKE_ROOT, .kind = "swarm", .role = "manager"};

#define SEED "/var/lib/ingot/seed/nocloud/"
#define KEPT FAKE_ROOT INSTANCE_FILE
#define LIVE FAKE_ROOT INSTANCE_LIVE
#define DMI "/sys/class/dmi/id/"

/* A machine with a number, and nothing that says who it is. */
static void machine(void)
{
	unsetenv("CREDENTIALS_DIRECTORY");
	fake_machine("{}");
	fake_machine_file("/proc/cmdline", "ro quiet\n");
	fake_machine_file(DMI "product_uuid", "4C4C4544-0042\n");
}

static void seed(const char *meta_data)
{
	fake_machine_file(SEED "meta-data", meta_data);
	fake_machine_file(SEED "user-data", "#cloud-config\nhostname: m1\n");
}

static void load(struct instance *ret)
{
	struct err err = {0};
	bool found = false;

	CHECK_OK(source_load(&agent, false, 0, ret, &found, &err), &err);
	CHECK(found);
}

/* What the kernel would show after a reboot: /run is empty. */
static void reboot(void)
{
	if (remove(LIVE) < 0)
		FAIL("'%s' was not written: %s", LIVE, strerror(errno));
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		FAIL("'%s' is not there: %s", path, strerror(errno));
	return st.st_mode & 07777;
}

TEST(words_from_outside)
{
	static const struct {
		const char *text, *word, *id, *hostname;
	} table[] = {
		{" i-0abc\n", "i-0abc", "i-0abc", "i-0abc"},
		{"Node-1.Example.COM.", "Node-1.Example.COM.", "Node-1.Example.COM.",
		 "node-1.example.com"},
		{"a b", NULL, NULL, NULL},
		{"a/b", "a/b", NULL, NULL},
		{"../x", "../x", NULL, NULL},
		{".", ".", NULL, NULL},
		{"", NULL, NULL, NULL},
		{" \t\r\n", NULL, NULL, NULL},
		{"a\x1b[2J", NULL, NULL, NULL},
		{"a\tb", NULL, NULL, NULL},
		{"\xc3\xa4", NULL, NULL, NULL},
		{"-a", "-a", "-a", NULL},
		{"a-", "a-", "a-", NULL},
		{"a..b", "a..b", "a..b", NULL},
		{"a-.b", "a-.b", "a-.b", NULL},
		{"a_b", "a_b", "a_b", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		size_t len = strlen(table[i].text);
		char *word = source_word(table[i].text, len), *id = source_id(table[i].text, len);
		char *hostname = source_hostname(table[i].text, len);

		CHECK_STR(word, table[i].word);
		CHECK_STR(id, table[i].id);
		CHECK_STR(hostname, table[i].hostname);
		free(word);
		free(id);
		free(hostname);
	}
	CHECK(!source_word("a\0b", 3));
	CHECK(!source_hostname("a\0b", 3));
}

TEST(long_words)
{
	char text[1024];

	memset(text, 'a', sizeof(text));
	CHECK(!source_word(text, SOURCE_LINE_MAX + 1));
	CHECK(!source_id(text, 129));
	CHECK(!source_hostname(text, 64));
	for (size_t i = 50; i < sizeof(text); i += 51)
		text[i] = '.';
	CHECK(!source_hostname(text, 254));
}

TEST(ssh_keys)
{
	struct instance instance = {0};
	struct str many = {0};
	static const char text[] = "\n# a comment that is long\nssh-ed25519 AAAAC3Nz me@here\r\n"
				   "  ssh-rsa AAAAB3Nz\nssh-ed25519 AAAAC3Nz me@here\n"
				   "noblankinthisline\nssh-rsa \x01\x02 AAAAAAAAAAAAAAA\nx y\n";

	source_add_keys(&instance, text, sizeof(text) - 1);
	CHECK_INT(instance.ssh_keys.count, 2);
	CHECK_STR(instance.ssh_keys.items[0], "ssh-ed25519 AAAAC3Nz me@here");
	CHECK_STR(instance.ssh_keys.items[1], "ssh-rsa AAAAB3Nz");
	for (int i = 0; i < 1000; i++)
		str_addf(&many, "ssh-rsa AAAAB3Nz%d\n", i);
	source_add_keys(&instance, many.data, many.len);
	CHECK_INT(instance.ssh_keys.count, SOURCE_KEYS_MAX);
	str_free(&many);
	instance_free(&instance);
}

TEST(options_of_the_command_line)
{
	static const struct {
		const char *text, *name, *seed, *id, *hostname;
	} table[] = {
		{"ro quiet", NULL, NULL, NULL, NULL},
		{"ro ds=nocloud", "nocloud", NULL, NULL, NULL},
		{"ds=NoCloud;i=abc;h=Box quiet", "nocloud", NULL, "abc", "Box"},
		{"a ds=nocloud-net;s=http://10.0.0.1/x/;i=1 b", "nocloud-net", "http://10.0.0.1/x/",
		 "1", NULL},
		{"ds=nocloud;seedfrom=/a/;instance-id=2;local-hostname=h;dsmode=x", "nocloud",
		 "/a/", "2", "h"},
		{"\"ds=nocloud;i=3\" quiet", "nocloud", NULL, "3", NULL},
		{"ds=\"nocloud;i=4\" quiet", "nocloud", NULL, "4", NULL},
		{"ds=ec2 ds=none\n", "none", NULL, NULL, NULL},
		{"ds=nocloud;i=;s;;=;h=a", "nocloud", NULL, NULL, "a"},
		{"ds=;", "", NULL, NULL, NULL},
		{"xds=nocloud", NULL, NULL, NULL, NULL},
		{"ds=", NULL, NULL, NULL, NULL},
		{"", NULL, NULL, NULL, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct source_option option;

		CHECK(source_option_parse(table[i].text, &option) == (table[i].name != NULL));
		CHECK_STR(option.name, table[i].name);
		CHECK_STR(option.seed, table[i].seed);
		CHECK_STR(option.id, table[i].id);
		CHECK_STR(option.hostname, table[i].hostname);
		source_option_free(&option);
	}
}

TEST(dmi_in_seed_urls)
{
	struct err err = {0};
	char *url;

	machine();
	fake_machine_file(DMI "chassis_serial", "  A 1/../x?#\n");
	url = source_expand_dmi(&agent,
				"http://h/__dmi.chassis-serial-number__/__dmi.system-uuid__", &err);
	CHECK_STR(url, "http://h/A%201%2F..%2Fx%3F%23/4C4C4544-0042");
	free(url);
	url = source_expand_dmi(&agent, "http://h/__dmi.x/__other__", &err);
	CHECK(!url);
	CHECK_CONTAINS(err.msg, "is no name of a DMI field");
	CHECK(!source_expand_dmi(&agent, "http://h/__dmi.bios-vendor__/", &err));
	CHECK_CONTAINS(err.msg, "has no bios-vendor");
	url = source_expand_dmi(&agent, "http://h/__dmi.unfinished", &err);
	CHECK_STR(url, "http://h/__dmi.unfinished");
	free(url);
}

TEST(no_source)
{
	struct instance instance;
	struct err err = {0};
	bool found = true;

	machine();
	CHECK(!source_detect(&agent));
	CHECK_OK(source_load(&agent, false, 60, &instance, &found, &err), &err);
	CHECK(!found);
	CHECK(access(KEPT, F_OK) < 0 && access(LIVE, F_OK) < 0);
	/* Somebody wants none. */
	seed("instance-id: a\n");
	CHECK(source_detect(&agent));
	fake_machine_file("/proc/cmdline", "ds=none\n");
	CHECK(!source_detect(&agent));
}

TEST(seed_folder)
{
	struct instance instance;

	machine();
	seed("instance-id: iid-1\nlocal-hostname: Box.example.com\navailability-zone: z1\n"
	     "region: r1\npublic-keys:\n  a: ssh-ed25519 AAAAC3Nz a\n  b: [ssh-rsa AAAAB3Nz b]\n");
	fake_machine_file(SEED "network-config", "version: 2\n");
	load(&instance);
	CHECK_STR(instance.source, "nocloud");
	CHECK_STR(instance.id, "iid-1");
	CHECK_STR(instance.hostname, "box.example.com");
	CHECK_STR(instance.zone, "z1");
	CHECK_STR(instance.region, "r1");
	CHECK_INT(instance.ssh_keys.count, 2);
	CHECK_STR(instance.user_data.data, "#cloud-config\nhostname: m1\n");
	CHECK_STR(instance.network_config.data, "version: 2\n");
	CHECK_INT(instance.vendor_data.len, 0);
	CHECK(instance.first_boot && !instance.cached);
	instance_free(&instance);
	/* Nobody but root reads user-data; who the machine is may everybody know. */
	CHECK_INT(mode_of(KEPT), 0600);
	CHECK_INT(mode_of(LIVE), 0644);
	CHECK_FILE_LACKS(LIVE, "user_data");
	CHECK_FILE_LACKS(LIVE, "machine");
	CHECK_FILE_HAS(LIVE, "iid-1");
}

TEST(bad_seeds)
{
	static const struct {
		const char *meta_data, *message;
	} table[] = {
		{"", "the seed has no instance-id"},
		{"local-hostname: a\n", "the seed has no instance-id"},
		{"instance-id: ../../etc\n", "meta-data:1:14: 'instance-id' has a value"},
		{"instance-id: a\nlocal-hostname: \"a b\"\n", "meta-data:2:17: 'local-hostname'"},
		{"instance-id: [a]\n", "'instance-id' has a value that is not allowed"},
		{"- a\n", "meta-data:1:1: expected a map, found a list"},
		{"instance-id: a\ninstance-id: b\n", "meta-data:2:1"},
		{"a: [\n", "not valid YAML"},
		{"\x01\x02", "not a text file"},
	};
	struct instance instance;

	machine();
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct err err = {0};
		bool found;

		seed(table[i].meta_data);
		CHECK_ERR(source_load(&agent, false, 60, &instance, &found, &err), &err, ERR_OTHER,
			  table[i].message);
		CHECK(!found);
		CHECK_CONTAINS(err.msg, "cannot read the metadata of the source 'nocloud': ");
	}
	CHECK(access(KEPT, F_OK) < 0);
}

TEST(links_and_sizes_in_seeds)
{
	struct instance instance;
	struct err err = {0};
	struct str large = {0};
	bool found;

	machine();
	seed("instance-id: a\n");
	fake_machine_file("/secret", "secret\n");
	CHECK(unlink(FAKE_ROOT SEED "user-data") == 0);
	CHECK(symlink("../../../../../secret", FAKE_ROOT SEED "user-data") == 0);
	CHECK_ERR(source_load(&agent, false, 0, &instance, &found, &err), &err, ERR_OTHER,
		  "it is or leads over a link");
	CHECK(unlink(FAKE_ROOT SEED "user-data") == 0);
	CHECK(mkfifo(FAKE_ROOT SEED "user-data", 0600) == 0);
	CHECK_ERR(source_load(&agent, false, 0, &instance, &found, &err), &err, ERR_OTHER,
		  "it is no regular file");
	CHECK(unlink(FAKE_ROOT SEED "user-data") == 0);
	while (large.len <= INSTANCE_DATA_MAX)
		str_add(&large, "0123456789abcdef");
	tap_spew(FAKE_ROOT SEED "user-data", large.data, large.len);
	CHECK_ERR(source_load(&agent, false, 0, &instance, &found, &err), &err, ERR_OTHER,
		  "larger than 1048576 bytes");
	tap_spew(FAKE_ROOT SEED "user-data", large.data, INSTANCE_DATA_MAX);
	load(&instance);
	CHECK_INT(instance.user_data.len, INSTANCE_DATA_MAX);
	instance_free(&instance);
	CHECK_OK(instance_load(&agent, &instance, &found, &err), &err);
	CHECK_INT(instance.user_data.len, INSTANCE_DATA_MAX);
	instance_free(&instance);
	str_free(&large);
}

TEST(nocloud_by_option)
{
	struct instance instance;
	struct err err = {0};
	bool found;

	machine();
	fake_machine_file("/proc/cmdline", "ds=nocloud;i=from-cmdline;h=Box\n");
	load(&instance);
	CHECK_STR(instance.id, "from-cmdline");
	CHECK_STR(instance.hostname, "box");
	instance_free(&instance);
	/* By the serial number, with a folder elsewhere; what the option says wins over meta-data. */
	fake_machine_file("/proc/cmdline", "ro\n");
	fake_machine_file(DMI "product_serial", "ds=nocloud;s=file:///seeds/1/;h=other\n");
	fake_machine_file("/seeds/1/meta-data", "instance-id: one\nlocal-hostname: first\n");
	load(&instance);
	CHECK_STR(instance.id, "one");
	CHECK_STR(instance.hostname, "other");
	instance_free(&instance);
	CHECK(remove(KEPT) == 0);
	fake_machine_file("/proc/cmdline", "ds=nocloud;s=/seeds/../seeds/1/\n");
	CHECK_ERR(source_load(&agent, false, 0, &instance, &found, &err), &err, ERR_OTHER,
		  "is no clean path");
	fake_machine_file("/proc/cmdline", "ds=nocloud;s=/seeds/2/\n");
	CHECK_ERR(source_load(&agent, false, 0, &instance, &found, &err), &err, ERR_OTHER,
		  "cannot open the seed");
}

TEST(credentials)
{
	struct instance instance;

	machine();
	fake_machine_file("/run/credentials/@system/cloud-init.user-data", "#cloud-config\n{}\n");
	load(&instance);
	CHECK_STR(instance.source, "credentials");
	CHECK_STR(instance.id, "credentials-4c4c4544-0042");
	CHECK_STR(instance.user_data.data, "#cloud-config\n{}\n");
	instance_free(&instance);
	/* The unit's own folder before the system's, our prefix before the other; a seed comes later. */
	seed("instance-id: seed\n");
	fake_machine_file("/run/credentials/x.service/ingot.user-data", "#!/bin/sh\n");
	fake_machine_file("/run/credentials/@system/ingot.user-data", "no\n");
	fake_machine_file("/run/credentials/@system/ingot.meta-data", "instance-id: mine\n");
	setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x.service", 1);
	load(&instance);
	CHECK_STR(instance.id, "mine");
	CHECK_STR(instance.user_data.data, "#!/bin/sh\n");
	CHECK(instance.first_boot);
	instance_free(&instance);
	/* Without a UUID the disk's own id. */
	CHECK(remove(FAKE_ROOT DMI "product_uuid") == 0);
	CHECK(remove(FAKE_ROOT "/run/credentials/@system/ingot.meta-data") == 0);
	fake_machine_file("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
	load(&instance);
	CHECK_STR(instance.id, "credentials-0123456789abcdef0123456789abcdef");
	instance_free(&instance);
}

TEST(first_boot_is_a_matter_of_the_id)
{
	struct instance instance;

	machine();
	seed("instance-id: a\n");
	load(&instance);
	CHECK(instance.first_boot);
	instance_free(&instance);
	/* Asked again in the same boot. */
	load(&instance);
	CHECK(instance.first_boot);
	instance_free(&instance);
	reboot();
	load(&instance);
	CHECK(!instance.first_boot);
	instance_free(&instance);
	/* The same disk with another id: a copied or renewed machine. */
	reboot();
	seed("instance-id: b\n");
	load(&instance);
	CHECK(instance.first_boot);
	instance_free(&instance);
}

TEST(kept_when_the_medium_is_gone)
{
	struct instance instance;
	struct err err = {0};
	bool found;

	machine();
	seed("instance-id: a\n");
	load(&instance);
	instance_free(&instance);
	reboot();
	CHECK(remove(FAKE_ROOT SEED "meta-data") == 0);
	load(&instance);
	CHECK(instance.cached && !instance.first_boot);
	CHECK_STR(instance.id, "a");
	CHECK_STR(instance.user_data.data, "#cloud-config\nhostname: m1\n");
	instance_free(&instance);
	/* A medium with nonsense on it is no reason to forget either. */
	reboot();
	seed("- nonsense\n");
	load(&instance);
	CHECK(instance.cached);
	instance_free(&instance);
	CHECK_OK(instance_load(&agent, &instance, &found, &err), &err);
	CHECK(found && instance.cached);
	instance_free(&instance);
	/* But another machine does not take over what was meant for the one that the disk was in. */
	reboot();
	fake_machine_file(DMI "product_uuid", "other\n");
	CHECK_ERR(source_load(&agent, false, 0, &instance, &found, &err), &err, ERR_OTHER,
		  "expected a map");
	CHECK(remove(FAKE_ROOT SEED "meta-data") == 0);
	CHECK_OK(source_load(&agent, false, 0, &instance, &found, &err), &err);
	CHECK(!found);
}

TEST(damaged_instance)
{
	static const char *const damage[] = {
		"",
		"{",
		"[]",
		"{\"v\":2,\"source\":\"a\",\"id\":\"b\"}",
		"{\"v\":1,\"id\":\"b\"}",
		"{\"v\":1,\"source\":\"a\"}",
		"{\"v\":1,\"source\":\"a\",\"id\":7}",
		"{\"v\":1,\"source\":\"a\",\"id\":\"b\",\"user_data\":\"#\"}",
		"{\"v\":1,\"source\":\"a\",\"id\":\"b\",\"user_data\":{}}",
		"{\"v\":1,\"source\":\"a\",\"id\":\"b\",\"ssh_keys\":[1]}",
		"{\"v\":1,\"source\":\"a\",\"id\":\"b\",\"tags\":\"x\"}",
		"{\"v\":1,\"source\":\"a\",\"id\":\"b\",\"machine\":null}",
	};
	struct instance instance;
	struct err err = {0};
	bool found;

	machine();
	for (size_t i = 0; i < ARRAY_SIZE(damage); i++) {
		fake_machine_file(INSTANCE_FILE, damage[i]);
		CHECK_ERR(instance_load(&agent, &instance, &found, &err), &err, ERR_OTHER,
			  FAKE_ROOT INSTANCE_FILE);
		/* The source puts it right. */
		seed("instance-id: a\n");
		load(&instance);
		CHECK(instance.first_boot);
		instance_free(&instance);
		CHECK_OK(instance_load(&agent, &instance, &found, &err), &err);
		instance_free(&instance);
		reboot();
	}
}

TEST(saves_only_what_is_new)
{
	struct instance instance;
	struct stat before, after;

	machine();
	seed("instance-id: a\n");
	load(&instance);
	instance_free(&instance);
	CHECK(stat(KEPT, &before) == 0);
	reboot();
	load(&instance);
	instance_free(&instance);
	CHECK(stat(KEPT, &after) == 0);
	CHECK_U64(after.st_ino, before.st_ino);
	/* Somebody opened it to others: closed again. */
	CHECK(chmod(KEPT, 0644) == 0);
	load(&instance);
	CHECK_INT(mode_of(KEPT), 0600);
	instance_free(&instance);
}

/* /var is full, or no folder can be made there. */
TEST(goes_on_when_nothing_can_be_kept)
{
	struct instance instance;
	struct err err = {0};
	bool found;

	machine();
	seed("instance-id: a\n");
	fake_machine_file(AGENT_STATE, "a file in the way");
	load(&instance);
	CHECK_STR(instance.id, "a");
	CHECK(instance.first_boot);
	instance_free(&instance);
	CHECK_ERR(instance_load(&agent, &instance, &found, &err), &err, ERR_OTHER, "");
}

/* udev is still at work: the label comes a moment later, and wins. */
TEST(waits_for_udev)
{
	static const char *const products[] = {"QEMU", "OpenStack Nova"};

	for (size_t i = 0; i < ARRAY_SIZE(products); i++) {
		struct instance instance;
		struct err err = {0};
		bool found;
		pid_t pid;

		machine();
		fake_machine_file(DMI "product_name", products[i]);
		fake_machine_file("/run/udev/queue", "");
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			struct timespec t = {.tv_nsec = 300000000};

			nanosleep(&t, NULL);
			fake_machine_file("/dev/disk/by-label/config-2", "no device");
			remove(FAKE_ROOT "/run/udev/queue");
			_exit(0);
		}
		/* Found, and tried: it is no device here. */
		CHECK_ERR(source_load(&agent, true, 0, &instance, &found, &err), &err, ERR_OTHER,
			  "of the source 'configdrive': cannot mount '");
		CHECK(waitpid(pid, NULL, 0) == pid);
		CHECK(rename(FAKE_ROOT, products[i]) == 0);
	}
}

/* Whoever looks for the sources finds all of them. */
TEST(readme_names_every_source)
{
	char *readme = tap_slurp(source_file("README.md"), NULL);

	for (const struct source *s = sources; s->name; s++) {
		char name[64];

		snprintf(name, sizeof(name), "| `%s` |", s->name);
		CHECK_CONTAINS(readme, name);
	}
	free(readme);
}
