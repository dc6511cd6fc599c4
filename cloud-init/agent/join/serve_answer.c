/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `serve` answers: from the record (what this machine means to do), the engine (what is) and who asks.
 */
#include "agent/join/serve.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define FACTS_AGE \
	0.5 /* seconds for which the engine's word holds; tokens are asked for each time */
#define HEARD_TIME 600.0

void serve_refresh(struct serve *serve, double age)
{
	struct serve_facts *facts = &serve->facts;
	double now = clock_monotonic();
	struct err err = {0};

	facts->promised = serve->promised > 0 && now - serve->promised < SERVE_PROMISE;
	if (facts->at > 0 && now - facts->at < age)
		return;
	engine_members_free(&facts->members);
	*facts = (struct serve_facts){.at = now, .promised = facts->promised};
	if ((!*serve->engine.api && engine_connect(&serve->engine, &err) < 0) ||
	    engine_swarm(&serve->engine, &facts->swarm, &err) < 0) {
		serve->engine.api[0] = '\0'; /* another one may come back */
		return;
	}
	facts->answers = true;
	if (facts->swarm.state != ENGINE_ACTIVE || !facts->swarm.control)
		return;
	if (engine_members(&serve->engine, false, &facts->members, &err) < 0)
		return;
	for (size_t i = 0; i < facts->members.count; i++)
		facts->leader = facts->leader ||
				(facts->members.items[i].leader &&
				 strcmp(facts->members.items[i].id, facts->swarm.node_id) == 0);
	facts->services = 1; /* not known is not none */
	if (facts->swarm.nodes == 1 && engine_services(&serve->engine, &facts->services, &err) < 0)
		facts->services = 1;
}

/* A manager with a leader: what it knows of its swarm. */
static void describe_swarm(const struct serve_facts *facts, struct seeds_answer *ret)
{
	ret->state = SEEDS_MEMBER;
	memcpy(ret->cluster_id, facts->swarm.cluster_id, sizeof(ret->cluster_id));
	ret->nodes = (unsigned)facts->members.count;
	ret->lonely = facts->members.count == 1 && facts->services == 0 && !facts->promised;
	for (size_t i = 0; i < facts->members.count; i++) {
		const struct engine_member *m = &facts->members.items[i];

		if (m->reachable && *m->manager_address && ret->manager_count < SEEDS_MANAGERS)
			snprintf(ret->managers[ret->manager_count++], sizeof(ret->managers[0]),
				 "%s", m->manager_address);
	}
}

void serve_describe(const struct record *record, const struct serve_facts *facts,
		    struct seeds_answer *ret)
{
	ret->state = SEEDS_NEW;
	ret->epoch = record->epoch;
	if (record->step == RECORD_LEAVE) {
		/* What its engine is in, if anything, is being given up. */
		memcpy(ret->cluster_id, record->joining, sizeof(ret->cluster_id));
		return;
	}
	if (record_claims(record)) {
		/* Also when the engine is in a swarm already: it may have to be made again. */
		ret->state = SEEDS_CLAIMING;
		return;
	}
	if (facts->answers && facts->swarm.state == ENGINE_ACTIVE && facts->members.count) {
		describe_swarm(facts, ret);
		if (!ret->epoch)
			ret->epoch = 1;
		return;
	}
	if (!*record->cluster_id) {
		memcpy(ret->cluster_id, record->joining, sizeof(ret->cluster_id));
		return;
	}
	ret->state = SEEDS_UNREADY;
	memcpy(ret->cluster_id, record->cluster_id, sizeof(ret->cluster_id));
	snprintf(ret->why, sizeof(ret->why), "%s",
		 !facts->answers                         ? "its engine does not answer"
		 : facts->swarm.state == ENGINE_ACTIVE   ? "it has no leader, or is no manager"
		 : facts->swarm.state == ENGINE_LOCKED   ? "it is locked"
		 : facts->swarm.state == ENGINE_INACTIVE ? "its engine has lost it"
							 : "it waits for other managers");
}

static const struct engine_member *find_member(const struct serve *serve, const char *id)
{
	for (size_t i = 0; i < serve->facts.members.count; i++)
		if (strcmp(serve->facts.members.items[i].id, id) == 0)
			return &serve->facts.members.items[i];
	return NULL;
}

