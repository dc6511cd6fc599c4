/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded containers for containerd: its metadata database, its content and its overlayfs snapshots are made to say
 * what the image has, before containerd runs. No layer is copied: a snapshot's tree is a link into the root.
 */
#ifndef INGOT_AGENT_CONTAINERD_H
#define INGOT_AGENT_CONTAINERD_H

#include "agent/containers/containers.h"

/* Writes containerd's store (schema v1 version 3: containerd 1.6 and 1.7) so that it finds the images of this root,
 * pinned, and takes out what earlier images left and nobody uses; containerd's own collector then removes their
 * snapshots. Never touches what the user pulled or tagged. The databases are read, changed in memory and replaced only
 * when something has to change. A store that cannot be written sets done->fallback and is no error; a running
 * containerd is one (nothing is written). Free done also after an error. Needs root. */
int containers_containerd_write(const struct agent *agent, const struct containers *containers,
				const struct report *report, struct containers_done *done,
				struct err *err);

/* Hands containerd, which runs, the images that it lacks, as one archive to `ctr images import`. Free done also after
 * an error. Blocks, minutes for gigabytes. */
int containers_containerd_load(const struct agent *agent, const struct containers *containers,
			       const struct report *report, struct containers_done *done,
			       struct err *err);

#endif
