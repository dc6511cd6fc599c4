/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of tuners and the pure function over it. Where a number depends on the machine, the
 * function beside it says how much memory the setting may cost.
 */
#include "agent/boot/tune.h"

#include "base/mem.h"
#include "base/size.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint64_t clamp(uint64_t value, uint64_t low, uint64_t high)
{
	return value < low ? low : value > high ? high : value;
}

/* 1 % of memory, at most 1 GiB: room for bursts of atomic allocations in the network path. */
static uint64_t min_free_kib(const struct machine *m)
{
	return clamp(m->memory / 100, 8 * MIB, GIB) / KIB;
}

/* One socket may buffer 1/256 of memory; the lower end is what the kernel gives a receiver anyway. */
static uint64_t socket_buffer(const struct machine *m)
{
	return clamp(m->memory / 256 / MIB * MIB, 6 * MIB, 16 * MIB);
}

static uint64_t syn_backlog(const struct machine *m)
{
	return clamp(m->memory / MIB * 2, 1024, 65536);
}

/* A tracked connection costs about 320 bytes, so this is at most 2 % of memory. */
static uint64_t conntrack_max(const struct machine *m)
{
	return clamp(m->memory / (16 * KIB), 65536, 1048576);
}

static uint64_t conntrack_buckets(const struct machine *m)
{
	return conntrack_max(m) / 4;
}

/* Neighbour entries are about 1 KiB; the largest table is for machines that see whole racks. */
static uint64_t neighbour_scale(const struct machine *m)
{
	return clamp(m->memory / GIB, 1, 8);
}

static uint64_t neighbours_kept(const struct machine *m)
{
	return 1024 * neighbour_scale(m);
}

static uint64_t neighbours_soft(const struct machine *m)
{
	return 4096 * neighbour_scale(m);
}

static uint64_t neighbours_hard(const struct machine *m)
{
	return 8192 * neighbour_scale(m);
}

/* The raft log is synced often: little dirty data means that a sync never waits for much. */
static uint64_t dirty_background(const struct machine *m)
{
	return clamp(m->memory / 100, 16 * MIB, 64 * MIB);
}

static uint64_t dirty_limit(const struct machine *m)
{
	return clamp(m->memory / 20, 64 * MIB, 256 * MIB);
}

#define EVERY NULL, NULL
#define SWARM "swarm", NULL
#define SWARM_MANAGER "swarm", "manager"
#define CONNTRACK "/sys/module/nf_conntrack"
#define BRIDGE "/sys/module/br_netfilter"
#define THP "/sys/kernel/mm/transparent_hugepage"

