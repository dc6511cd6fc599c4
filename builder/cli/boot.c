/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot boot: an image runs in a virtual machine, with its console on the terminal, in the background of
 * a script, or just to run a few commands in it.
 */
#include "cli/machine.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "vm/ready.h"

#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* A command may wait for something that takes long on an emulated machine. */
#define COMMAND_SECONDS 900
#define OFF_SECONDS 300
/* Longer than any machine runs. */
#define FOREVER 1e9

static const struct cli_option options[] = {
	{"headless", 0, NULL, "no console on the terminal: it goes to the file of --console"},
	{"console", 0, "FILE", "with --headless: where the console goes (default: nowhere)"},
	{"run", 0, "COMMAND", "with --headless: wait until the role is up, run this, switch off"},
	{"forward", 0, "tcp:H:G", "make the guest's port G the port H of 127.0.0.1; also udp"},
	{"keep", 0, "DIR", "keep the disk in DIR, and go on with it the next time"},
	CLI_MACHINE_OPTIONS,
	{0},
};

static void on_reached(const char *state, double seconds, void *context)
{
	const struct cli_machine *machine = context;

	log_info("%s: %s after %.1f s", machine->name, state, seconds);
	log_event("machine", json_pack("{s:s, s:s, s:f}", "name", machine->name, "state", state,
				       "seconds", seconds));
}

static int run_command(const struct cli *cli, struct vm *vm, const char *command, unsigned *failed,
		       struct err *err)
{
	CLEANUP(str_free) struct str output = {0};
	double started = clock_monotonic();
	int code;

	if (vm_guest_run(vm, command, COMMAND_SECONDS, &code, &output, err) < 0)
		return -1;
	str_add(&output, "");
	*failed += code != 0;
	log_event("command",
		  json_pack("{s:s, s:i, s:f, s:o}", "command", command, "exit", code, "seconds",
			    clock_monotonic() - started, "output", cli_machine_text(output.data)));
	if (!cli->json) {
		log_info("$ %s", command);
		if (fd_write(STDOUT_FILENO, output.data, output.len, "standard output", err) < 0)
			return -1;
	}
	log_info("(exit code %d, %.1f s)", code, clock_monotonic() - started);
	return 0;
}

static int run_commands(const struct cli *cli, struct cli_machine *machine, struct vm *vm,
			const struct strv *commands, struct err *err)
{
	struct vm_ready ready = {
		.kvm = machine->options.kvm,
		.swarm = cli_machine_is_swarm(machine),
		.reached = on_reached,
		.context = machine,
	};
	unsigned failed = 0;

	if (vm_ready_wait(vm, &ready, err) < 0)
		return -1;
	for (size_t i = 0; i < commands->count; i++)
		if (run_command(cli, vm, commands->items[i], &failed, err) < 0)
			return -1;
	if (vm_power_off(vm, OFF_SECONDS, err) < 0)
		return -1;
	on_reached("off", vm_uptime(vm), machine);
	return failed ? err_set(err, ERR_TEST, "%u of %zu commands failed in the guest", failed,
				commands->count)
		      : 0;
}

static int wait_on_terminal(struct vm *vm, struct err *err)
{
	struct termios before;
	bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
	int r = vm_wait_end(vm, FOREVER, err);

	/* QEMU puts the terminal back itself, but not when it is killed. */
	if (terminal && tcsetattr(STDIN_FILENO, TCSANOW, &before) < 0 && r >= 0)
		return err_set(err, ERR_OTHER, "cannot put the terminal back");
	return r < 0 ? -1 : 0;
}

static int check_usage(const struct cli_args *args, bool headless, struct err *err)
{
	if (!headless && (cli_has(args, "console") || cli_has(args, "run")))
		return err_set(err, ERR_USAGE, "'--console' and '--run' need '--headless'");
	return 0;
}

static int run(const struct cli *cli, const struct cli_args *args, struct err *err)
{
	CLEANUP(cli_machine_free) struct cli_machine machine = {0};
	CLEANUP(strv_free) struct strv forwards = {0}, commands = {0};
	CLEANUP(vm_cleanup) struct vm *vm = NULL;
	bool headless = cli_has(args, "headless");

	if (check_usage(args, headless, err) < 0 ||
	    cli_machine_open(cli, args, args->operands[0], &machine, err) < 0)
		return -1;
	cli_get_all(args, "forward", &forwards);
	cli_get_all(args, "run", &commands);
	machine.options.forwards = (const char *const *)forwards.items;
	machine.options.keep = cli_get(args, "keep");
	machine.options.console = cli_get(args, "console");
	machine.options.terminal = !headless;
	machine.options.shell = commands.count > 0;
	if (!headless)
		log_info("%s: Ctrl-A X ends the machine, Ctrl-A H shows more", machine.name);
	vm = vm_start(&machine.tools, &machine.options, err);
	if (!vm)
		return -1;
	if (!headless)
		return wait_on_terminal(vm, err);
	on_reached("on", vm_uptime(vm), &machine);
	if (commands.count)
		return run_commands(cli, &machine, vm, &commands, err);
	log_info("%s: runs until it switches itself off, or until you press Ctrl-C", machine.name);
	if (vm_wait_end(vm, FOREVER, err) < 0)
		return -1;
	on_reached("off", vm_uptime(vm), &machine);
	return 0;
}

const struct cli_verb cli_boot = {
	.name = "boot",
	.operands = "IMAGE|PROFILE",
	.summary = "run an image in a virtual machine",
	.details =
		"The image file stays as it is: the machine writes to an overlay that is dropped at\n"
		"the end. A PROFILE is built first when its image is not up to date. Needs QEMU and\n"
		"UEFI firmware (package ovmf); KVM is used when a trial shows that it works.",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = run,
};
