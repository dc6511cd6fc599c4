/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a manager does for its swarm: engine labels into node labels (an allow-list: machines say them of themselves),
 * dead managers away that were replaced, and what a store should know when it changes.
 */
#include "agent/join/serve.h"

#include "agent/join/swarm.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>

#define REMOVE_PATIENCE 30.0 /* seconds; then the new one may join all the same */
#define LABEL_MAX 63

/* ---- labels ------------------------------------------------------------------------------- */

static const json_t *wanted_labels(const struct serve *serve)
{
	const json_t *list = json_object_get(serve->settings, "node_labels");

	if (!json_is_array(list))
		list = json_object_get(json_object_get(serve->agent->image, "join"), "node_labels");
	return list;
}

static void copy_labels(struct serve *serve, const struct engine_member *member,
			const json_t *wanted)
{
	json_t *spec = NULL, *labels = NULL;
	const json_t *item;
	struct err err = {0};
	size_t i;

	json_array_foreach(wanted, i, item)
	{
		const char *key = json_string_value(item);
		const char *value = key ? json_member_string(member->labels, key) : NULL;
		const char *now =
			key ? json_member_string(json_object_get(member->spec, "Labels"), key)
			    : NULL;

		if (!value || strlen(value) > LABEL_MAX || (now && strcmp(now, value) == 0))
			continue;
		if (!spec) {
			spec = json_deep_copy(member->spec);
			labels = json_object_get(spec, "Labels");
			if (!json_is_object(labels)) {
				labels = json_object();
				json_object_set_new(spec, "Labels", labels);
			}
		}
		json_object_set_new(labels, key, json_string(value));
	}
	if (!spec)
		return;
	if (engine_member_update(&serve->engine, member, spec, &err) < 0)
		serve_say(serve, LOG_WARNING, &err, "cannot label node %s", member->id);
	else
		report_log(&serve->report, LOG_INFO, "SERVE", NULL,
			   "copied the engine labels of '%s' to its node", member->hostname);
	json_decref(spec);
}

/* ---- dead managers ------------------------------------------------------------------------ */

/* Is the node at this address? */
static bool is_at(const struct engine_member *member, const char *address)
{
	size_t len = strlen(address);

	return len && (strcmp(member->address, address) == 0 ||
		       (strncmp(member->manager_address, address, len) == 0 &&
			member->manager_address[len] == ':'));
}

/* A hostname that several machines share says nothing. */
static bool is_unique_name(const struct serve *serve, const char *hostname)
{
	size_t count = 0;

	for (size_t i = 0; i < serve->facts.members.count; i++)
		count += strcasecmp(serve->facts.members.items[i].hostname, hostname) == 0;
	return count == 1;
}

static bool is_replaced(const struct serve *serve, const struct engine_member *member,
			const struct seeds_request *request)
{
	if (!(member->manager || member->member) || strcmp(member->id, request->node_id) == 0)
		return false;
	/* Who wants to join from there cannot be this node any more, even if that is not noticed yet. */
	if (is_at(member, request->address))
		return true;
	return strcmp(member->state, "down") == 0 && *request->hostname &&
	       strcasecmp(member->hostname, request->hostname) == 0 &&
	       is_unique_name(serve, request->hostname);
}

static struct serve_replaced *find_replaced(struct serve *serve, const char *id)
{
	for (size_t i = 0; i < serve->replaced_count; i++)
		if (strcmp(serve->replaced[i].id, id) == 0)
			return &serve->replaced[i];
	return NULL;
}

bool serve_replaces(struct serve *serve, const struct seeds_request *request, char *why,
		    size_t size)
{
	double now = clock_monotonic();
	bool waits = false;

	for (size_t i = 0; i < serve->facts.members.count; i++) {
		const struct engine_member *member = &serve->facts.members.items[i];
		struct serve_replaced *r;

		if (!is_replaced(serve, member, request))
			continue;
		r = find_replaced(serve, member->id);
		if (!r && serve->replaced_count < SERVE_REPLACED) {
			r = &serve->replaced[serve->replaced_count++];
			*r = (struct serve_replaced){.since = now};
			memcpy(r->id, member->id, sizeof(r->id));
			serve->next_removal = 0;
			report_log(&serve->report, LOG_NOTICE, "SERVE", NULL,
				   "'%s' at %s replaces manager %s, which goes first",
				   request->hostname, request->address, member->id);
		}
		if (!r || now - r->since > REMOVE_PATIENCE)
			continue;
		snprintf(why, size, "%s the dead manager that this machine replaces",
			 strcmp(member->state, "down") == 0 ? "removes" : "waits for the end of");
		waits = true;
	}
	return waits;
}

