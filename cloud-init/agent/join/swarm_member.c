/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kind swarm, with cluster settings, while the engine is in no swarm or on its way into one: look at the rendezvous,
 * then claim and initialise, or join through a manager that answers. The record is on the disk before each side
 * effect; after a kill the engine's state says what became of it.
 */
#include "agent/join/swarm.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define LOOK_FIRST 0.3 /* seconds between looks while others start */
#define LOOK_MOST 1.5
#define PENDING_FIRST 10.0  /* after the engine's own 20 s */
#define PENDING_UNSEEN 25.0 /* when the request was another process's */
#define PENDING_MOST 120.0
#define JITTER_MANAGER 1.0
#define JITTER_WORKERS 10.0 /* at most, and so that 50 join per second */
#define TOKEN_TRIES 3
#define FINGERPRINT_TRIES 2

/* Comes back soon, and not in step with others. */
static enum join_next look_again(struct join *join)
{
	double most = join->look_pause * 2;

	if (most < LOOK_FIRST)
		most = LOOK_FIRST;
	if (most > LOOK_MOST)
		most = LOOK_MOST;
	join->look_pause = LOOK_FIRST + join->seams->chance(join) * (most - LOOK_FIRST) + 0.01;
	return JOIN_LOOK;
}

/* Tells once what the owner of this machine should know. */
static void tell_notice(struct join *join, const char *notice)
{
	if (!*notice || strcmp(notice, join->notice) == 0)
		return;
	snprintf(join->notice, sizeof(join->notice), "%s", notice);
	report_log(&join->report, LOG_WARNING, record_step_name(join->record.step), NULL, "%s",
		   notice);
}

static const char *availability(const struct join *join)
{
	const char *text = json_member_string(join->rendezvous.cluster, "availability");

	if (!text)
		text = json_member_string(json_object_get(join->agent->image, "join"),
					  "availability");
	return text;
}

static unsigned number(const json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return n < 0 || n > 65535 ? 0 : (unsigned)n;
}

/* Has won the claim of this epoch. */
static int initialise(struct join *join, uint64_t epoch, enum join_next *ret_next, struct err *err)
{
	const json_t *cluster = join->rendezvous.cluster;
	struct engine_start start = {
		.advertise = join->address,
		.availability = availability(join),
		.address_pools = json_object_get(cluster, "address_pools"),
		.subnet_size = number(cluster, "subnet_size"),
		.data_path_port = number(cluster, "data_path_port"),
	};

	join->record.epoch = epoch;
	join->record.tries++;
	if (join_intend(join, RECORD_INIT, err) < 0)
		return -1;
	join_wait(join, false, "initialises the swarm as %s", join->address);
	return swarm_initialise(join, &start, ret_next, err);
}

/* There is no swarm and nobody makes one. */
static int claim(struct join *join, const struct rendezvous_view *view, enum join_next *ret_next,
		 struct err *err)
{
	struct record *record = &join->record;
	struct rendezvous *r = &join->rendezvous;
	uint64_t epoch = 0;
	bool won = false;

	*ret_next = look_again(join);
	if (!swarm_is_manager(join) || !r->kind->claim) {
		join_wait(join, true, "waits for a manager that makes the swarm");
		return 0;
	}
	if (!*join->address) {
		join_wait(join, true, "waits for an address that others can use");
		return 0;
	}
	/* Without a store, silence is no proof: the swarm that was heard of is still there. */
	if (*record->joining && !r->kind->publish && !r->initialise) {
		join_wait(
			join, true,
			"waits for the managers of swarm %s, none of which answers; if that swarm is "
			"lost: join --initialise",
			record->joining);
		return 0;
	}
	if (!record_claims(record)) {
		record->joining[0] = '\0';
		record->epoch = view->epoch + 1;
		if (join_intend(join, RECORD_CLAIM, err) < 0)
			return -1;
	}
	r->epoch = record->epoch;
	if (r->kind->claim(r, &won, &epoch, err) < 0)
		return err_wrap(err, "cannot claim the right to make the swarm");
	if (won)
		return initialise(join, epoch, ret_next, err);
	join_wait(join, true, "waits: another manager is about to make the swarm");
	return 0;
}

/* Gives up our claim when somebody else is ahead, so that nobody waits for us. */
static int withdraw(struct join *join, struct err *err)
{
	struct record *record = &join->record;

	if (!record_claims(record))
		return 0;
	record->epoch = join->rendezvous.epoch = 0;
	return join_intend(join, RECORD_NEW, err);
}

/* Addresses of managers that are not this machine's own: a dead predecessor may have had the same. */
static void others(const struct join *join, const struct strv *all, struct strv *ret)
{
	size_t own = strlen(join->address);

	for (size_t i = 0; i < all->count; i++)
		if (!own || strncmp(all->items[i], join->address, own) != 0 ||
		    all->items[i][own] != ':')
			strv_add(ret, all->items[i]);
}

