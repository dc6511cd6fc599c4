/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splitting off the supervisor, and what is decided before: addresses of network cards, memory.
 */
#include "vm/cluster.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/size.h"
#include "vm/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What QEMU itself needs beside the guest's memory: translated code, devices. */
#define OVERHEAD (128 * MIB)
#define OVERHEAD_EMULATED (320 * MIB)

void cluster_macs(size_t index, struct cluster_member *member)
{
	/* 52:54:00 is what QEMU uses itself. */
	snprintf(member->link_mac, sizeof(member->link_mac), "52:54:00:10:00:%02x",
		 (unsigned)(index + 1) & 255);
	snprintf(member->user_mac, sizeof(member->user_mac), "52:54:00:20:00:%02x",
		 (unsigned)(index + 1) & 255);
}

char *cluster_network_unit(const struct cluster_file *file, const struct cluster_member *member)
{
	return mem_printf("[Match]\nMACAddress=%s\n\n[Network]\nAddress=%s/%u\n"
			  "IPv6AcceptRA=no\n",
			  member->link_mac, member->spec->address, file->prefix);
}

int cluster_check_memory(const struct cluster_member *members, size_t count, bool kvm,
			 struct err *err)
{
	CLEANUP(str_free) struct str text = {0};
	uint64_t needed = 0, available;
	unsigned long long kib;
	const char *line;
	char a[16], b[16];

	if (fd_read_file("/proc/meminfo", 65536, &text, err) < 0)
		return -1;
	line = text.data ? strstr(text.data, "MemAvailable:") : NULL;
	if (!line || sscanf(line, "MemAvailable: %llu kB", &kib) != 1)
		return err_set(err, ERR_OTHER, "cannot read MemAvailable of '/proc/meminfo'");
	available = kib * KIB;
	for (size_t i = 0; i < count; i++)
		needed += members[i].spec->memory + (kvm ? OVERHEAD : OVERHEAD_EMULATED);
	if (needed <= available)
		return 0;
	err_set(err, ERR_SPACE, "%zu machines need %s of memory, %s are available", count,
		size_format(needed, a), size_format(available, b));
	return err_hint(err, "give them less 'memory', or start fewer of them");
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Closes what whoever started us has open, such as a lock or a pipe that somebody reads to its end: all descriptors
 * but those of the cluster. */
static int close_others(const struct cluster_options *options, const struct cluster_state *state,
			int owner)
{
	int keep[CLUSTER_MACHINES_MAX + 6] = {0, 1, 2, owner, state->dir, state->lock};
	size_t count = 6;

	for (size_t i = 0; i < options->count; i++)
		if (options->members[i].seed > 0)
			keep[count++] = options->members[i].seed;
	qsort(keep, count, sizeof(*keep), by_number);
	for (size_t i = 0; i < count; i++) {
		unsigned from = (unsigned)keep[i] + 1;
		unsigned to = i + 1 < count ? (unsigned)keep[i + 1] - 1 : ~0u;

		if (from <= to && close_range(from, to, 0) < 0)
			return -1;
	}
	return 0;
}

/* The rest of the supervisor's life: nothing of the terminal, a session of its own. */
static _Noreturn void become(const struct cluster_options *options,
			     const struct cluster_state *state, int owner)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct err err = {0};

	/* Whoever kills us kills the machines with us (PR_SET_PDEATHSIG). */
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		signal(numbers[i], SIG_DFL);
	if (setsid() < 0 || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
	    dup2(null, 2) < 0 || chdir("/") < 0 || close_others(options, state, owner) < 0)
		_exit(ERR_OTHER);
	_exit(supervisor_run(options, state, owner, &err) < 0 ? ERR_OTHER : 0);
}

int cluster_start(const struct cluster_options *options, struct cluster_state *state, int *ret_fd,
		  struct err *err)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, errno, "cannot create a socket");
	/* What is still buffered would be written twice. */
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		close(pair[0]);
		close(pair[1]);
		return err_sys(err, errno, "cannot start a process");
	}
	if (pid == 0) {
		close(pair[0]);
		become(options, state, pair[1]);
	}
	close(pair[1]);
	*ret_fd = pair[0];
	return 0;
}
