/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rendezvous "seeds": the managers themselves. The first seed initialises unless another one says that there is a
 * swarm or somebody who makes one; `join --initialise` gives another seed that right. Nothing is kept anywhere but
 * in the record of the one who claims.
 */
#include "agent/join/seeds.h"

#include "agent/userdata/settings.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define SECRET_MIN 32

bool seeds_outranks(const struct seeds_answer *a, size_t index_a, const struct seeds_answer *b,
		    size_t index_b)
{
	if (a->lonely != b->lonely)
		return b->lonely;
	if (a->epoch != b->epoch)
		return a->epoch > b->epoch;
	return index_a < index_b;
}

/* True when one of this machine's interfaces has the address. */
static bool is_local(const char *host)
{
	struct ifaddrs *all = NULL;
	struct in6_addr want6;
	struct in_addr want4;
	bool four = inet_pton(AF_INET, host, &want4) == 1, found = false;

	if (!four && inet_pton(AF_INET6, host, &want6) != 1)
		return false;
	if (getifaddrs(&all) < 0)
		return false;
	for (const struct ifaddrs *i = all; i && !found; i = i->ifa_next) {
		const char *at = (const char *)i->ifa_addr;

		if (!at || i->ifa_addr->sa_family != (four ? AF_INET : AF_INET6))
			continue;
		found = four ? !memcmp(at + offsetof(struct sockaddr_in, sin_addr), &want4,
				       sizeof(want4))
			     : !memcmp(at + offsetof(struct sockaddr_in6, sin6_addr), &want6,
				       sizeof(want6));
	}
	if (all)
		freeifaddrs(all);
	return found;
}

/* Is this seed's "host:port" this machine: by address, or by its name with or without domain? */
static bool is_self(const struct rendezvous *r, const char *address)
{
	CLEANUP_FREE char *host = mem_strndup(address, strcspn(address, ":"));
	const char *name = r->hostname ? r->hostname : "";
	size_t label = strcspn(host, ".");

	if (*address == '[') {
		free(host);
		host = mem_strndup(address + 1, strcspn(address + 1, "]"));
		return is_local(host);
	}
	if (is_local(host) || (r->address && strcmp(host, r->address) == 0))
		return true;
	if (!*name || inet_addr(host) != INADDR_NONE)
		return false;
	return strcasecmp(host, name) == 0 ||
	       (!strchr(name, '.') && strncasecmp(host, name, label) == 0 && !name[label]);
}

/* Addresses may come after the settings: asked again until it is known. */
void seeds_find_self(const struct rendezvous *r, struct seeds *seeds)
{
	for (size_t i = 0; i < seeds->count && seeds->own == seeds->count; i++)
		if (is_self(r, seeds->address[i]))
			seeds->own = i;
}

static int read_list(const struct rendezvous *r, struct seeds *seeds, struct err *err)
{
	const json_t *list = json_object_get(r->cluster, "seeds"), *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		const char *text = json_string_value(item);

		if (i >= SEEDS_MAX)
			return err_set(err, ERR_PROFILE, "ingot.cluster.seeds has more than %d",
				       SEEDS_MAX);
		if (!text || !rendezvous_with_port(text, SEEDS_PORT, seeds->address[i],
						   sizeof(seeds->address[i])))
			return err_set(err, ERR_PROFILE,
				       "ingot.cluster.seeds: item %zu is no address", i + 1);
		seeds->count++;
	}
	if (seeds->count == 0)
		return err_set(err, ERR_PROFILE, "ingot.cluster.seeds names no manager");
	seeds->own = seeds->count;
	return 0;
}

static int read_secret(const struct rendezvous *r, struct seeds *seeds, struct err *err)
{
	const char *value = json_member_string(r->cluster, "secret");
	const char *name = json_member_string(r->cluster, "name");
	char *secret;

	if (!value)
		return err_set(err, ERR_PROFILE, "ingot.cluster.secret is missing: seeds need it");
	secret = settings_secret(r->agent, value, err);
	if (!secret)
		return err_wrap(err, "ingot.cluster.secret");
	if (strlen(secret) < SECRET_MIN)
		err_set(err, ERR_PROFILE, "ingot.cluster.secret is shorter than %d characters",
			SECRET_MIN);
	else
		seeds->psk = psk_new(secret, name ? name : "default", err);
	mem_wipe(secret, strlen(secret));
	free(secret);
	return seeds->psk ? 0 : -1;
}

void seeds_close(struct seeds *seeds)
{
	if (!seeds)
		return;
	psk_free(seeds->psk);
	mem_wipe(seeds, sizeof(*seeds));
	free(seeds);
}

