/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The test shell: a small loop that systemd in the guest starts because of two credentials, so nothing
 * of it is in the image. It talks over a virtio-serial port, one line per command and per answer:
 *     host:  ID SECONDS BASE64(command)        guest:  ID EXITCODE BASE64(output)
 */
#include "vm/machine.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#define HELLO "ingot-test-shell "
#define COMMAND_MAX 65536
/* The guest kills a command after its time; what the host waits longer is for a slow machine. */
#define ANSWER_GRACE 60
#define ID_SIZE 33

static const char shell_script[] =
	"port=/dev/virtio-ports/ingot.test dir=/run/ingot-test\n"
	"until [ -e $port ]; do sleep 0.2; done\n"
	"exec 3<>$port || exit 1\n"
	"umask 077; mkdir -p $dir\n"
	"read -r boot </proc/sys/kernel/random/boot_id\n"
	"echo \"" HELLO "$boot\" >&3\n"
	"while read -r id limit command <&3; do\n"
	"    [ -n \"$command\" ] || continue\n"
	"    echo \"$command\" | base64 -d >$dir/command\n"
	"    timeout -k 5 \"$limit\" /bin/sh $dir/command </dev/null >$dir/output 2>&1 3>&-\n"
	"    code=$?\n"
	"    echo \"$id $code $(head -c 65536 $dir/output | base64 -w 0)\" >&3\n"
	"done\n";

/* It starts early, so that a boot that gets stuck can be looked into, and never in the initrd: coming
 * up means that the verified root came up. */
static const char shell_unit[] =
	"[Unit]\n"
	"Description=Test shell of ingot on a virtio port\n"
	"DefaultDependencies=no\n"
	"ConditionPathExists=!/etc/initrd-release\n"
	"After=local-fs.target\n"
	"Conflicts=shutdown.target\n"
	"Before=shutdown.target\n"
	"[Service]\n"
	"Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root\n"
	"ExecStart=/bin/sh /run/credentials/@system/ingot.test-shell\n"
	"Restart=always\n"
	"RestartSec=1\n";

static const struct vm_credential credentials[] = {
	{"ingot.test-shell", shell_script},
	{"systemd.extra-unit.ingot-test.service", shell_unit},
	{"systemd.unit-dropin.sysinit.target", "[Unit]\nWants=ingot-test.service\n"},
};

const struct vm_credential *vm_guest_credentials(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(credentials);
	return credentials;
}

bool vm_guest_parse_answer(const char *line, const char *id, struct vm_answer *ret)
{
	size_t len = strlen(id);
	int end = 0;

	if (strncmp(line, id, len) != 0 || line[len] != ' ' ||
	    sscanf(line + len, " %3d %n", &ret->exit, &end) != 1 || end == 0 || ret->exit < 0)
		return false;
	ret->output = line + len + (size_t)end;
	ret->output_len = strcspn(ret->output, "\r");
	return true;
}

const char *vm_guest_boot_id(const struct vm *vm)
{
	return vm->boot_id;
}

/* Looks at the lines that have arrived. With an id stops at its answer: returns that line, which the
 * caller frees. Answers to earlier commands are dropped. */
static char *take_lines(struct vm *vm, const char *id)
{
	struct vm_answer answer;
	char *line;

	while ((line = vm_take_line(&vm->shell_in))) {
		if (str_has_prefix(line, HELLO)) {
			snprintf(vm->boot_id, sizeof(vm->boot_id), "%.63s", line + strlen(HELLO));
			vm->hellos++;
		} else if (id && vm_guest_parse_answer(line, id, &answer)) {
			return line;
		}
		free(line);
	}
	return NULL;
}

/* Waits for the next thing to happen. ERR_TEST when the machine ended or the time is over. */
static int wait_more(struct vm *vm, double until, const char *what, struct err *err)
{
	double left = until - clock_monotonic();
	int r;

	if (left <= 0) {
		err_set(err, ERR_TEST, "%s in time", what);
		return vm_console_explain(vm, err);
	}
	r = vm_pump(vm, left, err);
	if (r < 0)
		return vm_console_explain(vm, err);
	if (r == 1 && vm_pid(vm) == 0) {
		err_set(err, ERR_TEST, "%s: it switched off", what);
		return vm_console_explain(vm, err);
	}
	return 0;
}

bool vm_guest_is_new(struct vm *vm)
{
	bool news;

	free(take_lines(vm, NULL));
	news = vm->hellos > vm->hellos_seen;
	vm->hellos_seen = vm->hellos;
	return news;
}

int vm_guest_wait(struct vm *vm, double seconds, struct err *err)
{
	double until = clock_monotonic() + seconds;

	for (;;) {
		if (vm_guest_is_new(vm))
			return 0;
		if (wait_more(vm, until, "the guest's test shell did not answer", err) < 0)
			return -1;
	}
}

static int random_id(char id[ID_SIZE], struct err *err)
{
	unsigned char bytes[(ID_SIZE - 1) / 2];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return err_sys(err, errno, "cannot get random bytes");
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(id + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

static int send_command(struct vm *vm, const char *id, const char *command, unsigned seconds,
			struct err *err)
{
	CLEANUP(str_free) struct str line = {0};

	if (strlen(command) > COMMAND_MAX)
		return err_set(err, ERR_USAGE, "a command for the guest is too long");
	str_addf(&line, "%s %u ", id, seconds);
	base64_add(command, strlen(command), &line);
	str_add(&line, "\n");
	for (size_t done = 0; done < line.len;) {
		ssize_t n = vm->shell < 0 ? -1
					  : send(vm->shell, line.data + done, line.len - done,
						 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && vm->shell >= 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_set(err, ERR_TEST, "cannot reach the guest's test shell");
			return vm_console_explain(vm, err);
		}
		done += (size_t)n;
	}
	return 0;
}

int vm_guest_run(struct vm *vm, const char *command, unsigned seconds, int *ret_exit,
		 struct str *output, struct err *err)
{
	double until = clock_monotonic() + seconds + ANSWER_GRACE;
	unsigned hellos = vm->hellos;
	char id[ID_SIZE];
	char *line;

	if (random_id(id, err) < 0 || send_command(vm, id, command, seconds, err) < 0)
		return -1;
	while (!(line = take_lines(vm, id))) {
		if (vm->hellos != hellos)
			return err_set(
				err, ERR_TEST,
				"the guest rebooted or its test shell ended while it ran '%.60s'",
				command);
		if (wait_more(vm, until, "the guest did not answer to a command", err) < 0)
			return -1;
	}
	CLEANUP_FREE char *owned = line;
	struct vm_answer answer;

	if (!vm_guest_parse_answer(owned, id, &answer) ||
	    (output && base64_decode(answer.output, answer.output_len, output) < 0))
		return err_set(err, ERR_TEST, "the guest's answer makes no sense: %.80s", owned);
	*ret_exit = answer.exit;
	return 0;
}

int vm_guest_reboot(struct vm *vm, double seconds, struct err *err)
{
	char before[sizeof(vm->boot_id)], id[ID_SIZE];
	double until = clock_monotonic() + seconds;

	memcpy(before, vm->boot_id, sizeof(before));
	if (random_id(id, err) < 0 ||
	    send_command(vm, id, "systemctl --no-block reboot", 60, err) < 0)
		return err_wrap(err, "cannot reboot the guest");
	do {
		double left = until - clock_monotonic();

		/* The shell may start again while the old system goes down. */
		if (vm_guest_wait(vm, left > 0 ? left : 0, err) < 0)
			return err_wrap(err, "cannot reboot the guest");
	} while (strcmp(before, vm->boot_id) == 0);
	return 0;
}
