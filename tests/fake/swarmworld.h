/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A world of machines in virtual time, one coroutine each, single-threaded: engines with the semantics of Docker's
 * (join tries one address, gives up after 20 s but stays pending and refuses everything else; a restart wipes what
 * has no certificate; leaders dial back; tokens rotate), a network that loses messages, a store with leases.
 */
#ifndef TESTS_FAKE_SWARMWORLD_H
#define TESTS_FAKE_SWARMWORLD_H

#include "tap.h"

#include "agent/join/serve.h"
#include "agent/join/swarm.h"

#include <ucontext.h>

#define SIM_NODES 64
#define SIM_CLUSTERS 256
#define SIM_STACK ((size_t)96 << 10)
#define SIM_LIMIT 1800.0 /* virtual seconds in which all must be joined */
#define SIM_CRASHES 4
#define SIM_NEVER 1e18

enum sim_op { SIM_IDLE, SIM_INIT, SIM_JOIN };
enum sim_end { SIM_WORKS, SIM_CLEARED, SIM_HANGS, SIM_BREAKS };

struct sim_engine {
	enum engine_state state;
	int cluster; /* that it is in, or -1 */
	bool manager;
	double up_at; /* it answers from then on */
	enum sim_op op;
	enum sim_end end;
	double begun, finish_at;
	int target;
	bool as_manager;
	const char *words; /* of the refusal */
};

struct sim_node {
	int index;
	bool manager, absent; /* absent: it never starts */
	ucontext_t context;
	char *stack;
	double wake;
	bool doomed, kills_machine, done, finished;
	double crashes[SIM_CRASHES]; /* in order; those that are over are SIM_NEVER */
	double up_at, serves_at, start;
	double clock_good_at, dial_back_at, cut_from, cut_until;
	double initialise_at; /* somebody says so then */
	double promised_at;   /* its serve gave a token last */
	double new_disk_at;
	bool initialise;
	struct record disk;
	struct sim_engine engine;
	struct agent agent;
	char last[256];
};

struct sim_cluster {
	unsigned worker_version, manager_version, services;
	bool exists;
};

struct sim_store {
	bool claimed, ready;
	char owner[96];
	uint64_t epoch;
	double expires, down_from, down_until;
	int cluster;
	unsigned worker_version, manager_version;
};

static struct sim {
	double now;
	uint64_t random;
	struct sim_node nodes[SIM_NODES];
	int count, seeds;
	bool uses_store, verbose;
	double loss, fault; /* of a message; of an engine's call */
	struct sim_cluster clusters[SIM_CLUSTERS];
	int cluster_count;
	struct sim_store store;
	ucontext_t scheduler;
	struct sim_node *current;
	unsigned long steps, inits, joins, crashes, leaves;
} sim;

static double sim_chance(void)
{
	sim.random ^= sim.random >> 12;
	sim.random ^= sim.random << 25;
	sim.random ^= sim.random >> 27;
	return (double)((sim.random * 2685821657736338717ull) >> 11) / 9007199254740992.0;
}

static double sim_between(double a, double b)
{
	return a + sim_chance() * (b - a);
}

static bool sim_hits(double probability)
{
	return sim_chance() < probability;
}

__attribute__((format(printf, 2, 3))) static void sim_note(const struct sim_node *node,
							   const char *fmt, ...)
{
	char text[600];
	va_list ap;

	if (!sim.verbose)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "# %8.3f n%-2d %s\n", sim.now, node->index, text);
}

static struct sim_node *sim_of(struct join *join)
{
	return join->world;
}

/* Has this machine or its agent crashed by now? From then on nothing that it does has an effect. */
static bool sim_doomed(struct sim_node *node)
{
	for (int i = 0; i < SIM_CRASHES && !node->doomed; i++)
		if (sim.now >= node->crashes[i]) {
			node->crashes[i] = SIM_NEVER;
			node->doomed = true;
			node->kills_machine = sim_hits(0.5);
		}
	return node->doomed;
}

static int sim_killed(struct err *err)
{
	return err_set(err, ERR_INTERRUPTED, "killed");
}

