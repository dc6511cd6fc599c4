/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The phases of `ingot test`, one function each. Machines run one after the other: emulated ones would
 * only slow each other down.
 */
#include "vm/suite.h"

#include "base/clock.h"
#include "base/mem.h"
#include "vm/checks.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Limits with KVM; an emulated machine on a busy host is more than ten times slower. */
#define BOOT_SECONDS 120
#define COMMAND_SECONDS 60
#define SLOWER 15
#define SLOWER_TEST 5
#define CONSOLE_LOOK ((size_t)1 << 20)

/* Names that are used in more than one place. */
#define BOOT_COMPLETES "boot completes, the role is healthy"
#define VAR_KEEPS "var keeps a file"
#define SAME_IDENTITY "machine-id, host keys and node are the same"
#define OTHER_IDENTITY "machine-id and host keys are others"
#define REFUSED "root is refused"
#define RESTARTS "machine restarts instead of waiting"
#define SWITCHES_OFF "switches off by the power button"

static const char *const reboot_names[] = {BOOT_COMPLETES, VAR_KEEPS, SAME_IDENTITY, NULL};
static const char *const second_names[] = {OTHER_IDENTITY, NULL};
static const char *const damage_names[] = {REFUSED, RESTARTS, NULL};

struct run {
	const struct vm_suite *suite;
	unsigned failed;
	struct vm *vm;
	bool machine_failed;
	struct str identity; /* of the first machine */
};

static unsigned scaled(const struct run *run, unsigned seconds, unsigned factor)
{
	return run->suite->machine->kvm ? seconds : seconds * factor;
}

static unsigned boot_seconds(const struct run *run)
{
	return scaled(run, BOOT_SECONDS, SLOWER);
}

static bool wanted(const struct run *run, const char *prefix, const char *name)
{
	CLEANUP_FREE char *full = mem_printf("%s%s", prefix, name);

	return !run->suite->only || strstr(full, run->suite->only);
}

/* Whether a phase has a check that is wanted: one of its own names, or one of those made again. */
static bool phase_wanted(const struct run *run, const char *prefix, const char *const *names,
			 bool again)
{
	bool any = false;

	for (; *names; names++)
		any |= wanted(run, prefix, *names);
	for (const struct vm_check *check = vm_checks; again && check->name; check++)
		any |= check->again && wanted(run, prefix, check->name);
	return any && !run->suite->quick;
}

static void report(struct run *run, bool passed, const char *prefix, const char *name,
		   const char *why)
{
	CLEANUP_FREE char *full = mem_printf("%s%s", prefix, name);

	/* A failure is told even when it was not asked for: what follows depends on it. */
	if (passed && !wanted(run, prefix, name))
		return;
	if (!passed) {
		run->failed++;
		run->machine_failed = true;
	}
	run->suite->result(passed, full, passed || !why ? "" : why, run->suite->context);
}

__attribute__((format(printf, 2, 3))) static void note(struct run *run, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	run->suite->note(text, run->suite->context);
}

static int start(struct run *run, const struct vm_damage *damage, struct err *err)
{
	struct vm_options options = *run->suite->machine;

	options.shell = true;
	options.isolated = true;
	options.terminal = false;
	options.damage = damage;
	run->machine_failed = false;
	run->vm = vm_start(run->suite->tools, &options, err);
	return run->vm ? 0 : -1;
}

static void finish(struct run *run, const char *machine)
{
	run->suite->finished(run->vm, machine, run->machine_failed, run->suite->context);
	vm_free(MEM_STEAL(run->vm));
}

/* Runs a command; false with a reason when its exit code is not 0 or the guest is gone. */
static bool guest_says_yes(struct run *run, const char *command, unsigned seconds,
			   struct str *output, struct str *why)
{
	CLEANUP(str_free) struct str text = {0};
	struct err err = {0};
	int code = 0;

	if (vm_guest_run(run->vm, command, seconds, &code, &text, &err) < 0) {
		str_add(why, err.msg);
		return false;
	}
	if (code == 0) {
		str_add(output, text.data ? text.data : "");
		return true;
	}
	if (code == 124)
		str_addf(why, "took longer than %u s\n", seconds);
	else
		str_addf(why, "exit code %d\n", code);
	str_add(why, text.data ? text.data : "");
	return false;
}

