/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a manager does for its swarm, against a fake engine: labels, machines that replace dead managers, leftovers,
 * what a store is told, and to whom it gives a token.
 */
#include "tap.h"

#include "fake/machine.h"
#include "fake/nodes.h"

#include "agent/join/serve.h"

#include "base/clock.h"

static struct agent agent;
static struct serve serve;
static struct fake_node *self;

/* ---- a store that remembers ------------------------------------------------------------------ */

static unsigned int published;
static bool holds_another;
static char published_token[RENDEZVOUS_TOKEN_MAX];
static size_t published_addresses;

static int publish(struct rendezvous *r, const struct rendezvous_view *ready, bool *ret_held,
		   struct err *err)
{
	(void)r;
	(void)err;
	CHECK_STR(ready->cluster_id, "cluster1");
	CHECK_INT(ready->epoch, 3);
	published++;
	published_addresses = ready->addresses.count;
	memcpy(published_token, ready->token, sizeof(published_token));
	*ret_held = !holds_another;
	return 0;
}

static const struct rendezvous_kind seeds = {.name = "seeds"};
static const struct rendezvous_kind store = {.name = "store", .publish = publish};

/* ---- the manager ------------------------------------------------------------------------------ */

static void save(enum record_step step)
{
	struct record record = {.step = step, .epoch = 3, .cluster_id = "cluster1"};
	struct err err = {0};

	CHECK_OK(record_save(&agent, &record, &err), &err);
}

/* node1 at 10.9.8.7, the leader; its image lets the labels "zone" and "disk" be copied. */
static void start(const struct rendezvous_kind *kind)
{
	struct err err = {0};

	fake_machine(
		"{\"kind\":\"swarm\",\"role\":\"manager\",\"node_labels\":[\"zone\",\"disk\"]}");
	fake_engine_new();
	fake_nodes_new();
	self = &fake_nodes->items[0];
	fake_engine_start(FAKE_SOCKET);
	CHECK_OK(agent_open(&agent, FAKE_ROOT, &err), &err);
	save(RECORD_JOINED);
	serve = (struct serve){.agent = &agent, .listener = -1, .report.quiet = true};
	for (size_t i = 0; i < SERVE_CONNS; i++)
		serve.conns[i].fd = -1;
	serve.rendezvous = (struct rendezvous){.agent = &agent, .role = "manager", .kind = kind};
	engine_open(&serve.engine, &agent);
}

static void end(void)
{
	serve.rendezvous = (struct rendezvous){0};
	serve_close(&serve);
	agent_close(&agent);
}

/* The round of a manager, as if a second were over. */
static void round_of_chores(void)
{
	serve.facts.at = 0;
	serve_chores(&serve, clock_monotonic());
	serve.next_removal = 0;
	serve_remove(&serve, clock_monotonic());
}

static struct seeds_answer ask_as(const char *hostname, const char *address, const char *role)
{
	struct seeds_request request = {.token = true};
	struct seeds_answer answer;

	snprintf(request.role, sizeof(request.role), "%s", role);
	snprintf(request.hostname, sizeof(request.hostname), "%s", hostname);
	snprintf(request.address, sizeof(request.address), "%s", address);
	snprintf(request.instance, sizeof(request.instance), "i-%s-0123", hostname);
	serve.facts.at = 0;
	serve_answer(&serve, &request, &answer);
	return answer;
}

static const struct fake_node *find(const char *id)
{
	for (size_t i = 0; i < fake_nodes->count; i++)
		if (strcmp(fake_nodes->items[i].id, id) == 0)
			return &fake_nodes->items[i];
	return NULL;
}

#define SET(field, text) snprintf(field, sizeof(field), "%s", text)

/* ---- labels ------------------------------------------------------------------------------------ */

TEST(only_the_labels_of_the_list_are_copied)
{
	struct fake_node *worker;

	start(&seeds);
	worker = fake_nodes_add("w1", "worker", "10.9.8.20");
	SET(worker->labels, "{\"zone\":\"a\",\"disk\":\"ssd\",\"admin\":\"yes\"}");
	SET(worker->spec_labels, "{\"mine\":\"1\",\"zone\":\"old\"}");
	round_of_chores();
	CHECK_STR(worker->spec_labels, "{\"disk\":\"ssd\",\"mine\":\"1\",\"zone\":\"a\"}");
	CHECK_STR(worker->role, "worker");
	CHECK_INT(fake_nodes->updates, 1);
	/* What is right already is left alone. */
	round_of_chores();
	CHECK_INT(fake_nodes->updates, 1);
	CHECK_STR(self->spec_labels, "{}");
	end();
}

