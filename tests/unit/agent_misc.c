/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses, slots, boot counters, hidden secrets: the pure parts of the agent.
 */
#include "tap.h"
#include "fake/machine.h"

#include "agent/join/address.h"
#include "agent/boot/platform.h"

#include "base/mem.h"

#define HEAD "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"

TEST(default_route)
{
	char name[16] = "-";

	CHECK(!address_default_interface("", name));
	CHECK(!address_default_interface(HEAD, name));
	CHECK(!address_default_interface(
		HEAD "eth0\t0008090A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\n", name));
	CHECK(address_default_interface(FAKE_ROUTES, name));
	CHECK_STR(name, "eth0");
	/* The lowest metric wins; routes that are down or refuse do not count. */
	CHECK(address_default_interface(HEAD "a\t00000000\t0108090A\t0003\t0\t0\t100\t00000000\n"
					     "b\t00000000\t0108090A\t0003\t0\t0\t50\t00000000\n"
					     "c\t00000000\t0108090A\t0002\t0\t0\t1\t00000000\n"
					     "d\t00000000\t0108090A\t0203\t0\t0\t1\t00000000\n"
					     "e\t00000000\t0108090A\t0003\t0\t0\t50\t00000000\n",
					name));
	CHECK_STR(name, "b");
	/* Not a default route: half of all addresses. */
	CHECK(!address_default_interface(HEAD "tun0\t00000000\t0\t0003\t0\t0\t0\t00000080\n",
					 name));
	CHECK(!address_default_interface(HEAD "garbage\nmore garbage", name));
}

static struct address at(const char *interface, const char *ip)
{
	struct address a = {0};

	snprintf(a.interface, sizeof(a.interface), "%s", interface);
	CHECK(inet_pton(AF_INET, ip, &a.ip) == 1);
	return a;
}

TEST(chooses_the_address)
{
	const struct address list[] = {
		at("lo", "127.0.0.1"),       at("docker0", "172.17.0.1"), at("eth0", "169.254.3.4"),
		at("eth0", "10.0.0.5"),      at("eth0", "10.0.0.6"),      at("eth1", "192.168.1.2"),
		at("br-1234", "172.18.0.1"),
	};
	const size_t count = ARRAY_SIZE(list);
	const char *why = "";

	CHECK(address_choose(list, count, "eth0", &why) == &list[3]);
	CHECK(address_choose(list, count, "eth1", &why) == &list[5]);
	CHECK(!address_choose(list, count, "eth2", &why));
	CHECK_STR(why, "an IPv4 address on the interface of the default route");
	/* Without a default route only what cannot be mistaken. */
	CHECK(!address_choose(list, count, NULL, &why));
	CHECK_CONTAINS(why, "several addresses");
	CHECK(address_choose(list, 4, NULL, &why) == &list[3]);
	CHECK(!address_choose(list, 3, NULL, &why));
	CHECK_STR(why, "an IPv4 address");
	CHECK(!address_choose(list, 0, NULL, &why));
}

