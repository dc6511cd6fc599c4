/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to systemd (org.freedesktop.systemd1(5)). As root over its own socket, which needs no bus
 * daemon; else over the system bus.
 */
#ifndef INGOT_AGENT_BUS_H
#define INGOT_AGENT_BUS_H

#include "agent/agent.h"

#include <stdint.h>

struct sd_bus;

/* True when systemd runs this machine (the test of sd_booted(3), below the agent's root). */
bool bus_has_systemd(const struct agent *agent);

/* Connects; free with bus_close. Waits at most 5 s. */
int bus_open(const struct agent *agent, struct sd_bus **ret, struct err *err);

/* Disconnects; usable with CLEANUP(). */
void bus_close(struct sd_bus **bus);

/* Appends the names of all units in state "failed". */
int bus_failed_units(struct sd_bus *bus, struct strv *names, struct err *err);

/* Appends the names of the units that are being started or stopped right now. */
int bus_running_jobs(struct sd_bus *bus, struct strv *names, struct err *err);

/* Reads a number of the manager, such as "UserspaceTimestampMonotonic" (microseconds). */
int bus_manager_number(struct sd_bus *bus, const char *property, uint64_t *ret, struct err *err);

/* Reads ActiveState ("active", "failed", ...) of a unit; NULL with err. Caller frees. */
char *bus_unit_state(struct sd_bus *bus, const char *unit, struct err *err);

#endif
