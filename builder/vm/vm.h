/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual machines that boot an image: start, talk to a shell inside, watch the console, stop. The
 * image file is never written. A machine cannot outlive this process.
 */
#ifndef INGOT_VM_VM_H
#define INGOT_VM_VM_H

#include "base/err.h"
#include "base/str.h"
#include "vm/tools.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Handed to the guest's systemd by SMBIOS (systemd.system-credentials(7)). */
struct vm_credential {
	const char *name;
	const char *value; /* text of any kind */
};

/* A byte of the disk that is overwritten before the machine starts. */
struct vm_damage {
	uint64_t offset; /* bytes from the start of the disk */
	uint8_t value;
};

/* An image as its reader (image_open) has seen it, which refuses those that need other files: QEMU would
 * open them with our rights. */
struct vm_image {
	const char *path;
	const char *format; /* "raw", "qcow2", "vhd" or "vmdk" */
	uint64_t size;      /* of the disk, bytes */
};

/* A network card on a network that others are on, too: of a hub. */
struct vm_link {
	int fd;          /* the machine's end; borrowed */
	const char *mac; /* "52:54:00:..." */
};

struct vm_options {
	struct vm_image image;
	const char *keep;            /* folder where disk and UEFI variables stay, or NULL */
	const char *console;         /* file for the serial console, or NULL: see vm_console */
	uint64_t memory;             /* bytes; 0: 2 GiB */
	uint64_t disk_size;          /* bytes; 0: 8 GiB more than the image */
	unsigned cpus;               /* 0: 2 */
	const char *const *forwards; /* "tcp:2222:22" (host, guest), ended by NULL, or NULL */
	const char *mac;             /* of the card that has the forwards, or NULL */
	const struct vm_link *link;  /* a second card, or NULL */
	int seed; /* a medium with the machine's provisioning data, open for reading; 0: none */
	const struct vm_credential *credentials;
	size_t credential_count;
	const struct vm_damage *damage; /* one byte of the disk that is wrong, or NULL */
	bool kvm;                       /* as vm_probe_decide said */
	bool isolated;                  /* the guest reaches nothing but the forwards */
	bool terminal;                  /* console on our terminal; Ctrl-A X ends the machine */
	bool shell;                     /* with the test shell of vm_guest_run */
};

struct vm;

/* Starts the machine; returns at once, the guest boots meanwhile. ERR_USAGE for a bad forward, ERR_TOOL
 * when QEMU cannot start. End it with vm_free. */
struct vm *vm_start(const struct vm_tools *tools, const struct vm_options *options,
		    struct err *err);

/* Kills the machine if it runs and frees everything; the disk is gone unless it is kept. NULL is
 * allowed. */
void vm_free(struct vm *vm);

/* For CLEANUP(). */
static inline void vm_cleanup(struct vm **vm)
{
	vm_free(*vm);
}

/* Seconds since the machine was switched on. */
double vm_uptime(const struct vm *vm);

/* The process id of QEMU, or 0 once it has ended. */
int vm_pid(const struct vm *vm);

/* Kills QEMU without waiting for its end, which vm_pump then tells. May be called from another thread than the
 * one that uses vm. */
void vm_kill(const struct vm *vm);

/* How often the machine was reset from inside (reboots, the firmware's own resets included). */
unsigned vm_resets(const struct vm *vm);

/* Waits up to seconds for the machine to end by itself: 1 when it did, 0 when it still runs. Fails
 * when QEMU ended with an error. */
int vm_wait_end(struct vm *vm, double seconds, struct err *err);

/* Presses the power button and waits up to seconds; ERR_TEST when the guest does not switch off. */
int vm_power_off(struct vm *vm, double seconds, struct err *err);

/* Waits up to seconds until something happens (the guest says something or ends): 1 when it did, 0
 * when not. Fails when the machine's QEMU is gone with an error. */
int vm_pump(struct vm *vm, double seconds, struct err *err);

/* Appends the last max bytes of the serial console. Not for a machine on the terminal. */
void vm_console(const struct vm *vm, size_t max, struct str *text);

/* Writes the console's text to a file. */
int vm_console_save(const struct vm *vm, const char *path, struct err *err);

/* Appends the last lines of the console to the message of err, for errors about the guest. Returns -1. */
int vm_console_explain(const struct vm *vm, struct err *err);

/* Waits until a test shell that was not seen before answers: after vm_start, after a reboot. ERR_TEST
 * with the last console lines when that takes longer than seconds or the machine ends. */
int vm_guest_wait(struct vm *vm, double seconds, struct err *err);

/* True when a test shell that was not seen before has said hello. Looks at what arrived, does not wait. */
bool vm_guest_is_new(struct vm *vm);

/* The kernel's boot id of the guest, as the test shell told it last; "" before. */
const char *vm_guest_boot_id(const struct vm *vm);

/* Runs a shell command as root in the guest, its input empty. *ret_exit is its exit code (124: it took
 * longer than seconds), output (may be NULL) gets the first 64 KiB of what it printed, errors
 * included. ERR_TEST when the guest does not answer in time. One command at a time. */
int vm_guest_run(struct vm *vm, const char *command, unsigned seconds, int *ret_exit,
		 struct str *output, struct err *err);

/* Reboots the guest from inside and waits up to seconds for its test shell. */
int vm_guest_reboot(struct vm *vm, double seconds, struct err *err);

#endif
