/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engine's answers mean where its status does not say it.
 */
#include "tap.h"

#include "fake/engine.h"
#include "fake/machine.h"

#include "agent/join/engine.h"

static struct err err;

static ssize_t read_archive(void *context, void *bytes, size_t len, struct err *ignored)
{
	bool *done = context;

	(void)ignored;
	if (*done || len < 7)
		return 0;
	*done = true;
	memcpy(bytes, "archive", 7);
	return 7;
}

static int load(const char *answer)
{
	struct engine engine;
	struct agent agent;
	bool done = false;
	int r;

	fake_engine->body = answer;
	err = (struct err){0};
	CHECK_OK(agent_open(&agent, FAKE_ROOT, &err), &err);
	engine_open(&engine, &agent);
	snprintf(engine.api, sizeof(engine.api), "1.44");
	r = engine_image_load(&engine, read_archive, &done, &err);
	engine_close(&engine);
	agent_close(&agent);
	return r;
}

#define LOADED "{\"stream\":\"Loaded image: a:1\\n\"}\r\n"

TEST(what_went_wrong_with_an_image_is_told)
{
	fake_machine(FAKE_MANAGER);
	fake_engine_new();
	fake_engine_start(FAKE_SOCKET);
	CHECK_OK(load(LOADED), &err);
	CHECK_OK(load(LOADED LOADED), &err);
	CHECK_OK(load(""), &err);
	CHECK_OK(load("Loaded image: a:1"), &err);
	CHECK_OK(load("[1] 2 {\"error\":7}"), &err);
	CHECK_ERR(load(LOADED "{\"errorDetail\":{\"message\":\"no space left on device\"},"
			      "\"error\":\"no space left on device\"}\r\n"),
		  &err, ERR_OTHER, "the engine takes no images: no space left on device");
	CHECK_ERR(load("{\"error\":\"SWMTKN-1-0000\"}"), &err, ERR_OTHER,
		  "the engine takes no images: ");
	fake_engine->busy = 1;
	CHECK_ERR(load(LOADED), &err, ERR_OTHER, "the engine refused /images/load (503): not now");
}
