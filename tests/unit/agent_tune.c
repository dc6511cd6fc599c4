/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tuning: the pure table for machines of several sizes, and what applying does to a tree of files that
 * stands for /proc/sys.
 */
#include "tap.h"
#include "fake/machine.h"

#include "agent/boot/tune.h"

#include "base/mem.h"
#include "base/size.h"

static const char *value_of(const struct tune_setting *settings, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(settings[i].tuner->key, key) == 0)
			return settings[i].value;
	return NULL;
}

struct expect {
	const char *key;
	const char *values[4]; /* of the machines below */
};

/* Worked by hand from the rules in tune.c: a swarm manager of each size. */
static const struct machine machines[] = {
	{512 * MIB, 1},
	{4 * GIB, 2},
	{16 * GIB, 8},
	{256 * GIB, 64},
};
static const struct expect expected[] = {
	{"vm.min_free_kbytes", {"8192", "41943", "167772", "1048576"}},
	{"net.core.rmem_max", {"6291456", "16777216", "16777216", "16777216"}},
	{"net.core.wmem_max", {"6291456", "16777216", "16777216", "16777216"}},
	{"net.ipv4.tcp_rmem",
	 {"4096 131072 6291456", "4096 131072 16777216", "4096 131072 16777216",
	  "4096 131072 16777216"}},
	{"net.ipv4.tcp_max_syn_backlog", {"1024", "8192", "32768", "65536"}},
	{"net.netfilter.nf_conntrack_max", {"65536", "262144", "1048576", "1048576"}},
	{"/sys/module/nf_conntrack/parameters/hashsize", {"16384", "65536", "262144", "262144"}},
	{"net.ipv4.neigh.default.gc_thresh1", {"1024", "4096", "8192", "8192"}},
	{"net.ipv4.neigh.default.gc_thresh2", {"4096", "16384", "32768", "32768"}},
	{"net.ipv4.neigh.default.gc_thresh3", {"8192", "32768", "65536", "65536"}},
	{"vm.dirty_background_bytes", {"16777216", "42949672", "67108864", "67108864"}},
	{"vm.dirty_bytes", {"67108864", "214748364", "268435456", "268435456"}},
	{"net.ipv4.tcp_keepalive_time", {"600", "600", "600", "600"}},
	{"net.core.somaxconn", {"65535", "65535", "65535", "65535"}},
	{"vm.max_map_count", {"1048576", "1048576", "1048576", "1048576"}},
	{"net.ipv4.ip_forward", {"1", "1", "1", "1"}},
	{"kernel.pid_max", {"4194304", "4194304", "4194304", "4194304"}},
};

TEST(manager_of_each_size)
{
	for (size_t m = 0; m < ARRAY_SIZE(machines); m++) {
		struct tune_setting settings[TUNE_MAX];
		size_t count = tune_compute(&machines[m], "swarm", "manager", settings);

		for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
			const char *got = value_of(settings, count, expected[i].key);

			if (!got || strcmp(got, expected[i].values[m]) != 0)
				FAIL("machine %zu, %s: %s, want %s", m, expected[i].key,
				     got ? got : "nothing", expected[i].values[m]);
		}
	}
}

TEST(rows_belong_to_roles)
{
	struct tune_setting settings[TUNE_MAX];
	size_t none = tune_compute(&machines[1], "none", "", settings), worker, manager;

	CHECK(none > 0);
	CHECK(!value_of(settings, none, "net.ipv4.ip_forward"));
	worker = tune_compute(&machines[1], "swarm", "worker", settings);
	CHECK(worker > none);
	CHECK(value_of(settings, worker, "net.ipv4.ip_forward"));
	CHECK(!value_of(settings, worker, "vm.dirty_bytes"));
	manager = tune_compute(&machines[1], "swarm", "manager", settings);
	CHECK_INT(manager, worker + 2);
}

/* Whatever the size: no value is empty, limits do not exceed the machine, thresholds are in order. */
TEST(random_machines)
{
	unsigned int seed = 7;

	for (int round = 0; round < 1000; round++) {
		struct machine m = {(64 + (uint64_t)(rand_r(&seed) % 2000000)) * MIB,
				    1 + (uint32_t)rand_r(&seed) % 512};
		struct tune_setting settings[TUNE_MAX];
		size_t count = tune_compute(&m, "swarm", "manager", settings);

		for (size_t i = 0; i < count; i++)
			CHECK(*settings[i].value &&
			      strlen(settings[i].value) < TUNE_VALUE_SIZE - 1);
		CHECK(strtoull(value_of(settings, count, "vm.min_free_kbytes"), NULL, 10) * KIB <
		      m.memory / 4);
		CHECK(strtoull(value_of(settings, count, "net.netfilter.nf_conntrack_max"), NULL,
			       10) *
			      320 <
		      m.memory / 2);
		CHECK(strtoull(value_of(settings, count, "vm.dirty_background_bytes"), NULL, 10) <
		      strtoull(value_of(settings, count, "vm.dirty_bytes"), NULL, 10));
	}
}