/* Lets the others run for so long, or until this one crashes. */
static void sim_sleep(struct sim_node *node, double seconds)
{
	double wake = sim.now + seconds;

	if (node->doomed)
		return;
	for (int i = 0; i < SIM_CRASHES; i++)
		if (node->crashes[i] < wake)
			wake = node->crashes[i] > sim.now ? node->crashes[i] : sim.now;
	node->wake = wake;
	swapcontext(&node->context, &sim.scheduler);
	sim_doomed(node);
}

static bool sim_is_up(const struct sim_node *node)
{
	return !node->absent && sim.now >= node->up_at;
}

static bool sim_is_cut(const struct sim_node *node)
{
	return sim.now >= node->cut_from && sim.now < node->cut_until;
}

static bool sim_reaches(const struct sim_node *from, const struct sim_node *to)
{
	return sim_is_up(to) && (from == to || (!sim_is_cut(from) && !sim_is_cut(to)));
}

/* ---- clusters -------------------------------------------------------------------------------- */

static unsigned sim_members(int cluster, bool managers)
{
	unsigned count = 0;

	for (int i = 0; i < sim.count; i++)
		count += sim.nodes[i].engine.cluster == cluster &&
			 (!managers || sim.nodes[i].engine.manager);
	return count;
}

/* A majority of the cluster's managers can talk to each other. */
static bool sim_has_leader(int cluster)
{
	unsigned all = 0, up = 0, cut = 0;

	for (int i = 0; i < sim.count; i++) {
		const struct sim_node *node = &sim.nodes[i];

		if (node->engine.cluster != cluster || !node->engine.manager)
			continue;
		all++;
		if (sim_is_up(node) && sim.now >= node->engine.up_at) {
			up++;
			cut += sim_is_cut(node);
		}
	}
	if (all == 1)
		return up == 1;
	return up - cut > all / 2;
}

static const char *sim_cluster_name(int cluster)
{
	static char names[8][32];
	static unsigned next;
	char *name = names[next++ % 8];

	snprintf(name, 32, "cluster%d", cluster);
	return name;
}

/* ---- engines --------------------------------------------------------------------------------- */

static void sim_clear(struct sim_engine *engine)
{
	engine->state = ENGINE_INACTIVE;
	engine->op = SIM_IDLE;
	engine->cluster = -1;
	engine->manager = false;
}

static void sim_succeed(struct sim_engine *engine)
{
	engine->state = ENGINE_ACTIVE;
	if (engine->op == SIM_INIT) {
		if (sim.cluster_count == SIM_CLUSTERS)
			FAIL("too many swarms were made");
		engine->cluster = sim.cluster_count++;
		sim.clusters[engine->cluster] = (struct sim_cluster){1, 1, 0, true};
		engine->manager = true;
	} else {
		engine->cluster = engine->target;
		engine->manager = engine->as_manager;
	}
	engine->op = SIM_IDLE;
}

/* What became of the engine meanwhile. */
static void sim_update(struct sim_node *node)
{
	struct sim_engine *engine = &node->engine;

	if (engine->op == SIM_IDLE || sim.now < engine->finish_at)
		return;
	switch (engine->end) {
	case SIM_WORKS:
		sim_succeed(engine);
		return;
	case SIM_CLEARED:
		sim_clear(engine);
		return;
	case SIM_HANGS:
		return;
	case SIM_BREAKS:
		engine->state = ENGINE_ERROR;
		engine->op = SIM_IDLE;
		return;
	}
}

/* The engine (or the machine) restarts: without a certificate its state is wiped; in the last part of a join it has
 * one, and goes on by itself. */
static void sim_restart(struct sim_node *node, double down)
{
	struct sim_engine *engine = &node->engine;

	sim_update(node);
	if (engine->op == SIM_JOIN && engine->end == SIM_WORKS &&
	    sim.now > engine->finish_at - 0.2 * (engine->finish_at - engine->begun))
		sim_succeed(engine);
	else if (engine->state != ENGINE_ACTIVE)
		sim_clear(engine);
	engine->up_at = sim.now + down;
}

static bool sim_engine_answers(struct sim_node *node)
{
	sim_update(node);
	return sim_is_up(node) && sim.now >= node->engine.up_at;
}

