/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The join's own code in a simulated world (fake/swarmworld.h): 64 machines (with ANY_SIZE=1 from 2 on) that start
 * together, crash at any step, lose messages, have wrong clocks, dead seeds, engines that fail. In the end there is
 * one swarm, and all are in it. SEED=n replays one trial and tells it; TRIALS=n says how many (default 2000).
 */
#include "fake/swarmworld.h"

#include "base/mem.h"

#include <ifaddrs.h>

/* No machine has addresses of this one. */
int getifaddrs(struct ifaddrs **list)
{
	*list = NULL;
	return 0;
}

/* ---- rendezvous "seeds": the real judgement, a simulated network ------------------------------ */

static void facts_of(struct sim_node *node, struct serve_facts *facts,
		     struct engine_member *members)
{
	facts->answers = sim_engine_answers(node);
	if (!facts->answers)
		return;
	sim_describe(node, &facts->swarm);
	if (facts->swarm.state != ENGINE_ACTIVE || !facts->swarm.control)
		return;
	facts->members.items = members;
	for (int i = 0; i < sim.count; i++) {
		struct sim_node *other = &sim.nodes[i];
		struct engine_member *m = &members[facts->members.count];

		if (other->engine.cluster != node->engine.cluster)
			continue;
		facts->members.count++;
		m->manager = m->member = other->engine.manager;
		m->reachable = other->engine.manager && sim_engine_answers(other);
		m->manager_address[0] = '\0';
		if (m->manager)
			snprintf(m->manager_address, sizeof(m->manager_address), "10.0.0.%d:2377",
				 i);
	}
	facts->services = sim.clusters[node->engine.cluster].services;
}

/* A token was given lately. */
static bool has_promised(const struct sim_node *node)
{
	return node->promised_at > 0 && sim.now - node->promised_at < SERVE_PROMISE;
}

/* What `serve` on that machine says, by its own function. */
static void answer(struct sim_node *to, const struct seeds_request *request,
		   struct seeds_answer *ret)
{
	static struct engine_member members[SIM_NODES];
	struct serve_facts facts = {0};

	facts_of(to, &facts, members);
	facts.promised = has_promised(to);
	*ret = (struct seeds_answer){0};
	serve_describe(&to->disk, &facts, ret);
	if (ret->state != SEEDS_MEMBER || !request->token)
		return;
	to->promised_at = sim.now;
	sim_token(to->engine.cluster, strcmp(request->role, "manager") == 0, ret->token);
}

static void ask(struct seeds *seeds, const struct seeds_request *request, const size_t *indexes,
		size_t count, double timeout, struct seeds_answer *answers)
{
	struct sim_node *node = seeds->context;
	double slowest = 0;

	sim_sleep(node, sim_between(0.001, 0.02));
	for (size_t i = 0; i < count; i++) {
		struct sim_node *to = &sim.nodes[indexes[i]];
		struct seeds_answer *a = &answers[indexes[i]];

		*a = (struct seeds_answer){.state = SEEDS_SILENT};
		if (!sim_reaches(node, to) || sim_hits(sim.loss))
			slowest = timeout;
		else if (sim.now < to->serves_at)
			snprintf(a->why, sizeof(a->why), "Connection refused");
		else
			answer(to, request, a);
		if (a->state != SEEDS_SILENT && sim_hits(sim.loss)) {
			*a = (struct seeds_answer){.state = SEEDS_SILENT};
			slowest = timeout;
		}
	}
	sim_sleep(node, slowest + sim_between(0.001, 0.02));
}

/* ---- a store with leases ---------------------------------------------------------------------- */

/* One request: lost before or after it had its effect, or the store is down. */
static int store_begin(struct rendezvous *r, bool *ret_lost, struct err *err)
{
	struct sim_node *node = r->state;

	if (sim_doomed(node))
		return sim_killed(err);
	sim_sleep(node, sim_between(0.002, 0.03));
	if (sim_doomed(node))
		return sim_killed(err);
	*ret_lost = sim_hits(sim.loss / 2);
	if (sim_hits(sim.loss / 2) || sim_is_cut(node) ||
	    (sim.now >= sim.store.down_from && sim.now < sim.store.down_until)) {
		sim_sleep(node, 1);
		return err_set(err, ERR_NETWORK, "the store does not answer");
	}
	return 0;
}

