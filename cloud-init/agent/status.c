/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `ingot-agent status`: gathers one JSON object, every part by a row of a table; what a part could not
 * read goes into "unreadable" and the others go on. The text form is printed from that object.
 */
#include "agent/status.h"

#include "agent/bus.h"
#include "agent/containers/containers.h"
#include "agent/boot/health.h"
#include "agent/join/join.h"
#include "agent/boot/platform.h"
#include "agent/provision/provision.h"
#include "agent/verbs.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int add_boot(const struct agent *agent, json_t *into, struct err *err)
{
	CLEANUP_JSON json_t *record = NULL;
	struct platform_boot boot;
	json_t *value = json_object();

	json_object_set_new(into, "boot", value);
	json_object_set_new(value, "uptime", json_real(agent_uptime(agent)));
	record = agent_read_json(agent, AGENT_RUN "/boot.json", NULL);
	json_set_text(value, "firewall",
		      record ? json_member_string(record, "firewall") : "unknown");
	if (platform_boot(agent, &boot, err) < 0)
		return -1;
	json_set_text(value, "entry", boot.entry);
	json_object_set_new(value, "counted", json_boolean(boot.counted));
	if (boot.counted)
		json_object_set_new(value, "tries_left", json_integer(boot.left));
	return 0;
}

static int add_slot(const struct agent *agent, json_t *into, struct err *err)
{
	struct platform_slot slot;
	int r = platform_slot(agent, &slot, err);
	char letter[2] = {slot.letter, '\0'};

	json_set_text(into, "root_hash", slot.root_hash);
	json_set_text(into, "slot", letter);
	json_set_text(into, "device", slot.device);
	json_set_text(into, "label", slot.label);
	return r;
}

static int add_join(const struct agent *agent, json_t *into, struct err *err)
{
	CLEANUP_JSON json_t *live = NULL;
	struct record record;
	json_t *value = json_object();

	json_object_set_new(into, "join", value);
	if (record_load(agent, &record, err) < 0)
		return -1;
	live = agent_read_json(agent, RECORD_LIVE, NULL);
	json_object_set_new(value, "joined", json_boolean(record.step == RECORD_JOINED));
	json_set_text(value, "step", record_step_name(record.step));
	json_set_text(value, "cluster_id", record.cluster_id);
	json_set_text(value, "node_id", record.node_id);
	json_set_text(value, "address", record.address);
	/* This boot's last error, else the one that was kept. */
	json_set_text(value, "last_error",
		      live && json_member_string(live, "error") ? json_member_string(live, "error")
								: record.error);
	json_set_text(value, "waits_for", live ? json_member_string(live, "waits_for") : NULL);
	return 0;
}

static int add_cluster(const struct agent *agent, json_t *into, struct err *err)
{
	const struct joiner *joiner = join_find(agent->kind);

	return joiner && joiner->describe ? joiner->describe(agent, into, err) : 0;
}

static int add_health(const struct agent *agent, json_t *into, struct err *err)
{
	json_t *value = json_object(),
	       *last = agent_read_json(agent, AGENT_RUN "/health.json", NULL);
	struct health health;

	json_object_set_new(into, "health", value);
	if (last)
		json_object_set_new(value, "last_check", last);
	if (*agent->root == '\0' && geteuid() != 0)
		return err_set(err, ERR_OTHER, "only root may ask the role's software");
	health_probe(agent, false, &health);
	json_set_text(value, "now", health_name(health.verdict));
	json_set_text(value, "why", health.why);
	return 0;
}

static int add_tuning(const struct agent *agent, json_t *into, struct err *err)
{
	json_t *tuning = agent_read_json(agent, AGENT_RUN "/tuning.json", err);

	if (!tuning)
		return -1;
	json_object_set_new(into, "tuning", tuning);
	return 0;
}

/* What the engines got of the containers that the image brings. */
static int add_containers(const struct agent *agent, json_t *into, struct err *err)
{
	CLEANUP_FREE char *list = agent_path(agent, CONTAINERS_LIST);
	CLEANUP_FREE char *file = agent_path(agent, CONTAINERS_LIVE);
	json_t *live;

	if (access(file, F_OK) < 0 && access(list, F_OK) < 0)
		return 0;
	live = agent_read_json(agent, CONTAINERS_LIVE, err);
	if (!live)
		return -1;
	json_object_set_new(into, "containers", live);
	return 0;
}

