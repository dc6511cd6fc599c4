/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a virtual machine: QEMU beside us, QMP (docs/interop/qmp-spec of QEMU) for the power button
 * and for what happens, the console in a file.
 */
#include "vm/vm.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/mem.h"
#include "vm/machine.h"
#include "vm/store.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* The guest fills one of these buffers, so they end somewhere. */
#define RECEIVE_MAX ((size_t)256 << 10)

static int qmp_send(struct vm *vm, const char *command, struct err *err)
{
	CLEANUP_FREE char *line = mem_printf("{\"execute\":\"%s\"}\n", command);
	size_t len = strlen(line);

	if (vm->qmp < 0 || send(vm->qmp, line, len, MSG_NOSIGNAL) != (ssize_t)len)
		return err_set(err, ERR_OTHER, "cannot tell QEMU to '%s': the connection is gone",
			       command);
	return 0;
}

static int start_qemu(struct vm *vm, const struct vm_tools *tools, const struct vm_options *options,
		      const struct vm_store *store, int qmp, int shell, struct err *err)
{
	CLEANUP(strv_free) struct strv argv = {0};
	struct vm_files files = {store->disk, store->variables, store->console_writer, qmp, shell};
	int keep[] = {files.disk,
		      files.variables,
		      files.qmp,
		      files.console,
		      files.shell,
		      options->seed > 0 ? options->seed : -1,
		      options->link ? options->link->fd : -1};
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(keep); i++)
		if (keep[i] >= 0)
			keep[count++] = keep[i];
	if (vm_machine_arguments(tools, options, &files, &argv, err) < 0)
		return -1;
	vm->started = clock_monotonic();
	if (vm_child_start(&vm->child, (const char *const *)argv.items, keep, count,
			   options->terminal, err) < 0)
		return -1;
	return qmp_send(vm, "qmp_capabilities", err);
}

struct vm *vm_start(const struct vm_tools *tools, const struct vm_options *options, struct err *err)
{
	CLEANUP(vm_store_close) struct vm_store store = VM_STORE_NONE;
	struct vm *vm = mem_alloc(sizeof(*vm));
	int qmp[2] = {-1, -1}, shell[2] = {-1, -1}, r = 0;

	vm->child = VM_CHILD_NONE;
	vm->console = vm->qmp = vm->shell = -1;
	if (vm_store_open(tools, options, &store, err) < 0) {
		vm_free(vm);
		return NULL;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, qmp) < 0 ||
	    (options->shell && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, shell) < 0))
		r = err_sys(err, errno, "cannot create a socket");
	vm->qmp = qmp[0];
	vm->shell = shell[0];
	vm->console = store.console;
	store.console = -1;
	if (r == 0)
		r = start_qemu(vm, tools, options, &store, qmp[1], shell[1], err);
	fd_close(&qmp[1]);
	fd_close(&shell[1]);
	if (r == 0)
		return vm;
	vm_free(vm);
	err_wrap(err, "cannot boot '%s'", options->image.path);
	return NULL;
}

void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	vm_child_end(&vm->child);
	fd_close(&vm->qmp);
	fd_close(&vm->shell);
	fd_close(&vm->console);
	str_free(&vm->qmp_in);
	str_free(&vm->shell_in);
	free(vm);
}

double vm_uptime(const struct vm *vm)
{
	return clock_monotonic() - vm->started;
}

int vm_pid(const struct vm *vm)
{
	return (int)vm->child.pid;
}

void vm_kill(const struct vm *vm)
{
	/* A pidfd, so never another process; one that has ended needs no signal. */
	if (vm->child.pidfd >= 0)
		pidfd_send_signal(vm->child.pidfd, SIGKILL, NULL, 0);
}

unsigned vm_resets(const struct vm *vm)
{
	return vm->resets;
}

