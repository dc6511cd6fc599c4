/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A systemd for tests: the questions of the agent answered over D-Bus, by sd-bus in a child process, on
 * the private socket and on what looks like the system bus. Its memory is shared with the test.
 */
#ifndef TESTS_FAKE_SYSTEMD_H
#define TESTS_FAKE_SYSTEMD_H

#include "fake/machine.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>

struct fake_systemd {
	const char *failed[4];  /* units, ended by NULL; literals */
	const char *running[4]; /* units with a job that runs */
	const char *blessed;    /* ActiveState of every unit that is asked for */
	uint64_t userspace;     /* UserspaceTimestampMonotonic */
	bool broken;            /* answers every question with an error */
};

static struct fake_systemd *fake_systemd;

static int fake_list_failed(sd_bus_message *m, void *context, sd_bus_error *error)
{
	sd_bus_message *reply = NULL;
	int r = 0;

	(void)context;
	if (fake_systemd->broken)
		return sd_bus_error_set(error, SD_BUS_ERROR_FAILED, "it is broken");
	if (sd_bus_message_new_method_return(m, &reply) < 0 ||
	    sd_bus_message_open_container(reply, 'a', "(ssssssouso)") < 0)
		_exit(1);
	for (size_t i = 0; i < 4 && fake_systemd->failed[i]; i++)
		if (sd_bus_message_append(reply, "(ssssssouso)", fake_systemd->failed[i], "", "",
					  "failed", "", "", "/", 0, "", "/") < 0)
			_exit(1);
	if (sd_bus_message_close_container(reply) < 0)
		_exit(1);
	r = sd_bus_message_send(reply);
	sd_bus_message_unref(reply);
	return r < 0 ? r : 1;
}

static int fake_list_jobs(sd_bus_message *m, void *context, sd_bus_error *error)
{
	sd_bus_message *reply = NULL;
	int r;

	(void)context;
	(void)error;
	if (sd_bus_message_new_method_return(m, &reply) < 0 ||
	    sd_bus_message_open_container(reply, 'a', "(usssoo)") < 0 ||
	    sd_bus_message_append(reply, "(usssoo)", 1, "later.service", "start", "waiting", "/",
				  "/") < 0)
		_exit(1);
	for (size_t i = 0; i < 4 && fake_systemd->running[i]; i++)
		if (sd_bus_message_append(reply, "(usssoo)", 2, fake_systemd->running[i], "start",
					  "running", "/", "/") < 0)
			_exit(1);
	if (sd_bus_message_close_container(reply) < 0)
		_exit(1);
	r = sd_bus_message_send(reply);
	sd_bus_message_unref(reply);
	return r < 0 ? r : 1;
}

static int fake_get_time(sd_bus *bus, const char *path, const char *interface, const char *property,
			 sd_bus_message *reply, void *context, sd_bus_error *error)
{
	(void)bus;
	(void)path;
	(void)interface;
	(void)context;
	(void)error;
	return sd_bus_message_append(reply, "t",
				     strcmp(property, "UserspaceTimestampMonotonic") == 0
					     ? fake_systemd->userspace
					     : (uint64_t)0);
}

static int fake_get_state(sd_bus *bus, const char *path, const char *interface,
			  const char *property, sd_bus_message *reply, void *context,
			  sd_bus_error *error)
{
	(void)bus;
	(void)path;
	(void)interface;
	(void)property;
	(void)context;
	(void)error;
	return sd_bus_message_append(reply, "s", fake_systemd->blessed);
}

static int fake_hello(sd_bus_message *m, void *context, sd_bus_error *error)
{
	(void)context;
	(void)error;
	return sd_bus_reply_method_return(m, "s", ":1.1");
}

static const sd_bus_vtable fake_manager_table[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("ListUnitsFiltered", "as", "a(ssssssouso)", fake_list_failed,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("ListJobs", NULL, "a(usssoo)", fake_list_jobs, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_PROPERTY("FirmwareTimestampMonotonic", "t", fake_get_time, 0, 0),
	SD_BUS_PROPERTY("LoaderTimestampMonotonic", "t", fake_get_time, 0, 0),
	SD_BUS_PROPERTY("InitRDTimestampMonotonic", "t", fake_get_time, 0, 0),
	SD_BUS_PROPERTY("UserspaceTimestampMonotonic", "t", fake_get_time, 0, 0),
	SD_BUS_PROPERTY("FinishTimestampMonotonic", "t", fake_get_time, 0, 0),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable fake_unit_table[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("ActiveState", "s", fake_get_state, 0, 0),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable fake_bus_table[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("Hello", NULL, "s", fake_hello, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

/* Serves one connection until it ends. */
static void fake_systemd_talk(int fd)
{
	sd_bus *bus = NULL;
	sd_id128_t id = {{1}};

	if (sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, fd, fd) < 0 ||
	    sd_bus_set_server(bus, 1, id) < 0 || sd_bus_set_anonymous(bus, 1) < 0 ||
	    sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/systemd1",
				     "org.freedesktop.systemd1.Manager", fake_manager_table,
				     NULL) < 0 ||
	    sd_bus_add_fallback_vtable(bus, NULL, "/org/freedesktop/systemd1/unit",
				       "org.freedesktop.systemd1.Unit", fake_unit_table, NULL,
				       NULL) < 0 ||
	    sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/DBus", "org.freedesktop.DBus",
				     fake_bus_table, NULL) < 0 ||
	    sd_bus_start(bus) < 0)
		_exit(1);
	for (;;) {
		int r = sd_bus_process(bus, NULL);

		if (r < 0 || (r == 0 && sd_bus_wait(bus, UINT64_MAX) < 0))
			break;
	}
	sd_bus_flush_close_unref(bus);
}

static void fake_systemd_serve(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(listener, 16) < 0)
		FAIL("cannot serve '%s': %s", path, strerror(errno));
	pid = fork();
	if (pid < 0)
		FAIL("cannot fork: %s", strerror(errno));
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;)
			fake_systemd_talk(fd);
		_exit(0);
	}
	close(listener);
}

/* Makes this machine one that systemd runs; all is well until the fields say otherwise. */
__attribute__((unused)) static void fake_systemd_start(void)
{
	fake_systemd = mmap(NULL, sizeof(*fake_systemd), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fake_systemd == MAP_FAILED)
		FAIL("cannot map: %s", strerror(errno));
	*fake_systemd = (struct fake_systemd){.blessed = "inactive", .userspace = 3500000};
	fake_machine_file("/run/systemd/system/.keep", "");
	fake_machine_file("/run/dbus/.keep", "");
	fake_systemd_serve(FAKE_ROOT "/run/systemd/private");
	fake_systemd_serve(FAKE_ROOT "/run/dbus/system_bus_socket");
}

#endif