/* Tries until it passes or its waiting time is over. */
static void run_check(struct run *run, const char *prefix, const struct vm_check *check)
{
	double until = clock_monotonic() + scaled(run, check->wait, SLOWER_TEST);

	for (;;) {
		CLEANUP(str_free) struct str output = {0}, why = {0};
		bool passed = guest_says_yes(
			run, check->run, scaled(run, COMMAND_SECONDS, SLOWER_TEST), &output, &why);
		struct err err = {0};

		if (passed && check->judge)
			passed = check->judge(output.data ? output.data : "", &why);
		if (passed || clock_monotonic() >= until || vm_pid(run->vm) == 0) {
			report(run, passed, prefix, check->name, why.data);
			return;
		}
		/* An error shows in the next try. */
		(void)vm_pump(run->vm, 1, &err);
	}
}

static void run_checks(struct run *run, const char *prefix, bool again)
{
	for (const struct vm_check *check = vm_checks; check->name; check++)
		if ((!check->swarm || run->suite->swarm) && (!again || check->again) &&
		    wanted(run, prefix, check->name))
			run_check(run, prefix, check);
}

static void run_test(struct run *run, const struct vm_test *test)
{
	CLEANUP(str_free) struct str output = {0}, why = {0};
	unsigned seconds = test->seconds ? test->seconds : COMMAND_SECONDS;
	bool passed =
		guest_says_yes(run, test->run, scaled(run, seconds, SLOWER_TEST), &output, &why);

	if (passed && test->expect && !strstr(output.data ? output.data : "", test->expect)) {
		passed = false;
		str_addf(&why, "'%s' is not in its output:\n%s", test->expect,
			 output.data ? output.data : "");
	}
	report(run, passed, "profile: ", test->name, why.data);
}

/* Waits for the shell and for the end of the boot. False when there is no use in going on. */
static bool come_up(struct run *run, const char *prefix)
{
	CLEANUP(str_free) struct str output = {0}, why = {0};
	struct err err = {0};
	bool passed;

	if (vm_guest_wait(run->vm, boot_seconds(run), &err) < 0) {
		report(run, false, prefix, "boots to a shell", err.msg);
		return false;
	}
	note(run, "%sshell after %.1f s", prefix, vm_uptime(run->vm));
	passed = guest_says_yes(run, vm_check_boot_complete, boot_seconds(run), &output, &why);
	report(run, passed, prefix, BOOT_COMPLETES, why.data);
	note(run, "%sboot complete after %.1f s", prefix, vm_uptime(run->vm));
	return vm_pid(run->vm) != 0;
}

