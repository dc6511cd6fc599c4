/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engine labels: what the swarm can place tasks by, without a manager's help. They are read by the engine when it
 * starts, from its daemon.json.
 */
#ifndef INGOT_AGENT_LABELS_H
#define INGOT_AGENT_LABELS_H

#include "agent/agent.h"

#define LABELS_FILE "/etc/docker/daemon.json"

/* Merges labels into the list "labels" of LABELS_FILE below the root: role= (cluster.role of the settings, else
 * the image's), zone= ("zone" of the settings, else the given one; NULL or "": none), the image's join.labels and
 * the settings' labels; later ones win. Every other key and label of the file stays; a file that says the same
 * already is not written. Without a swarm and without the file nothing is done. settings may be NULL. Before the
 * engine starts; needs root. A label that the engine would not take is left out and reported when the others
 * are written; a file that is not a daemon.json is reported and left alone. */
int labels_apply(const struct agent *agent, const json_t *settings, const char *zone,
		 struct err *err);

#endif
