/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a manager does for its swarm: engine labels into node labels (an allow-list: machines say them of themselves),
 * dead managers away that were replaced, and what a store should know when it changes.
 */
#include "agent/serve.h"

#include "agent/swarm.h"

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
	size_t len = strlen(request->address);

	if (strcmp(member->state, "down") != 0 || !(member->manager || member->member))
		return false;
	if (len && (strcmp(member->address, request->address) == 0 ||
		    (strncmp(member->manager_address, request->address, len) == 0 &&
		     member->manager_address[len] == ':')))
		return true;
	return *request->hostname && strcasecmp(member->hostname, request->hostname) == 0 &&
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
				   "'%s' at %s replaces the dead manager %s, which goes first",
				   request->hostname, request->address, member->id);
		}
		if (!r || now - r->since > REMOVE_PATIENCE)
			continue;
		snprintf(why, size, "removes the dead manager that this machine replaces");
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
	if (!member || strcmp(member->state, "down") != 0)
		return true;
	if (member->manager) {
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
		serve_say(serve, LOG_WARNING, &err, "cannot remove the dead manager %s", id);
		return false;
	}
	report_log(&serve->report, LOG_NOTICE, "SERVE", NULL, "removed the dead manager %s", id);
	return true;
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

	(void)now;
	if (record_load(serve->agent, &serve->record, NULL) < 0)
		return;
	serve_refresh(serve, 1.0);
	if (!serve->facts.leader)
		return; /* one does it for all */
	for (size_t i = 0; i < serve->facts.members.count; i++)
		copy_labels(serve, &serve->facts.members.items[i], wanted);
	if (serve->rendezvous.kind->publish)
		republish(serve);
}