int seeds_open(struct rendezvous *r, struct seeds **ret, struct err *err)
{
	struct seeds *seeds = mem_alloc(sizeof(*seeds));

	seeds->ask = seeds_ask;
	if (read_list(r, seeds, err) < 0 || read_secret(r, seeds, err) < 0) {
		seeds_close(seeds);
		return -1;
	}
	seeds_find_self(r, seeds);
	*ret = seeds;
	return 0;
}

static void describe_self(const struct rendezvous *r, struct seeds_request *ret)
{
	struct seeds_request request = {0};

	snprintf(request.role, sizeof(request.role), "%s", r->role);
	snprintf(request.instance, sizeof(request.instance), "%s", r->self ? r->self : "");
	snprintf(request.hostname, sizeof(request.hostname), "%s", r->hostname ? r->hostname : "");
	snprintf(request.address, sizeof(request.address), "%s", r->address ? r->address : "");
	snprintf(request.node_id, sizeof(request.node_id), "%s", r->node_id ? r->node_id : "");
	snprintf(request.engine_id, sizeof(request.engine_id), "%s",
		 r->engine_id ? r->engine_id : "");
	snprintf(request.version, sizeof(request.version), "%s",
		 r->engine_version ? r->engine_version : "");
	*ret = request;
}

/* Asks all other seeds and leaves the answers in seeds->answers; blocks for at most SEEDS_ASK_TIME. */
static void ask_all(const struct rendezvous *r, struct seeds *seeds)
{
	struct seeds_request request;
	size_t indexes[SEEDS_MAX], count = 0;

	seeds_find_self(r, seeds);
	describe_self(r, &request);
	for (size_t i = 0; i < seeds->count; i++) {
		mem_wipe(&seeds->answers[i], sizeof(seeds->answers[i]));
		if (i != seeds->own)
			indexes[count++] = i;
	}
	if (count)
		seeds->ask(seeds, &request, indexes, count, SEEDS_ASK_TIME, seeds->answers);
	for (size_t i = 0; i < count; i++) {
		const struct seeds_answer *a = &seeds->answers[indexes[i]];

		if (a->epoch > seeds->epoch)
			seeds->epoch = a->epoch;
		if (*a->cluster_id && a->epoch > seeds->heard.epoch) {
			seeds->heard.epoch = a->epoch;
			seeds->heard.told_by = indexes[i];
			memcpy(seeds->heard.cluster_id, a->cluster_id, sizeof(a->cluster_id));
		}
	}
}

/* Asks the managers of this swarm, which all have just answered, for the token to join it. Only of the swarm that was
 * chosen: one that gave a token is not lonely for a while. */
static void ask_token(const struct rendezvous *r, struct seeds *seeds, const char *cluster_id)
{
	struct seeds_request request;
	size_t indexes[SEEDS_MAX], count = 0;

	describe_self(r, &request);
	request.token = true;
	for (size_t i = 0; i < seeds->count; i++)
		if (i != seeds->own && seeds->answers[i].state == SEEDS_MEMBER &&
		    strcmp(seeds->answers[i].cluster_id, cluster_id) == 0)
			indexes[count++] = i;
	seeds->ask(seeds, &request, indexes, count, SEEDS_ASK_TIME, seeds->answers);
}

/* The answer of another seed in this state that outranks the others; count when there is none. */
static size_t best(const struct seeds *seeds, enum seeds_state state)
{
	size_t found = seeds->count;

	for (size_t i = 0; i < seeds->count; i++)
		if (i != seeds->own && seeds->answers[i].state == state &&
		    (found == seeds->count ||
		     seeds_outranks(&seeds->answers[i], i, &seeds->answers[found], found)))
			found = i;
	return found;
}

/* Puts together what all managers of that swarm say. */
static void take_swarm(const struct seeds *seeds, size_t from, struct rendezvous_view *ret)
{
	const struct seeds_answer *chosen = &seeds->answers[from];

	ret->state = RENDEZVOUS_WAIT;
	snprintf(ret->cluster_id, sizeof(ret->cluster_id), "%s", chosen->cluster_id);
	ret->epoch = chosen->epoch;
	for (size_t i = 0; i < seeds->count; i++) {
		const struct seeds_answer *a = &seeds->answers[i];

		if (i == seeds->own || a->state != SEEDS_MEMBER)
			continue;
		if (strcmp(a->cluster_id, chosen->cluster_id) != 0) {
			snprintf(ret->notice, sizeof(ret->notice),
				 "seeds are in two swarms: %s says %.40s, %s says %.40s",
				 seeds->address[from], chosen->cluster_id, seeds->address[i],
				 a->cluster_id);
			continue;
		}
		for (size_t m = 0; m < a->manager_count; m++)
			if (!strv_has(&ret->addresses, a->managers[m]))
				strv_add(&ret->addresses, a->managers[m]);
		if (a->nodes > ret->nodes)
			ret->nodes = a->nodes;
		if (*a->notice && !*ret->notice)
			snprintf(ret->notice, sizeof(ret->notice), "%s", a->notice);
		if (*a->token && !*ret->token)
			memcpy(ret->token, a->token, sizeof(ret->token));
		else if (!*a->token && *a->why)
			snprintf(ret->why, sizeof(ret->why), "waits: %s says that it %s",
				 seeds->address[i], a->why);
	}
	/* A manager that holds the token back knows of an entry that must go first: all know it soon. */
	if (*ret->token && !*ret->why && ret->addresses.count)
		ret->state = RENDEZVOUS_READY;
	else if (!*ret->why)
		snprintf(ret->why, sizeof(ret->why), "waits for a token from %s",
			 seeds->address[from]);
}

