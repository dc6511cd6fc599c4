/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding QEMU and UEFI firmware.
 */
#include "vm/tools.h"

#include "base/mem.h"
#include "base/proc.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Another distribution is another row. Code and variables belong together: their sizes must match. */
static const struct firmware {
	const char *code, *variables;
} firmwares[] = {
	{"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
	{"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"},
	{"/usr/share/edk2/ovmf/OVMF_CODE_4M.fd", "/usr/share/edk2/ovmf/OVMF_VARS_4M.fd"},
	{"/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"},
	{"/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"},
	{"/usr/share/qemu/ovmf-x86_64-4m-code.bin", "/usr/share/qemu/ovmf-x86_64-4m-vars.bin"},
};

unsigned vm_tools_parse_version(const char *text)
{
	const char *version = strstr(text, "version ");
	unsigned major = 0;

	return version && sscanf(version, "version %4u.", &major) == 1 ? major : 0;
}

static int ask_version(struct vm_tools *tools, struct err *err)
{
	CLEANUP(str_free) struct str text = {0};
	const char *argv[] = {tools->qemu, "--version", NULL};
	struct proc proc = {.argv = argv, .output = &text, .output_max = 65536};

	if (proc_run(&proc, err) < 0)
		return -1;
	tools->qemu_major = vm_tools_parse_version(text.data ? text.data : "");
	if (tools->qemu_major == 0)
		return err_set(err, ERR_TOOL, "cannot read the version of '%s': it says '%.60s'",
			       tools->qemu, text.data ? text.data : "");
	return 0;
}

static int find_program(char **ret_path, const char *name, const char *package, struct err *err)
{
	*ret_path = proc_find(name);
	if (*ret_path)
		return 0;
	err_set(err, ERR_TOOL, "cannot find '%s'", name);
	return err_hint(err, "install the package %s (scripts/install-deps does it)", package);
}

int vm_tools_find(struct vm_tools *tools, struct err *err)
{
	*tools = (struct vm_tools){0};
	for (size_t i = 0; i < ARRAY_SIZE(firmwares) && !tools->firmware; i++) {
		if (access(firmwares[i].code, R_OK) != 0 ||
		    access(firmwares[i].variables, R_OK) != 0)
			continue;
		tools->firmware = firmwares[i].code;
		tools->variables = firmwares[i].variables;
	}
	if (find_program(&tools->qemu, "qemu-system-x86_64", "qemu-system-x86", err) < 0 ||
	    find_program(&tools->qemu_img, "qemu-img", "qemu-utils", err) < 0 ||
	    ask_version(tools, err) < 0) {
		vm_tools_free(tools);
		return -1;
	}
	if (!tools->firmware) {
		vm_tools_free(tools);
		err_set(err, ERR_TOOL, "cannot find UEFI firmware for QEMU");
		return err_hint(err, "install the package ovmf (scripts/install-deps does it)");
	}
	return 0;
}

void vm_tools_free(struct vm_tools *tools)
{
	free(tools->qemu);
	free(tools->qemu_img);
	*tools = (struct vm_tools){0};
}

const char *vm_tools_cpu(const struct vm_tools *tools, bool kvm)
{
	if (kvm)
		return "host";
	/* TCG of QEMU 7.2 gets cmpxchg16b wrong: Linux 6.12 panics with more than one processor. */
	return tools->qemu_major < 8 ? "max,-cx16" : "max";
}