static int store_end(struct rendezvous *r, bool lost, struct err *err)
{
	struct sim_node *node = r->state;

	sim_sleep(node, lost ? 1 : 0.005);
	if (sim_doomed(node))
		return sim_killed(err);
	return lost ? err_set(err, ERR_NETWORK, "the store does not answer") : 0;
}

static bool store_is_free(void)
{
	return !sim.store.ready && (!sim.store.claimed || sim.now >= sim.store.expires);
}

static int store_look(struct rendezvous *r, struct rendezvous_view *ret, struct err *err)
{
	const struct sim_node *node = r->state;
	const struct sim_store *s = &sim.store;
	bool lost;

	if (store_begin(r, &lost, err) < 0)
		return -1;
	ret->epoch = s->epoch;
	if (s->ready) {
		ret->state = RENDEZVOUS_READY;
		snprintf(ret->cluster_id, sizeof(ret->cluster_id), "%s",
			 sim_cluster_name(s->cluster));
		sim_managers(s->cluster, &ret->addresses);
		snprintf(ret->token, sizeof(ret->token), "%d:%u:%c", s->cluster,
			 node->manager ? s->manager_version : s->worker_version,
			 node->manager ? 'm' : 'w');
		ret->nodes = sim_members(s->cluster, false);
	} else if (store_is_free()) {
		ret->state = RENDEZVOUS_EMPTY;
	} else {
		ret->state = RENDEZVOUS_BUSY;
		snprintf(ret->owner, sizeof(ret->owner), "%.64s", s->owner);
	}
	return store_end(r, lost, err);
}

static int store_claim(struct rendezvous *r, bool *ret_won, uint64_t *ret_epoch, struct err *err)
{
	struct sim_store *s = &sim.store;
	bool lost;

	if (store_begin(r, &lost, err) < 0)
		return -1;
	*ret_won = !s->ready && (store_is_free() || strcmp(s->owner, r->self) == 0);
	if (*ret_won) {
		if (strcmp(s->owner, r->self) != 0 || sim.now >= s->expires)
			s->epoch++;
		s->claimed = true;
		snprintf(s->owner, sizeof(s->owner), "%s", r->self);
		s->expires = sim.now + RENDEZVOUS_LEASE;
	}
	*ret_epoch = s->epoch;
	return store_end(r, lost, err);
}

static int store_renew(struct rendezvous *r, bool *ret_held, struct err *err)
{
	struct sim_store *s = &sim.store;
	bool lost;

	if (store_begin(r, &lost, err) < 0)
		return -1;
	*ret_held =
		s->claimed && !s->ready && sim.now < s->expires && strcmp(s->owner, r->self) == 0;
	if (*ret_held)
		s->expires = sim.now + RENDEZVOUS_LEASE;
	return store_end(r, lost, err);
}

static int store_publish(struct rendezvous *r, const struct rendezvous_view *ready, bool *ret_held,
			 struct err *err)
{
	struct sim_store *s = &sim.store;
	int cluster = atoi(ready->cluster_id + strlen("cluster"));
	bool lost;

	if (store_begin(r, &lost, err) < 0)
		return -1;
	*ret_held = s->ready ? s->cluster == cluster
			     : s->claimed && sim.now < s->expires && s->epoch == ready->epoch &&
				       strcmp(s->owner, r->self) == 0;
	if (*ret_held) {
		s->ready = true;
		s->cluster = cluster;
		s->manager_version = sim.clusters[cluster].manager_version;
		s->worker_version = sim.clusters[cluster].worker_version;
	}
	return store_end(r, lost, err);
}

static const struct rendezvous_kind sim_store_kind = {
	.name = "store",
	.look = store_look,
	.claim = store_claim,
	.renew = store_renew,
	.publish = store_publish,
};

/* ---- one machine ------------------------------------------------------------------------------ */

static int sim_setup(struct join *join, struct err *err)
{
	struct sim_node *node = sim_of(join);
	struct rendezvous *r = &join->rendezvous;
	struct seeds *seeds;

	if (sim_doomed(node))
		return sim_killed(err);
	r->initialise = node->initialise || (sim.now >= node->initialise_at);
	if (r->kind)
		return 0;
	join->has_cluster = true;
	if (!*join->record.unique)
		snprintf(join->record.unique, sizeof(join->record.unique), "%d", node->index);
	snprintf(join->self, sizeof(join->self), "i%d-%s", node->index, join->record.unique);
	*r = (struct rendezvous){
		.agent = &node->agent,
		.role = node->agent.role,
		.self = join->self,
		.address = join->address,
	};
	if (sim.uses_store) {
		r->kind = &sim_store_kind;
		r->state = node;
		return 0;
	}
	seeds = mem_alloc(sizeof(*seeds));
	for (int i = 0; i < sim.seeds; i++)
		snprintf(seeds->address[i], sizeof(seeds->address[i]), "10.0.0.%d:2378", i);
	seeds->count = (size_t)sim.seeds;
	seeds->own = node->index < sim.seeds ? (size_t)node->index : seeds->count;
	seeds->ask = ask;
	seeds->context = node;
	r->kind = &rendezvous_seeds;
	r->state = seeds;
	return 0;
}

