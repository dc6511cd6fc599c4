/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing locks.
 */
#include "attest/lock.h"

#include "attest/lock_parts.h"
#include "base/clock.h"
#include "base/mem.h"

#include <string.h>

#define DATE_SIZE 24

const char *const lock_row_names[LOCK_ROW_COUNT] = {"name",   "version",   "architecture",
						    "sha256", "size",      "origin",
						    "suite",  "component", "path"};
const char *const lock_suite_names[LOCK_SUITE_COUNT] = {"suite", "date", "inrelease"};
const char *const lock_container_names[LOCK_CONTAINER_COUNT] = {"reference", "digest"};

json_t *lock_rows(const json_t *packages)
{
	json_t *list = json_array(), *package;
	size_t i;

	json_array_foreach(packages, i, package)
	{
		json_t *row = json_object();

		for (size_t k = 0; k < LOCK_ROW_COUNT; k++) {
			json_t *value = json_object_get(package, lock_row_names[k]);

			json_object_set(row, lock_row_names[k], value ? value : json_null());
		}
		json_array_append_new(list, row);
	}
	return list;
}

/* Objects of one line each, their members in the order of names, so that a change is a line. */
static void write_rows(const char *member, const json_t *rows, const char *const *names,
		       size_t count, const char *end, struct str *text)
{
	json_t *row;
	size_t i;

	str_addf(text, "  \"%s\": [", member);
	json_array_foreach(rows, i, row)
	{
		str_add(text, i ? ",\n    {" : "\n    {");
		for (size_t k = 0; k < count; k++) {
			CLEANUP_FREE char *value = json_line(json_object_get(row, names[k]));

			str_addf(text, "%s\"%s\": %s", k ? ", " : "", names[k], value);
		}
		str_add(text, "}");
	}
	str_addf(text, "%s]%s\n", i ? "\n  " : "", end);
}

void lock_text(const struct lock *lock, struct str *text)
{
	CLEANUP_JSON json_t *suites = json_array();
	char date[DATE_SIZE], hex[DIGEST_HEX_SIZE];

	for (size_t i = 0; i < lock->suite_count; i++)
		json_array_append_new(
			suites, json_pack("{s:s, s:s, s:s}", "suite", lock->suites[i].name, "date",
					  clock_format(lock->suites[i].date, date), "inrelease",
					  digest_hex(&lock->suites[i].inrelease, hex)));
	str_addf(text, "{\n  \"lock\": %d,\n  \"profile\": \"%s\",\n", LOCK_SCHEMA, lock->profile);
	str_addf(text,
		 "  \"base\": {\"distribution\": \"%s\", \"release\": \"%s\", "
		 "\"architecture\": \"%s\", \"image\": %s%s%s},\n",
		 lock->distribution, lock->release, lock->architecture, lock->image ? "\"" : "",
		 lock->image ? lock->image : "null", lock->image ? "\"" : "");
	write_rows("repositories", suites, lock_suite_names, LOCK_SUITE_COUNT, ",", text);
	str_add(text, "  \"requested\": [");
	for (size_t i = 0; i < lock->requested.count; i++)
		str_addf(text, "%s\n    \"%s\"", i ? "," : "", lock->requested.items[i]);
	str_addf(text, "%s],\n", lock->requested.count ? "\n  " : "");
	write_rows("packages", lock->packages, lock_row_names, LOCK_ROW_COUNT, ",", text);
	write_rows("build_packages", lock->build_packages, lock_row_names, LOCK_ROW_COUNT, ",",
		   text);
	write_rows("containers", lock->containers, lock_container_names, LOCK_CONTAINER_COUNT, "",
		   text);
	str_add(text, "}\n");
}

char *lock_path(const char *profile)
{
	size_t len = strlen(profile);

	if (str_has_suffix(profile, ".yaml"))
		len -= 5;
	else if (str_has_suffix(profile, ".yml"))
		len -= 4;
	return mem_printf("%.*s.lock", (int)len, profile);
}

void lock_free(struct lock *lock)
{
	free(lock->profile);
	free(lock->distribution);
	free(lock->release);
	free(lock->architecture);
	free(lock->image);
	for (size_t i = 0; i < lock->suite_count; i++)
		free(lock->suites[i].name);
	free(lock->suites);
	strv_free(&lock->requested);
	json_decref(lock->packages);
	json_decref(lock->build_packages);
	json_decref(lock->containers);
	*lock = (struct lock){0};
}