/* "10.0.0.6:2378 (no answer), ..." of all that did not answer. */
static bool list_silent(const struct seeds *seeds, char *to, size_t size, bool *ret_distrust)
{
	size_t used = 0;

	*to = '\0';
	*ret_distrust = false;
	for (size_t i = 0; i < seeds->count && used < size; i++) {
		const struct seeds_answer *a = &seeds->answers[i];

		if (i == seeds->own || a->state != SEEDS_SILENT)
			continue;
		*ret_distrust = *ret_distrust || a->distrust;
		used += (size_t)snprintf(to + used, size - used, "%s%s (%.60s)", used ? ", " : "",
					 seeds->address[i], *a->why ? a->why : "no answer");
	}
	return used > 0;
}

/* Silence is no proof that a swarm is gone. */
static void wait_for_heard(const struct seeds *seeds, struct rendezvous_view *ret)
{
	ret->state = RENDEZVOUS_WAIT;
	ret->epoch = seeds->heard.epoch;
	memcpy(ret->cluster_id, seeds->heard.cluster_id, sizeof(ret->cluster_id));
	snprintf(ret->why, sizeof(ret->why),
		 "waits for swarm %.40s, of which %s told; none of its managers answers; if it is "
		 "lost: join --initialise on a seed that waits",
		 seeds->heard.cluster_id, seeds->address[seeds->heard.told_by]);
}

/* No swarm, nobody makes one: whose turn is it? */
static void judge_empty(const struct seeds *seeds, bool may_claim, struct rendezvous_view *ret)
{
	char silent[300];
	bool distrust, some = list_silent(seeds, silent, sizeof(silent), &distrust);

	ret->epoch = seeds->epoch;
	if (seeds->heard.epoch && !seeds->initialise) {
		wait_for_heard(seeds, ret);
		return;
	}
	if (may_claim && !distrust) {
		ret->state = RENDEZVOUS_EMPTY;
		return;
	}
	ret->state = RENDEZVOUS_WAIT;
	if (distrust)
		snprintf(ret->why, sizeof(ret->why),
			 "waits: a seed does not accept the cluster's name and secret: %s", silent);
	else if (some)
		snprintf(ret->why, sizeof(ret->why),
			 "waits for the first seed, %s, to make the swarm; silent: %s",
			 seeds->address[0], silent);
	else
		snprintf(ret->why, sizeof(ret->why),
			 "waits for the first seed, %s, to make the swarm", seeds->address[0]);
}

static void wait_for_unready(const struct seeds *seeds, size_t unready, struct rendezvous_view *ret)
{
	ret->state = RENDEZVOUS_WAIT;
	ret->epoch = seeds->answers[unready].epoch;
	snprintf(ret->why, sizeof(ret->why),
		 "waits for the swarm that %s belongs to, which gives no tokens now: %s",
		 seeds->address[unready], seeds->answers[unready].why);
}

static void wait_for_claim(const struct seeds *seeds, size_t claiming, struct rendezvous_view *ret)
{
	ret->state = RENDEZVOUS_BUSY;
	ret->epoch = seeds->answers[claiming].epoch;
	snprintf(ret->owner, sizeof(ret->owner), "%.64s", seeds->address[claiming]);
	snprintf(ret->why, sizeof(ret->why), "waits for %s, which initialises the swarm",
		 seeds->address[claiming]);
}

/* Nobody is in the swarm that we see. Is there another one that it will give way to? Somebody makes it, or it has
 * members and lacks a leader now, or was heard of before and does not answer: who joined the lonely one meanwhile
 * would make it a second swarm. */
static bool waits_for_better(const struct seeds *seeds, const struct seeds_answer *lonely,
			     struct rendezvous_view *ret)
{
	size_t claiming = best(seeds, SEEDS_CLAIMING), unready = best(seeds, SEEDS_UNREADY);