/* A call to the engine begins: false when there is none, or the caller is killed. */
static int sim_call(struct sim_node *node, double seconds, struct err *err)
{
	if (sim_doomed(node))
		return sim_killed(err);
	sim_sleep(node, seconds);
	if (sim_doomed(node))
		return sim_killed(err);
	if (!sim_engine_answers(node))
		return err_set(err, ERR_NETWORK, "the engine does not answer");
	return 0;
}

static void sim_describe(struct sim_node *node, struct engine_swarm *ret)
{
	struct sim_engine *engine = &node->engine;
	bool leader = engine->state == ENGINE_ACTIVE && sim_has_leader(engine->cluster);

	*ret = (struct engine_swarm){.state = engine->state};
	snprintf(ret->engine_id, sizeof(ret->engine_id), "e%d", node->index);
	if (engine->state != ENGINE_ACTIVE)
		return;
	snprintf(ret->node_id, sizeof(ret->node_id), "node%d", node->index);
	if (!engine->manager)
		return;
	if (!leader) {
		ret->state = ENGINE_PENDING;
		return;
	}
	ret->control = true;
	snprintf(ret->cluster_id, sizeof(ret->cluster_id), "%s", sim_cluster_name(engine->cluster));
	ret->nodes = sim_members(engine->cluster, false);
	ret->managers = sim_members(engine->cluster, true);
}

static int sim_info(struct join *join, struct engine_swarm *ret, struct err *err)
{
	struct sim_node *node = sim_of(join);

	sim.steps++;
	if (sim_call(node, 0.005, err) < 0)
		return -1;
	sim_describe(node, ret);
	return 0;
}

/* Waits as the engine's API does: until the end, or for 20 s. */
static int sim_wait(struct sim_node *node, struct err *err)
{
	struct sim_engine *engine = &node->engine;
	double limit = sim.now + 20;
	enum sim_op op = engine->op;

	while (sim.now < limit && engine->op == op && sim.now < engine->finish_at) {
		double until = engine->finish_at < limit ? engine->finish_at : limit;

		sim_sleep(node, until - sim.now + 0.001);
		if (sim_doomed(node))
			return sim_killed(err);
		if (!sim_engine_answers(node))
			return err_set(err, ERR_NETWORK, "the engine does not answer any more");
	}
	sim_update(node);
	if (engine->state == ENGINE_ACTIVE)
		return 0;
	if (engine->op == op)
		return err_set(err, ERR_OTHER,
			       "the engine refused (503): Timeout was reached before node joined. "
			       "The attempt to join the swarm will continue in the background.");
	return err_set(err, ERR_OTHER, "the engine refused (500): %s",
		       engine->words ? engine->words : "context deadline exceeded");
}

static int sim_init(struct join *join, const struct engine_start *start, struct err *err)
{
	struct sim_node *node = sim_of(join);
	struct sim_engine *engine = &node->engine;

	(void)start;
	if (sim_call(node, 0.005, err) < 0)
		return -1;
	if (engine->state != ENGINE_INACTIVE)
		return err_set(err, ERR_OTHER, "This node is already part of a swarm.");
	sim.inits++;
	sim_note(node, "engine initialises");
	engine->op = SIM_INIT;
	engine->state = ENGINE_PENDING;
	engine->begun = sim.now;
	engine->finish_at = sim.now + sim_between(0.2, 3);
	engine->end = SIM_WORKS;
	engine->words = NULL;
	if (sim_hits(sim.fault)) {
		engine->end = sim_hits(0.5) ? SIM_CLEARED : sim_hits(0.5) ? SIM_BREAKS : SIM_HANGS;
		engine->finish_at = sim.now + sim_between(0.2, 25);
	} else if (sim_hits(sim.fault)) {
		engine->finish_at = sim.now + sim_between(5, 40); /* slow, but it comes */
	}
	/* The claim is kept meanwhile. */
	while (join->rendezvous.kind->renew && !sim_doomed(node) &&
	       sim.now + RENDEZVOUS_LEASE / 3 < engine->finish_at && engine->op == SIM_INIT &&
	       sim.now < engine->begun + 20) {
		bool held;

		sim_sleep(node, RENDEZVOUS_LEASE / 3);
		if (!sim_doomed(node))
			join->rendezvous.kind->renew(&join->rendezvous, &held, NULL);
	}
	return sim_doomed(node) ? sim_killed(err) : sim_wait(node, err);
}