/* The instance-id in "i-123-8f00ba11". */
static size_t instance_len(const char *self)
{
	const char *dash = strrchr(self, '-');

	return dash ? (size_t)(dash - self) : strlen(self);
}

void serve_notice(struct serve *serve, const struct seeds_request *request, char *notice,
		  size_t size)
{
	const struct engine_member *node =
		*request->node_id ? find_member(serve, request->node_id) : NULL;
	struct serve_heard *own = NULL, *oldest = &serve->heard[0];
	size_t len = instance_len(request->instance);
	double now = clock_monotonic();

	*notice = '\0';
	if (node && strcmp(node->state, "ready") == 0 && *request->address &&
	    strcmp(node->address, request->address) != 0)
		snprintf(notice, size,
			 "node %.30s is alive at %s: this disk is a copy of that machine's",
			 node->id, node->address);
	for (size_t i = 0; i < SERVE_HEARD; i++) {
		struct serve_heard *h = &serve->heard[i];

		if (h->at < oldest->at)
			oldest = h;
		if (h->at == 0 || now - h->at > HEARD_TIME)
			continue;
		if (strcmp(h->address, request->address) == 0) {
			own = h;
			continue;
		}
		if (*notice || !len)
			continue;
		if (*h->engine_id && strcmp(h->engine_id, request->engine_id) == 0)
			snprintf(notice, size,
				 "the machine at %s has the same engine ID: one disk is a copy of "
				 "the other",
				 h->address);
		else if (instance_len(h->instance) == len &&
			 strncmp(h->instance, request->instance, len) == 0)
			snprintf(notice, size, "the machine at %s was given the same instance-id",
				 h->address);
	}
	if (!own) {
		own = oldest;
		own->told = 0;
	}
	if (*notice && (own->told == 0 || now - own->told > HEARD_TIME)) {
		own->told = now;
		report_log(&serve->report, LOG_WARNING, "SERVE", NULL, "'%s' at %s: %s",
			   request->hostname, request->address, notice);
	}
	memcpy(own->instance, request->instance, sizeof(own->instance));
	memcpy(own->address, request->address, sizeof(own->address));
	memcpy(own->engine_id, request->engine_id, sizeof(own->engine_id));
	own->at = now;
}

static void give_token(struct serve *serve, const struct seeds_request *request,
		       struct seeds_answer *ret)
{
	struct engine_tokens tokens;
	struct err err = {0};

	if (engine_tokens(&serve->engine, &tokens, &err) < 0) {
		ret->state = SEEDS_UNREADY;
		snprintf(ret->why, sizeof(ret->why), "its engine gives no tokens now");
		serve_say(serve, LOG_WARNING, &err, "cannot get the join tokens");
	} else if (rendezvous_is_token(strcmp(request->role, "manager") == 0 ? tokens.manager
									     : tokens.worker)) {
		memcpy(ret->token,
		       strcmp(request->role, "manager") == 0 ? tokens.manager : tokens.worker,
		       sizeof(ret->token));
		serve->promised = clock_monotonic();
		report_log(&serve->report, LOG_INFO, "SERVE", NULL,
			   "tells '%s' at %s how to join as %s", request->hostname,
			   request->address, request->role);
	}
	mem_wipe(&tokens, sizeof(tokens));
}

void serve_answer(struct serve *serve, const struct seeds_request *request,
		  struct seeds_answer *ret)
{
	struct err err = {0};

	*ret = (struct seeds_answer){0};
	/* The record at this moment: of two that claim at least one must see the other. */
	if (record_load(serve->agent, &serve->record, &err) < 0) {
		ret->state = SEEDS_UNREADY;
		snprintf(ret->why, sizeof(ret->why), "its record cannot be read");
		serve_say(serve, LOG_WARNING, &err, "cannot answer");
		return;
	}
	serve_refresh(serve, FACTS_AGE);
	serve_describe(&serve->record, &serve->facts, ret);
	serve_notice(serve, request, ret->notice, sizeof(ret->notice));
	if (ret->state != SEEDS_MEMBER || !request->token)
		return;
	if (strcmp(request->role, "manager") == 0 &&
	    serve_replaces(serve, request, ret->why, sizeof(ret->why)))
		return;
	give_token(serve, request, ret);
}
