/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kind swarm: the step function over the engine's LocalNodeState. The engine's state is the truth, the
 * record only says what we meant and which swarm is ours. The swarm is left only while its making is
 * our own and unfinished: a manager that waits for its peers is pending, too.
 */
#include "agent/join/swarm.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

/* An engine that is slow (an emulated machine) must not be interrupted again and again. */
#define PENDING_FIRST 60.0
#define PENDING_MOST 600.0

const char *swarm_role(const struct join *join)
{
	return join->has_cluster && join->rendezvous.role ? join->rendezvous.role
							  : join->agent->role;
}

bool swarm_is_manager(const struct join *join)
{
	return strcmp(swarm_role(join), "manager") == 0;
}

int swarm_initialise(struct join *join, const struct engine_start *start, enum join_next *ret_next,
		     struct err *err)
{
	join->made = true;
	if (join->swarm->init(join, start, err) < 0) {
		/* What it refuses it may still finish: one that is slow. */
		join->made = err->code != ERR_NETWORK;
		return err_wrap(err, "cannot initialise the swarm");
	}
	*ret_next = JOIN_AGAIN;
	return 0;
}

static int initialise(struct join *join, enum join_next *ret_next, struct err *err)
{
	struct engine_start start = {.advertise = join->address};
	struct record *record = &join->record;
	char interface[16];
	const char *why;

	if (!join->swarm->address(join, interface, &why)) {
		*ret_next = JOIN_POLL;
		join_wait(join, true, "waits for %s", why);
		return 0;
	}
	snprintf(record->address, sizeof(record->address), "%s", join->address);
	record->tries++;
	if (join_intend(join, RECORD_INIT, err) < 0)
		return -1;
	join_wait(join, false, "initialises a swarm as %s (%s)", join->address, interface);
	return swarm_initialise(join, &start, ret_next, err);
}

static int step_inactive(struct join *join, enum join_next *ret_next, struct err *err)
{
	const struct record *record = &join->record;

	*ret_next = JOIN_IDLE;
	if (*record->cluster_id) {
		join_wait(
			join, false,
			"was a member of swarm %s, but the engine is in no swarm now; to start over "
			"remove %s",
			record->cluster_id, RECORD_FILE);
		return 0;
	}
	if (!swarm_is_manager(join)) {
		join_wait(join, true,
			  "waits for join settings: a %s needs a manager's address and a token",
			  *join->agent->role ? join->agent->role : "node without a role");
		return 0;
	}
	return initialise(join, ret_next, err);
}

static double patience(const struct record *record)
{
	double wait = PENDING_FIRST;

	for (unsigned i = 1; i < record->tries && wait < PENDING_MOST; i++)
		wait *= 2;
	return wait < PENDING_MOST ? wait : PENDING_MOST;
}

/* The engine is pending or in error. */
static int step_unfinished(struct join *join, const struct engine_swarm *swarm,
			   enum join_next *ret_next, struct err *err)
{
	const struct record *record = &join->record;
	const char *state = engine_state_name(swarm->state);
	const char *colon = *swarm->error ? ": " : "";
	bool ours = !*record->cluster_id &&
		    (record->step == RECORD_INIT || record->step == RECORD_LEAVE);
	double now = join->seams->now(join);

	if (join->pending_since == 0)
		join->pending_since = now;
	*ret_next = JOIN_POLL;
	if (!ours) {
		*ret_next = JOIN_IDLE;
		join_wait(join, true,
			  "the engine's swarm is %s%s%s; it needs the other managers, or "
			  "somebody",
			  state, colon, swarm->error);
		return 0;
	}
	if (swarm->state == ENGINE_PENDING && now - join->pending_since < patience(record)) {
		join_wait(join, false, "waits for the engine to finish initialising%s%s", colon,
			  swarm->error);
		return 0;
	}
	join_wait(join, false, "drops its unfinished swarm, which is %s%s%s", state, colon,
		  swarm->error);
	if (join_intend(join, RECORD_LEAVE, err) < 0 || join->swarm->leave(join, err) < 0)
		return -1;
	join->pending_since = 0;
	/* What made it fail is likely still there: come back with a pause. */
	return err_set(err, ERR_OTHER, "the swarm did not come up, its state was %s%s%s", state,
		       colon, swarm->error);
}