/* Says what an engine's refusal means; the loop comes back after a pause. */
static int refused(struct join *join, uint64_t epoch, enum join_next *ret_next, struct err *err)
{
	const struct swarm_fault_row *row = swarm_fault_find(err->msg);

	switch (row->fault) {
	case SWARM_FAULT_ALREADY:
	case SWARM_FAULT_TIMEOUT:
		*ret_next = JOIN_POLL;
		err_clear(err);
		return 0;
	case SWARM_FAULT_TOKEN:
		if (join->token_epoch != epoch)
			join->token_faults = 0;
		join->token_epoch = epoch;
		if (++join->token_faults >= TOKEN_TRIES)
			err_wrap(err, "alarm: every token of the rendezvous is refused");
		break;
	case SWARM_FAULT_FINGERPRINT:
		if (++join->fingerprint_faults >= FINGERPRINT_TRIES)
			err_wrap(err,
				 "alarm: managers of different swarms, or somebody in between");
		break;
	default:
		break;
	}
	return row->words ? err_wrap(err, "%s", row->words) : -1;
}

/* Machines that start together do not all ask in the same moment; true while this one waits. */
static bool jitter(struct join *join, const struct rendezvous_view *view, enum join_next *ret_next)
{
	double now = join->seams->now(join), most = view->nodes / 50.0;

	if (join->calm_until == 0) {
		if (swarm_is_manager(join))
			most = JITTER_MANAGER;
		else if (most > JITTER_WORKERS)
			most = JITTER_WORKERS;
		join->calm_until = now + join->seams->chance(join) * most;
	}
	if (now >= join->calm_until)
		return false;
	join->look_pause = join->calm_until - now;
	*ret_next = JOIN_LOOK;
	join_wait(join, false, "is about to join swarm %s", view->cluster_id);
	return true;
}

static int join_ready(struct join *join, const struct rendezvous_view *view,
		      enum join_next *ret_next, struct err *err)
{
	CLEANUP(strv_free) struct strv managers = {0};
	struct engine_start start = {
		.advertise = join->address,
		.availability = availability(join),
		.token = view->token,
	};
	struct record *record = &join->record;
	size_t chosen = 0;

	if (jitter(join, view, ret_next))
		return 0;
	others(join, &view->addresses, &managers);
	if (managers.count == 0 ||
	    !join->swarm->probe(join, &managers, *join->avoid ? join->avoid : NULL, &chosen)) {
		*ret_next = look_again(join);
		join_wait(join, true,
			  "waits for a manager of swarm %s: none of %zu answers at its port 2377",
			  view->cluster_id, managers.count);
		return 0;
	}
	start.remote = managers.items[chosen];
	snprintf(record->joining, sizeof(record->joining), "%s", view->cluster_id);
	snprintf(record->address, sizeof(record->address), "%s", join->address);
	record->epoch = view->epoch;
	record->tries++;
	if (join_intend(join, RECORD_JOIN, err) < 0)
		return -1;
	join_wait(join, false, "joins swarm %s by way of %s", view->cluster_id, start.remote);
	join->asked = true;
	*ret_next = JOIN_AGAIN;
	if (join->swarm->join(join, &start, err) == 0)
		return 0;
	/* Another one next time, if there is another one. */
	snprintf(join->avoid, sizeof(join->avoid), "%s", start.remote);
	return refused(join, view->epoch, ret_next, err);
}

/* The clock first: certificates that are not valid yet look like a wrong cluster. */
static bool wait_for_clock(struct join *join, enum join_next *ret_next)
{
	char why[200];

	if (join->told_clock)
		return false;
	join->told_clock = join->swarm->clock(join, why, sizeof(why));
	if (join->told_clock)
		return false;
	*ret_next = JOIN_POLL;
	join_wait(join, true, "waits for the time: %s", why);
	return true;
}

static bool wait_for_address(struct join *join, enum join_next *ret_next)
{
	char interface[16];
	const char *why = "";

	if (join->swarm->address(join, interface, &why))
		return false;
	join->address[0] = '\0';
	/* A worker's peer sees where it comes from. */
	if (!swarm_is_manager(join) && strstr(why, "several"))
		return false;
	*ret_next = JOIN_POLL;
	join_wait(join, true, "waits for %s", why);
	return true;
}

/* What the rendezvous is told of this machine. */
static void introduce(struct join *join)
{
	struct rendezvous *r = &join->rendezvous;

	r->cluster_id = "";
	r->node_id = "";
	r->lonely = false;
	r->epoch = record_claims(&join->record) ? join->record.epoch : 0;
}

/* A manager that has heard of a swarm never makes one of its own, also after a reboot, and tells others of it. */
static int remember(struct join *join, const struct rendezvous_view *view, struct err *err)
{
	struct record *record = &join->record;

	bool claims = record_claims(record);

	if (!*view->cluster_id || join->rendezvous.kind->publish || !swarm_is_manager(join) ||
	    (strcmp(record->joining, view->cluster_id) == 0 &&
	     (claims || record->epoch == view->epoch)))
		return 0;
	snprintf(record->joining, sizeof(record->joining), "%s", view->cluster_id);
	if (!claims)
		record->epoch = view->epoch;
	return join->seams->save(join, err);
}

