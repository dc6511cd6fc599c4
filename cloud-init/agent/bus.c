/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd's D-Bus interface by sd-bus.
 */
#include "agent/bus.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define SYSTEMD "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER SYSTEMD ".Manager"
#define TIMEOUT_US 5000000ull
#define NAMES_MAX 10000

bool bus_has_systemd(const struct agent *agent)
{
	CLEANUP_FREE char *path = agent_path(agent, "/run/systemd/system");
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int fail(int r, const sd_bus_error *cause, const char *what, struct err *err)
{
	if (cause && cause->message)
		return err_set(err, ERR_OTHER, "cannot %s: %.300s", what, cause->message);
	return err_sys(err, -r, "cannot %s", what);
}

static int connect_to(const char *path, bool is_bus, sd_bus **ret)
{
	CLEANUP_FREE char *address = mem_printf("unix:path=%s", path);
	sd_bus *bus = NULL;
	int r = sd_bus_new(&bus);

	if (r >= 0)
		r = sd_bus_set_address(bus, address);
	if (r >= 0)
		r = sd_bus_set_bus_client(bus, is_bus);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r >= 0)
		r = sd_bus_set_method_call_timeout(bus, TIMEOUT_US);
	if (r < 0)
		bus = sd_bus_flush_close_unref(bus);
	*ret = bus;
	return r;
}

int bus_open(const struct agent *agent, sd_bus **ret, struct err *err)
{
	CLEANUP_FREE char *private = agent_path(agent, "/run/systemd/private");
	CLEANUP_FREE char *shared = agent_path(agent, "/run/dbus/system_bus_socket");
	int r = geteuid() == 0 ? connect_to(private, false, ret) : -EACCES;

	if (r < 0)
		r = connect_to(shared, true, ret);
	return r < 0 ? fail(r, NULL, "reach systemd", err) : 0;
}

void bus_close(sd_bus **bus)
{
	*bus = sd_bus_flush_close_unref(*bus);
}

static int list_failed(sd_bus_message *reply, struct strv *names)
{
	const char *name;
	int r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");

	while (r > 0) {
		r = sd_bus_message_read(reply, "(ssssssouso)", &name, NULL, NULL, NULL, NULL, NULL,
					NULL, NULL, NULL, NULL);
		if (r > 0 && names->count < NAMES_MAX)
			strv_add(names, name);
	}
	return r;
}

int bus_failed_units(sd_bus *bus, struct strv *names, struct err *err)
{
	sd_bus_error cause = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	int r = sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, "ListUnitsFiltered", &cause,
				   &reply, "as", 1, "failed");

	if (r >= 0)
		r = list_failed(reply, names);
	if (r < 0)
		fail(r, &cause, "list failed units", err);
	sd_bus_message_unref(reply);
	sd_bus_error_free(&cause);
	return r < 0 ? -1 : 0;
}

static int list_jobs(sd_bus_message *reply, struct strv *names)
{
	const char *unit, *state;
	int r = sd_bus_message_enter_container(reply, 'a', "(usssoo)");

	while (r > 0) {
		r = sd_bus_message_read(reply, "(usssoo)", NULL, &unit, NULL, &state, NULL, NULL);
		if (r > 0 && strcmp(state, "running") == 0 && names->count < NAMES_MAX)
			strv_add(names, unit);
	}
	return r;
}

int bus_running_jobs(sd_bus *bus, struct strv *names, struct err *err)
{
	sd_bus_error cause = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	int r = sd_bus_call_method(bus, SYSTEMD, MANAGER_PATH, MANAGER, "ListJobs", &cause, &reply,
				   NULL);

	if (r >= 0)
		r = list_jobs(reply, names);
	if (r < 0)
		fail(r, &cause, "list systemd's jobs", err);
	sd_bus_message_unref(reply);
	sd_bus_error_free(&cause);
	return r < 0 ? -1 : 0;
}

int bus_manager_number(sd_bus *bus, const char *property, uint64_t *ret, struct err *err)
{
	sd_bus_error cause = SD_BUS_ERROR_NULL;
	int r = sd_bus_get_property_trivial(bus, SYSTEMD, MANAGER_PATH, MANAGER, property, &cause,
					    't', ret);

	if (r < 0)
		fail(r, &cause, "ask systemd when it started", err);
	sd_bus_error_free(&cause);
	return r < 0 ? -1 : 0;
}

char *bus_unit_state(sd_bus *bus, const char *unit, struct err *err)
{
	sd_bus_error cause = SD_BUS_ERROR_NULL;
	char *path = NULL, *state = NULL, *copy;
	int r = sd_bus_path_encode(MANAGER_PATH "/unit", unit, &path);

	if (r >= 0)
		r = sd_bus_get_property_string(bus, SYSTEMD, path, SYSTEMD ".Unit", "ActiveState",
					       &cause, &state);
	if (r < 0)
		fail(r, &cause, "ask systemd about a unit", err);
	copy = mem_strdup(state);
	free(state);
	free(path);
	sd_bus_error_free(&cause);
	return copy;
}