static const struct swarm_seams seams = {
	.setup = sim_setup,
	.info = sim_info,
	.init = sim_init,
	.join = sim_join,
	.leave = sim_leave,
	.ready = sim_ready,
	.services = sim_services,
	.address = sim_address,
	.probe = sim_probe,
	.clock = sim_clock,
};

static double next_event(const struct sim_node *node)
{
	double next = node->new_disk_at;

	for (int i = 0; i < SIM_CRASHES; i++)
		if (node->crashes[i] < next)
			next = node->crashes[i];
	return next;
}

/* After a kill: the agent comes back soon; with the machine, everything else does, too. */
static void recover(struct sim_node *node)
{
	sim.crashes++;
	sim_note(node, node->kills_machine ? "the machine crashes" : "the agent is killed");
	if (node->kills_machine) {
		double down = sim_between(2, 20);

		sim_restart(node, down + sim_between(0.5, 3));
		node->up_at = sim.now + down;
		node->serves_at = node->up_at + sim_between(0.1, 3);
		node->start = node->up_at;
	}
	node->doomed = false;
	sim_sleep(node, node->kills_machine ? node->up_at - sim.now : sim_between(0.5, 2));
	node->doomed = false;
}

static bool has_other_seed(const struct sim_node *node)
{
	for (int i = 0; i < sim.seeds; i++)
		if (i != node->index && sim.nodes[i].engine.cluster == node->engine.cluster)
			return true;
	return false;
}

static void replace_disk(struct sim_node *node)
{
	if (sim.now < node->new_disk_at)
		return;
	/* Where it was the only one, the swarm is gone with it, and nobody can bring it back; where it was the only
	 * seed, nobody can tell the others of it. */
	if (node->engine.cluster >= 0 && (sim_members(node->engine.cluster, true) < 3 ||
					  (!sim.uses_store && !has_other_seed(node)))) {
		node->new_disk_at = SIM_NEVER;
		return;
	}
	sim_note(node, "comes back with a new disk");
	node->new_disk_at = SIM_NEVER;
	sim_clear(&node->engine);
	node->disk = (struct record){0};
	node->engine.up_at = sim.now + 1;
}

/* serve looks for a second swarm while nobody else is in this one, or is on the way, and starts a join then. */
static bool is_alone(const struct sim_node *node)
{
	return !sim.uses_store && node->manager && node->engine.cluster >= 0 && sim.count > 1 &&
	       sim_members(node->engine.cluster, false) == 1;
}

static void live(void)
{
	struct sim_node *node = sim.current;

	for (;;) {
		struct err err = {0};
		struct join join = {
			.agent = &node->agent,
			.seams = &sim_world,
			.swarm = &seams,
			.world = node,
			.report = {.quiet = true},
			.record = node->disk,
		};
		int r = join_loop(&join, 0, &err);

		join_close(&join);
		node->done = r == 0;
		if (r == 0) {
			sim_note(node, "is done");
			if (sim.now >= node->initialise_at)
				node->initialise_at = SIM_NEVER;
		}
		while (node->done && !node->doomed) {
			double event = next_event(node);

			if (is_alone(node)) {
				sim_sleep(node, 10);
				if (has_promised(node))
					continue;
				break;
			}
			if (event >= SIM_NEVER) {
				node->finished = true;
				sim_sleep(node, SIM_NEVER);
			}
			sim_sleep(node, event - sim.now);
			if (sim.now >= node->new_disk_at)
				node->doomed = node->kills_machine = true;
		}
		if (node->doomed || r < 0)
			recover(node);
		replace_disk(node);
	}
}

/* ---- one trial -------------------------------------------------------------------------------- */

