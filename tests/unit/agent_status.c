/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Status and boot: a machine that has everything, one that has nothing; the firewall comes first.
 */
#include "tap.h"
#include "fake/engine.h"
#include "fake/systemd.h"

#include "agent/status.h"
#include "agent/verbs.h"

#include "base/fd.h"
#include "base/mem.h"

static json_t *gather(void)
{
	CLEANUP(agent_close) struct agent agent;
	struct err err = {0};

	(void)agent_open(&agent, FAKE_ROOT, &err);
	return status_gather(&agent, &err);
}

static char *as_text(const json_t *status)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	CHECK(f);
	status_print(status, f);
	CHECK(fclose(f) == 0);
	return text;
}

static void whole_machine(void)
{
	static const char entry[] = "\6\0\0\0\\\0E\0F\0I\0\\\0i\0+\0002\0-\0001\0.\0e\0f\0i\0\0";

	fake_machine(FAKE_MANAGER);
	fake_machine_file("/proc/cmdline", "ro roothash=0123abcd\n");
	fake_machine_file("/proc/self/mountinfo", "23 1 253:0 / / ro - squashfs /dev/dm-0 ro\n");
	fake_machine_file("/sys/dev/block/253:0/slaves/vda2/.keep", "");
	fake_machine_file("/sys/class/block/vda2/uevent", "PARTN=2\nPARTNAME=demo_1.2\n");
	fake_machine_file("/sys/devices/system/cpu/online", "0-1\n");
	fake_machine_file("/proc/meminfo", "MemTotal: 4194304 kB\n");
	fake_machine_file("/sys/firmware/efi/efivars/"
			  "LoaderBootCountPath-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f",
			  "");
	tap_spew(FAKE_ROOT "/sys/firmware/efi/efivars/"
			   "LoaderBootCountPath-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f",
		 entry, sizeof(entry) - 1);
	fake_machine_file("/run/ingot/boot.json", "{\"v\":1,\"firewall\":\"loaded\"}");
	fake_machine_file("/run/ingot/marks.json", "{\"joined\":9.5}");
	fake_machine_file("/run/ingot/tuning.json",
			  "{\"v\":1,\"settings\":[{\"key\":\"a\",\"state\":\"set\"},{\"key\":\"b\","
			  "\"state\":\"absent\",\"detail\":\"no module\"}]}");
	fake_machine_file(
		"/var/lib/ingot/agent/join.json",
		"{\"v\":1,\"step\":\"JOINED\",\"tries\":2,\"cluster_id\":\"cluster1\","
		"\"node_id\":\"node1\",\"address\":\"10.9.8.7\",\"error\":\"it was late\","
		"\"error_time\":\"2026-01-01T00:00:00Z\"}");
	fake_systemd_start();
	fake_engine_new();
	fake_engine_start(FAKE_SOCKET);
	fake_engine->state = "active";
	fake_engine->control = true;
}

TEST(status_of_a_manager)
{
	json_t *status;
	char *text;

	whole_machine();
	fake_systemd->blessed = "active";
	fake_systemd->failed[0] = "logrotate.service";
	status = gather();
	text = as_text(status);
	CHECK_STR(text, "image      demo 1.2 (x86-64)\n"
			"role       swarm manager\n"
			"health     ok\n"
			"join       joined cluster1, node node1, address 10.9.8.7\n"
			"last error it was late\n"
			"engine     26.1.5, API 1.44, swarm active\n"
			"swarm      manager, 1 nodes, 1 managers\n"
			"failed     logrotate.service\n"
			"slot       A (vda2, demo_1.2)\n"
			"root hash  0123abcd\n"
			"boot       up 12 s, i+2-1.efi, marked good\n"
			"firewall   loaded\n"
			"tuning     1 set, 0 were right, 0 left to the profile\n"
			"           b absent: no module\n"
			"seconds    joined 9.5 userspace 3.5\n");
	CHECK_INT(json_object_size(json_object_get(status, "unreadable")), 0);
	CHECK_INT(
		json_integer_value(json_object_get(json_object_get(status, "boot"), "tries_left")),
		2);
	free(text);
	json_decref(status);
}

TEST(status_tells_of_containers)
{
	json_t *status;
	char *text;

	whole_machine();
	fake_machine_file(
		"/run/ingot/containers.json",
		"{\"v\":1,\"engines\":{\"containerd\":{\"images\":2,\"missing\":[],\"kept\":[],\"fallback\":"
		"false},\"docker\":{\"images\":3,\"missing\":[\"app:1: its configuration is damaged\"],"
		"\"kept\":[\"old:1: container 0123 uses it\"],\"fallback\":true,\"why\":\"userns-remap is "
		"set\",\"error\":\"no space\"}}}");
	status = gather();
	text = as_text(status);
	CHECK_CONTAINS(
		text,
		"containers containerd: 2 images, 0 missing, 0 kept of earlier systems\n"
		"containers docker: 3 images, 1 missing, 1 kept of earlier systems, to be loaded\n"
		"           no space\n"
		"           not in its store: userns-remap is set\n"
		"           missing app:1: its configuration is damaged\n"
		"           kept old:1: container 0123 uses it\n");
	CHECK_INT(json_object_size(json_object_get(status, "unreadable")), 0);
	free(text);
	json_decref(status);
}

