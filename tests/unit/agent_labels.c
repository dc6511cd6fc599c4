/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engine labels: where they come from, which one wins, and that a daemon.json keeps all else.
 */
#include "tap.h"
#include "fake/machine.h"

#include "agent/provision/labels.h"

#include "base/mem.h"

#define FILE_PATH FAKE_ROOT LABELS_FILE

/* Applies with settings given as JSON (NULL: none). */
static int apply(const char *settings, const char *zone, struct err *err)
{
	CLEANUP(agent_close) struct agent agent;
	CLEANUP_JSON json_t *value = settings ? json_loads(settings, 0, NULL) : NULL;

	CHECK(!settings || value);
	*err = (struct err){0};
	CHECK_OK(agent_open(&agent, FAKE_ROOT, err), err);
	return labels_apply(&agent, value, zone, err);
}

/* The file as one line. */
static void check_file(const char *want)
{
	char *text = tap_slurp(FILE_PATH, NULL);
	CLEANUP_JSON json_t *value = json_loads(text, 0, NULL);
	CLEANUP_FREE char *line = value ? json_line(value) : mem_strdup("(no JSON)");

	CHECK_STR(line, want);
	free(text);
}

#define WORKER "{\"kind\":\"swarm\",\"role\":\"worker\"}"

TEST(role_and_zone)
{
	struct err err;

	fake_machine(WORKER);
	CHECK_OK(apply(NULL, "eu-1a", &err), &err);
	check_file("{\"labels\":[\"role=worker\",\"zone=eu-1a\"]}");
	/* Again after a reboot without a transient /etc: nothing grows. */
	CHECK_OK(apply(NULL, "eu-1a", &err), &err);
	check_file("{\"labels\":[\"role=worker\",\"zone=eu-1a\"]}");
	/* And what has changed is changed. */
	CHECK_OK(apply("{\"cluster\":{\"role\":\"manager\"}}", "eu-1b", &err), &err);
	check_file("{\"labels\":[\"role=manager\",\"zone=eu-1b\"]}");
	CHECK_OK(apply("{\"zone\":\"rack-7\"}", "eu-1b", &err), &err);
	check_file("{\"labels\":[\"role=worker\",\"zone=rack-7\"]}");
}

TEST(who_wins)
{
	struct err err;

	fake_machine("{\"kind\":\"swarm\",\"role\":\"worker\",\"labels\":"
		     "{\"role\":\"pg\",\"zone\":\"x\",\"disk\":\"ssd\",\"tier\":\"2\"}}");
	CHECK_OK(apply("{\"labels\":{\"disk\":\"nvme\",\"rack\":12,\"spare\":true}}", "a", &err),
		 &err);
	check_file("{\"labels\":[\"role=pg\",\"zone=a\",\"disk=nvme\",\"tier=2\",\"rack=12\","
		   "\"spare=true\"]}");
	fake_machine_file(LABELS_FILE, "{}");
	CHECK_OK(apply("{\"labels\":{\"role\":\"db\",\"zone\":\"q\"}}", "a", &err), &err);
	check_file("{\"labels\":[\"role=db\",\"zone=q\",\"disk=ssd\",\"tier=2\"]}");
	fake_machine_file(LABELS_FILE, "{}");
	CHECK_OK(apply(NULL, NULL, &err), &err);
	check_file("{\"labels\":[\"role=pg\",\"zone=x\",\"disk=ssd\",\"tier=2\"]}");
}

TEST(all_else_stays)
{
	struct err err;

	fake_machine(WORKER);
	fake_machine_file(LABELS_FILE,
			  "{\"log-driver\":\"local\",\"live-restore\":false,\"labels\":"
			  "[\"own=1\",\"role=old\",\"odd\"],\"default-ulimits\":{\"nofile\":"
			  "{\"Hard\":1048576,\"Name\":\"nofile\",\"Soft\":1048576}}}");
	CHECK_OK(apply(NULL, "a", &err), &err);
	check_file(
		"{\"default-ulimits\":{\"nofile\":{\"Hard\":1048576,\"Name\":\"nofile\",\"Soft\":"
		"1048576}},\"labels\":[\"own=1\",\"odd\",\"role=worker\",\"zone=a\"],"
		"\"live-restore\":false,\"log-driver\":\"local\"}");
}

