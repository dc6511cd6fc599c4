/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory and CPUs as the kernel tells them.
 */
#include "agent/boot/machine.h"

#include "base/mem.h"
#include "base/size.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define CPU_MAX 65536

uint32_t machine_count_cpus(const char *list)
{
	uint32_t count = 0;

	while (isdigit((unsigned char)*list)) {
		char *end;
		unsigned long first = strtoul(list, &end, 10), last = first;

		if (*end == '-' && isdigit((unsigned char)end[1]))
			last = strtoul(end + 1, &end, 10);
		if (last < first || last >= CPU_MAX)
			return 0;
		count += (uint32_t)(last - first + 1);
		list = end + (*end == ',');
	}
	return *list && *list != '\n' ? 0 : count;
}

int machine_detect(const struct agent *agent, struct machine *ret, struct err *err)
{
	CLEANUP(str_free) struct str meminfo = {0};
	CLEANUP_FREE char *online = agent_read_line(agent, "/sys/devices/system/cpu/online");
	const char *total;

	*ret = (struct machine){.cpus = online ? machine_count_cpus(online) : 0};
	if (ret->cpus == 0)
		return err_set(err, ERR_OTHER, "cannot tell how many CPUs are online");
	if (agent_read(agent, "/proc/meminfo", 64 << 10, &meminfo, err) < 0)
		return err_wrap(err, "cannot tell how much memory there is");
	total = meminfo.data ? strstr(meminfo.data, "MemTotal:") : NULL;
	if (total)
		ret->memory = strtoull(total + strlen("MemTotal:"), NULL, 10) * KIB;
	if (ret->memory == 0)
		return err_set(err, ERR_OTHER, "/proc/meminfo has no MemTotal");
	return 0;
}