bool swarm_is_foreign(struct join *join, const struct engine_swarm *swarm, enum join_next *ret_next)
{
	const struct record *record = &join->record;

	if (!*record->cluster_id || !*swarm->cluster_id ||
	    strcmp(record->cluster_id, swarm->cluster_id) == 0)
		return false;
	*ret_next = JOIN_IDLE;
	join_wait(join, false, "belongs to swarm %s, but the engine is in swarm %s",
		  record->cluster_id, swarm->cluster_id);
	return true;
}

int swarm_joined(struct join *join, const struct engine_swarm *swarm, enum join_next *ret_next,
		 struct err *err)
{
	struct record *record = &join->record;

	if (*swarm->cluster_id)
		memcpy(record->cluster_id, swarm->cluster_id, sizeof(record->cluster_id));
	memcpy(record->node_id, swarm->node_id, sizeof(record->node_id));
	record->joining[0] = '\0';
	if (join->has_cluster && json_member_string(join->rendezvous.cluster, "name"))
		snprintf(record->cluster, sizeof(record->cluster), "%s",
			 json_member_string(join->rendezvous.cluster, "name"));
	if (join_intend(join, RECORD_JOINED, err) < 0)
		return -1;
	report_log(&join->report, LOG_NOTICE, "JOINED", NULL, "joined swarm %s as %s, node %s",
		   *record->cluster_id ? record->cluster_id : "(not told to workers)",
		   swarm_role(join), record->node_id);
	*ret_next = JOIN_DONE;
	return 0;
}

static int step_active(struct join *join, const struct engine_swarm *swarm,
		       enum join_next *ret_next, struct err *err)
{
	bool dropped = false;

	if (swarm_is_foreign(join, swarm, ret_next))
		return 0;
	if (swarm_is_manager(join) && (!swarm->control || !*swarm->cluster_id)) {
		*ret_next = JOIN_POLL;
		join_wait(join, true, "is in a swarm, but %s",
			  swarm->control ? "no manager leads it" : "not as a manager");
		return 0;
	}
	if (swarm_drop_half_made(join, swarm, ret_next, &dropped, err) < 0)
		return -1;
	return dropped ? 0 : swarm_joined(join, swarm, ret_next, err);
}

/* With cluster settings other rules hold than for a machine by itself. */
static int step_by_state(struct join *join, const struct engine_swarm *swarm,
			 enum join_next *ret_next, struct err *err)
{
	bool member = join->has_cluster;

	switch (swarm->state) {
	case ENGINE_INACTIVE:
		return member ? member_inactive(join, ret_next, err)
			      : step_inactive(join, ret_next, err);
	case ENGINE_PENDING:
	case ENGINE_ERROR:
		return member ? member_unfinished(join, swarm, ret_next, err)
			      : step_unfinished(join, swarm, ret_next, err);
	case ENGINE_ACTIVE:
		return member ? member_active(join, swarm, ret_next, err)
			      : step_active(join, swarm, ret_next, err);
	case ENGINE_LOCKED:
		break;
	}
	*ret_next = JOIN_IDLE;
	join_wait(join, true, "the swarm's state is locked: waits for somebody to unlock it");
	return 0;
}

int swarm_step(struct join *join, enum join_next *ret_next, struct err *err)
{
	struct engine_swarm swarm;

	if (join->swarm->setup(join, err) < 0)
		return -1;
	if (join->swarm->info(join, &swarm, err) < 0) {
		if (err->code != ERR_NETWORK)
			return -1;
		/* It is not up yet, or restarting: nothing that went wrong. */
		*ret_next = JOIN_POLL;
		join->made = false;
		join_wait(join, false, "waits for the engine: %s", err->msg);
		err_clear(err);
		return 0;
	}
	memcpy(join->engine_id, swarm.engine_id, sizeof(join->engine_id));
	if (swarm.state != ENGINE_PENDING && swarm.state != ENGINE_ERROR)
		join->pending_since = 0;
	return step_by_state(join, &swarm, ret_next, err);
}