/* "10.0.0.5:2377" is machine 5. */
static struct sim_node *sim_at(const char *address)
{
	int i = atoi(address + strlen("10.0.0."));

	return i >= 0 && i < sim.count ? &sim.nodes[i] : NULL;
}

/* Tokens are "cluster:version:role". */
static void sim_token(int cluster, bool manager, char *to)
{
	const struct sim_cluster *c = &sim.clusters[cluster];

	snprintf(to, RENDEZVOUS_TOKEN_MAX, "%d:%u:%c", cluster,
		 manager ? c->manager_version : c->worker_version, manager ? 'm' : 'w');
}

static void sim_end_join(struct sim_engine *engine, double after, enum sim_end end,
			 const char *words)
{
	engine->finish_at = sim.now + after;
	engine->end = end;
	engine->words = words;
}

/* What will become of a join with this token at that machine. */
static void sim_plan_join(struct sim_node *node, struct sim_node *to, const char *token)
{
	struct sim_engine *engine = &node->engine;
	char want[2][RENDEZVOUS_TOKEN_MAX];

	if (!to || !sim_reaches(node, to) || !sim_engine_answers(to)) {
		sim_end_join(engine, 1000, SIM_HANGS, NULL);
		return;
	}
	if (to->engine.cluster < 0 || !to->engine.manager) {
		if (sim_hits(0.5))
			sim_end_join(engine, 10, SIM_CLEARED, "connection refused");
		else
			sim_end_join(engine, 1000, SIM_HANGS, NULL);
		return;
	}
	sim_token(to->engine.cluster, true, want[0]);
	sim_token(to->engine.cluster, false, want[1]);
	engine->target = to->engine.cluster;
	engine->as_manager = strcmp(token, want[0]) == 0;
	if (sim.now < node->clock_good_at)
		sim_end_join(engine, 0.5, SIM_CLEARED,
			     "x509: certificate has expired or is not yet valid");
	else if (atoi(token) != to->engine.cluster)
		sim_end_join(engine, 0.3, SIM_CLEARED, "remote CA does not match fingerprint");
	else if (strcmp(token, want[0]) != 0 && strcmp(token, want[1]) != 0)
		sim_end_join(engine, 0.3, SIM_CLEARED,
			     "A valid join token is necessary to join this cluster");
	else if (!sim_has_leader(to->engine.cluster))
		sim_end_join(engine, 5, SIM_CLEARED, "The swarm does not have a leader");
	else if (engine->as_manager && sim.now < node->dial_back_at)
		sim_end_join(engine, 5, SIM_CLEARED,
			     "could not connect to prospective new cluster member using its "
			     "advertised address");
	else if (sim_hits(sim.fault))
		sim_end_join(engine, sim_between(15, 40), sim_hits(0.5) ? SIM_WORKS : SIM_HANGS,
			     NULL);
	else
		sim_end_join(engine, sim_between(0.2, 2), SIM_WORKS, NULL);
}

static int sim_join(struct join *join, const struct engine_start *start, struct err *err)
{
	struct sim_node *node = sim_of(join);
	struct sim_engine *engine = &node->engine;

	if (sim_call(node, 0.005, err) < 0)
		return -1;
	if (engine->state != ENGINE_INACTIVE)
		return err_set(err, ERR_OTHER, "This node is already part of a swarm.");
	sim.joins++;
	engine->op = SIM_JOIN;
	engine->state = ENGINE_PENDING;
	engine->begun = sim.now;
	sim_plan_join(node, sim_at(start->remote), start->token);
	sim_note(node, "engine joins by way of %s with %s", start->remote, start->token);
	return sim_wait(node, err);
}

static int sim_leave(struct join *join, struct err *err)
{
	struct sim_node *node = sim_of(join);

	if (sim_call(node, 0.2, err) < 0)
		return -1;
	sim_note(node, "engine leaves");
	sim.leaves++;
	sim_clear(&node->engine);
	return 0;
}