TEST(table_is_well_formed)
{
	for (const struct tuner *t = tuners; t->key; t++) {
		CHECK(t->text && t->why && *t->why);
		CHECK(t->number || *t->text);
		CHECK(t->mode != TUNE_RAISE || t->number ||
		      strspn(t->text, "0123456789") == strlen(t->text));
		for (const struct tuner *u = tuners; u < t; u++)
			CHECK(strcmp(u->key, t->key) != 0);
	}
}

TEST(cpu_lists)
{
	CHECK_INT(machine_count_cpus("0"), 1);
	CHECK_INT(machine_count_cpus("0-3"), 4);
	CHECK_INT(machine_count_cpus("0-3,8,10-11\n"), 7);
	CHECK_INT(machine_count_cpus(""), 0);
	CHECK_INT(machine_count_cpus("x"), 0);
	CHECK_INT(machine_count_cpus("0-99999999"), 0);
	CHECK_INT(machine_count_cpus("3-1"), 0);
	CHECK_INT(machine_count_cpus("0-3;1"), 0);
}

TEST(detects_the_machine)
{
	struct agent agent = {.root = FAKE_ROOT};
	struct machine m;
	struct err err = {0};

	fake_machine("{}");
	CHECK_ERR(machine_detect(&agent, &m, &err), &err, ERR_OTHER, "how many CPUs");
	fake_machine_file("/sys/devices/system/cpu/online", "0-1,4\n");
	CHECK_ERR(machine_detect(&agent, &m, &err), &err, ERR_OTHER, "how much memory");
	fake_machine_file("/proc/meminfo", "MemFree: 1 kB\n");
	CHECK_ERR(machine_detect(&agent, &m, &err), &err, ERR_OTHER, "no MemTotal");
	fake_machine_file("/proc/meminfo", "MemTotal:        4030484 kB\nMemFree: 1 kB\n");
	CHECK_OK(machine_detect(&agent, &m, &err), &err);
	CHECK_INT(m.cpus, 3);
	CHECK_U64(m.memory, 4030484 * KIB);
}

TEST(parses_sysctl_files)
{
	struct strv keys = {0};

	tune_parse_sysctl("# comment\n"
			  "; comment\n"
			  "\n"
			  "vm.swappiness = 10\n"
			  "-net.ipv4.ip_forward=0\n"
			  "  net/ipv4/conf/eth0.5/rp_filter = 1\n"
			  "-net.ipv4.conf.lo.rp_filter\n"
			  "net.ipv4.conf.*.forwarding=1",
			  &keys);
	CHECK_INT(keys.count, 5);
	CHECK_STR(keys.items[0], "vm.swappiness");
	CHECK_STR(keys.items[1], "net.ipv4.ip_forward");
	CHECK_STR(keys.items[2], "net.ipv4.conf.eth0/5.rp_filter");
	CHECK_STR(keys.items[3], "net.ipv4.conf.lo.rp_filter");
	CHECK_STR(keys.items[4], "net.ipv4.conf.*.forwarding");
	strv_free(&keys);
}

static const char *state_of(const json_t *results, const char *key, const char *member)
{
	const json_t *row;
	size_t i;

	json_array_foreach(results, i, row) if (strcmp(json_member_string(row, "key"), key) ==
						0) return json_member_string(row, member);
	return NULL;
}

/* A few tuners of its own, so that every outcome is reached. */
static const struct tuner some[] = {
	{"a.set", NULL, NULL, TUNE_SET, "1", NULL, NULL, "x"},
	{"a.same", NULL, NULL, TUNE_SET, "1 2", NULL, NULL, "x"},
	{"a.larger", NULL, NULL, TUNE_RAISE, "100", NULL, NULL, "x"},
	{"a.smaller", NULL, NULL, TUNE_RAISE, "100", NULL, NULL, "x"},
	{"a.profile", NULL, NULL, TUNE_SET, "1", NULL, NULL, "x"},
	{"a.wild.card", NULL, NULL, TUNE_SET, "1", NULL, NULL, "x"},
	{"b.module", NULL, NULL, TUNE_SET, "1", NULL, "/sys/module/b", "x"},
	{"/sys/kernel/words", NULL, NULL, TUNE_CHOOSE, "two", NULL, "/sys/kernel", "x"},
};

