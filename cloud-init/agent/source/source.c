/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of metadata sources, and the loop around the one that this machine has: retries, and what the last boot
 * kept when nobody answers.
 */
#include "agent/source/source_parts.h"

#include "agent/report.h"

#include "base/clock.h"
#include "base/mem.h"

#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_FIRST 0.25 /* seconds; doubles */
#define PAUSE_MOST 2.0
#define SETTLE_SECONDS 5.0 /* for devices that udev still looks at */
#define SETTLE_PAUSE 0.02
#define REPORT_PAUSE 1.0
#define UDEV_QUEUE "/run/udev/queue" /* there while udev has work; udevadm settle waits for it */

/* What belongs to this machine alone comes first, then what was put into it, then what its platform serves. */
const struct source sources[] = {
	{"credentials", false, source_credentials_detect, source_credentials_fetch, NULL, false},
	{"nocloud", false, source_nocloud_detect, source_nocloud_fetch, NULL, false},
	{"nocloud-net", true, source_nocloud_net_detect, source_nocloud_net_fetch, NULL, false},
	{"configdrive", false, source_configdrive_detect, source_configdrive_fetch, NULL, false},
	{"azure", true, source_azure_detect, source_azure_fetch, source_azure_report, false},
	{"ec2", true, source_ec2_detect, source_ec2_fetch, NULL, false},
	{"gce", true, source_gce_detect, source_gce_fetch, source_gce_report, false},
	{"openstack", true, source_openstack_detect, source_openstack_fetch, NULL, true},
	{0},
};

const struct source *source_find(const char *name)
{
	for (const struct source *s = sources; s->name; s++)
		if (strcmp(s->name, name) == 0)
			return s;
	return NULL;
}

const struct source *source_detect(const struct agent *agent)
{
	CLEANUP(source_option_free) struct source_option option = {0};

	if (source_option_find(agent, &option)) {
		const struct source *named = source_find(option.name);

		if (strcmp(option.name, "none") == 0)
			return NULL;
		/* The two rows of NoCloud share the option: what is in it tells them apart. */
		if (named && !str_has_prefix(option.name, "nocloud"))
			return named;
	}
	for (const struct source *s = sources; s->name; s++)
		if (s->detect(agent))
			return s;
	return NULL;
}

static void pause_for(double seconds)
{
	struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

	nanosleep(&t, NULL);
}

/* Early in the boot the seed's device may be there and its label not yet. */
static const struct source *detect_settled(const struct agent *agent)
{
	CLEANUP_FREE char *queue = agent_path(agent, UDEV_QUEUE);
	double deadline = clock_monotonic() + SETTLE_SECONDS;
	const struct source *source;

	for (;;) {
		source = source_detect(agent);
		if ((source && !source->media) || access(queue, F_OK) < 0 ||
		    clock_monotonic() >= deadline)
			break;
		pause_for(SETTLE_PAUSE);
	}
	/* The last event may have come between the two questions. */
	return source && !source->media ? source : source_detect(agent);
}

/* What tells two machines apart that started with copies of one disk. */
static char *machine_numbers(const struct agent *agent)
{
	static const char *const fields[] = {"product_uuid", "product_serial", "board_serial"};
	CLEANUP(str_free) struct str text = {0};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		CLEANUP_FREE char *value = source_dmi(agent, fields[i]);

		if (i)
			str_add(&text, "|");
		if (value)
			str_add_utf8(&text, value, strlen(value));
	}
	return str_steal(&text);
}

/* One loading of the instance. */
struct load {
	const struct agent *agent;
	const struct source *source; /* or NULL */
	struct report report;
	struct instance kept; /* of an earlier boot, when has_kept */
	bool has_kept;
	char *machine;
};

static void load_free(struct load *load)
{
	instance_free(&load->kept);
	free(load->machine);
}

/* Damage of what was kept must not keep the machine from what its source says. */
static void load_kept(struct load *load)
{
	struct err err = {0};

	if (instance_load(load->agent, &load->kept, &load->has_kept, &err) < 0) {
		report_log(&load->report, LOG_WARNING, "SOURCE", &err,
			   "the instance of the last boot is of no use");
		load->has_kept = false;
	}
}