/* One step: demote, then remove when raft has let it go. True when there is nothing left to do. */
static bool remove_one(struct serve *serve, const char *id)
{
	const struct engine_member *member = NULL;
	struct err err = {0};
	json_t *spec;

	for (size_t i = 0; i < serve->facts.members.count; i++)
		if (strcmp(serve->facts.members.items[i].id, id) == 0)
			member = &serve->facts.members.items[i];
	if (!member)
		return true;
	if (strcmp(member->state, "down") != 0)
		return false;
	/* What raft does not know (any more) cannot be demoted, and need not. */
	if (member->manager && member->member) {
		spec = json_deep_copy(member->spec);
		json_object_set_new(spec, "Role", json_string("worker"));
		if (engine_member_update(&serve->engine, member, spec, &err) < 0)
			serve_say(serve, LOG_WARNING, &err, "cannot demote the dead manager %s",
				  id);
		json_decref(spec);
		return false;
	}
	if (member->member) /* raft has not let it go yet */
		return false;
	if (engine_member_remove(&serve->engine, id, &err) < 0) {
		serve_say(serve, LOG_WARNING, &err, "cannot remove the dead node %s", id);
		return false;
	}
	report_log(&serve->report, LOG_NOTICE, "SERVE", NULL, "removed the dead node %s", id);
	return true;
}

/* Nodes that are down and whose machine is there as another node: it lost its disk, or was cut off before it had its
 * certificate. Those that joined without asking us, too. */
static void find_leftovers(struct serve *serve, double now)
{
	const struct engine_members *members = &serve->facts.members;

	for (size_t i = 0; i < members->count; i++) {
		const struct engine_member *dead = &members->items[i];
		bool again = false;

		if (strcmp(dead->state, "down") != 0 || find_replaced(serve, dead->id) ||
		    serve->replaced_count == SERVE_REPLACED)
			continue;
		for (size_t j = 0; j < members->count && !again; j++) {
			const struct engine_member *other = &members->items[j];

			again = strcmp(other->state, "ready") == 0 && is_at(dead, other->address) &&
				strcasecmp(dead->hostname, other->hostname) == 0;
		}
		if (!again)
			continue;
		serve->replaced[serve->replaced_count] = (struct serve_replaced){.since = now};
		memcpy(serve->replaced[serve->replaced_count++].id, dead->id, sizeof(dead->id));
		serve->next_removal = 0;
	}
}

void serve_remove(struct serve *serve, double now)
{
	size_t kept = 0;

	if (!serve->replaced_count || now < serve->next_removal)
		return;
	serve->next_removal = now + 0.7;
	serve_refresh(serve, 0);
	if (!serve->facts.members.count)
		return;
	for (size_t i = 0; i < serve->replaced_count; i++) {
		bool done = remove_one(serve, serve->replaced[i].id);

		/* Long after its patience it is forgotten; the next request begins anew. */
		if (!done && now - serve->replaced[i].since < 4 * REMOVE_PATIENCE)
			serve->replaced[kept++] = serve->replaced[i];
	}
	serve->replaced_count = kept;
	serve->facts.at = 0;
}

/* ---- what a store should know -------------------------------------------------------------- */

static void digest_view(struct rendezvous_view *view, struct digest *ret)
{
	struct digest_ctx *ctx = digest_start();

	strv_sort(&view->addresses);
	for (size_t i = 0; i < view->addresses.count; i++)
		digest_add(ctx, view->addresses.items[i], strlen(view->addresses.items[i]) + 1);
	digest_add(ctx, view->token, sizeof(view->token));
	digest_add(ctx, view->other_token, sizeof(view->other_token));
	digest_finish(ctx, ret);
}

static void republish(struct serve *serve)
{
	CLEANUP(rendezvous_view_free) struct rendezvous_view view = {.state = RENDEZVOUS_READY};
	struct rendezvous *r = &serve->rendezvous;
	struct digest digest;
	struct err err = {0};
	bool held = false;

	if (serve->record.step != RECORD_JOINED ||
	    strcmp(serve->record.cluster_id, serve->facts.swarm.cluster_id) != 0)
		return; /* the join publishes first */
	if (swarm_ready(&serve->engine, r->role, &view, &err) < 0) {
		serve_say(serve, LOG_WARNING, &err, "cannot ask for what is to be published");
		return;
	}
	digest_view(&view, &digest);
	if (serve->has_published && memcmp(&digest, &serve->published, sizeof(digest)) == 0)
		return;
	memcpy(view.cluster_id, serve->facts.swarm.cluster_id, sizeof(view.cluster_id));
	view.epoch = r->epoch = serve->record.epoch;
	r->cluster_id = serve->facts.swarm.cluster_id;
	if (r->kind->publish(r, &view, &held, &err) < 0) {
		serve_say(serve, LOG_WARNING, &err, "cannot publish the swarm's managers");
		return;
	}
	if (!held) {
		serve_say(serve, LOG_ERR, NULL,
			  "alarm: the rendezvous '%s' holds another swarm than this one, %s",
			  r->kind->name, serve->facts.swarm.cluster_id);
		return;
	}
	serve->published = digest;
	serve->has_published = true;
	report_log(&serve->report, LOG_INFO, "SERVE", NULL, "published %zu managers",
		   view.addresses.count);
}

void serve_chores(struct serve *serve, double now)
{
	const json_t *wanted = wanted_labels(serve);
	struct err err = {0};

	if (record_load(serve->agent, &serve->record, &err) < 0) {
		serve_say(serve, LOG_WARNING, &err, "cannot do what a manager does for its swarm");
		return;
	}
	serve_refresh(serve, 1.0);
	if (!serve->facts.leader)
		return; /* one does it for all */
	for (size_t i = 0; i < serve->facts.members.count; i++)
		copy_labels(serve, &serve->facts.members.items[i], wanted);
	find_leftovers(serve, now);
	if (serve->rendezvous.kind->publish)
		republish(serve);
}