static size_t take(struct tune_setting *settings, const struct tuner *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		settings[i].tuner = &list[i];
		snprintf(settings[i].value, sizeof(settings[i].value), "%s", list[i].text);
	}
	return count;
}

TEST(applies_and_says_what_it_did)
{
	struct agent agent = {.root = FAKE_ROOT};
	struct tune_setting settings[ARRAY_SIZE(some)];
	json_t *results = json_array();
	struct err err = {0};

	fake_machine_file("/proc/sys/a/set", "0\n");
	fake_machine_file("/proc/sys/a/same", "1\t2\n");
	fake_machine_file("/proc/sys/a/larger", "200\n");
	fake_machine_file("/proc/sys/a/smaller", "99\n");
	fake_machine_file("/proc/sys/a/profile", "7\n");
	fake_machine_file("/proc/sys/a/wild/card", "7\n");
	fake_machine_file("/sys/kernel/words", "one [two] three\n");
	fake_machine_file("/usr/lib/sysctl.d/60-ingot.conf", "a.profile=7\na.wild.*=7\n");
	CHECK_OK(
		tune_apply(&agent, settings, take(settings, some, ARRAY_SIZE(some)), results, &err),
		&err);
	CHECK_STR(state_of(results, "a.set", "state"), "set");
	CHECK_STR(state_of(results, "a.set", "was"), "0");
	CHECK_FILE(FAKE_ROOT "/proc/sys/a/set", "1");
	CHECK_STR(state_of(results, "a.same", "state"), "kept");
	CHECK_STR(state_of(results, "a.larger", "state"), "kept");
	CHECK_FILE(FAKE_ROOT "/proc/sys/a/larger", "200\n");
	CHECK_STR(state_of(results, "a.smaller", "state"), "set");
	CHECK_FILE(FAKE_ROOT "/proc/sys/a/smaller", "100");
	CHECK_STR(state_of(results, "a.profile", "state"), "profile");
	CHECK_FILE(FAKE_ROOT "/proc/sys/a/profile", "7\n");
	CHECK_STR(state_of(results, "a.wild.card", "state"), "profile");
	CHECK_STR(state_of(results, "b.module", "state"), "absent");
	CHECK_STR(state_of(results, "b.module", "detail"), "the kernel has no /sys/module/b");
	CHECK_STR(state_of(results, "/sys/kernel/words", "state"), "kept");
	json_decref(results);
}

/* Without its module a key may be absent; with it, or without any module to miss, that is an error, and
 * the other settings are made all the same. */
TEST(absent_key_is_an_error)
{
	static const struct tuner list[] = {
		{"no.such", NULL, NULL, TUNE_SET, "1", NULL, NULL, "x"},
		{"b.module", NULL, NULL, TUNE_SET, "1", NULL, "/sys/module/b", "x"},
		{"a.set", NULL, NULL, TUNE_SET, "1", NULL, NULL, "x"},
	};
	struct agent agent = {.root = FAKE_ROOT};
	struct tune_setting settings[ARRAY_SIZE(list)];
	json_t *results = json_array();
	struct err err = {0};

	fake_machine_file("/proc/sys/a/set", "0\n");
	fake_machine_file("/sys/module/b/.keep", "");
	CHECK_ERR(
		tune_apply(&agent, settings, take(settings, list, ARRAY_SIZE(list)), results, &err),
		&err, ERR_OTHER, "cannot tune 'no.such'");
	CHECK_STR(state_of(results, "no.such", "state"), "failed");
	CHECK_STR(state_of(results, "b.module", "state"), "failed");
	CHECK_STR(state_of(results, "a.set", "state"), "set");
	json_decref(results);
}

TEST(value_that_does_not_stick_is_an_error)
{
	static const struct tuner list[] = {
		{"a.null", NULL, NULL, TUNE_SET, "1", NULL, NULL, "x"},
	};
	struct agent agent = {.root = FAKE_ROOT};
	struct tune_setting settings[1];
	json_t *results = json_array();
	struct err err = {0};

	fake_machine_file("/proc/sys/a/.keep", "");
	CHECK(symlink("/dev/null", FAKE_ROOT "/proc/sys/a/null") == 0);
	CHECK_ERR(tune_apply(&agent, settings, take(settings, list, 1), results, &err), &err,
		  ERR_OTHER, "reads '' after '1' was written");
	json_decref(results);
}