/* May this boot go on with what an earlier one fetched? */
static bool kept_is_good(const struct load *load)
{
	const struct instance *kept = &load->kept;

	if (!load->has_kept || !kept->machine || strcmp(kept->machine, load->machine) != 0)
		return false;
	return !load->source || strcmp(load->source->name, kept->source) == 0;
}

/* A disk that is full or broken is no reason not to be what the source says. */
static void save(const struct load *load, const struct instance *instance)
{
	struct err err = {0};

	if (instance_save(load->agent, instance, &err) < 0)
		report_log(&load->report, LOG_WARNING, "SOURCE", &err,
			   "the next boot will not know what this machine is");
}

static int finish(struct load *load, struct instance *ret, bool *ret_found)
{
	bool same = load->has_kept && strcmp(load->kept.id, ret->id) == 0;

	/* A second call in the first boot is still in the first boot. */
	ret->first_boot = !same || load->kept.first_boot;
	*ret_found = true;
	save(load, ret);
	return 0;
}

static int use_kept(struct load *load, struct instance *ret, bool *ret_found)
{
	*ret = load->kept;
	load->kept = (struct instance){0};
	ret->cached = true;
	*ret_found = true;
	save(load, ret);
	return 0;
}

/* One try. A source that gives no id has a defect, or its server has. */
static int fetch(const struct load *load, struct instance *ret, struct err *err)
{
	char text[sizeof(err->msg)];

	instance_free(ret);
	err_clear(err);
	if (load->source->fetch(load->agent, ret, err) < 0) {
		/* Names of the other side may be in it. */
		memcpy(text, err->msg, sizeof(text));
		agent_copy_text(err->msg, sizeof(err->msg), text);
		return -1;
	}
	if (!ret->id)
		return err_set(err, ERR_OTHER, "it gives no instance-id");
	ret->source = mem_strdup(load->source->name);
	ret->machine = mem_strdup(load->machine);
	return 0;
}

static int fetch_until(const struct load *load, double timeout, struct instance *ret,
		       struct err *err)
{
	double deadline = clock_monotonic() + timeout, pause = PAUSE_FIRST;
	bool said = false;

	while (fetch(load, ret, err) < 0) {
		instance_free(ret);
		if (err->code != ERR_NETWORK || clock_monotonic() + pause > deadline)
			return -1;
		if (!said)
			report_log(&load->report, LOG_INFO, "SOURCE", err,
				   "the source '%s' does not answer yet", load->source->name);
		said = true;
		pause_for(pause);
		pause = 2 * pause < PAUSE_MOST ? 2 * pause : PAUSE_MOST;
	}
	return 0;
}

int source_load(const struct agent *agent, bool local_only, double timeout, struct instance *ret,
		bool *ret_found, struct err *err)
{
	CLEANUP(load_free)
	struct load load = {.agent = agent, .report = {.kind = agent->kind, .role = agent->role}};
	struct err cause = {0};

	*ret = (struct instance){0};
	*ret_found = false;
	load.source = detect_settled(agent);
	load.machine = machine_numbers(agent);
	load_kept(&load);
	if (!load.source || (local_only && load.source->network))
		return kept_is_good(&load) ? use_kept(&load, ret, ret_found) : 0;
	if (fetch_until(&load, timeout, ret, &cause) == 0)
		return finish(&load, ret, ret_found);
	if (kept_is_good(&load)) {
		report_log(&load.report, LOG_WARNING, "SOURCE", &cause,
			   "going on with what the source '%s' said at an earlier boot",
			   load.source->name);
		return use_kept(&load, ret, ret_found);
	}
	if (err)
		*err = cause;
	return err_wrap(err, "cannot read the metadata of the source '%s'", load.source->name);
}

int source_report(const struct agent *agent, const struct instance *instance, const char *failure,
		  double timeout, struct err *err)
{
	const struct source *source =
		instance && instance->source ? source_find(instance->source) : source_detect(agent);
	double deadline = clock_monotonic() + timeout;

	if (!source || !source->report)
		return 0;
	while (source->report(agent, instance, failure, err) < 0) {
		if (clock_monotonic() + REPORT_PAUSE > deadline)
			return -1;
		err_clear(err);
		pause_for(REPORT_PAUSE);
	}
	return 0;
}