TEST(a_file_that_says_it_already_is_not_written)
{
	struct err err;
	struct stat before, after;

	fake_machine(WORKER);
	fake_machine_file(LABELS_FILE, "{ \"labels\": [\"role=worker\"] }");
	CHECK(stat(FILE_PATH, &before) == 0);
	CHECK_OK(apply(NULL, "", &err), &err);
	CHECK(stat(FILE_PATH, &after) == 0);
	CHECK_U64(after.st_ino, before.st_ino);
	CHECK_FILE(FILE_PATH, "{ \"labels\": [\"role=worker\"] }");
}

TEST(what_is_no_daemon_json_is_left_alone)
{
	static const struct {
		const char *text, *problem;
	} rows[] = {
		{"{\"labels\": [\"a=b\"],}", "cannot give the engine its labels"},
		{"", "cannot give the engine its labels"},
		{"[]", "holds no JSON object"},
		{"{\"labels\": \"a=b\"}", "is no list of texts"},
		{"{\"labels\": {\"a\": \"b\"}}", "is no list of texts"},
		{"{\"labels\": [1]}", "is no list of texts"},
	};
	struct err err;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		fake_machine(WORKER);
		fake_machine_file(LABELS_FILE, rows[i].text);
		CHECK_ERR(apply(NULL, "a", &err), &err, ERR_OTHER, rows[i].problem);
		CHECK_FILE(FILE_PATH, rows[i].text);
	}
}

TEST(hostile_labels_do_not_get_in)
{
	static const char *const bad[] = {
		"{\"labels\":{\"disk\":\"a b\"}}",
		"{\"labels\":{\"disk\":\"\"}}",
		"{\"labels\":{\"disk\":null}}",
		"{\"labels\":{\"disk\":1.5}}",
		"{\"labels\":{\"disk\":[\"a\"]}}",
		"{\"labels\":{\"disk\":\"a\\\"b\"}}",
		"{\"labels\":{\"disk=x\":\"a\"}}",
		"{\"labels\":{\"\":\"a\"}}",
		"{\"labels\":{\"d\":\"a\"}}",
		"{\"labels\":{\"Disk\":\"a\"}}",
		"{\"labels\":{\"com.docker.disk\":\"a\"}}",
		"{\"labels\":{\"disk\":\"0123456789012345678901234567890123456789012345678901234567890123\"}}",
		"{\"zone\":\"a=b,c\"}",
	};
	struct err err;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		fake_machine(WORKER);
		fake_machine_file(LABELS_FILE, "{}");
		CHECK_ERR(apply(bad[i], NULL, &err), &err, ERR_PROFILE,
			  "the engine does not get a label: ");
		/* The good ones are in all the same. */
		check_file("{\"labels\":[\"role=worker\"]}");
	}
}

TEST(too_many_labels)
{
	CLEANUP(str_free) struct str text = {0};
	CLEANUP_JSON json_t *file = NULL;
	struct err err;

	str_add(&text, "{\"labels\":{");
	for (int i = 0; i < 100; i++)
		str_addf(&text, "%s\"k%d\":\"v\"", i ? "," : "", i);
	str_add(&text, "}}");
	fake_machine(WORKER);
	CHECK_ERR(apply(text.data, "a", &err), &err, ERR_PROFILE, "more than 64 labels");
	file = json_load_file(FILE_PATH, 0, NULL);
	CHECK_INT((int)json_array_size(json_object_get(file, "labels")), 64);
}

TEST(no_swarm_no_file)
{
	struct err err;

	fake_machine("{\"kind\":\"none\"}");
	CHECK_OK(apply("{\"labels\":{\"disk\":\"ssd\"}}", "a", &err), &err);
	CHECK(access(FILE_PATH, F_OK) < 0);
	/* With an engine there is somebody to read them. */
	fake_machine_file(LABELS_FILE, "{}");
	CHECK_OK(apply("{\"labels\":{\"disk\":\"ssd\"}}", "a", &err), &err);
	check_file("{\"labels\":[\"zone=a\",\"disk=ssd\"]}");
}
