/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kind swarm, with cluster settings, when the engine is in a swarm: is it the cluster's? One that we made is told to
 * the others, or given up while nobody depends on it when they have another one.
 */
#include "agent/join/swarm.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define LEAVE_PAUSE 3.0 /* seconds that a join with an earlier token may take to be seen */

/* May this swarm be given up? */
static int is_lonely(struct join *join, const struct engine_swarm *swarm, bool *ret,
		     struct err *err)
{
	unsigned services = 0;

	*ret = false;
	if (swarm->nodes != 1 || !swarm->control)
		return 0;
	if (join->swarm->services(join, &services, err) < 0)
		return -1;
	*ret = services == 0;
	return 0;
}

/* The record forgets the swarm, so that serve gives no token of it any more; then, when nobody came with one that was
 * given before, the engine leaves it. */
static int leave(struct join *join, const char *other, struct err *err)
{
	struct record *record = &join->record, before = *record;
	struct engine_swarm swarm;
	bool lonely = false;

	join_wait(join, false, "leaves its own swarm, which has nobody else: the cluster's is %s",
		  other);
	report_log(&join->report, LOG_WARNING, record_step_name(record->step), NULL,
		   "leaves swarm %s, which has one node and no services, for swarm %s",
		   *record->cluster_id ? record->cluster_id : "that it has just made", other);
	record->cluster_id[0] = record->node_id[0] = '\0';
	record->epoch = 0;
	snprintf(record->joining, sizeof(record->joining), "%s", other);
	if (join_intend(join, RECORD_LEAVE, err) < 0)
		return -1;
	join->seams->pause(join, LEAVE_PAUSE);
	if (join->swarm->info(join, &swarm, err) < 0 || is_lonely(join, &swarm, &lonely, err) < 0)
		return -1;
	if (lonely)
		return join->swarm->leave(join, err);
	*record = before;
	if (join_intend(join, before.step, err) < 0)
		return -1;
	return err_set(err, ERR_OTHER, "somebody has joined the swarm that was to be given up");
}

static void alarm_two(struct join *join, const char *own, const char *other,
		      enum join_next *ret_next)
{
	*ret_next = JOIN_IDLE;
	join_wait(join, false,
		  "alarm: is in swarm %s, but the cluster's is %s; it has nodes or services, so "
		  "somebody must decide",
		  own, other);
}

static void introduce(struct join *join, const struct engine_swarm *swarm, bool lonely)
{
	struct rendezvous *r = &join->rendezvous;

	r->cluster_id = swarm->cluster_id;
	r->node_id = swarm->node_id;
	r->lonely = lonely;
	r->epoch = join->record.epoch;
}

int member_settle(struct join *join, const struct engine_swarm *swarm, bool *ret_left,
		  bool *ret_alarm, struct err *err)
{
	CLEANUP(rendezvous_view_free) struct rendezvous_view view = {0};
	struct rendezvous *r = &join->rendezvous;
	struct err ignored = {0};
	bool lonely;

	*ret_left = *ret_alarm = false;
	if (is_lonely(join, swarm, &lonely, err) < 0)
		return -1;
	introduce(join, swarm, lonely);
	/* A rendezvous that is away is no reason not to go on. */
	if (r->kind->look(r, &view, &ignored) < 0 || !*view.cluster_id ||
	    strcmp(view.cluster_id, swarm->cluster_id) == 0 || !view.gives_way)
		return 0;
	if (!lonely) {
		enum join_next next;

		*ret_alarm = true;
		alarm_two(join, swarm->cluster_id, view.cluster_id, &next);
		return 0;
	}
	if (leave(join, view.cluster_id, err) < 0)
		return -1;
	*ret_left = true;
	return 0;
}

/* Tells the store that the swarm is there; fenced: who lost the claim meanwhile may not. */
static int publish(struct join *join, const struct engine_swarm *swarm, enum join_next *ret_next,
		   struct err *err)
{
	CLEANUP(rendezvous_view_free) struct rendezvous_view ready = {.state = RENDEZVOUS_READY};
	struct rendezvous *r = &join->rendezvous;
	uint64_t epoch = 0;
	bool won = false, held = false;

	*ret_next = JOIN_POLL;
	if (r->kind->claim(r, &won, &epoch, err) < 0)
		return err_wrap(err, "cannot keep the claim");
	if (!won) {
		join_wait(join, true, "waits: another manager has the right to make the swarm");
		return 0;
	}
	join->record.epoch = r->epoch = ready.epoch = epoch;
	memcpy(ready.cluster_id, swarm->cluster_id, sizeof(ready.cluster_id));
	if (join->swarm->ready(join, &ready, err) < 0)
		return -1;
	join_wait(join, false, "publishes swarm %s", swarm->cluster_id);
	if (r->kind->publish(r, &ready, &held, err) < 0)
		return err_wrap(err, "cannot publish the swarm");
	if (!held) {
		join_wait(join, true, "waits: another manager has taken over");
		return 0;
	}
	return swarm_joined(join, swarm, ret_next, err);
}

