/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is KVM usable here? /dev/kvm may exist and be useless: QEMU aborts, or the guest stops inside the
 * firmware (virtual machines without proper nesting). Only starting a guest tells.
 */
#ifndef INGOT_VM_PROBE_H
#define INGOT_VM_PROBE_H

#include "base/err.h"
#include "base/str.h"
#include "vm/tools.h"

#include <stdbool.h>

enum vm_kvm { VM_KVM_AUTO, VM_KVM_ON, VM_KVM_OFF };

/* Reads "auto", "on" or "off"; ERR_USAGE otherwise. NULL means auto. */
int vm_probe_parse(const char *text, enum vm_kvm *ret, struct err *err);

/* Starts the firmware under KVM, without a disk, and waits up to limit seconds until it prints
 * something. *ret_works says whether it did, why (appended) says why not. Blocks for about a second
 * where KVM works. Fails only when the try itself cannot be made. */
int vm_probe_run(const struct vm_tools *tools, const char *device, double limit, bool *ret_works,
		 struct str *why, struct err *err);

/* Whether to use KVM: what the user wants, else what vm_probe_run says, remembered in the file
 * state_dir/kvm-probe until the machine boots again or QEMU's version changes. ERR_TOOL when it must be
 * on and does not work. The folder is made when needed; when it cannot be written, the answer is just
 * not remembered. why (appended) says why KVM is not used. */
int vm_probe_decide(const struct vm_tools *tools, enum vm_kvm wanted, const char *state_dir,
		    bool *ret_kvm, struct str *why, struct err *err);

/* Whether KVM can be used, remembered as by vm_probe_decide; without QEMU or firmware to try it with it
 * counts as useless. why (appended) says why not. Blocks for about a second the first time. */
bool vm_probe_works(const char *state_dir, struct str *why);

#endif
