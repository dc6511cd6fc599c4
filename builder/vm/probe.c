/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KVM probe: one start of the firmware with a time limit, remembered for this boot of the machine.
 */
#include "vm/probe.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "vm/child.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PROBE_SECONDS 15
/* What UEFI firmware of EDK II prints on the serial port when it looks for something to boot. */
#define FIRMWARE_RUNS "BdsDxe: "

int vm_probe_parse(const char *text, enum vm_kvm *ret, struct err *err)
{
	if (!text || strcmp(text, "auto") == 0)
		*ret = VM_KVM_AUTO;
	else if (strcmp(text, "on") == 0)
		*ret = VM_KVM_ON;
	else if (strcmp(text, "off") == 0)
		*ret = VM_KVM_OFF;
	else
		return err_set(err, ERR_USAGE,
			       "option '--kvm' is '%.20s', expected auto, on or off", text);
	return 0;
}

/* The first line of what QEMU said that is worth showing. */
static void add_reason(const char *output, struct str *why)
{
	const char *line = strstr(output, "KVM internal error");

	if (!line)
		line = strstr(output, "error: ");
	if (!line)
		line = output;
	str_addf(why, "%.*s", (int)strcspn(line, "\r\n"), line);
}

int vm_probe_run(const struct vm_tools *tools, const char *device, double limit, bool *ret_works,
		 struct str *why, struct err *err)
{
	CLEANUP_FREE char *code =
		mem_printf("if=pflash,unit=0,format=raw,readonly=on,file=%s", tools->firmware);
	CLEANUP_FREE char *variables =
		mem_printf("if=pflash,unit=1,format=raw,file=%s", tools->variables);
	/* clang-format off */
	const char *argv[] = {
		tools->qemu, "-nodefaults", "-no-user-config", "-display", "none",
		"-machine", "q35", "-accel", "kvm", "-cpu", vm_tools_cpu(tools, true), "-m", "128",
		"-snapshot", "-drive", code, "-drive", variables, "-serial", "stdio", NULL,
	};
	/* clang-format on */
	CLEANUP(vm_child_end) struct vm_child child = VM_CHILD_NONE;
	double until = clock_monotonic() + limit;
	bool ended = false;

	*ret_works = false;
	if (access(device, R_OK | W_OK) != 0) {
		str_addf(why, "cannot open '%s': %s", device, strerror(errno));
		return 0;
	}
	if (vm_child_start(&child, argv, NULL, 0, false, err) < 0)
		return err_wrap(err, "cannot try KVM");
	while (!ended) {
		CLEANUP(str_free) struct str output = {0};
		bool late = clock_monotonic() >= until;

		ended = vm_child_wait(&child, late ? 0 : 0.1);
		str_add(&output, "");
		vm_child_output(&child, 65536, &output);
		if (strstr(output.data, FIRMWARE_RUNS)) {
			*ret_works = true;
			return 0;
		}
		/* QEMU stops the guest on such an error, but goes on itself. */
		if (ended || strstr(output.data, "KVM internal error")) {
			add_reason(output.data, why);
			return 0;
		}
		if (late) {
			str_addf(why, "a guest did nothing for %.0f s", limit);
			return 0;
		}
	}
	return 0;
}

/* What the answer depends on; in the first line of the file. */
static char *probe_circumstances(const struct vm_tools *tools)
{
	CLEANUP(str_free) struct str boot = {0};

	if (fd_read_file("/proc/sys/kernel/random/boot_id", 64, &boot, NULL) < 0 || !boot.data)
		return NULL;
	boot.data[strcspn(boot.data, "\n")] = '\0';
	return mem_printf("%s %s %u %s\n", boot.data, tools->qemu, tools->qemu_major,
			  tools->firmware);
}

/* Looks up a remembered answer; false when there is none for these circumstances. */
static bool recall(const char *path, const char *circumstances, bool *ret_works, struct str *why)
{
	CLEANUP(str_free) struct str text = {0};
	const char *answer;

	if (!circumstances || fd_read_file(path, 8192, &text, NULL) < 0 || !text.data ||
	    !str_has_prefix(text.data, circumstances))
		return false;
	answer = text.data + strlen(circumstances);
	if (strcmp(answer, "works\n") == 0) {
		*ret_works = true;
		return true;
	}
	if (!str_has_prefix(answer, "no: "))
		return false;
	*ret_works = false;
	str_addf(why, "%.*s", (int)strcspn(answer + 4, "\n"), answer + 4);
	return true;
}

/* A state folder that cannot be written only means that the next call tries again. */
static void remember(const char *dir, const char *path, const char *circumstances, bool works,
		     const char *why)
{
	CLEANUP_FREE char *text = mem_printf("%s%s%s\n", circumstances ? circumstances : "",
					     works ? "works" : "no: ", works ? "" : why);

	if (circumstances && path_make_dirs(dir, NULL) == 0)
		(void)outfile_write(path, text, strlen(text), false, NULL);
}

int vm_probe_decide(const struct vm_tools *tools, enum vm_kvm wanted, const char *state_dir,
		    bool *ret_kvm, struct str *why, struct err *err)
{
	CLEANUP_FREE char *path = path_join(state_dir, "kvm-probe");
	CLEANUP_FREE char *circumstances = probe_circumstances(tools);
	CLEANUP(str_free) struct str reason = {0};
	bool works = false;

	*ret_kvm = false;
	if (wanted == VM_KVM_OFF) {
		str_add(why, "it was switched off");
		return 0;
	}
	if (wanted == VM_KVM_ON || !recall(path, circumstances, &works, &reason)) {
		if (vm_probe_run(tools, "/dev/kvm", PROBE_SECONDS, &works, &reason, err) < 0)
			return -1;
		remember(state_dir, path, circumstances, works, reason.data);
	}
	if (!works && wanted == VM_KVM_ON) {
		err_set(err, ERR_TOOL, "KVM does not work here: %s", reason.data);
		return err_hint(err, "without '--kvm on' the guest is emulated, which is slower");
	}
	*ret_kvm = works;
	if (!works)
		str_add(why, reason.data ? reason.data : "");
	return 0;
}

bool vm_probe_works(const char *state_dir, struct str *why)
{
	CLEANUP(vm_tools_free) struct vm_tools tools = {0};
	struct err err = {0};
	bool kvm = false;

	if (vm_tools_find(&tools, &err) < 0 ||
	    vm_probe_decide(&tools, VM_KVM_AUTO, state_dir, &kvm, why, &err) < 0)
		str_add(why, err.msg);
	return kvm;
}
