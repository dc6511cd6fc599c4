/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `ingot-agent serve`: the loop of a manager that helps others to join. It holds the cluster's secret and, for the
 * moment of an answer, a token; nothing of it gets into a file or a log.
 */
#include "agent/join/serve.h"

#include "agent/join/address.h"
#include "agent/userdata/settings.h"
#include "agent/verbs.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#define CHORES_SECONDS 5.0
#define OTHERS_SECONDS 30.0 /* between looks for a second swarm while this one is lonely */

static volatile sig_atomic_t ended;

static void on_end(int number)
{
	(void)number;
	ended = 1;
}

void serve_say(struct serve *serve, int priority, const struct err *cause, const char *fmt, ...)
{
	char text[sizeof(serve->said)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (strcmp(text, serve->said) == 0)
		return;
	memcpy(serve->said, text, sizeof(text));
	report_log(&serve->report, priority, "SERVE", cause, "%s", text);
}

void serve_close(struct serve *serve)
{
	for (size_t i = 0; i < SERVE_CONNS; i++) {
		psk_conn_free(serve->conns[i].psk);
		fd_close(&serve->conns[i].fd);
	}
	fd_close(&serve->listener);
	engine_members_free(&serve->facts.members);
	engine_close(&serve->engine);
	rendezvous_close(&serve->rendezvous);
	json_decref(serve->settings);
	serve->settings = NULL;
}

/* Opens what the settings name; *ret_serves is false when there is nothing to serve. */
static int set_up(struct serve *serve, bool *ret_serves, struct err *err)
{
	struct rendezvous *r = &serve->rendezvous;
	const json_t *cluster;
	CLEANUP_FREE char *hostname = NULL;

	*ret_serves = false;
	serve->settings = settings_load(serve->agent, err);
	if (!serve->settings)
		return -1;
	cluster = json_object_get(serve->settings, "cluster");
	if (!json_is_object(cluster) || strcmp(serve->agent->kind, "swarm") != 0)
		return 0;
	hostname = agent_read_line(serve->agent, "/proc/sys/kernel/hostname");
	agent_copy_text(serve->hostname, sizeof(serve->hostname), hostname);
	*r = (struct rendezvous){
		.agent = serve->agent,
		.cluster = cluster,
		.role = json_member_string(cluster, "role"),
		.self = serve->self,
		.hostname = serve->hostname,
		.address = serve->address,
	};
	if (!r->role)
		r->role = serve->agent->role;
	if (strcmp(r->role, "manager") != 0)
		return 0;
	*ret_serves = true;
	if (rendezvous_open(r, err) < 0)
		return -1;
	settings_forget_secrets(serve->settings);
	return 0;
}

/* The port of this machine's own entry; other managers use the usual one. Addresses may not be there yet. */
static void find_port(struct serve *serve)
{
	struct seeds *seeds = serve->seeds;
	const char *colon;

	serve->port = SEEDS_PORT;
	seeds_find_self(&serve->rendezvous, seeds);
	if (seeds->own == seeds->count)
		return;
	colon = strrchr(seeds->address[seeds->own], ':');
	if (colon && atoi(colon + 1) > 0 && atoi(colon + 1) < 65536)
		serve->port = (unsigned)atoi(colon + 1);
}

static int start(struct serve *serve, struct err *err)
{
	const char *wanted = json_member_string(serve->rendezvous.cluster, "advertise"), *why = "";
	char interface[16];

	if (strcmp(serve->rendezvous.kind->name, "seeds") != 0)
		return 0;
	serve->seeds = serve->rendezvous.state;
	while (!ended && !address_wanted(serve->agent, wanted, serve->address, interface, &why)) {
		report_status(&serve->report, "waits for %s", why);
		serve->address[0] = '\0';
		if (strstr(why, "several"))
			break; /* it is not this process that needs one */
		usleep(200000);
	}
	find_port(serve);
	return serve_listen(serve, err);
}

/* Another agent settles it: the join knows how to leave a swarm that nobody depends on. */
static void start_join(struct serve *serve)
{
	CLEANUP_FREE char *root = mem_printf("--root=%s", serve->agent->root);
	char *argv[] = {(char *)"ingot-agent", (char *)"join", root, NULL};
	pid_t pid = fork();

	if (pid == 0) {
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	serve->child = pid > 0 ? pid : 0;
}

/* While nobody else is in this swarm: do the other seeds have one? After a partition, or when this seed's disk was
 * new and nobody answered it. */
static void look_for_others(struct serve *serve, double now)
{
	CLEANUP(rendezvous_view_free) struct rendezvous_view view = {0};
	struct rendezvous *r = &serve->rendezvous;
	const struct serve_facts *facts = &serve->facts;
	struct err err = {0};

	if (serve->child && waitpid(serve->child, NULL, WNOHANG) != 0)
		serve->child = 0;
	if (!serve->seeds || serve->child || now < serve->next_other || facts->promised ||
	    facts->members.count != 1)
		return;
	serve->next_other = now + OTHERS_SECONDS;
	r->cluster_id = facts->swarm.cluster_id;
	r->lonely = facts->services == 0;
	r->epoch = serve->record.epoch;
	if (r->kind->look(r, &view, &err) < 0 || !view.gives_way)
		return;
	if (r->lonely && serve->record.step == RECORD_JOINED)
		start_join(serve);
	else
		serve_say(serve, LOG_ERR, NULL,
			  "alarm: this machine is in swarm %.40s, other seeds are in %.40s",
			  r->cluster_id, view.cluster_id);
}

static void tell_status(struct serve *serve)
{
	const struct serve_facts *facts = &serve->facts;

	if (!facts->answers)
		report_status(&serve->report, "waits for the engine");
	else if (facts->members.count)
		report_status(&serve->report, "serves swarm %s, %zu nodes%s",
			      facts->swarm.cluster_id, facts->members.count,
			      facts->leader ? ", as its leader" : "");
	else
		report_status(&serve->report, "the engine's swarm is %s",
			      engine_state_name(facts->swarm.state));
}

static void loop(struct serve *serve)
{
	while (!ended) {
		double now = clock_monotonic();

		if (now >= serve->next_chores) {
			serve_chores(serve, now);
			look_for_others(serve, now);
			tell_status(serve);
			serve->next_chores = clock_monotonic() + CHORES_SECONDS;
		}
		serve_remove(serve, now);
		serve_poll(serve, serve->replaced_count ? 0.3 : 1.0);
	}
}

int verb_serve(const struct verb_options *options, struct err *err)
{
	CLEANUP(agent_close) struct agent agent;
	CLEANUP(serve_close) struct serve serve = {.agent = &agent, .listener = -1};
	struct sigaction action = {.sa_handler = on_end};
	bool serves;

	for (size_t i = 0; i < SERVE_CONNS; i++)
		serve.conns[i].fd = -1;
	if (agent_open(&agent, options->root, err) < 0)
		return -1;
	serve.report = (struct report){.kind = agent.kind, .role = agent.role};
	signal(SIGPIPE, SIG_IGN); /* TLS writes without MSG_NOSIGNAL */
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	if (set_up(&serve, &serves, err) < 0)
		return -1;
	if (!serves) {
		report_ready();
		report_log(&serve.report, LOG_INFO, "SERVE", NULL,
			   "nothing to serve: no manager with cluster settings");
		return 0;
	}
	engine_open(&serve.engine, &agent);
	if (start(&serve, err) < 0)
		return -1;
	report_ready();
	loop(&serve);
	return 0;
}