/* A manager in a swarm that the others may not know of: it was killed after it initialised, or somebody made the
 * swarm by hand. */
static int unpublished(struct join *join, const struct engine_swarm *swarm,
		       enum join_next *ret_next, struct err *err)
{
	CLEANUP(rendezvous_view_free) struct rendezvous_view view = {0};
	struct rendezvous *r = &join->rendezvous;
	bool lonely, ours;

	if (is_lonely(join, swarm, &lonely, err) < 0)
		return -1;
	introduce(join, swarm, lonely);
	if (r->kind->look(r, &view, err) < 0)
		return err_wrap(err, "cannot ask the rendezvous '%s'", r->kind->name);
	ours = !*view.cluster_id || strcmp(view.cluster_id, swarm->cluster_id) == 0;
	if (r->kind->publish && view.state != RENDEZVOUS_READY)
		return publish(join, swarm, ret_next, err);
	/* Without a store who is ahead counts; a store's word counts always. */
	if (ours || (!r->kind->publish && !view.gives_way)) {
		if (!join->record.epoch && ours)
			join->record.epoch = view.epoch;
		return swarm_joined(join, swarm, ret_next, err);
	}
	if (!lonely) {
		alarm_two(join, swarm->cluster_id, view.cluster_id, ret_next);
		return 0;
	}
	*ret_next = JOIN_AGAIN;
	return leave(join, view.cluster_id, err);
}

/* A worker that was joined by hand: its engine does not say to which swarm, but knows managers. */
static int adopt_worker(struct join *join, const struct engine_swarm *swarm,
			enum join_next *ret_next, struct err *err)
{
	CLEANUP(rendezvous_view_free) struct rendezvous_view view = {0};
	struct rendezvous *r = &join->rendezvous;
	bool known = false;

	introduce(join, swarm, false);
	if (r->kind->look(r, &view, err) < 0)
		return err_wrap(err, "cannot ask the rendezvous '%s'", r->kind->name);
	for (size_t i = 0; i < swarm->remote_count; i++)
		known = known || strv_has(&view.addresses, swarm->remotes[i]);
	if (known || (view.addresses.count && !swarm->remote_count)) {
		snprintf(join->record.cluster_id, sizeof(join->record.cluster_id), "%s",
			 view.cluster_id);
		join->record.epoch = view.epoch;
		return swarm_joined(join, swarm, ret_next, err);
	}
	*ret_next = JOIN_IDLE;
	if (view.addresses.count)
		join_wait(join, false,
			  "is in another swarm, whose manager is %s; the cluster's is %s at %s",
			  swarm->remotes[0], view.cluster_id, view.addresses.items[0]);
	else
		join_wait(join, true,
			  "is in a swarm, and waits to hear whether it is the cluster's");
	return 0;
}

/* The disk is that of another instance: moved, or copied while its owner lives? */
static int check_instance(struct join *join, const struct engine_swarm *swarm,
			  enum join_next *ret_next, bool *ret_stop, struct err *err)
{
	CLEANUP(rendezvous_view_free) struct rendezvous_view view = {0};
	struct record *record = &join->record;
	struct rendezvous *r = &join->rendezvous;
	const char *instance = join->instance;

	*ret_stop = false;
	if (!*instance || strcmp(record->instance, instance) == 0)
		return 0;
	if (*record->instance) {
		introduce(join, swarm, false);
		if (r->kind->look(r, &view, NULL) == 0 && strstr(view.notice, "copy")) {
			*ret_stop = true;
			*ret_next = JOIN_IDLE;
			join_wait(join, false,
				  "alarm: this disk was that of instance %s: %s; remove %s and "
				  "/var/lib/docker/swarm to make this a new machine",
				  record->instance, view.notice, RECORD_FILE);
			return 0;
		}
		report_log(&join->report, LOG_WARNING, "JOINED", NULL,
			   "this disk was that of instance %s, now it is that of %s",
			   record->instance, instance);
	}
	snprintf(record->instance, sizeof(record->instance), "%s", instance);
	return join->seams->save(join, err);
}

static int member(struct join *join, const struct engine_swarm *swarm, enum join_next *ret_next,
		  struct err *err)
{
	bool left = false, alarmed = false, stop = false;

