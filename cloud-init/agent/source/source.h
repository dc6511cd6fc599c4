/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata sources: one file and one row each. A source is detected by what the machine itself has (labels,
 * DMI, credentials, the kernel's command line); link-local addresses are never probed blindly.
 */
#ifndef INGOT_AGENT_SOURCE_H
#define INGOT_AGENT_SOURCE_H

#include "agent/agent.h"
#include "agent/source/instance.h"

#include <stdbool.h>

struct source {
	const char *name;
	bool network; /* needs the network: fetched in the second stage */
	/* True when this machine has this source. Looks at files below the agent's root only. */
	bool (*detect)(const struct agent *agent);
	/* Fills ret from the source. ERR_NETWORK when it does not answer (yet): the caller tries again;
	 * another code when what it says is wrong. One try; blocks at most some seconds. */
	int (*fetch)(const struct agent *agent, struct instance *ret, struct err *err);
	/* Tells the platform that the machine is ready (failure NULL), or why it will not be; NULL when
	 * the platform does not want to know. */
	int (*report)(const struct agent *agent, const struct instance *instance,
		      const char *failure, struct err *err);
	/* The platform may attach a medium instead, which another row reads and which wins; udev may not have
	 * seen it yet. */
	bool media;
};

/* In the order in which they are asked, ended by a row with a NULL name. */
extern const struct source sources[];

/* The row with this name, or NULL. */
const struct source *source_find(const char *name);

/* The source that "ds=NAME" names on the kernel's command line or in the DMI serial number (NAME "none": no source),
 * else the first one that detects itself; NULL when there is none. Looks at files only. */
const struct source *source_detect(const struct agent *agent);

/* Detects the source and fetches from it, with retries until timeout (seconds) is over; waits at most 5 s for devices
 * that udev is not done with when there is no source yet, or one whose platform has media, too. Falls back to what the last boot kept (ret->cached) when the
 * same source fails, when the medium of a local source is gone, and, with local_only, for a source that needs the
 * network; in each case only what was fetched on this same machine (by its DMI numbers), so that a copied disk does not
 * take another machine's identity. *ret_found is false when the machine has no source, or, with local_only, one that
 * needs the network and was never fetched. Sets first_boot, which stays true for the whole of that boot, and saves the
 * instance; when that fails (a full disk), it is said and the boot goes on. The first failure and a fallback are
 * logged. Blocks. */
int source_load(const struct agent *agent, bool local_only, double timeout, struct instance *ret,
		bool *ret_found, struct err *err);

/* Tells the platform of the instance (NULL, or without a source, when none could be loaded: the platform that is
 * detected) that the machine is ready (failure NULL) or why it will not be, with tries a second apart until timeout
 * (seconds) is over. 0 also when there is nobody who wants to know. Needs root on Azure. Blocks. */
int source_report(const struct agent *agent, const struct instance *instance, const char *failure,
		  double timeout, struct err *err);

/* Fetches a URL that user-data includes (http or https; at most INSTANCE_DATA_MAX bytes) into text. Blocks. */
int source_include(const char *url, struct str *text, struct err *err);

#endif