	if (unready < seeds->count &&
	    strcmp(seeds->answers[unready].cluster_id, lonely->cluster_id) != 0) {
		wait_for_unready(seeds, unready, ret);
		return true;
	}
	if (claiming < seeds->count && seeds->answers[claiming].epoch > lonely->epoch) {
		wait_for_claim(seeds, claiming, ret);
		return true;
	}
	if (seeds->heard.epoch <= lonely->epoch || seeds->initialise)
		return false;
	wait_for_heard(seeds, ret);
	return true;
}

/* own: what this machine has itself, or NULL: its claim, or the swarm that it is in. */
static void judge(const struct seeds *seeds, bool may_claim, const struct seeds_answer *own,
		  struct rendezvous_view *ret)
{
	size_t member = best(seeds, SEEDS_MEMBER), claiming = best(seeds, SEEDS_CLAIMING);
	size_t unready = best(seeds, SEEDS_UNREADY);
	bool claims = own && own->state == SEEDS_CLAIMING;

	if (member < seeds->count && !own && seeds->answers[member].lonely &&
	    waits_for_better(seeds, &seeds->answers[member], ret))
		return;
	if (member < seeds->count) {
		take_swarm(seeds, member, ret);
		ret->gives_way = own && *own->cluster_id &&
				 strcmp(own->cluster_id, ret->cluster_id) != 0 &&
				 seeds_outranks(&seeds->answers[member], member, own, seeds->own);
	} else if (unready < seeds->count) {
		wait_for_unready(seeds, unready, ret);
	} else if (claiming < seeds->count &&
		   !(claims &&
		     seeds_outranks(own, seeds->own, &seeds->answers[claiming], claiming))) {
		wait_for_claim(seeds, claiming, ret);
	} else {
		judge_empty(seeds, may_claim, ret);
	}
}

static bool may_claim(const struct rendezvous *r, const struct seeds *seeds)
{
	return strcmp(r->role, "manager") == 0 && seeds->own < seeds->count &&
	       (seeds->own == 0 || r->initialise || r->epoch > 0);
}

static void look(struct rendezvous *r, struct seeds *seeds, struct rendezvous_view *ret)
{
	struct seeds_answer own = {.epoch = r->epoch, .lonely = r->lonely};

	seeds->initialise = r->initialise;
	ask_all(r, seeds);
	if (r->epoch > seeds->epoch)
		seeds->epoch = r->epoch;
	if (r->cluster_id && *r->cluster_id) {
		own.state = SEEDS_MEMBER;
		snprintf(own.cluster_id, sizeof(own.cluster_id), "%s", r->cluster_id);
	} else if (r->epoch) {
		own.state = SEEDS_CLAIMING;
	}
	judge(seeds, may_claim(r, seeds), own.state ? &own : NULL, ret);
	if (own.state != SEEDS_MEMBER && ret->addresses.count) {
		ask_token(r, seeds, ret->cluster_id);
		rendezvous_view_free(ret);
		*ret = (struct rendezvous_view){0};
		judge(seeds, may_claim(r, seeds), own.state ? &own : NULL, ret);
	}
	/* The one who takes the right from the first seed outranks it. */
	if (r->initialise && ret->state == RENDEZVOUS_EMPTY && ret->epoch == 0)
		ret->epoch = 1;
}

static int seeds_look(struct rendezvous *r, struct rendezvous_view *ret, struct err *err)
{
	struct seeds *seeds = r->state;

	(void)err;
	look(r, seeds, ret);
	if (r->initialise && seeds->own == seeds->count && strcmp(r->role, "manager") == 0 &&
	    ret->state == RENDEZVOUS_WAIT)
		snprintf(ret->why, sizeof(ret->why),
			 "cannot initialise: this machine is none of the seeds");
	return 0;
}

/* The claim is in the record already, where the others' questions find it: so of two that claim at least one sees
 * the other. */
static int seeds_claim(struct rendezvous *r, bool *ret_won, uint64_t *ret_epoch, struct err *err)
{
	CLEANUP(rendezvous_view_free) struct rendezvous_view view = {0};

	(void)err;
	look(r, r->state, &view);
	*ret_won = view.state == RENDEZVOUS_EMPTY;
	*ret_epoch = r->epoch;
	return 0;
}

static int open_seeds(struct rendezvous *r, struct err *err)
{
	struct seeds *seeds = NULL;

	if (seeds_open(r, &seeds, err) < 0)
		return -1;
	r->state = seeds;
	return 0;
}

static void close_seeds(struct rendezvous *r)
{
	seeds_close(r->state);
}

const struct rendezvous_kind rendezvous_seeds = {
	.name = "seeds",
	.open = open_seeds,
	.close = close_seeds,
	.look = seeds_look,
	.claim = seeds_claim,
};