TEST(counters_in_entry_names)
{
	static const struct {
		const char *entry;
		bool counted;
		unsigned int left, done;
	} rows[] = {
		{"ingot_1+3.efi", true, 3, 0},   {"\\EFI\\Linux\\ingot_1+2-1.efi", true, 2, 1},
		{"ingot_1+0-3.efi", true, 0, 3}, {"a+b_1+1-2.efi", true, 1, 2},
		{"ingot_1.efi", false, 0, 0},    {"ingot_1+.efi", false, 0, 0},
		{"ingot_1+x.efi", false, 0, 0},  {"ingot_1+3", false, 0, 0},
		{"c++_1.efi", false, 0, 0},      {"", false, 0, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned int left = 0, done = 0;

		if (platform_parse_counter(rows[i].entry, &left, &done) != rows[i].counted)
			FAIL("'%s' is taken for %s", rows[i].entry,
			     rows[i].counted ? "not counted" : "counted");
		if (!rows[i].counted)
			continue;
		CHECK_INT(left, rows[i].left);
		CHECK_INT(done, rows[i].done);
	}
}

static void efi_variable(const char *name, const char *text)
{
	char path[256], bytes[512] = {6, 0, 0, 0};
	size_t len = 4;

	snprintf(path, sizeof(path),
		 "/sys/firmware/efi/efivars/%s-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f", name);
	fake_machine_file(path, "");
	for (const char *p = text; *p; p++, len += 2)
		bytes[len] = *p;
	snprintf(path, sizeof(path),
		 FAKE_ROOT "/sys/firmware/efi/efivars/%s-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f",
		 name);
	tap_spew(path, bytes, len + 2);
}

TEST(boot_loader_variables)
{
	struct agent agent = {.root = FAKE_ROOT};
	struct platform_boot boot;
	struct err err = {0};

	fake_machine("{}");
	CHECK_OK(platform_boot(&agent, &boot, &err), &err);
	CHECK(!boot.counted);
	CHECK_STR(boot.entry, "");
	efi_variable("LoaderEntrySelected", "ingot_1.efi");
	CHECK_OK(platform_boot(&agent, &boot, &err), &err);
	CHECK(!boot.counted);
	CHECK_STR(boot.entry, "ingot_1.efi");
	efi_variable("LoaderBootCountPath", "\\EFI\\Linux\\ingot_1+2-1.efi");
	CHECK_OK(platform_boot(&agent, &boot, &err), &err);
	CHECK(boot.counted);
	CHECK_STR(boot.entry, "ingot_1+2-1.efi");
	CHECK_INT(boot.left, 2);
	CHECK_INT(boot.done, 1);
	efi_variable("LoaderBootCountPath", "\\EFI\\Linux\\ingot_1.efi");
	CHECK_ERR(platform_boot(&agent, &boot, &err), &err, ERR_OTHER, "has no counter");
}

/* vda: ESP 1, slot A 2 and 3, slot B 4 and 5, verity first; the root is dm-0 over a pair. */
static void verity_machine(const char *data, const char *tree, const char *n1, const char *n2)
{
	char path[256], text[128];

	fake_machine("{}");
	fake_machine_file("/proc/cmdline", "ro  roothash=0123abcd quiet xroothash=no\n");
	fake_machine_file("/proc/self/mountinfo",
			  "21 1 0:5 / / rw - rootfs rootfs rw\n"
			  "22 21 0:6 / /proc rw - proc proc rw\n"
			  "23 1 253:0 / / ro,relatime - squashfs /dev/mapper/root ro\n");
	snprintf(path, sizeof(path), "/sys/dev/block/253:0/slaves/%s/.keep", tree);
	fake_machine_file(path, "");
	snprintf(path, sizeof(path), "/sys/dev/block/253:0/slaves/%s/.keep", data);
	fake_machine_file(path, "");
	snprintf(path, sizeof(path), "/sys/class/block/%s/uevent", data);
	snprintf(text, sizeof(text), "MAJOR=254\nPARTN=%s\nPARTNAME=demo_1.2\n", n1);
	fake_machine_file(path, text);
	snprintf(path, sizeof(path), "/sys/class/block/%s/uevent", tree);
	snprintf(text, sizeof(text), "MAJOR=254\nPARTN=%s\nPARTNAME=demo_1.2_verity\n", n2);
	fake_machine_file(path, text);
}

TEST(slot_of_a_verified_root)
{
	struct agent agent = {.root = FAKE_ROOT};
	struct platform_slot slot;
	struct err err = {0};

	verity_machine("vda3", "vda2", "3", "2");
	CHECK_OK(platform_slot(&agent, &slot, &err), &err);
	CHECK_INT(slot.letter, 'A');
	CHECK_STR(slot.device, "vda3");
	CHECK_STR(slot.label, "demo_1.2");
	CHECK_STR(slot.root_hash, "0123abcd");
}

TEST(slot_b)
{
	struct agent agent = {.root = FAKE_ROOT};
	struct platform_slot slot;
	struct err err = {0};

	verity_machine("nvme0n1p5", "nvme0n1p4", "5", "4");
	CHECK_OK(platform_slot(&agent, &slot, &err), &err);
	CHECK_INT(slot.letter, 'B');
	CHECK_STR(slot.device, "nvme0n1p5");
}

TEST(slot_without_verity)
{
	struct agent agent = {.root = FAKE_ROOT};
	struct platform_slot slot;
	struct err err = {0};

	fake_machine("{}");
	CHECK_ERR(platform_slot(&agent, &slot, &err), &err, ERR_OTHER, "command line");
	fake_machine_file("/proc/cmdline", "quiet\n");
	fake_machine_file("/proc/self/mountinfo", "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
	CHECK_ERR(platform_slot(&agent, &slot, &err), &err, ERR_OTHER, "no verified partition");
	CHECK_STR(slot.root_hash, "");
}

TEST(secrets_are_hidden)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"", ""},
		{"nothing", "nothing"},
		{"SWMTKN-1-abcdef0123456789-xyz", "(hidden)"},
		{"a SWMTKN-1-abcdef, b", "a (hidden), b"},
		{"\"SWMKEY-1-abc+/=\" SWMTKN-1-zz.", "\"(hidden)\" (hidden)."},
		{"SWMTKN-", "*******"},
		{"xSWMTKN-1-q", "x(hidden)"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[128];

		snprintf(text, sizeof(text), "%s", rows[i].in);
		agent_hide_secrets(text);
		CHECK_STR(text, rows[i].out);
	}
}

TEST(copied_text_fits_and_is_clean)
{
	char to[8];

	agent_copy_text(to, sizeof(to), NULL);
	CHECK_STR(to, "");
	agent_copy_text(to, sizeof(to), "a\nb\tc");
	CHECK_STR(to, "a b c");
	agent_copy_text(to, sizeof(to), "123456789");
	CHECK_STR(to, "1234567");
	/* "ü" is two bytes and must not be cut in two. */
	agent_copy_text(to, sizeof(to), "123456\xc3\xbc");
	CHECK_STR(to, "123456");
	agent_copy_text(to, sizeof(to), "12345\xc3\xbc");
	CHECK_STR(to, "12345\xc3\xbc");
}

TEST(image_that_says_little)
{
	static const char *const bad[] = {"", "[]", "{\"name\":", "x"};
	struct err err = {0};
	struct agent agent;

	fake_machine("{}");
	fake_machine_file("/usr/lib/ingot/image.json", "{\"name\":5}");
	CHECK_OK(agent_open(&agent, FAKE_ROOT, &err), &err);
	CHECK_STR(agent.name, "unknown");
	CHECK_STR(agent.kind, "none");
	agent_close(&agent);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		fake_machine_file("/usr/lib/ingot/image.json", bad[i]);
		CHECK_ERR(agent_open(&agent, FAKE_ROOT, &err), &err, ERR_OTHER,
			  "cannot read what this image is");
		CHECK_STR(agent.kind, "unknown");
		agent_close(&agent);
	}
}
