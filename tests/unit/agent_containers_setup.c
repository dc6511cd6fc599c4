/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engines that are set up in another way than the store is written for: they are told, and nothing is written.
 */
#include "tap.h"
#include "fake/dockerstore.h"

static char *why_not(const char *file, const char *text)
{
	struct containers_setup setup;
	struct agent agent = {.root = FAKE_ROOT};

	if (file)
		fake_machine_file(file, text);
	containers_setup_read(&agent, "26.1.5", &setup);
	free(setup.data_root);
	if (file) {
		char *path = text_of(FAKE_ROOT "%s", file);

		CHECK(unlink(path) == 0);
	}
	return copy_of(setup.why);
}

TEST(other_setups_are_told)
{
	static const char *const rows[][3] = {
		{"/etc/docker/daemon.json", "{\"storage-driver\":\"vfs\"}",
		 "storage driver is vfs"},
		{"/etc/docker/daemon.json", "{\"features\":{\"containerd-snapshotter\":true}}",
		 "containerd"},
		{"/etc/docker/daemon.json", "{\"userns-remap\":\"default\"}", "userns-remap"},
		{"/etc/docker/daemon.json", "{\"data-root\":\"../x\"}", "no clean path"},
		{"/etc/docker/daemon.json", "{", "no JSON"},
		{"/etc/default/docker", "DOCKER_OPTS=\"--data-root /srv\"\n",
		 "gives the engine options"},
		{"/etc/default/docker", "DOCKER_OPTS=\"-s btrfs\"\n", "gives the engine options"},
		{"/etc/systemd/system/docker.service.d/x.conf",
		 "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd --storage-driver=btrfs\n",
		 "gives the engine options"},
	};

	fake_machine("{\"kind\":\"none\"}");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *why = why_not(rows[i][0], rows[i][1]);

		CHECK_CONTAINS(why, rows[i][2]);
	}
}

TEST(usual_setups_are_fine)
{
	static const char *const rows[][2] = {
		{NULL, NULL},
		{"/etc/docker/daemon.json", "{\"log-driver\":\"local\",\"live-restore\":false}"},
		{"/etc/docker/daemon.json", "{\"storage-driver\":\"overlay2\",\"features\":{}}"},
		{"/etc/default/docker", "#DOCKER_OPTS=\"--data-root /srv\"\n"},
		{"/usr/lib/systemd/system/docker.service",
		 "[Service]\nExecStart=/usr/sbin/dockerd -H fd:// $DOCKER_OPTS\nExecReload=/bin/kill -s HUP $MAINPID\n"},
	};

	fake_machine("{\"kind\":\"none\"}");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *why = why_not(rows[i][0], rows[i][1]);

		CHECK_STR(why, "");
	}
}

TEST(unknown_engines_get_no_store)
{
	static const char *const versions[] = {"19.03.1", "29.0.0", "100.1", "x", "26"};
	struct agent agent = {.root = FAKE_ROOT};

	fake_machine("{\"kind\":\"none\"}");
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		struct containers_setup setup;

		containers_setup_read(&agent, versions[i], &setup);
		CHECK_CONTAINS(setup.why, "is not known");
		free(setup.data_root);
	}
}

TEST(store_of_another_driver_is_not_joined_by_ours)
{
	char *why;

	fake_machine("{\"kind\":\"none\"}");
	fake_machine_file("/var/lib/docker/btrfs/x", "");
	why = why_not(NULL, NULL);
	CHECK_CONTAINS(why, "store of the driver btrfs");
	/* Said in so many words it is overlay2. */
	why = why_not("/etc/docker/daemon.json", "{\"storage-driver\":\"overlay2\"}");
	CHECK_STR(why, "");
}

TEST(other_setup_asks_for_loading)
{
	struct agent agent;
	struct containers containers;
	struct containers_done done = {0};
	struct report report = {.quiet = true};
	struct err err = {0};

	preload();
	fake_machine_file("/etc/docker/daemon.json", "{\"storage-driver\":\"vfs\"}");
	(void)agent_open(&agent, FAKE_ROOT, &err);
	CHECK_OK(containers_load(&agent, &containers, &err), &err);
	CHECK_OK(containers_docker_write(&agent, &containers, &report, &done, &err), &err);
	CHECK(done.fallback);
	CHECK_MISSING(DOCKER);
	containers_free(&containers);
	agent_close(&agent);
}

TEST(data_root_is_honoured)
{
	struct agent agent;
	struct containers containers;
	struct containers_done done = {0};
	struct report report = {.quiet = true};
	struct err err = {0};

	preload();
	need_file_system();
	fake_machine_file("/etc/docker/daemon.json", "{\"data-root\":\"/srv/docker\"}");
	(void)agent_open(&agent, FAKE_ROOT, &err);
	CHECK_OK(containers_load(&agent, &containers, &err), &err);
	CHECK_OK(containers_docker_write(&agent, &containers, &report, &done, &err), &err);
	CHECK_MISSING(DOCKER);
	CHECK_EXISTS(FAKE_ROOT "/srv/docker/image/overlay2/repositories.json");
	containers_free(&containers);
	agent_close(&agent);
}
