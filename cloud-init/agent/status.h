/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this machine is, as a value and as text.
 */
#ifndef INGOT_AGENT_STATUS_H
#define INGOT_AGENT_STATUS_H

#include "agent/agent.h"

#include <stdio.h>

/* Gathers everything that can be read; image_err is what agent_open said (code 0: nothing). The member
 * "unreadable" maps each part that could not be read to the reason. Caller decrefs. Waits at most about
 * a minute, when the engine hangs. */
json_t *status_gather(const struct agent *agent, const struct err *image_err);

/* Prints it for people. Pure but for the stream. */
void status_print(const json_t *status, FILE *out);

#endif