static void note_times(struct run *run)
{
	CLEANUP(str_free) struct str output = {0}, why = {0};
	char *save = NULL;

	if (!guest_says_yes(run, "systemd-analyze time | head -n 1", 60, &output, &why))
		return;
	for (char *line = strtok_r(output.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		note(run, "%s", line);
}

static void phase_reboot(struct run *run)
{
	static const char prefix[] = "reboot: ";
	CLEANUP(str_free) struct str after = {0}, why = {0}, output = {0};
	struct err err = {0};
	double started = clock_monotonic();
	bool passed;

	if (!guest_says_yes(run, "echo kept >/var/lib/ingot-test && sync", 120, &output, &why)) {
		report(run, false, prefix, VAR_KEEPS, why.data);
		return;
	}
	if (vm_guest_reboot(run->vm, boot_seconds(run), &err) < 0) {
		report(run, false, prefix, "comes up again", err.msg);
		return;
	}
	note(run, "%sshell after %.1f s", prefix, clock_monotonic() - started);
	passed = guest_says_yes(run, vm_check_boot_complete, boot_seconds(run), &output, &why);
	report(run, passed, prefix, BOOT_COMPLETES, why.data);
	note(run, "%sboot complete after %.1f s", prefix, clock_monotonic() - started);
	run_checks(run, prefix, true);
	str_free(&why);
	passed = guest_says_yes(run, "grep -qx kept /var/lib/ingot-test", 60, &output, &why);
	report(run, passed, prefix, VAR_KEEPS, why.data);
	str_free(&why);
	passed = guest_says_yes(run, vm_check_identity, 120, &after, &why) &&
		 vm_check_identities(run->identity.data ? run->identity.data : "",
				     after.data ? after.data : "", true, &why);
	report(run, passed, prefix, SAME_IDENTITY, why.data);
}

static int phase_first(struct run *run, struct err *err)
{
	CLEANUP(str_free) struct str why = {0};

	if (start(run, NULL, err) < 0)
		return -1;
	if (!come_up(run, "")) {
		finish(run, "boot");
		return 0;
	}
	note_times(run);
	run_checks(run, "", false);
	for (size_t i = 0; i < run->suite->test_count; i++)
		if (wanted(run, "profile: ", run->suite->tests[i].name))
			run_test(run, &run->suite->tests[i]);
	if (!guest_says_yes(run, vm_check_identity, 120, &run->identity, &why))
		report(run, false, "", "tells who it is", why.data);
	if (phase_wanted(run, "reboot: ", reboot_names, true))
		phase_reboot(run);
	if (vm_pid(run->vm) != 0 && wanted(run, "", SWITCHES_OFF)) {
		struct err off = {0};
		double started = clock_monotonic();
		bool passed = vm_power_off(run->vm, boot_seconds(run), &off) == 0;

		report(run, passed, "", SWITCHES_OFF, off.msg);
		note(run, "switched off in %.1f s", clock_monotonic() - started);
	}
	finish(run, "boot");
	return 0;
}

/* Another machine from the same image: stopped as soon as it has its own identity. */
static int phase_second(struct run *run, struct err *err)
{
	static const char prefix[] = "second machine: ";
	static const char until_keys[] =
		"[ ! -x /usr/sbin/sshd ] || until [ -s \"$(/usr/sbin/sshd -T 2>/dev/null | "
		"sed -n 's/^hostkey //p' | tail -n 1).pub\" ]; do sleep 1; done";
	CLEANUP(str_free) struct str first = {0}, second = {0}, why = {0}, output = {0};
	struct err guest_err = {0};
	bool passed;

	if (start(run, NULL, err) < 0)
		return -1;
	if (vm_guest_wait(run->vm, boot_seconds(run), &guest_err) < 0) {
		report(run, false, prefix, "boots to a shell", guest_err.msg);
		finish(run, "second");
		return 0;
	}
	note(run, "%sshell after %.1f s", prefix, vm_uptime(run->vm));
	for (const char *line = run->identity.data; line && *line;) {
		size_t len = strcspn(line, "\n");

		if (strncmp(line, "swarm-", 6) != 0)
			str_addf(&first, "%.*s\n", (int)len, line);
		line += len + (line[len] == '\n');
	}
	passed = guest_says_yes(run, until_keys, boot_seconds(run), &output, &why) &&
		 guest_says_yes(run, vm_check_identity, 120, &second, &why) &&
		 vm_check_identities(first.data ? first.data : "", second.data ? second.data : "",
				     false, &why);
	report(run, passed, prefix, OTHER_IDENTITY, why.data);
	finish(run, "second");
	return 0;
}

/* Whether the kernel said that verification failed. */
static bool corruption_seen(const struct vm *vm)
{
	CLEANUP(str_free) struct str text = {0};

	vm_console(vm, CONSOLE_LOOK, &text);
	for (const char *at = text.data; at && (at = strstr(at, "device-mapper: verity")); at++) {
		CLEANUP_FREE char *line = mem_strndup(at, strcspn(at, "\r\n"));

		if (strstr(line, "corrupted"))
			return true;
	}
	return false;
}

static int phase_damage(struct run *run, struct err *err)
{
	static const char prefix[] = "flipped bit: ";
	struct err guest_err = {0};
	double until = clock_monotonic() + boot_seconds(run);
	unsigned resets = 0;
	bool seen = false, restarted = false, came_up = false;

	if (start(run, run->suite->damage, err) < 0)
		return -1;
	while (!restarted && !came_up && clock_monotonic() < until && vm_pid(run->vm) != 0) {
		if (!seen && corruption_seen(run->vm)) {
			seen = true;
			resets = vm_resets(run->vm);
			note(run, "%srefused after %.1f s", prefix, vm_uptime(run->vm));
			until = clock_monotonic() + scaled(run, 30, 4);
		}
		restarted = seen && vm_resets(run->vm) > resets;
		came_up = vm_guest_wait(run->vm, 1, &guest_err) == 0;
	}
	report(run, seen && !came_up, prefix, REFUSED,
	       came_up ? "it came up" : "the kernel did not report it in time");
	report(run, restarted && !came_up, prefix, RESTARTS,
	       came_up ? "it came up" : "no restart was seen");
	finish(run, "damage");
	return 0;
}

int vm_suite_run(const struct vm_suite *suite, unsigned *ret_failed, struct err *err)
{
	struct run run = {.suite = suite};
	double started = clock_monotonic();
	bool second = phase_wanted(&run, "second machine: ", second_names, false);
	bool damage = suite->damage && phase_wanted(&run, "flipped bit: ", damage_names, false);
	/* The second machine is compared with the first one. */
	bool first = second || !damage || !suite->only;
	int r = 0;

	if (first)
		r = phase_first(&run, err);
	if (r == 0 && second)
		r = phase_second(&run, err);
	if (r == 0 && damage)
		r = phase_damage(&run, err);
	note(&run, "all machines: %.1f s", clock_monotonic() - started);
	str_free(&run.identity);
	*ret_failed = run.failed;
	return r;
}
