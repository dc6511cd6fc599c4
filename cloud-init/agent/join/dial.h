/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP to several addresses at once, with one time limit for names and connections together: one that is dead does
 * not hold up the others.
 */
#ifndef INGOT_AGENT_DIAL_H
#define INGOT_AGENT_DIAL_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

#define DIAL_MAX 64 /* addresses at once */

/* Starts to connect to each "host:port"; fds[i] is a non-blocking socket that connects, or -1 when its name is
 * not known or there is no way to it, with the reason in whys[i] (static). Waits for names until deadline (on
 * clock_monotonic), never for connections. The caller closes fds. */
void dial_start(const char *const *addresses, size_t count, double deadline, int *fds,
		const char **whys);

/* Connects to all within timeout (seconds) and closes again. *ret is the index of the first that answered and is not
 * avoid (may be NULL), else of one that answered; false when none did. Blocks for at most timeout. */
bool dial_first(const struct strv *addresses, const char *avoid, double timeout, size_t *ret);

#endif