TEST(the_settings_list_wins_and_long_values_stay_out)
{
	char value[80];

	start(&seeds);
	serve.settings = json_loads("{\"node_labels\":[\"rack\",7,\"long\"]}", 0, NULL);
	memset(value, 'x', 64);
	value[64] = '\0';
	snprintf(self->labels, sizeof(self->labels),
		 "{\"zone\":\"a\",\"rack\":\"r1\",\"long\":\"%s\"}", value);
	round_of_chores();
	CHECK_STR(self->spec_labels, "{\"rack\":\"r1\"}");
	value[63] = '\0';
	snprintf(self->labels, sizeof(self->labels), "{\"long\":\"%s\"}", value);
	round_of_chores();
	CHECK_CONTAINS(self->spec_labels, value);
	end();
}

TEST(a_label_waits_for_the_next_round_when_somebody_else_changed_the_node)
{
	start(&seeds);
	SET(self->labels, "{\"zone\":\"a\"}");
	fake_nodes->conflict = true;
	round_of_chores();
	CHECK_INT(fake_nodes->updates, 0);
	CHECK_STR(serve.said, "cannot label node node1");
	fake_nodes->conflict = false;
	round_of_chores();
	CHECK_STR(self->spec_labels, "{\"zone\":\"a\"}");
	end();
}

TEST(one_manager_does_it_for_all)
{
	start(&store);
	SET(self->labels, "{\"zone\":\"a\"}");
	fake_nodes_add("m2", "manager", "10.9.8.8")->leader = true;
	self->leader = false;
	SET(fake_nodes_add("dead", "worker", "10.9.8.8")->state, "down");
	SET(fake_nodes->items[2].hostname, "host-m2");
	round_of_chores();
	CHECK_INT(fake_nodes->updates, 0);
	CHECK_INT(serve.replaced_count, 0);
	CHECK_INT(published, 0);
	end();
}

TEST(a_record_that_cannot_be_read_is_told_and_nothing_is_done)
{
	start(&store);
	SET(self->labels, "{\"zone\":\"a\"}");
	fake_machine_file("/var/lib/ingot/agent/join.json", "{\"step\": ");
	round_of_chores();
	CHECK_STR(serve.said, "cannot do what a manager does for its swarm");
	CHECK_INT(fake_nodes->updates, 0);
	CHECK_INT(published, 0);
	save(RECORD_JOINED);
	round_of_chores();
	CHECK_INT(fake_nodes->updates, 1);
	end();
}

/* ---- machines that replace dead ones ------------------------------------------------------------- */

TEST(a_dead_manager_goes_before_its_replacement_gets_a_token)
{
	struct fake_node *dead;
	struct seeds_answer a;

	start(&seeds);
	fake_nodes_add("m3", "manager", "10.9.8.9");
	dead = fake_nodes_add("m2", "manager", "10.9.8.8");
	SET(dead->state, "down");
	dead->lag = 5;
	a = ask_as("fresh", "10.9.8.8", "manager");
	CHECK_INT(a.state, SEEDS_MEMBER);
	CHECK_STR(a.token, "");
	CHECK_STR(a.why, "removes the dead manager that this machine replaces");
	CHECK_INT(serve.replaced_count, 1);
	round_of_chores();
	CHECK_STR(dead->role, "worker");
	CHECK_INT(fake_nodes->removes, 0);
	/* Raft has it for a while; asking again does not put it into the list twice. */
	CHECK_STR(ask_as("fresh", "10.9.8.8", "manager").token, "");
	CHECK_INT(serve.replaced_count, 1);
	for (int i = 0; i < 4; i++)
		round_of_chores();
	CHECK(!find("m2"));
	CHECK_INT(fake_nodes->updates, 1);
	CHECK_INT(fake_nodes->removes, 1);
	CHECK_INT(serve.replaced_count, 0);
	CHECK_STR(serve.said, ""); /* the engine had nothing to refuse */
	a = ask_as("fresh", "10.9.8.8", "manager");
	CHECK(rendezvous_is_token(a.token));
	CHECK(a.token[strlen(a.token) - 1] == 'm');
	CHECK(find("m3") != NULL && find("node1") != NULL);
	end();
}