static int follow(struct join *join, const struct rendezvous_view *view, enum join_next *ret_next,
		  struct err *err)
{
	switch (view->state) {
	case RENDEZVOUS_EMPTY:
		return claim(join, view, ret_next, err);
	case RENDEZVOUS_READY:
		return join_ready(join, view, ret_next, err);
	case RENDEZVOUS_BUSY:
		/* It may be our own claim of before a reboot: a store knows, and gives it back. */
		if (join->rendezvous.kind->publish && join->record.epoch == view->epoch &&
		    strcmp(view->owner, join->rendezvous.self) == 0)
			return claim(join, view, ret_next, err);
		if (withdraw(join, err) < 0)
			return -1;
		break;
	case RENDEZVOUS_WAIT:
		if (*view->cluster_id && withdraw(join, err) < 0)
			return -1;
		break;
	}
	*ret_next = look_again(join);
	join_wait(join, true, "%s",
		  *view->why ? view->why : "waits for another manager, which makes the swarm");
	return 0;
}

int member_inactive(struct join *join, enum join_next *ret_next, struct err *err)
{
	CLEANUP(rendezvous_view_free) struct rendezvous_view view = {0};
	struct rendezvous *r = &join->rendezvous;

	if (*join->record.cluster_id || join->record.step == RECORD_JOINED) {
		*ret_next = JOIN_IDLE;
		join_wait(join, false,
			  "was a member of swarm %s, but the engine is in no swarm now; to start "
			  "over remove %s",
			  *join->record.cluster_id ? join->record.cluster_id : "(not told)",
			  RECORD_FILE);
		return 0;
	}
	if (wait_for_clock(join, ret_next) || wait_for_address(join, ret_next))
		return 0;
	introduce(join);
	if (r->kind->look(r, &view, err) < 0)
		return err_wrap(err, "cannot ask the rendezvous '%s'", r->kind->name);
	tell_notice(join, view.notice);
	if (remember(join, &view, err) < 0)
		return -1;
	return follow(join, &view, ret_next, err);
}

static double patience(const struct join *join)
{
	double wait = join->asked ? PENDING_FIRST : PENDING_UNSEEN;

	for (unsigned i = 1; i < join->record.tries && wait < PENDING_MOST; i++)
		wait *= 1.5;
	return wait < PENDING_MOST ? wait : PENDING_MOST;
}

/* The swarm's other managers are gone for good, as somebody says: it goes on with this one. They cannot come back
 * as what they were. */
static int go_on_alone(struct join *join, enum join_next *ret_next, struct err *err)
{
	struct engine_start start = {
		.advertise = join->address,
		.availability = availability(join),
		.force_new = true,
	};

	if (wait_for_address(join, ret_next))
		return 0;
	report_log(&join->report, LOG_WARNING, record_step_name(join->record.step), NULL,
		   "gives up the other managers of swarm %s, as it was told to",
		   join->record.cluster_id);
	join_wait(join, false, "goes on with swarm %s without its other managers",
		  join->record.cluster_id);
	if (join->swarm->init(join, &start, err) < 0)
		return err_wrap(err, "cannot go on without the other managers");
	*ret_next = JOIN_AGAIN;
	return 0;
}

int member_unfinished(struct join *join, const struct engine_swarm *swarm, enum join_next *ret_next,
		      struct err *err)
{
	const struct record *record = &join->record;
	const char *state = engine_state_name(swarm->state), *colon = *swarm->error ? ": " : "";
	double now = join->seams->now(join);

	if (join->pending_since == 0)
		join->pending_since = now;
	if (*record->cluster_id || record->step == RECORD_NEW || record->step == RECORD_JOINED) {
		if (join->rendezvous.initialise && *record->cluster_id && swarm_is_manager(join))
			return go_on_alone(join, ret_next, err);
		*ret_next = JOIN_IDLE;
		join_wait(join, true, "the engine's swarm is %s%s%s; it needs the other managers%s",
			  state, colon, swarm->error,
			  swarm_is_manager(join)
				  ? ", or, if they are lost for good: join --initialise"
				  : "");
		return 0;
	}
	*ret_next = JOIN_POLL;
	if (swarm->state == ENGINE_PENDING && now - join->pending_since < patience(join)) {
		join_wait(join, false, "waits for the engine to finish %s%s%s",
			  record->step == RECORD_JOIN ? "joining" : "initialising", colon,
			  swarm->error);
		return 0;
	}
	join_wait(join, false, "drops what the engine did not finish, which is %s%s%s", state,
		  colon, swarm->error);
	/* The claim stays: what others hear of us is still that we are at it. */
	if (record->step == RECORD_JOIN && join_intend(join, RECORD_LEAVE, err) < 0)
		return -1;
	if (join->swarm->leave(join, err) < 0)
		return -1;
	join->pending_since = 0;
	return err_set(err, ERR_OTHER,
		       "the engine did not get into the swarm, its state was %s%s%s", state, colon,
		       swarm->error);
}
