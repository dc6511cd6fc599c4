/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting until a machine does what its role is there for.
 */
#include "vm/ready.h"

#include "base/clock.h"
#include "base/mem.h"
#include "vm/checks.h"

#define READY_SECONDS 180
#define SLOWER 10

static int wait_healthy(struct vm *vm, unsigned seconds, struct err *err)
{
	CLEANUP(str_free) struct str output = {0};
	int code;

	if (vm_guest_run(vm, vm_check_boot_complete, seconds, &code, &output, err) < 0)
		return -1;
	if (code == 124)
		return err_set(err, ERR_TEST, "the boot did not complete within %u s", seconds);
	if (code != 0)
		return err_set(err, ERR_TEST, "the role is not healthy:\n%.1500s",
			       output.data ? output.data : "");
	return 0;
}

static int wait_joined(struct vm *vm, unsigned seconds, struct err *err)
{
	double until = clock_monotonic() + seconds;

	for (;;) {
		CLEANUP(str_free) struct str output = {0}, why = {0};
		int code;

		if (vm_guest_run(vm, "ingot-agent status --json", seconds, &code, &output, err) < 0)
			return -1;
		str_add(&output, "");
		if (code == 0 && vm_check_swarm(output.data, &why))
			return 0;
		if (clock_monotonic() >= until)
			return err_set(err, ERR_TEST,
				       "the machine did not join within %u s: %.1500s", seconds,
				       why.data ? why.data : output.data);
		if (vm_pump(vm, 1, err) < 0)
			return -1;
	}
}

int vm_ready_wait(struct vm *vm, const struct vm_ready *ready, struct err *err)
{
	unsigned seconds = READY_SECONDS * (ready->kvm ? 1 : SLOWER);

	if (vm_guest_wait(vm, seconds, err) < 0)
		return -1;
	ready->reached("shell", vm_uptime(vm), ready->context);
	if (wait_healthy(vm, seconds, err) < 0)
		return -1;
	ready->reached("healthy", vm_uptime(vm), ready->context);
	if (!ready->swarm)
		return 0;
	if (wait_joined(vm, seconds, err) < 0)
		return -1;
	ready->reached("joined", vm_uptime(vm), ready->context);
	return 0;
}