static void start_node(int i, bool manager)
{
	struct sim_node *node = &sim.nodes[i];
	char *stack = node->stack ? node->stack : malloc(SIM_STACK);

	CHECK(stack);
	*node = (struct sim_node){.index = i, .manager = manager, .stack = stack};
	node->agent =
		(struct agent){.root = "", .kind = "swarm", .role = manager ? "manager" : "worker"};
	node->start = node->up_at = sim_between(0, 10);
	node->engine =
		(struct sim_engine){.cluster = -1, .up_at = node->start + sim_between(0.2, 4)};
	node->serves_at = node->start + sim_between(0.1, 3);
	node->initialise_at = node->new_disk_at = SIM_NEVER;
	for (int c = 0; c < SIM_CRASHES; c++)
		node->crashes[c] = SIM_NEVER;
	getcontext(&node->context);
	node->context.uc_stack.ss_sp = stack;
	node->context.uc_stack.ss_size = SIM_STACK;
	makecontext(&node->context, live, 0);
	node->wake = node->start;
}

/* Faults of one machine, by chance. */
static void trouble(struct sim_node *node, double crash)
{
	for (int c = 0; c < SIM_CRASHES; c++)
		if (sim_hits(crash))
			node->crashes[c] = node->start + sim_between(0, c < 2 ? 20 : 90);
	if (sim_hits(0.2))
		node->clock_good_at = sim_between(0, 60);
	if (node->manager && sim_hits(0.1))
		node->dial_back_at = sim_between(0, 60);
	if (sim_hits(0.1)) {
		node->cut_from = sim_between(0, 60);
		node->cut_until = node->cut_from + sim_between(1, 60);
	}
}

/* The first seed is lost, for a while or for good; somebody says so on the second one. */
static void lose_first(void)
{
	struct sim_node *first = &sim.nodes[0], *second = &sim.nodes[1];

	second->initialise_at = sim_between(20, 80);
	second->clock_good_at = 0;
	if (sim_hits(0.4)) {
		first->absent = true;
		first->finished = true;
		return;
	}
	/* It is there, makes its swarm, and nobody sees it. */
	first->cut_from = 0;
	first->cut_until = second->initialise_at + sim_between(0, 100);
	/* Seeds have no quorum: when the second one is gone in the moment in which the first one is back, or the
	 * network loses what each says of the other, there can be two swarms (README, limits). */
	sim.loss = 0;
	second->cut_from = SIM_NEVER;
	for (int c = 0; c < SIM_CRASHES; c++)
		second->crashes[c] = SIM_NEVER;
}

static unsigned long number_of(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 10) : otherwise;
}

static void set_up(void)
{
	int managers = 1 + 2 * (int)(sim_chance() * 4);
	double crash = sim_hits(0.3) ? 0 : sim_between(0, 0.3);

	sim.count = getenv("ANY_SIZE") ? 2 + (int)(sim_chance() * (SIM_NODES - 2)) : SIM_NODES;
	if (managers > sim.count)
		managers = 1;
	sim.uses_store = sim_hits(0.4);
	sim.loss = sim_hits(0.4) ? 0 : sim_between(0, 0.5);
	sim.fault = sim_hits(0.4) ? 0 : sim_between(0, 0.3);
	sim.seeds = managers > 5 ? 5 : managers;
	for (int i = 0; i < sim.count; i++)
		start_node(i, i < managers);
	for (int i = 0; i < sim.count && crash > 0; i++)
		trouble(&sim.nodes[i], crash);
	if (sim.uses_store && sim_hits(0.4)) {
		sim.store.down_from = sim_between(0, 40);
		sim.store.down_until = sim.store.down_from + sim_between(1, 300);
	}
	if (managers >= 3 &&
	    sim_hits(0.3)) { /* two of three seeds may be dead, but not the first */
		sim.nodes[managers - 1].absent = sim.nodes[managers - 1].finished = true;
	} else if (!sim.uses_store && managers >= 3 && sim_hits(0.3)) {
		lose_first();
	} else if (managers >= 3 && sim_hits(0.3)) {
		sim.nodes[sim.uses_store ? (int)(sim_chance() * managers) : 0].new_disk_at =
			sim_between(100, 200);
		/* It must hear of the swarm that it was in. */
		if (!sim.uses_store)
			sim.loss /= 2;
	}
}