TEST(one_that_is_not_down_yet_is_waited_for_but_not_for_ever)
{
	struct seeds_answer a;

	start(&seeds);
	fake_nodes_add("m2", "manager", "10.9.8.8");
	a = ask_as("fresh", "10.9.8.8", "manager");
	CHECK_STR(a.why, "waits for the end of the dead manager that this machine replaces");
	round_of_chores();
	CHECK_INT(fake_nodes->updates, 0);
	CHECK_INT(serve.replaced_count, 1);
	serve.replaced[0].since -= 31;
	a = ask_as("fresh", "10.9.8.8", "manager");
	CHECK(rendezvous_is_token(a.token));
	/* And after a while more it is forgotten, without having been touched. */
	serve.replaced[0].since -= 100;
	round_of_chores();
	CHECK_INT(serve.replaced_count, 0);
	CHECK_STR(find("m2")->role, "manager");
	end();
}

TEST(who_is_not_replaced)
{
	static const struct {
		const char *hostname, *address, *role;
	} rows[] = {
		{"other", "10.9.8.40", "manager"},   /* another machine */
		{"other", "10.9.8", "manager"},      /* the beginning of its address */
		{"other", "", "manager"},            /* no address, no name of a dead one */
		{"twin", "10.9.8.40", "manager"},    /* the name of two */
		{"host-w1", "10.9.8.20", "manager"}, /* a worker's entry costs raft nothing */
		{"host-m2", "10.9.8.8", "worker"},   /* a worker waits for nobody */
		{"", "10.9.8.40", "manager"},
	};
	struct fake_node *n;

	start(&seeds);
	SET(fake_nodes_add("m2", "manager", "10.9.8.8")->state, "down");
	SET(fake_nodes_add("w1", "worker", "10.9.8.20")->state, "down");
	for (int i = 0; i < 2; i++) {
		n = fake_nodes_add(i ? "t1" : "t2", "manager", i ? "10.9.8.30" : "10.9.8.31");
		SET(n->hostname, "twin");
		SET(n->state, "down");
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct seeds_answer a = ask_as(rows[i].hostname, rows[i].address, rows[i].role);

		CHECK_STR(a.why, "");
		CHECK(rendezvous_is_token(a.token));
		CHECK(a.token[strlen(a.token) - 1] == *rows[i].role);
		CHECK_INT(serve.replaced_count, 0);
	}
	/* A dead manager's name at a new address is enough when it is nobody else's. */
	CHECK_STR(ask_as("HOST-M2", "10.9.8.40", "manager").token, "");
	CHECK_INT(serve.replaced_count, 1);
	end();
}

TEST(the_list_of_those_to_remove_is_bounded)
{
	start(&seeds);
	for (int i = 0; i < SERVE_REPLACED + 3; i++) {
		char id[16], address[24];
		struct seeds_answer a;

		snprintf(id, sizeof(id), "d%d", i);
		snprintf(address, sizeof(address), "10.9.9.%d", i);
		SET(fake_nodes_add(id, "manager", address)->state, "down");
		a = ask_as("fresh", address, "manager");
		CHECK_INT(*a.token != '\0', i >= SERVE_REPLACED);
	}
	CHECK_INT(serve.replaced_count, SERVE_REPLACED);
	for (int i = 0; i < 3; i++)
		round_of_chores();
	CHECK_INT(fake_nodes->removes, SERVE_REPLACED);
	CHECK_INT(serve.replaced_count, 0);
	end();
}

TEST(leftovers_go_by_themselves)
{
	struct fake_node *n;

	start(&seeds);
	/* The same machine again, joined without asking us. */
	SET(fake_nodes_add("w1", "worker", "10.9.8.20")->state, "down");
	SET(fake_nodes_add("w2", "worker", "10.9.8.20")->hostname, "HOST-w1");
	/* Another machine that got a dead one's address. */
	SET(fake_nodes_add("w3", "worker", "10.9.8.21")->state, "down");
	fake_nodes_add("w4", "worker", "10.9.8.21");
	/* Its name somewhere else, and one that is gone for good. */
	SET(fake_nodes_add("w5", "worker", "10.9.8.22")->state, "down");
	SET(fake_nodes_add("w6", "worker", "10.9.8.23")->hostname, "host-w5");
	n = fake_nodes_add("w7", "worker", "");
	SET(n->state, "down");
	round_of_chores();
	round_of_chores();
	CHECK_INT(fake_nodes->removes, 1);
	CHECK(!find("w1"));
	CHECK_INT(fake_nodes->count, 7);
	end();
}