	if (check_instance(join, swarm, ret_next, &stop, err) < 0)
		return -1;
	if (stop)
		return 0;
	/* A seed that comes back alone: did the others go on without it? */
	if (swarm_is_manager(join) && swarm->nodes == 1 && !join->rendezvous.kind->publish &&
	    join->rendezvous.kind->claim) {
		if (member_settle(join, swarm, &left, &alarmed, err) < 0)
			return -1;
		if (left || alarmed) {
			*ret_next = left ? JOIN_AGAIN : JOIN_IDLE;
			return 0;
		}
	}
	return swarm_joined(join, swarm, ret_next, err);
}

/* Does the store tell the others of this swarm already? We were killed before we could write that down. */
static int is_published(struct join *join, const struct engine_swarm *swarm, bool *ret,
			struct err *err)
{
	CLEANUP(rendezvous_view_free) struct rendezvous_view view = {0};
	struct rendezvous *r = &join->rendezvous;

	*ret = false;
	if (!r->kind || !r->kind->publish)
		return 0;
	introduce(join, swarm, true);
	if (r->kind->look(r, &view, err) < 0)
		return err_wrap(err, "cannot ask the rendezvous '%s'", r->kind->name);
	*ret = view.state == RENDEZVOUS_READY && strcmp(view.cluster_id, swarm->cluster_id) == 0;
	return 0;
}

int swarm_drop_half_made(struct join *join, const struct engine_swarm *swarm,
			 enum join_next *ret_next, bool *ret_dropped, struct err *err)
{
	bool lonely, published = false;

	*ret_dropped = false;
	if (join->record.step != RECORD_INIT || *join->record.cluster_id || join->made)
		return 0;
	if (is_lonely(join, swarm, &lonely, err) < 0 ||
	    (lonely && is_published(join, swarm, &published, err) < 0))
		return -1;
	if (!lonely || published)
		return 0;
	join_wait(join, false, "drops the swarm that it was making when it was interrupted");
	report_log(&join->report, LOG_WARNING, record_step_name(join->record.step), NULL,
		   "the initialisation of swarm %s was interrupted: makes it again",
		   swarm->cluster_id);
	if (join->swarm->leave(join, err) < 0)
		return -1;
	*ret_dropped = true;
	*ret_next = JOIN_AGAIN;
	return 0;
}

/* A member whose settings name another cluster than the one that it joined. */
static bool is_of_other_cluster(struct join *join, enum join_next *ret_next)
{
	const struct record *record = &join->record;
	const char *name = json_member_string(join->rendezvous.cluster, "name");

	if (record->step != RECORD_JOINED || !*record->cluster || !name ||
	    strcmp(record->cluster, name) == 0)
		return false;
	*ret_next = JOIN_IDLE;
	join_wait(join, false,
		  "alarm: is a member of the swarm of cluster '%s', but its settings name cluster "
		  "'%s'; to move it, let it leave its swarm and remove %s",
		  record->cluster, name, RECORD_FILE);
	return true;
}

int member_active(struct join *join, const struct engine_swarm *swarm, enum join_next *ret_next,
		  struct err *err)
{
	struct record *record = &join->record;
	struct engine_swarm expected = *swarm;
	bool dropped = false;

	if (swarm_is_foreign(join, swarm, ret_next) || is_of_other_cluster(join, ret_next))
		return 0;
	if (swarm_is_manager(join) && (!swarm->control || !*swarm->cluster_id)) {
		*ret_next = JOIN_POLL;
		join_wait(join, true, "is in a swarm, but %s",
			  swarm->control ? "no manager leads it" : "not as a manager");
		return 0;
	}
	if (*record->cluster_id || record->step == RECORD_JOINED)
		return member(join, swarm, ret_next, err);
	if (swarm_drop_half_made(join, swarm, ret_next, &dropped, err) < 0 || dropped)
		return dropped ? 0 : -1;
	if (record->step != RECORD_JOIN)
		return swarm_is_manager(join) ? unpublished(join, swarm, ret_next, err)
					      : adopt_worker(join, swarm, ret_next, err);
	if (!*expected.cluster_id)
		memcpy(expected.cluster_id, record->joining, sizeof(expected.cluster_id));
	if (*record->joining && strcmp(expected.cluster_id, record->joining) != 0) {
		*ret_next = JOIN_IDLE;
		join_wait(join, false, "alarm: joined swarm %s, but was told that it is %s",
			  expected.cluster_id, record->joining);
		return 0;
	}
	return swarm_joined(join, &expected, ret_next, err);
}