/* A token that was told may be refused a moment later. */
static void rotate_tokens(void)
{
	for (int c = 0; c < sim.cluster_count; c++) {
		if (sim_hits(0.5))
			sim.clusters[c].worker_version++;
		else
			sim.clusters[c].manager_version++;
	}
	/* serve republishes. */
	if (sim.store.ready) {
		sim.store.worker_version = sim.clusters[sim.store.cluster].worker_version;
		sim.store.manager_version = sim.clusters[sim.store.cluster].manager_version;
	}
}

static bool all_joined(void)
{
	for (int i = 0; i < sim.count; i++)
		if (!sim.nodes[i].absent && !sim.nodes[i].finished)
			return false;
	return true;
}

static void run_world(void)
{
	double next_rotation = sim_between(3, 30);

	while (!all_joined() && sim.now < SIM_LIMIT) {
		struct sim_node *next = NULL;

		for (int i = 0; i < sim.count; i++)
			if (!sim.nodes[i].absent && (!next || sim.nodes[i].wake < next->wake))
				next = &sim.nodes[i];
		if (next->wake > sim.now)
			sim.now = next->wake;
		if (sim.now > next_rotation) {
			rotate_tokens();
			next_rotation = sim.now + sim_between(5, 60);
		}
		sim.current = next;
		swapcontext(&sim.scheduler, &next->context);
	}
}

/* What is wrong in the end; NULL when there is one swarm and all are in it. */
static const char *verdict(void)
{
	static char text[700];
	int cluster = -1;

	for (int i = 0; i < sim.count; i++) {
		const struct sim_node *node = &sim.nodes[i];

		if (node->absent)
			continue;
		if (!node->finished || node->engine.state != ENGINE_ACTIVE) {
			snprintf(
				text, sizeof(text),
				"machine %d is not joined after %.0f s: step %s, engine %s in %d: %s",
				i, sim.now, record_step_name(node->disk.step),
				engine_state_name(node->engine.state), node->engine.cluster,
				node->last);
			return text;
		}
		if (cluster < 0)
			cluster = node->engine.cluster;
		if (node->engine.cluster != cluster ||
		    strcmp(node->disk.cluster_id, sim_cluster_name(cluster)) != 0) {
			snprintf(text, sizeof(text), "machine %d is in swarm %d ('%s'), not %d", i,
				 node->engine.cluster, node->disk.cluster_id, cluster);
			return text;
		}
		if (node->engine.manager != node->manager) {
			snprintf(text, sizeof(text), "machine %d has the wrong role", i);
			return text;
		}
	}
	return NULL;
}

static const char *trial(uint64_t seed, bool verbose)
{
	static char *stacks[SIM_NODES];

	for (int i = 0; i < SIM_NODES; i++)
		stacks[i] = sim.nodes[i].stack;
	memset(&sim, 0, sizeof(sim));
	for (int i = 0; i < SIM_NODES; i++)
		sim.nodes[i].stack = stacks[i];
	sim.random = (seed + 1) * 0x9e3779b97f4a7c15ull;
	sim.verbose = verbose;
	for (int i = 0; i < 10; i++)
		sim_chance();
	set_up();
	run_world();
	return verdict();
}

/* Sanitizers make it twenty times slower. */
#ifdef __SANITIZE_ADDRESS__
#define TRIALS_DEFAULT 60
#else
#define TRIALS_DEFAULT 2000
#endif

TEST_TIMEOUT(always_one_swarm, 3600)
{
	unsigned long trials = number_of("TRIALS", TRIALS_DEFAULT), first = number_of("FIRST", 0),
		      bad = 0;
	unsigned long steps = 0, crashes = 0, inits = 0, leaves = 0;
	double longest = 0;

	if (getenv("SEED")) {
		const char *wrong = trial(number_of("SEED", 0), true);

		if (wrong)
			FAIL("SEED=%lu: %s", number_of("SEED", 0), wrong);
		return;
	}
	for (unsigned long seed = first; seed < first + trials; seed++) {
		const char *wrong = trial(seed, false);

		steps += sim.steps;
		crashes += sim.crashes;
		inits += sim.inits;
		leaves += sim.leaves;
		if (sim.now > longest)
			longest = sim.now;
		if (!wrong)
			continue;
		tap_note("SEED=%lu: %s", seed, wrong);
		bad++;
	}
	tap_note("%lu trials: %lu steps, %lu crashes, %lu initialisations, %lu leaves; the longest "
		 "took %.0f s of its time",
		 trials, steps, crashes, inits, leaves, longest);
	CHECK_INT((int)bad, 0);
}
