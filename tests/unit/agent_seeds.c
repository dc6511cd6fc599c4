/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine makes of the seeds' answers: which swarm it joins, for whom it waits, from whom it takes a token.
 */
#include "tap.h"

#include "agent/join/seeds.h"
#include "agent/join/serve.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define TOKEN       \
	"SWMTKN-1-" \
	"00000000000000000000000000000000000000000000000000-0000000000000000000000000"

/* What each seed says, and whom a token was asked of. */
struct world {
	struct seeds_answer says[4];
	unsigned token_asked;
};

static void ask(struct seeds *seeds, const struct seeds_request *request, const size_t *indexes,
		size_t count, double timeout, struct seeds_answer *answers)
{
	struct world *world = seeds->context;

	(void)timeout;
	for (size_t i = 0; i < count; i++) {
		struct seeds_answer *a = &answers[indexes[i]];

		*a = world->says[indexes[i]];
		if (!request->token)
			continue;
		world->token_asked |= 1u << indexes[i];
		if (a->state == SEEDS_MEMBER)
			memcpy(a->token, TOKEN, sizeof(TOKEN));
	}
}

static struct seeds_answer answer(enum seeds_state state, uint64_t epoch, const char *cluster_id)
{
	struct seeds_answer a = {.state = state, .epoch = epoch};

	snprintf(a.cluster_id, sizeof(a.cluster_id), "%s", cluster_id);
	if (state == SEEDS_MEMBER) {
		a.nodes = 1;
		snprintf(a.managers[a.manager_count++], sizeof(a.managers[0]), "10.0.0.9:2377");
	}
	return a;
}

static struct seeds_answer lonely(uint64_t epoch, const char *cluster_id)
{
	struct seeds_answer a = answer(SEEDS_MEMBER, epoch, cluster_id);

	a.lonely = true;
	return a;
}

/* One look of a machine that is none of the four seeds, or the one with the index own. */
struct looker {
	struct seeds seeds;
	struct rendezvous r;
	struct rendezvous_view view;
};

static void start(struct looker *l, struct world *world, size_t own, const char *role)
{
	*l = (struct looker){
		.seeds = {.count = 4, .own = own, .ask = ask, .context = world},
		.r = {.kind = &rendezvous_seeds, .role = role, .self = "i-1"},
	};
	for (size_t i = 0; i < 4; i++)
		snprintf(l->seeds.address[i], sizeof(l->seeds.address[i]), "seed%zu:2378", i);
	l->r.state = &l->seeds;
}

static enum rendezvous_state look(struct looker *l)
{
	struct err err = {0};

	rendezvous_view_free(&l->view);
	l->view = (struct rendezvous_view){0};
	CHECK_OK(rendezvous_seeds.look(&l->r, &l->view, &err), &err);
	return l->view.state;
}

static bool says(const struct looker *l, const char *part)
{
	return strstr(l->view.why, part) != NULL;
}

TEST(a_token_is_asked_of_the_chosen_swarm_only)
{
	struct world world = {.says = {lonely(1, "one"), lonely(2, "two"), lonely(2, "two")}};
	struct looker l;

	start(&l, &world, 4, "worker");
	CHECK_INT(look(&l), RENDEZVOUS_READY);
	CHECK_STR(l.view.cluster_id, "two");
	CHECK_STR(l.view.token, TOKEN);
	CHECK_INT(world.token_asked, 6);
	rendezvous_view_free(&l.view);
}

TEST(a_member_asks_for_no_token)
{
	struct world world = {.says = {answer(SEEDS_MEMBER, 1, "one")}};
	struct looker l;

	start(&l, &world, 1, "manager");
	l.r.cluster_id = "one";
	look(&l);
	CHECK_INT(world.token_asked, 0);
	rendezvous_view_free(&l.view);
}

