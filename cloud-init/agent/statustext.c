/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status as text: one line per answer, the most asked first.
 */
#include "agent/status.h"

#include <stdarg.h>
#include <string.h>

__attribute__((format(printf, 3, 4))) static void line(FILE *out, const char *name, const char *fmt,
						       ...)
{
	va_list ap;

	fprintf(out, "%-10s ", name);
	va_start(ap, fmt);
	vfprintf(out, fmt, ap);
	va_end(ap);
	fputc('\n', out);
}

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_member_string(object, key);

	return value ? value : "unknown";
}

static void print_slot(const json_t *status, FILE *out)
{
	if (json_member_string(status, "slot"))
		line(out, "slot", "%s (%s, %s)", text(status, "slot"), text(status, "device"),
		     text(status, "label"));
	line(out, "root hash", "%s", text(status, "root_hash"));
}

static void print_boot(const json_t *boot, FILE *out)
{
	const char *good = "good before this boot, or not counted";

	if (json_is_true(json_object_get(boot, "counted")))
		good = json_is_true(json_object_get(boot, "marked_good")) ? "marked good"
									  : "not marked good yet";
	line(out, "boot", "up %.0f s, %s, %s", json_number_value(json_object_get(boot, "uptime")),
	     text(boot, "entry"), good);
	if (json_object_get(boot, "tries_left") &&
	    !json_is_true(json_object_get(boot, "marked_good")))
		line(out, "tries left", "%lld",
		     (long long)json_integer_value(json_object_get(boot, "tries_left")));
	line(out, "firewall", "%s", text(boot, "firewall"));
}

static void print_join(const json_t *status, FILE *out)
{
	const json_t *join = json_object_get(status, "join");
	const char *error = json_member_string(join, "last_error");
	const char *waits = json_member_string(join, "waits_for");

	if (strcmp(text(status, "kind"), "none") == 0)
		line(out, "join", "nothing to join");
	else if (json_is_true(json_object_get(join, "joined")))
		line(out, "join", "joined %s, node %s, address %s", text(join, "cluster_id"),
		     text(join, "node_id"), text(join, "address"));
	else
		line(out, "join", "not joined, step %s", text(join, "step"));
	if (waits)
		line(out, "waits", "%s", waits);
	if (error)
		line(out, "last error", "%s", error);
}

static void print_engine(const json_t *engine, FILE *out)
{
	if (!json_member_string(engine, "version"))
		return;
	line(out, "engine", "%s, API %s, swarm %s", text(engine, "version"), text(engine, "api"),
	     text(engine, "swarm"));
	if (json_object_get(engine, "nodes"))
		line(out, "swarm", "%s, %lld nodes, %lld managers",
		     json_is_true(json_object_get(engine, "manager")) ? "manager" : "worker",
		     (long long)json_integer_value(json_object_get(engine, "nodes")),
		     (long long)json_integer_value(json_object_get(engine, "managers")));
}

static void print_health(const json_t *health, FILE *out)
{
	const char *why = json_member_string(health, "why");

	if (json_member_string(health, "now"))
		line(out, "health", "%s%s%s", text(health, "now"), why ? ": " : "", why ? why : "");
	else
		line(out, "health", "last check: %s",
		     text(json_object_get(health, "last_check"), "verdict"));
}

static void print_tuning(const json_t *tuning, FILE *out)
{
	const json_t *settings = json_object_get(tuning, "settings"), *row;
	size_t i, set = 0, kept = 0, profile = 0;

	if (!tuning)
		return;
	json_array_foreach(settings, i, row)
	{
		set += strcmp(text(row, "state"), "set") == 0;
		kept += strcmp(text(row, "state"), "kept") == 0;
		profile += strcmp(text(row, "state"), "profile") == 0;
	}
	line(out, "tuning", "%zu set, %zu were right, %zu left to the profile", set, kept, profile);
	json_array_foreach(settings, i, row)
	{
		const char *state = text(row, "state");

		if (strcmp(state, "absent") == 0 || strcmp(state, "failed") == 0)
			line(out, "", "%s %s: %s", text(row, "key"), state, text(row, "detail"));
	}
}

static void print_notes(const json_t *list, const char *what, FILE *out)
{
	const json_t *note;
	size_t i;

	json_array_foreach(list, i, note) line(out, "", "%s %s", what, json_string_value(note));
}