char *vm_take_line(struct str *buffer)
{
	char *end = buffer->len ? memchr(buffer->data, '\n', buffer->len) : NULL;
	size_t len;
	char *line;

	if (!end)
		return NULL;
	len = (size_t)(end - buffer->data);
	line = mem_strndup(buffer->data, len);
	buffer->len -= len + 1;
	memmove(buffer->data, end + 1, buffer->len + 1);
	return line;
}

/* Appends what has arrived; closes the descriptor at its end. */
static int receive(int *fd, struct str *buffer, const char *who, struct err *err)
{
	char bytes[16384];
	ssize_t n = recv(*fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		fd_close(fd);
		return 0;
	}
	if (buffer->len + (size_t)n > RECEIVE_MAX)
		return err_set(err, ERR_TEST, "%s said more than it may", who);
	str_add_bytes(buffer, bytes, (size_t)n);
	return 0;
}

/* Greeting and answers of QMP do not matter here, events do. */
static void take_events(struct vm *vm)
{
	char *line;

	while ((line = vm_take_line(&vm->qmp_in))) {
		CLEANUP_JSON json_t *message = json_parse(line, strlen(line), "QMP", NULL);
		const char *event = message ? json_member_string(message, "event") : NULL;

		if (event && strcmp(event, "RESET") == 0)
			vm->resets++;
		if (event && strcmp(event, "SHUTDOWN") == 0)
			vm->shut_down = true;
		free(line);
	}
}

static int check_end(struct vm *vm, struct err *err)
{
	CLEANUP(str_free) struct str output = {0};

	if (WIFEXITED(vm->child.status) && WEXITSTATUS(vm->child.status) == 0)
		return 1;
	str_add(&output, "");
	vm_child_output(&vm->child, 1500, &output);
	while (output.len && output.data[output.len - 1] == '\n')
		output.data[--output.len] = '\0';
	if (WIFSIGNALED(vm->child.status))
		return err_set(err, ERR_OTHER, "QEMU was killed by signal %d: %s",
			       WTERMSIG(vm->child.status), output.data);
	return err_set(err, ERR_OTHER, "QEMU failed with exit code %d: %s",
		       WEXITSTATUS(vm->child.status), output.data);
}

int vm_pump(struct vm *vm, double seconds, struct err *err)
{
	struct pollfd fds[3] = {
		{vm->qmp, POLLIN, 0}, {vm->shell, POLLIN, 0}, {vm->child.pidfd, POLLIN, 0}};
	int n;

	if (vm->child.pid <= 0)
		return check_end(vm, err);
	n = poll(fds, 3, seconds > 60 ? 60000 : seconds <= 0 ? 0 : (int)(seconds * 1000) + 1);
	if (n < 0 && errno != EINTR)
		return err_sys(err, errno, "cannot wait for QEMU");
	if (n <= 0)
		return 0;
	if (fds[0].revents && receive(&vm->qmp, &vm->qmp_in, "QEMU", err) < 0)
		return -1;
	if (fds[1].revents && receive(&vm->shell, &vm->shell_in, "the guest", err) < 0)
		return -1;
	take_events(vm);
	if (vm_child_wait(&vm->child, 0))
		return check_end(vm, err);
	return 1;
}

int vm_wait_end(struct vm *vm, double seconds, struct err *err)
{
	double until = clock_monotonic() + seconds;

	while (vm->child.pid > 0) {
		double left = until - clock_monotonic();

		if (left <= 0)
			return 0;
		if (vm_pump(vm, left, err) < 0)
			return -1;
	}
	return check_end(vm, err);
}

int vm_power_off(struct vm *vm, double seconds, struct err *err)
{
	int r;

	if (vm->child.pid > 0 && qmp_send(vm, "system_powerdown", err) < 0)
		return -1;
	r = vm_wait_end(vm, seconds, err);
	if (r < 0)
		return -1;
	if (r == 1)
		return 0;
	err_set(err, ERR_TEST, "the guest did not switch off within %.0f s", seconds);
	return vm_console_explain(vm, err);
}
