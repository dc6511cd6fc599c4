/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks that this program did not make, read by libguestfs: which operating system is on them, and
 * all of its files. libguestfs is optional: it is looked for when it is needed.
 */
#ifndef INGOT_DISK_GUEST_H
#define INGOT_DISK_GUEST_H

#include "base/json.h"
#include "base/log.h"

#include <stdbool.h>

struct guest_request {
	const char *path;      /* the image */
	bool kvm;              /* QEMU may use KVM; without it the appliance takes about 10 s */
	struct log_step *step; /* gets what is being done and for how long, or NULL; borrowed */
	/* Reads the files of the guest's operating system as a tar stream (pax, numeric owners, with
	 * extended attributes; every file system that its fstab names, all of it hostile) until its end;
	 * called once. NULL: only the report is wanted. Returns 0, or -1 with err. */
	int (*consume)(int tar_fd, void *context, struct err *err);
	void *context; /* of consume */
};

/* Tells which format QEMU would read the image as: "raw" (also for what is no container at all), "qcow2",
 * "vmdk", "vpc" (VHD), "vhdx" or "vdi"; static. ERR_VERIFY for one that names other files. Reads the first and
 * the last bytes of the file. */
int guest_format(const char *path, const char **ret_format, struct err *err);

/* Starts libguestfs' appliance on an image of a format that QEMU reads (raw, qcow2, vmdk, vhd, vhdx, vdi)
 * and calls consume. The image is not changed; it is opened once, with the format that its first bytes
 * tell, and an image that names other files (backing files, external data files, extents) is ERR_VERIFY.
 * All of it runs in a child process in namespaces of its own: no network, its own /tmp, killed with us
 * however we end. *ret_report (may be NULL; caller decrefs) is
 *   {format, size (of the disk), partitions [{number, offset, size}], table ("gpt", "dos" or null),
 *    filesystems [{device, type, label, mount}], system (null when none is known: {type, distribution,
 *    version, product, architecture, package_format}), os_release (text or null), kernels [version],
 *    packages (their number or null), seconds (until the appliance ran)}.
 * With consume an image without an operating system is ERR_VERIFY. A lack of libguestfs, of its appliance,
 * of a kernel for it or of the right to make namespaces is ERR_TOOL with a hint. It forks: no other thread may load
 * libraries meanwhile. Blocks for 3 s to minutes. */
int guest_read(const struct guest_request *request, json_t **ret_report, struct err *err);

#endif