TEST(status_tells_of_containers_that_nobody_gave_to_an_engine)
{
	json_t *status;

	whole_machine();
	fake_machine_file("/usr/share/ingot/containers/images.json", "{}");
	status = gather();
	CHECK_CONTAINS(json_member_string(json_object_get(status, "unreadable"), "containers"),
		       "containers.json");
	json_decref(status);
}

TEST(status_of_a_trial_boot)
{
	json_t *status;
	char *text;

	whole_machine();
	status = gather();
	text = as_text(status);
	CHECK_CONTAINS(text, "not marked good yet\ntries left 2\n");
	CHECK_CONTAINS(text, "units      none failed\n");
	free(text);
	json_decref(status);
}

TEST(status_says_what_is_waited_for)
{
	json_t *status;
	char *text;

	fake_machine(FAKE_MANAGER);
	fake_machine_file("/run/ingot/join.json",
			  "{\"waits_for\":\"waits for an IPv4 address\",\"error\":\"e\"}");
	status = gather();
	text = as_text(status);
	CHECK_CONTAINS(text, "join       not joined, step NEW\n"
			     "waits      waits for an IPv4 address\n"
			     "last error e\n");
	free(text);
	json_decref(status);
}

TEST(status_of_nothing)
{
	struct verb_options options = {.root = "nowhere", .json = true};
	struct err err = {0};
	json_t *unreadable, *status;
	char *text;

	fake_machine_file("/usr/lib/ingot/.keep", "");
	status = gather();
	unreadable = json_object_get(status, "unreadable");
	CHECK_CONTAINS(json_member_string(unreadable, "image"), "cannot read what this image is");
	CHECK_CONTAINS(json_member_string(unreadable, "slot"), "command line");
	CHECK_CONTAINS(json_member_string(unreadable, "tuning"), "No such file");
	CHECK_CONTAINS(json_member_string(unreadable, "units"), "systemd does not run here");
	text = as_text(status);
	CHECK_CONTAINS(text, "image      unknown unknown (unknown)\n");
	free(text);
	json_decref(status);
	CHECK(freopen("out", "we", stdout));
	CHECK_OK(verb_status(&options, &err), &err);
	status = json_read_file("out", 65536, &err);
	CHECK_OK_PTR(status, &err);
	CHECK_STR(json_member_string(status, "name"), "unknown");
	json_decref(status);
}

/* ---- boot ---- */

/* A program of that name, found first; body is its shell script. */
static void fake_program(const char *name, const char *body)
{
	char path[4096], here[2048];
	CLEANUP_FREE char *file = mem_printf("bin/%s", name);
	CLEANUP_FREE char *script = mem_printf("#!/bin/sh\n%s\n", body);

	CHECK(mkdir("bin", 0755) == 0);
	tap_spew(file, script, strlen(script));
	CHECK(chmod(file, 0755) == 0);
	CHECK(getcwd(here, sizeof(here)));
	snprintf(path, sizeof(path), "%s/bin:%s", here, getenv("PATH"));
	CHECK(setenv("PATH", path, 1) == 0);
}

/* A kernel of files, with every key of the table. */
static void fake_kernel(void)
{
	fake_machine(FAKE_MANAGER);
	fake_machine_file("/sys/devices/system/cpu/online", "0-1\n");
	fake_machine_file("/proc/meminfo", "MemTotal: 4194304 kB\n");
	fake_machine_file("/sys/kernel/mm/transparent_hugepage/enabled",
			  "[always] madvise never\n");
}

