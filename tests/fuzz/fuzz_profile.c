/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a profile: the loader either refuses them and says why, or gives a profile that can be
 * explained and whose JSON reads back.
 */
#include "demand.h"
#include "profile/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_explain(const struct profile *profile)
{
	CLEANUP_JSON json_t *json = NULL;
	CLEANUP(str_free) struct str text = {0};
	struct err err = {0};
	char *line = json_line(profile->json);

	json = json_parse(line, strlen(line), "profile", &err);
	demand(json && json_equal(json, profile->json), "JSON reads back");
	free(line);
	demand(profile_explain(profile, NULL, &text, &err) == 0, "profile is explained");
	json_decref(json);
	json = profile_explain_json(profile, NULL, &err);
	demand(json, "profile is explained as JSON");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* No folder of this machine is looked at by names; paths can only be read. */
	static const char *const set[] = {"rootfs.block=256K", NULL};
	struct profile_options options = {.set = set};
	struct profile_problems problems = {0};
	struct err err = {0};
	struct profile *profile;

	profile = profile_load_text("fuzz/nowhere/fuzz.yaml", (const char *)data, size, &options,
				    &problems, &err);
	if (profile) {
		demand(problems.count == 0, "a good profile has no problems");
		demand(profile->rootfs.block == 256 * 1024, "--set is last");
		check_explain(profile);
	} else {
		demand(err.code == ERR_PROFILE, "a bad profile is ERR_PROFILE");
		demand(problems.count > 0 && problems.text.len > 0, "a bad profile says why");
		demand(strlen(problems.text.data) == problems.text.len, "messages are text");
	}
	profile_free(profile);
	profile_problems_free(&problems);
	return 0;
}