TEST(a_swarm_that_lacks_a_leader_is_waited_for)
{
	struct world world = {.says = {lonely(1, "one"), answer(SEEDS_UNREADY, 2, "two")}};
	struct looker l;

	start(&l, &world, 4, "worker");
	CHECK_INT(look(&l), RENDEZVOUS_WAIT);
	CHECK(says(&l, "seed1:2378 belongs to"));
	CHECK_INT(world.token_asked, 0);
	/* One with members can be joined: it gives way to nobody. */
	world.says[0].lonely = false;
	CHECK_INT(look(&l), RENDEZVOUS_READY);
	/* And the same swarm has another manager that is not ready yet. */
	world.says[0] = lonely(2, "two");
	CHECK_INT(look(&l), RENDEZVOUS_READY);
	rendezvous_view_free(&l.view);
}

TEST(a_swarm_that_was_heard_of_is_waited_for)
{
	struct world world = {.says = {lonely(1, "one"), lonely(2, "two")}};
	struct looker l;

	start(&l, &world, 4, "worker");
	CHECK_INT(look(&l), RENDEZVOUS_READY);
	CHECK_STR(l.view.cluster_id, "two");
	world.says[1] = (struct seeds_answer){0};
	world.token_asked = 0;
	CHECK_INT(look(&l), RENDEZVOUS_WAIT);
	CHECK(says(&l, "swarm two"));
	CHECK(says(&l, "join --initialise"));
	CHECK_INT(world.token_asked, 0);
	/* Somebody decides. */
	l.r.initialise = true;
	CHECK_INT(look(&l), RENDEZVOUS_READY);
	CHECK_STR(l.view.cluster_id, "one");
	rendezvous_view_free(&l.view);
}

TEST(a_seed_tells_of_the_swarm_that_it_heard_of)
{
	struct world world = {.says = {lonely(1, "one"), {0}, answer(SEEDS_NEW, 2, "two")}};
	struct looker l;

	start(&l, &world, 4, "worker");
	CHECK_INT(look(&l), RENDEZVOUS_WAIT);
	CHECK_STR(l.view.cluster_id, "two");
	CHECK_INT((int)l.view.epoch, 2);
	CHECK(says(&l, "seed2:2378 told"));
	rendezvous_view_free(&l.view);
}

TEST(the_first_seed_makes_none_when_it_hears_of_one)
{
	struct world world = {.says = {{0}, answer(SEEDS_NEW, 1, "one"), answer(SEEDS_NEW, 0, "")}};
	struct looker l;

	start(&l, &world, 0, "manager");
	CHECK_INT(look(&l), RENDEZVOUS_WAIT);
	CHECK_STR(l.view.cluster_id, "one");
	l.r.initialise = true;
	CHECK_INT(look(&l), RENDEZVOUS_EMPTY);
	CHECK_INT((int)l.view.epoch, 1);
	rendezvous_view_free(&l.view);

	world.says[1] = answer(SEEDS_NEW, 0, "");
	start(&l, &world, 0, "manager");
	CHECK_INT(look(&l), RENDEZVOUS_EMPTY);
	rendezvous_view_free(&l.view);
}

/* ---- what serve says ------------------------------------------------------------------------- */

TEST(a_swarm_with_a_token_out_is_not_lonely)
{
	struct record record = {.step = RECORD_JOINED, .epoch = 1, .cluster_id = "one"};
	struct engine_member member = {.manager = true};
	struct serve_facts facts = {
		.answers = true,
		.swarm = {.state = ENGINE_ACTIVE, .control = true, .cluster_id = "one"},
		.members = {.items = &member, .count = 1},
	};
	struct seeds_answer a = {0};

	serve_describe(&record, &facts, &a);
	CHECK_INT(a.state, SEEDS_MEMBER);
	CHECK(a.lonely);
	facts.promised = true;
	a = (struct seeds_answer){0};
	serve_describe(&record, &facts, &a);
	CHECK(!a.lonely);
}

TEST(who_is_in_none_tells_of_the_one_that_it_joins)
{
	static const enum record_step steps[] = {RECORD_NEW, RECORD_JOIN, RECORD_LEAVE};
	struct serve_facts facts = {.answers = true};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct record record = {.step = steps[i], .epoch = 3, .joining = "three"};
		struct seeds_answer a = {0};

		serve_describe(&record, &facts, &a);
		CHECK_INT(a.state, SEEDS_NEW);
		CHECK_STR(a.cluster_id, "three");
		CHECK_INT((int)a.epoch, 3);
	}
}