static void fake_keys(void)
{
	static const char *const keys[] = {
		"fs/file-max",
		"fs/nr_open",
		"fs/inotify/max_user_instances",
		"fs/inotify/max_user_watches",
		"kernel/pid_max",
		"kernel/panic",
		"vm/swappiness",
		"vm/min_free_kbytes",
		"net/core/somaxconn",
		"net/core/netdev_max_backlog",
		"net/core/rmem_max",
		"net/core/wmem_max",
		"net/ipv4/tcp_rmem",
		"net/ipv4/tcp_wmem",
		"net/ipv4/tcp_max_syn_backlog",
		"net/ipv4/tcp_keepalive_time",
		"net/ipv4/tcp_keepalive_intvl",
		"net/ipv4/tcp_slow_start_after_idle",
		"net/core/default_qdisc",
		"net/ipv4/tcp_congestion_control",
		"net/ipv4/ip_forward",
		"net/ipv4/conf/all/rp_filter",
		"net/ipv4/conf/default/rp_filter",
		"vm/overcommit_memory",
		"vm/max_map_count",
		"net/ipv4/neigh/default/gc_thresh1",
		"net/ipv4/neigh/default/gc_thresh2",
		"net/ipv4/neigh/default/gc_thresh3",
		"vm/dirty_background_bytes",
		"vm/dirty_bytes",
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		CLEANUP_FREE char *path = mem_printf("/proc/sys/%s", keys[i]);

		fake_machine_file(path, "0\n");
	}
}

TEST(boot_loads_the_firewall_and_tunes)
{
	struct verb_options options = {.root = FAKE_ROOT};
	struct err err = {0};

	fake_kernel();
	fake_keys();
	fake_program("nft", "echo \"$@\" >>nft.log; test ! -e root/run/ingot/tuning.json");
	fake_machine_file("/usr/lib/ingot/firewall.nft", "table inet ingot {}\n");
	CHECK_OK(verb_boot(&options, &err), &err);
	CHECK_FILE("nft.log", "-f root/usr/lib/ingot/firewall.nft\n");
	CHECK_FILE_HAS(FAKE_ROOT "/run/ingot/boot.json", "\"firewall\": \"loaded\"");
	CHECK_FILE_HAS(FAKE_ROOT "/run/ingot/tuning.json", "\"memory\": 4294967296");
	CHECK_FILE(FAKE_ROOT "/proc/sys/vm/swappiness", "1");
	/* No module, no key; and that is said. */
	CHECK_FILE_HAS(FAKE_ROOT "/run/ingot/tuning.json",
		       "the kernel has no /sys/module/br_netfilter");
}

TEST(boot_without_a_firewall)
{
	struct verb_options options = {.root = FAKE_ROOT};
	struct err err = {0};

	fake_kernel();
	fake_keys();
	fake_program("nft", "echo \"$@\" >>nft.log");
	CHECK_OK(verb_boot(&options, &err), &err);
	CHECK_MISSING("nft.log");
	CHECK_FILE_HAS(FAKE_ROOT "/run/ingot/boot.json", "\"firewall\": \"none\"");
}

TEST(boot_shuts_everything_when_the_rules_are_bad)
{
	struct verb_options options = {.root = FAKE_ROOT};
	struct err err = {0};

	fake_kernel();
	fake_keys();
	fake_program(
		"nft",
		"case $2 in *emergency*) cp \"$2\" loaded; exit 0;; esac; echo bad rules >&2; exit 1");
	fake_machine_file("/usr/lib/ingot/firewall.nft", "nonsense\n");
	CHECK_ERR(verb_boot(&options, &err), &err, ERR_OTHER, "cannot load the firewall");
	CHECK_CONTAINS(err.msg, "bad rules");
	CHECK_FILE_HAS("loaded", "policy drop");
	CHECK_FILE_HAS(FAKE_ROOT "/run/ingot/boot.json", "\"firewall\": \"closed\"");
	/* It tuned all the same. */
	CHECK_EXISTS(FAKE_ROOT "/run/ingot/tuning.json");
}

TEST(boot_misses_rules_that_should_be_there)
{
	struct verb_options options = {.root = FAKE_ROOT};
	struct err err = {0};

	fake_kernel();
	fake_keys();
	fake_machine_file("/usr/lib/ingot/image.json", "{\"firewall\":true}");
	fake_program("nft", "exec test -e \"$2\"");
	CHECK_ERR(verb_boot(&options, &err), &err, ERR_OTHER, "cannot load the firewall");
	CHECK_FILE_HAS(FAKE_ROOT "/run/ingot/boot.json", "\"firewall\": \"closed\"");
}

TEST(boot_says_that_the_machine_is_open)
{
	struct verb_options options = {.root = FAKE_ROOT};
	struct err err = {0};

	fake_kernel();
	fake_keys();
	fake_program("nft", "exit 1");
	fake_machine_file("/usr/lib/ingot/firewall.nft", "nonsense\n");
	CHECK_ERR(verb_boot(&options, &err), &err, ERR_OTHER, "cannot load the firewall");
	CHECK_FILE_HAS(FAKE_ROOT "/run/ingot/boot.json", "\"firewall\": \"failed\"");
}

