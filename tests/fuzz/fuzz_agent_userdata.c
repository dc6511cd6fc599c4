/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as user-data: what is read keeps its bounds, scripts have safe names, and what is not read is told.
 */
#include "demand.h"
#include "agent/userdata/settings.h"
#include "agent/userdata/userdata.h"

#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *whole;
static size_t whole_size;

/* Includes give the same data again: that must come to an end, too. */
static int again(const char *url, struct str *text, struct err *err)
{
	if (strlen(url) % 4 == 3)
		return err_set(err, ERR_NETWORK, "cannot reach '%s'", url);
	str_add_bytes(text, whole, whole_size);
	return 0;
}

static void check_scripts(const struct userdata *userdata)
{
	for (size_t i = 0; i < userdata->script_count; i++) {
		const struct userdata_script *script = &userdata->scripts[i];

		demand(*script->name && *script->name != '.' && !strchr(script->name, '/') &&
			       strlen(script->name) < 128,
		       "a name is only a name");
		demand(script->len >= 2 && memcmp(script->text, "#!", 2) == 0,
		       "a script names its program");
		for (size_t k = 0; k < i; k++)
			demand(strcmp(script->name, userdata->scripts[k].name) != 0,
			       "names are unique");
	}
}

static void check_settings(const struct userdata *userdata)
{
	CLEANUP_JSON json_t *json = userdata_settings(userdata);
	char *text = json ? json_line(json) : NULL;

	demand(text, "settings are JSON");
	demand(userdata->settings_wrong == !!json_object_get(json, "wrong"),
	       "wrong settings are told");
	demand(!userdata->settings_wrong || !userdata->settings, "wrong settings are none");
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct instance instance = {.id = (char *)"i", .hostname = (char *)"h"};
	struct userdata userdata;
	size_t half = size / 2;

	if (size > 1 << 16)
		return 0;
	whole = data;
	whole_size = size;
	/* The first byte says whether some of it is vendor-data. */
	if (size && data[0] == 'V')
		str_add_bytes(&instance.vendor_data, data + 1, half);
	else
		half = 0;
	str_add_bytes(&instance.user_data, data + half, size - half);
	userdata_read(&(struct userdata_input){.instance = &instance, .include = again}, &userdata);
	demand(!userdata.config || userdata.config->kind == DOC_MAP, "the config is a map");
	demand(!userdata.problem_count == !userdata.problems.len, "problems are told");
	demand(!userdata.problems.len || strlen(userdata.problems.data) == userdata.problems.len,
	       "messages are text");
	check_scripts(&userdata);
	check_settings(&userdata);
	userdata_free(&userdata);
	str_free(&instance.vendor_data);
	str_free(&instance.user_data);
	return 0;
}