/* ---- tokens --------------------------------------------------------------------------------------- */

TEST(a_token_goes_only_to_who_asks_a_working_manager_for_it)
{
	struct seeds_request request = {.role = "worker", .address = "10.9.8.50"};
	struct seeds_answer a;

	start(&seeds);
	serve_answer(&serve, &request, &a);
	CHECK_INT(a.state, SEEDS_MEMBER);
	CHECK(a.lonely);
	CHECK_STR(a.token, "");
	CHECK_INT(fake_nodes->tokens, 0);
	/* One was given: somebody may be on the way, so this swarm is not given up now. */
	CHECK(rendezvous_is_token(ask_as("w", "10.9.8.50", "worker").token));
	serve.facts.at = 0;
	serve_answer(&serve, &request, &a);
	CHECK(!a.lonely);
	/* The engine gives none. */
	fake_nodes->refuse = true;
	a = ask_as("w", "10.9.8.50", "worker");
	CHECK_INT(a.state, SEEDS_UNREADY);
	CHECK_STR(a.why, "its engine gives no tokens now");
	fake_nodes->refuse = false;
	/* What the engine gives is no token. */
	memcpy(fake_nodes->worker, "A!", 3);
	CHECK_STR(ask_as("w", "10.9.8.50", "worker").token, "");
	memcpy(fake_nodes->worker, "bb", 3);
	CHECK_CONTAINS(ask_as("w", "10.9.8.50", "worker").token, "SWMTKN-1-bb");
	/* A manager that is leaving its swarm, or makes one, gives none. */
	save(RECORD_LEAVE);
	a = ask_as("w", "10.9.8.50", "worker");
	CHECK_INT(a.state, SEEDS_NEW);
	CHECK_STR(a.token, "");
	save(RECORD_INIT);
	CHECK_INT(ask_as("w", "10.9.8.50", "worker").state, SEEDS_CLAIMING);
	/* A record that cannot be read is no reason to guess. */
	fake_machine_file("/var/lib/ingot/agent/join.json", "{\"step\": ");
	a = ask_as("w", "10.9.8.50", "worker");
	CHECK_INT(a.state, SEEDS_UNREADY);
	CHECK_STR(a.token, "");
	end();
}

/* ---- stores ----------------------------------------------------------------------------------------- */

TEST(a_store_is_told_what_changed_and_nothing_else)
{
	start(&store);
	round_of_chores();
	CHECK_INT(published, 1);
	CHECK_INT(published_addresses, 1);
	CHECK_CONTAINS(published_token, "SWMTKN-1-aa");
	round_of_chores();
	CHECK_INT(published, 1);
	memcpy(fake_nodes->manager, "cc", 3);
	round_of_chores();
	CHECK_INT(published, 2);
	CHECK_CONTAINS(published_token, "SWMTKN-1-cc");
	memcpy(fake_nodes->worker, "dd", 3);
	round_of_chores();
	CHECK_INT(published, 3);
	fake_nodes_add("m2", "manager", "10.9.8.8");
	round_of_chores();
	CHECK_INT(published, 4);
	CHECK_INT(published_addresses, 2);
	end();
}

TEST(a_store_that_holds_another_swarm_is_an_alarm)
{
	start(&store);
	holds_another = true;
	round_of_chores();
	CHECK_CONTAINS(serve.said, "alarm: the rendezvous 'store' holds another swarm");
	/* It is tried again: somebody may have settled it. */
	holds_another = false;
	round_of_chores();
	CHECK_INT(published, 2);
	round_of_chores();
	CHECK_INT(published, 2);
	end();
}

TEST(the_join_publishes_first)
{
	start(&store);
	save(RECORD_CLAIM);
	round_of_chores();
	fake_engine->cluster_id = "another";
	save(RECORD_JOINED);
	round_of_chores();
	CHECK_INT(published, 0);
	end();
}
