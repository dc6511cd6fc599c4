/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What guest.c (libguestfs, in a child process), guest_process.c (that process) and guest_format.c
 * (formats of images) share. Private to them.
 */
#ifndef INGOT_DISK_GUEST_PARTS_H
#define INGOT_DISK_GUEST_PARTS_H

#include "disk/guest.h"

#include <stdint.h>

/* Tells by its content which format of QEMU an image has: "raw", "qcow2", "vmdk", "vpc", "vhdx" or "vdi";
 * what is no container is raw. ERR_VERIFY for one that names other files: opening it would read them. */
int guest_probe_format(int fd, const char *name, const char **ret_format, struct err *err);

/* What the child process is to do. */
struct guest_work {
	const char *image;  /* where the child finds it */
	const char *format; /* of guest_probe_format */
	bool kvm;
	bool verbose;   /* tell what the appliance prints */
	int tar_fd;     /* where the tar goes, -1: nowhere */
	int message_fd; /* for guest_tell */
	int stderr_fd;  /* what the programs that libguestfs runs have said; readable */
};

/* In the child: does all that libguestfs is needed for; the report goes to the parent by guest_tell. */
int guest_run(const struct guest_work *work, struct err *err);

/* In a process of its own: has libguestfs make its appliance if it is not in its cache (/var/tmp). In a user
 * namespace that could not be done: files of root would become those of nobody. What goes wrong is told by
 * guest_run. Blocks for about 10 s when there is something to make. */
void guest_prepare(void);

/* In the child: tells the parent. {"at": text} is what is being done, {"report": object} the result,
 * {"debug": text} is for -vv. Takes
 * the reference. A parent that is gone is no error: the child is being killed then. */
void guest_tell(const struct guest_work *work, json_t *message);

#endif