static int sim_services(struct join *join, unsigned *ret, struct err *err)
{
	struct sim_node *node = sim_of(join);

	if (sim_call(node, 0.005, err) < 0)
		return -1;
	if (node->engine.cluster < 0 || !sim_has_leader(node->engine.cluster))
		return err_set(err, ERR_OTHER, "The swarm does not have a leader");
	*ret = sim.clusters[node->engine.cluster].services;
	return 0;
}

static void sim_managers(int cluster, struct strv *addresses)
{
	for (int i = 0; i < sim.count; i++)
		if (sim.nodes[i].engine.cluster == cluster && sim.nodes[i].engine.manager &&
		    sim_engine_answers(&sim.nodes[i]))
			strv_addf(addresses, "10.0.0.%d:2377", i);
}

static int sim_ready(struct join *join, struct rendezvous_view *ret, struct err *err)
{
	struct sim_node *node = sim_of(join);

	if (sim_call(node, 0.005, err) < 0)
		return -1;
	if (node->engine.cluster < 0)
		return err_set(err, ERR_OTHER, "not in a swarm");
	sim_managers(node->engine.cluster, &ret->addresses);
	sim_token(node->engine.cluster, node->manager, ret->token);
	sim_token(node->engine.cluster, !node->manager, ret->other_token);
	return 0;
}

static bool sim_address(struct join *join, char interface[16], const char **ret_why)
{
	struct sim_node *node = sim_of(join);

	*ret_why = "an address";
	snprintf(interface, 16, "eth0");
	snprintf(join->address, sizeof(join->address), "10.0.0.%d", node->index);
	return sim.now >= node->start + 0.5;
}

static bool sim_probe(struct join *join, const struct strv *addresses, const char *avoid,
		      size_t *ret)
{
	struct sim_node *node = sim_of(join);
	size_t first = (size_t)(sim_chance() * (double)addresses->count);
	bool found = false;

	sim_sleep(node, 0.01);
	for (size_t i = 0; i < addresses->count; i++) {
		size_t at = (first + i) % addresses->count;
		struct sim_node *to = sim_at(addresses->items[at]);

		if (!to || !sim_reaches(node, to) || !sim_engine_answers(to))
			continue;
		if (avoid && strcmp(addresses->items[at], avoid) == 0 && found)
			continue;
		*ret = at;
		found = true;
		if (!avoid || strcmp(addresses->items[at], avoid) != 0)
			return true;
	}
	if (!found)
		sim_sleep(node, 1);
	return found;
}

static bool sim_clock(struct join *join, char *why, size_t size)
{
	struct sim_node *node = sim_of(join);

	snprintf(why, size, "no time server was heard yet");
	/* The limit of the real one: then it goes on with the clock that it has. */
	return sim.now >= node->clock_good_at || sim.now >= node->start + 8;
}

/* ---- the loop's seams ------------------------------------------------------------------------ */

static double sim_now(struct join *join)
{
	(void)join;
	return sim.now;
}

static double sim_join_chance(struct join *join)
{
	(void)join;
	return sim_chance();
}

static void sim_pause(struct join *join, double seconds)
{
	sim_sleep(sim_of(join), seconds);
}

/* A kill hits before or after the rename. */
static int sim_save(struct join *join, struct err *err)
{
	struct sim_node *node = sim_of(join);

	if (sim_doomed(node))
		return sim_killed(err);
	sim_sleep(node, 0.002);
	if (!node->doomed || sim_hits(0.5)) {
		node->disk = join->record;
		sim_note(node, "step %s epoch %llu cluster '%s'",
			 record_step_name(join->record.step),
			 (unsigned long long)join->record.epoch, join->record.cluster_id);
	}
	return node->doomed ? sim_killed(err) : 0;
}

static int sim_live(struct join *join, const char *waits_for, bool remote, struct err *err)
{
	struct sim_node *node = sim_of(join);

	(void)remote;
	(void)err;
	if (waits_for && (sim.verbose || strncmp(waits_for, "alarm", 5) == 0)) {
		snprintf(node->last, sizeof(node->last), "%s", waits_for);
		sim_note(node, "%s", waits_for);
	}
	return 0;
}

static const struct join_seams sim_world = {sim_now, sim_join_chance, sim_pause, sim_save,
					    sim_live};

#endif
