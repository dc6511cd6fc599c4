/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network of its own for virtual machines: a small learning switch (IEEE 802.1D without trees) in a thread of
 * this process. It needs no root, no port and no multicast, and nobody else can reach it. Private to vm/.
 */
#ifndef INGOT_VM_HUB_H
#define INGOT_VM_HUB_H

#include "base/err.h"

#include <stddef.h>

struct hub;

/* Starts a switch with count sockets (1 to 255). The machines' ends, one for each QEMU ("-netdev socket,fd="), go
 * into ret_ends: the caller closes them once QEMU has them. Frames that a machine does not take in time are
 * dropped, as on a real network. End with hub_stop. */
struct hub *hub_start(size_t count, int *ret_ends, struct err *err);

/* Ends the thread and frees everything; NULL is allowed. Blocks shortly. */
void hub_stop(struct hub *hub);

#endif