const struct tuner tuners[] = {
	{"fs.file-max", EVERY, TUNE_RAISE, "2097152", NULL, NULL, "many containers, many files"},
	{"fs.nr_open", EVERY, TUNE_RAISE, "1048576", NULL, NULL, "LimitNOFILE= may go this far"},
	{"fs.inotify.max_user_instances", EVERY, TUNE_RAISE, "8192", NULL, NULL,
	 "each container runtime and log reader takes some"},
	{"fs.inotify.max_user_watches", EVERY, TUNE_RAISE, "524288", NULL, NULL,
	 "log readers watch every container's files"},
	{"kernel.pid_max", EVERY, TUNE_RAISE, "4194304", NULL, NULL, "no pid is reused soon"},
	{"kernel.panic", EVERY, TUNE_SET, "10", NULL, NULL,
	 "a panic reboots, so that the boot counter goes on"},
	{"vm.swappiness", EVERY, TUNE_SET, "1", NULL, NULL, "services stay in memory"},
	{"vm.min_free_kbytes", EVERY, TUNE_RAISE, "", min_free_kib, NULL,
	 "network bursts find memory at once"},
	{"net.core.somaxconn", EVERY, TUNE_RAISE, "65535", NULL, NULL,
	 "a listener's queue is up to the service"},
	{"net.core.netdev_max_backlog", EVERY, TUNE_RAISE, "16384", NULL, NULL,
	 "bursts on fast links"},
	{"net.core.rmem_max", EVERY, TUNE_RAISE, "", socket_buffer, NULL, "long fat links"},
	{"net.core.wmem_max", EVERY, TUNE_RAISE, "", socket_buffer, NULL, "long fat links"},
	{"net.ipv4.tcp_rmem", EVERY, TUNE_SET, "4096 131072 ", socket_buffer, NULL,
	 "long fat links"},
	{"net.ipv4.tcp_wmem", EVERY, TUNE_SET, "4096 65536 ", socket_buffer, NULL,
	 "long fat links"},
	{"net.ipv4.tcp_max_syn_backlog", EVERY, TUNE_RAISE, "", syn_backlog, NULL,
	 "many connections at once"},
	{"net.ipv4.tcp_keepalive_time", EVERY, TUNE_SET, "600", NULL, NULL,
	 "IPVS forgets an idle connection after 900 s"},
	{"net.ipv4.tcp_keepalive_intvl", EVERY, TUNE_SET, "60", NULL, NULL,
	 "a dead peer is noticed within minutes"},
	{"net.ipv4.tcp_slow_start_after_idle", EVERY, TUNE_SET, "0", NULL, NULL,
	 "pooled connections keep their speed"},
	{"net.core.default_qdisc", EVERY, TUNE_CHOOSE, "fq", NULL, NULL, "paces what bbr sends"},
	{"net.ipv4.tcp_congestion_control", EVERY, TUNE_CHOOSE, "bbr", NULL, NULL,
	 "loss does not halve the speed"},
	{"/sys/kernel/mm/transparent_hugepage/enabled", EVERY, TUNE_CHOOSE, "madvise", NULL, THP,
	 "databases stall on compaction otherwise"},
	{"net.netfilter.nf_conntrack_max", EVERY, TUNE_RAISE, "", conntrack_max, CONNTRACK,
	 "a full table drops connections"},
	{"/sys/module/nf_conntrack/parameters/hashsize", EVERY, TUNE_RAISE, "", conntrack_buckets,
	 CONNTRACK, "four connections per bucket"},

	{"net.ipv4.ip_forward", SWARM, TUNE_SET, "1", NULL, NULL, "containers reach the network"},
	{"net.bridge.bridge-nf-call-iptables", SWARM, TUNE_SET, "1", NULL, BRIDGE,
	 "published ports between containers of one bridge"},
	{"net.bridge.bridge-nf-call-ip6tables", SWARM, TUNE_SET, "1", NULL, BRIDGE,
	 "the same for IPv6"},
	{"net.ipv4.conf.all.rp_filter", SWARM, TUNE_SET, "2", NULL, NULL,
	 "strict mode breaks overlays and several cards"},
	{"net.ipv4.conf.default.rp_filter", SWARM, TUNE_SET, "2", NULL, NULL,
	 "strict mode breaks overlays and several cards"},
	{"vm.overcommit_memory", SWARM, TUNE_SET, "1", NULL, NULL,
	 "containers have limits of their own"},
	{"vm.max_map_count", SWARM, TUNE_RAISE, "1048576", NULL, NULL,
	 "search engines map many files; no container can set it"},
	{"net.ipv4.neigh.default.gc_thresh1", SWARM, TUNE_RAISE, "", neighbours_kept, NULL,
	 "overlay networks have many neighbours"},
	{"net.ipv4.neigh.default.gc_thresh2", SWARM, TUNE_RAISE, "", neighbours_soft, NULL,
	 "overlay networks have many neighbours"},
	{"net.ipv4.neigh.default.gc_thresh3", SWARM, TUNE_RAISE, "", neighbours_hard, NULL,
	 "overlay networks have many neighbours"},

	{"vm.dirty_background_bytes", SWARM_MANAGER, TUNE_SET, "", dirty_background, NULL,
	 "the raft log is synced often"},
	{"vm.dirty_bytes", SWARM_MANAGER, TUNE_SET, "", dirty_limit, NULL,
	 "the raft log is synced often"},
	{0},
};

_Static_assert(ARRAY_SIZE(tuners) <= TUNE_MAX + 1, "TUNE_MAX is too small");

static bool row_applies(const struct tuner *t, const char *kind, const char *role)
{
	return (!t->kind || strcmp(t->kind, kind) == 0) && (!t->role || strcmp(t->role, role) == 0);
}

size_t tune_compute(const struct machine *machine, const char *kind, const char *role,
		    struct tune_setting settings[TUNE_MAX])
{
	size_t count = 0;

	for (const struct tuner *t = tuners; t->key; t++) {
		struct tune_setting *s = &settings[count];

		if (!row_applies(t, kind, role))
			continue;
		s->tuner = t;
		if (t->number)
			snprintf(s->value, sizeof(s->value), "%s%" PRIu64, t->text,
				 t->number(machine));
		else
			snprintf(s->value, sizeof(s->value), "%s", t->text);
		count++;
	}
	return count;
}