/* A line per engine, then what is not as it should be. */
static void print_containers(const json_t *containers, FILE *out)
{
	json_t *engines = json_object_get(containers, "engines"), *engine;
	const char *name;

	if (json_member_string(containers, "error"))
		line(out, "containers", "%s", text(containers, "error"));
	json_object_foreach(engines, name, engine)
	{
		const json_t *missing = json_object_get(engine, "missing");
		const json_t *kept = json_object_get(engine, "kept");
		bool loads = json_is_true(json_object_get(engine, "fallback"));

		line(out, "containers",
		     "%s: %lld images, %zu missing, %zu kept of earlier systems%s", name,
		     (long long)json_integer_value(json_object_get(engine, "images")),
		     json_array_size(missing), json_array_size(kept),
		     loads ? ", to be loaded" : "");
		if (json_member_string(engine, "error"))
			line(out, "", "%s", text(engine, "error"));
		if (loads)
			line(out, "", "not in its store: %s", text(engine, "why"));
		print_notes(missing, "missing", out);
		print_notes(kept, "kept", out);
	}
}

/* Who this machine is, then what is wrong with its user-data and which of its commands failed. */
static void print_provision(const json_t *provision, FILE *out)
{
	const json_t *scripts = json_object_get(provision, "scripts"), *script;
	size_t i;

	if (!provision)
		return;
	line(out, "hostname", "%s", text(provision, "hostname"));
	line(out, "source", "%s, instance %s%s%s%s", text(provision, "source"),
	     text(provision, "instance"),
	     json_is_true(json_object_get(provision, "first_boot")) ? ", first boot" : "",
	     json_is_true(json_object_get(provision, "cached")) ? ", as kept from an earlier boot"
								: "",
	     json_is_true(json_object_get(provision, "pending")) ? ", not all of it is known yet"
								 : "");
	if (json_is_true(json_object_get(provision, "upstream_cloud_init")))
		line(out, "", "cloud-init does all but the key 'ingot'");
	if (json_member_string(provision, "failure"))
		line(out, "", "%s", text(provision, "failure"));
	print_notes(json_object_get(provision, "problems"), "problem", out);
	print_notes(json_object_get(provision, "notes"), "note", out);
	json_array_foreach(scripts, i, script)
	{
		json_int_t code = json_integer_value(json_object_get(script, "exit"));

		if (code)
			line(out, "", "%s failed with exit code %lld", text(script, "name"),
			     (long long)code);
	}
}

static void print_units(const json_t *units, FILE *out)
{
	const json_t *unit;
	size_t i;

	if (!units)
		return;
	if (json_array_size(units) == 0)
		line(out, "units", "none failed");
	json_array_foreach(units, i, unit) line(out, "failed", "%s", json_string_value(unit));
}

static void print_marks(const json_t *status, FILE *out)
{
	const json_t *marks = json_object_get(status, "marks"), *at;
	const char *name;

	if (json_object_size(marks) == 0)
		return;
	fprintf(out, "%-10s", "seconds");
	json_object_foreach((json_t *)marks, name, at)
		fprintf(out, " %s %.1f", name, json_number_value(at));
	fputc('\n', out);
}

void status_print(const json_t *status, FILE *out)
{
	const json_t *why;
	const char *part;

	line(out, "image", "%s %s (%s)", text(status, "name"), text(status, "version"),
	     text(status, "architecture"));
	line(out, "role", "%s%s%s", text(status, "kind"),
	     json_member_string(status, "role") ? " " : "",
	     json_member_string(status, "role") ? text(status, "role") : "");
	print_health(json_object_get(status, "health"), out);
	print_join(status, out);
	print_engine(json_object_get(status, "engine"), out);
	print_containers(json_object_get(status, "containers"), out);
	print_provision(json_object_get(status, "provision"), out);
	print_units(json_object_get(status, "failed_units"), out);
	print_slot(status, out);
	print_boot(json_object_get(status, "boot"), out);
	print_tuning(json_object_get(status, "tuning"), out);
	print_marks(status, out);
	json_object_foreach((json_t *)json_object_get(status, "unreadable"), part, why)
		line(out, "unreadable", "%s: %s", part, json_string_value(why));
}