TEST(boot_fails_on_a_missing_key_but_has_a_firewall)
{
	struct verb_options options = {.root = FAKE_ROOT};
	struct err err = {0};

	fake_kernel();
	fake_program("nft", "exit 0");
	fake_machine_file("/usr/lib/ingot/firewall.nft", "table inet ingot {}\n");
	CHECK_ERR(verb_boot(&options, &err), &err, ERR_OTHER, "cannot tune 'fs.file-max'");
	CHECK_FILE_HAS(FAKE_ROOT "/run/ingot/boot.json", "\"firewall\": \"loaded\"");
}

TEST(boot_of_a_damaged_image_has_a_firewall)
{
	struct verb_options options = {.root = FAKE_ROOT};
	struct err err = {0};

	fake_kernel();
	fake_keys();
	fake_program("nft", "exit 0");
	fake_machine_file("/usr/lib/ingot/firewall.nft", "table inet ingot {}\n");
	fake_machine_file("/usr/lib/ingot/image.json", "{");
	CHECK_ERR(verb_boot(&options, &err), &err, ERR_OTHER, "cannot read what this image is");
	CHECK_FILE_HAS(FAKE_ROOT "/run/ingot/boot.json", "\"firewall\": \"loaded\"");
}

/* ---- rollback ---- */

static void count_boot(const char *name)
{
	char bytes[256] = {6, 0, 0, 0};
	size_t len = 4;

	for (const char *p = name; *p; p++, len += 2)
		bytes[len] = *p;
	fake_machine_file("/sys/firmware/efi/efivars/.keep", "");
	tap_spew(FAKE_ROOT "/sys/firmware/efi/efivars/"
			   "LoaderBootCountPath-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f",
		 bytes, len + 2);
}

TEST(rollback_reboots_only_trial_boots)
{
	struct verb_options options = {.root = FAKE_ROOT};
	struct err err = {0};

	fake_machine(FAKE_MANAGER);
	fake_program("systemctl", "echo \"$@\" >>reboot.log");
	/* Marked good before: the boot loader does not count. */
	CHECK_OK(verb_rollback(&options, &err), &err);
	CHECK_MISSING("reboot.log");
	count_boot("\\EFI\\Linux\\i+2-1.efi");
	CHECK_OK(verb_rollback(&options, &err), &err);
	CHECK_FILE("reboot.log", "reboot\n");
	/* The last try: the next reboot takes the other slot. */
	count_boot("\\EFI\\Linux\\i+0-3.efi");
	CHECK_OK(verb_rollback(&options, &err), &err);
	CHECK_FILE("reboot.log", "reboot\nreboot\n");
	/* There was no other slot. */
	count_boot("\\EFI\\Linux\\i+0-4.efi");
	CHECK_OK(verb_rollback(&options, &err), &err);
	CHECK_FILE("reboot.log", "reboot\nreboot\n");
}

TEST(what_became_of_user_data)
{
	CLEANUP_JSON json_t *status = NULL;
	CLEANUP_FREE char *text = NULL;
	const json_t *provision;

	whole_machine();
	fake_machine_file("/proc/sys/kernel/hostname", "m1\n");
	fake_machine_file(
		"/run/ingot/provision.json",
		"{\"v\":1,\"source\":\"nocloud\",\"instance\":\"i-7\",\"first_boot\":true,\"cached\":false,"
		"\"stages\":{\"local\":{\"problems\":[\"user-data:3:1: error: unknown key 'hostnam'\"],"
		"\"notes\":[\"a note\"],\"scripts\":[{\"name\":\"bootcmd\",\"exit\":0}]},"
		"\"final\":{\"problems\":[],\"notes\":[],\"scripts\":[{\"name\":\"runcmd\",\"exit\":3}]}}}");
	status = gather();
	provision = json_object_get(status, "provision");
	CHECK_STR(json_member_string(provision, "hostname"), "m1");
	CHECK_STR(json_member_string(provision, "instance"), "i-7");
	CHECK_U64(json_array_size(json_object_get(provision, "scripts")), 2);
	text = as_text(status);
	CHECK_CONTAINS(text, "hostname   m1\n");
	CHECK_CONTAINS(text, "source     nocloud, instance i-7, first boot\n");
	CHECK_CONTAINS(text, "problem user-data:3:1: error: unknown key 'hostnam'\n");
	CHECK_CONTAINS(text, "note a note\n");
	CHECK_CONTAINS(text, "runcmd failed with exit code 3\n");
	CHECK(!strstr(text, "bootcmd failed"));
}

TEST(a_source_that_has_not_answered)
{
	CLEANUP_JSON json_t *status = NULL;
	CLEANUP_FREE char *text = NULL;

	whole_machine();
	fake_machine_file("/run/ingot/provision-pending", "");
	status = gather();
	CHECK(json_is_true(json_object_get(json_object_get(status, "provision"), "pending")));
	text = as_text(status);
	CHECK_CONTAINS(text, "not all of it is known yet");
}
