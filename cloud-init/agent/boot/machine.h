/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How large the machine is that this image landed on.
 */
#ifndef INGOT_AGENT_MACHINE_H
#define INGOT_AGENT_MACHINE_H

#include "agent/agent.h"

#include <stdint.h>

struct machine {
	uint64_t memory; /* bytes that the kernel has to give away (MemTotal) */
	uint32_t cpus;   /* online */
};

/* Reads the size from /proc/meminfo and /sys/devices/system/cpu/online. */
int machine_detect(const struct agent *agent, struct machine *ret, struct err *err);

/* Counts the CPUs of a kernel list such as "0-3,8"; 0 when the text is no such list. */
uint32_t machine_count_cpus(const char *list);

#endif