/* What the metadata source said and what became of it; absent when there is no source. */
static int add_provision(const struct agent *agent, json_t *into, struct err *err)
{
	json_t *summary = provision_summary(agent, err);

	if (!summary)
		return err->code ? -1 : 0;
	json_object_set_new(into, "provision", summary);
	return 0;
}

static int add_units(const struct agent *agent, json_t *into, struct err *err)
{
	CLEANUP(bus_close) struct sd_bus *bus = NULL;
	CLEANUP(strv_free) struct strv failed = {0};
	CLEANUP_FREE char *bless = NULL;
	json_t *list = json_array();
	int r = -1;

	if (!bus_has_systemd(agent))
		err_set(err, ERR_OTHER, "systemd does not run here");
	else if (bus_open(agent, &bus, err) == 0 && bus_failed_units(bus, &failed, err) == 0)
		r = 0;
	for (size_t i = 0; i < failed.count; i++)
		json_array_append_new(list, json_string(failed.items[i]));
	if (r < 0) {
		json_decref(list);
		return -1;
	}
	json_object_set_new(into, "failed_units", list);
	bless = bus_unit_state(bus, "systemd-bless-boot.service", NULL);
	if (bless)
		json_object_set_new(json_object_get(into, "boot"), "marked_good",
				    json_boolean(strcmp(bless, "active") == 0));
	return 0;
}

/* Seconds since the kernel started for what systemd and the agent noted. */
static int add_marks(const struct agent *agent, json_t *into, struct err *err)
{
	static const struct {
		const char *name, *property;
	} rows[] = {
		{"firmware_before_kernel", "FirmwareTimestampMonotonic"},
		{"loader_before_kernel", "LoaderTimestampMonotonic"},
		{"initrd", "InitRDTimestampMonotonic"},
		{"userspace", "UserspaceTimestampMonotonic"},
		{"finished", "FinishTimestampMonotonic"},
	};
	CLEANUP(bus_close) struct sd_bus *bus = NULL;
	json_t *marks = agent_read_json(agent, AGENT_RUN "/marks.json", NULL);

	if (!marks)
		marks = json_object();
	json_object_set_new(into, "marks", marks);
	if (!bus_has_systemd(agent))
		return 0; /* add_units says so */
	if (bus_open(agent, &bus, err) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t us;

		if (bus_manager_number(bus, rows[i].property, &us, err) < 0)
			return -1;
		if (us) /* 0: has not happened, or is not known */
			json_object_set_new(marks, rows[i].name, json_real((double)us / 1e6));
	}
	return 0;
}

static const struct {
	const char *name;
	int (*add)(const struct agent *agent, json_t *into, struct err *err);
} parts[] = {
	{"slot", add_slot},
	{"boot", add_boot},
	{"join", add_join},
	{"cluster", add_cluster},
	{"health", add_health},
	{"tuning", add_tuning},
	{"containers", add_containers},
	{"provision", add_provision},
	{"units", add_units},
	{"marks", add_marks},
};

json_t *status_gather(const struct agent *agent, const struct err *image_err)
{
	json_t *status = json_object(), *unreadable = json_object();

	json_object_set_new(status, "v", json_integer(1));
	json_set_text(status, "name", agent->name);
	json_set_text(status, "version", agent->version);
	json_set_text(status, "architecture", agent->architecture);
	json_set_text(status, "kind", agent->kind);
	json_set_text(status, "role", agent->role);
	json_set_text(status, "agent", INGOT_VERSION);
	if (image_err->code)
		json_set_text(unreadable, "image", image_err->msg);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		struct err err = {0};

		if (parts[i].add(agent, status, &err) < 0)
			json_set_text(unreadable, parts[i].name, err.msg);
	}
	json_object_set_new(status, "unreadable", unreadable);
	return status;
}

int verb_status(const struct verb_options *options, struct err *err)
{
	CLEANUP(agent_close) struct agent agent;
	CLEANUP_JSON json_t *status = NULL;
	struct err image_err = {0};

	(void)agent_open(&agent, options->root, &image_err); /* its error is part of the answer */
	status = status_gather(&agent, &image_err);
	if (options->json)
		json_dumpf(status, stdout, AGENT_JSON);
	else
		status_print(status, stdout);
	if (options->json)
		putchar('\n');
	if (fflush(stdout) != 0 || ferror(stdout))
		return err_sys(err, errno, "cannot write the status");
	return 0;
}
