/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded containers for containerd, before it starts: decides whether its store can be written, and does it.
 */
#include "agent/containers/containerd_parts.h"

#include "base/mem.h"

#include <string.h>
#include <syslog.h>
#include <time.h>

/* Seconds from the year 1 to 1970: where Go's binary time starts. */
#define GO_EPOCH 62135596800U

static void put_time(uint8_t now[15])
{
	struct timespec ts;
	uint64_t seconds;

	clock_gettime(CLOCK_REALTIME, &ts);
	seconds = (uint64_t)ts.tv_sec + GO_EPOCH;
	now[0] = 1; /* version */
	for (unsigned i = 0; i < 8; i++)
		now[1 + i] = (uint8_t)(seconds >> (56 - 8 * i));
	for (unsigned i = 0; i < 4; i++)
		now[9 + i] = (uint8_t)((uint64_t)ts.tv_nsec >> (24 - 8 * i));
	now[13] = now[14] = 0xff; /* UTC */
}

static int fall_back(struct containers_done *done, const char *why)
{
	done->fallback = true;
	done->images = done->written = 0;
	agent_copy_text(done->why, sizeof(done->why), why);
	return 0;
}

static int write_images(struct containerd_store *store, struct err *err)
{
	const struct containers *containers = store->containers;
	bool wanted = *containers->containerd;

	if (containerd_store_folders(store, err) < 0 || containerd_gone_lost(store, err) < 0)
		return -1;
	for (size_t i = 0; wanted && i < containers->image_count; i++)
		if (containerd_image_put(store, &containers->images[i], err) < 0)
			return -1;
	containerd_gone_remove(store);
	return 0;
}

int containers_containerd_write(const struct agent *agent, const struct containers *containers,
				const struct report *report, struct containers_done *done,
				struct err *err)
{
	CLEANUP(containerd_store_close)
	struct containerd_store store = {
		.agent = agent,
		.containers = containers,
		.done = done,
		.name = *containers->namespace ? containers->namespace : "k8s.io",
		.meta_fd = -1,
		.overlay_fd = -1,
		.blobs = -1,
		.snapshots = -1,
		.ours = json_object(),
	};
	bool wanted = *containers->containerd && containers->image_count > 0;
	struct err failed = {0};

	store.old = containerd_state_read(agent, store.name);
	if (!wanted && json_object_size(store.old) == 0)
		return 0;
	if (*containers->containerd &&
	    !containerd_config_fits(agent, containers->containerd, done->why, sizeof(done->why))) {
		done->fallback = true;
		return 0;
	}
	put_time(store.now);
	if (containerd_store_open(&store, &failed) < 0 || write_images(&store, &failed) < 0) {
		/* A store that we do not understand is left alone; what is broken otherwise is said. */
		if (failed.code == ERR_VERIFY && wanted)
			return fall_back(done, failed.msg);
		if (failed.code == ERR_VERIFY) {
			report_log(report, LOG_WARNING, "CONTAINERS", &failed,
				   "containerd: images of an earlier image stay");
			return 0;
		}
		if (err)
			*err = failed;
		return -1;
	}
	return containerd_store_save(&store, err);
}
