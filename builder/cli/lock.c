/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot lock: write down which packages a profile gets, and say what changes.
 */
#include "cli/profiles.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "layers/pins.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXPLAIN_MAX 10 /* packages in a message */

static const struct cli_option options[] = {
	{"output", 'o', "FILE", "the lock (default: beside the profile, x.lock for x.yaml)"},
	{"update", 'u', NULL, "replace a lock that is not current, and say what changes"},
	{"check", 0, NULL, "write nothing; exit code 5 when the lock is not current"},
	{"set", 's', "KEY=VALUE", "override a value of the profile; may be repeated"},
	{"offline", 0, NULL, "ask no repository: use what the cache holds"},
	{0},
};

/* A lock on disk, and what it should be. */
struct comparison {
	const char *file;
	struct lock was, now;
	struct str text;    /* of now */
	json_t *changes;    /* of packages */
	json_t *containers; /* their changes */
	bool exists;        /* and could be read */
	bool other; /* the profile wants other packages, or another base, than when it was made */
	bool same;  /* the file has these bytes already */
};

static void comparison_free(struct comparison *c)
{
	lock_free(&c->was);
	lock_free(&c->now);
	str_free(&c->text);
	json_decref(c->changes);
	json_decref(c->containers);
}

static bool differs(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") != 0;
}

static bool is_other(const struct lock *a, const struct lock *b)
{
	bool other = differs(a->profile, b->profile) || differs(a->distribution, b->distribution) ||
		     differs(a->release, b->release) || differs(a->image, b->image) ||
		     differs(a->architecture, b->architecture) ||
		     a->requested.count != b->requested.count || a->suite_count != b->suite_count;

	for (size_t i = 0; !other && i < a->requested.count; i++)
		other = differs(a->requested.items[i], b->requested.items[i]);
	for (size_t i = 0; !other && i < a->suite_count; i++)
		other = differs(a->suites[i].name, b->suites[i].name);
	return other;
}

/* Reads what is there. One that is damaged, by a merge say, is no obstacle to writing a new one. */
static int read_old(const struct cli_args *args, struct comparison *c, struct err *err)
{
	struct err why = {0};

	if (access(c->file, F_OK) < 0 && errno == ENOENT && !cli_has(args, "check"))
		return 0;
	if (lock_read(c->file, &c->was, NULL, &why) < 0) {
		if (why.code == ERR_VERIFY && cli_has(args, "update")) {
			log_warn("%s; it is made anew", why.msg);
			return 0;
		}
		if (err)
			*err = why;
		return -1;
	}
	c->exists = true;
	return 0;
}

static int compare(struct comparison *c, struct err *err)
{
	struct lock again CLEANUP(lock_free) = {0};
	CLEANUP(str_free) struct str old = {0};
	CLEANUP_JSON json_t *none = json_array();

	if (c->exists) {
		lock_text(&c->was, &old);
		c->other = is_other(&c->was, &c->now);
	} else {
		c->was.packages = json_incref(none);
		c->was.build_packages = json_incref(none);
		c->was.containers = json_incref(none);
	}
	lock_text(&c->now, &c->text);
	/* A repository may have names that no lock has: better now than in a locked build. */
	if (lock_parse(c->text.data, c->text.len, c->file, &again, err) < 0)
		return err_wrap(err, "cannot lock '%s'", c->now.profile);
	c->same = c->exists && strcmp(old.data, c->text.data) == 0;
	c->changes = lock_compare(&c->was, &c->now);
	c->containers = lock_compare_containers(&c->was, &c->now);
	return 0;
}

static bool is_current(const struct comparison *c)
{
	return c->exists && !c->other && json_array_size(c->changes) == 0 &&
	       json_array_size(c->containers) == 0;
}

static int refuse(const struct comparison *c, const char *profile, const char *output,
		  struct err *err)
{
	CLEANUP(str_free) struct str text = {0}, what = {0};
	size_t count = json_array_size(c->changes), images = json_array_size(c->containers);

	pins_describe_all(c->changes, EXPLAIN_MAX, &text);
	lock_describe_containers(c->containers, EXPLAIN_MAX, &text);
	if (count)
		str_addf(&what, "%zu packages", count);
	if (images)
		str_addf(&what, "%s%zu container image%s", count ? " and " : "", images,
			 images == 1 ? "" : "s");
	if (count || images)
		err_set(err, ERR_VERIFY, "lock '%s' is not current: %s differ%s%s%s", c->file,
			what.data, !count && images == 1 ? "s" : "",
			c->other ? ", and what the profile wants:" : ":", text.data);
	else
		err_set(err, ERR_VERIFY,
			"lock '%s' is not current: it was made for another base or list of packages "
			"than the profile has now",
			c->file);
	return err_hint(err, "'ingot lock --update%s%s %s' writes it", output ? " -o " : "",
			output ? output : "", profile);
}

static void tell_event(const struct comparison *c, bool written)
{
	log_event("lock-changes",
		  json_pack("{s:s, s:s, s:b, s:b, s:O, s:O}", "profile", c->now.profile, "file",
			    c->file, "current", is_current(c), "written", written, "changes",
			    c->changes, "containers", c->containers));
}

static void tell(const struct cli *cli, const struct comparison *c, bool written)
{
	json_t *change;
	size_t i;

	tell_event(c, written);
	if (cli->json || log_verbosity() < 0)
		return;
	json_array_foreach(c->changes, i, change)
	{
		CLEANUP(str_free) struct str line = {0};

		pins_describe(change, &line);
		/* A new lock is no news. */
		if (c->exists)
			printf("%s\n", line.data);
	}
	json_array_foreach(c->containers, i, change)
	{
		CLEANUP(str_free) struct str line = {0};

		lock_describe_container(change, &line);
		if (c->exists)
			printf("%s\n", line.data);
	}
	if (!written) {
		printf("%s: current%s\n", c->file,
		       c->same ? "" : "; the repositories have changed, these packages have not");
		return;
	}
	printf("%s: %zu packages, %zu for the build", c->file, json_array_size(c->now.packages),
	       json_array_size(c->now.build_packages));
	if (json_array_size(c->now.containers))
		printf(", %zu container image%s", json_array_size(c->now.containers),
		       json_array_size(c->now.containers) == 1 ? "" : "s");
	printf("%s\n", c->exists ? "" : ", new");
}

static int lock_one(const struct cli *cli, const struct cli_args *args, const char *const *profile,
		    struct err *err)
{
	CLEANUP(comparison_free) struct comparison c = {0};
	CLEANUP(strv_free) struct strv set = {0};
	CLEANUP_FREE char *beside = NULL;
	struct build_options build = cli_build_options(cli, args, profile, &set);
	const char *output = cli_get(args, "output");
	bool write;

	if (build_lock(&build, &c.now, &beside, err) < 0)
		return -1;
	c.file = output ? output : beside;
	if (read_old(args, &c, err) < 0 || compare(&c, err) < 0)
		return -1;
	write = !c.exists || (cli_has(args, "update") && !c.same);
	if (c.exists && !is_current(&c) && !cli_has(args, "update")) {
		tell_event(&c, false);
		return refuse(&c, profile[0], output, err);
	}
	if (write && outfile_write(c.file, c.text.data, c.text.len, true, err) < 0)
		return output ? -1
			      : err_hint(err,
					 "with -o the lock goes elsewhere; 'ingot build --lock' "
					 "takes it from there");
	tell(cli, &c, write);
	return 0;
}

static int run(const struct cli *cli, const struct cli_args *args, struct err *err)
{
	if (cli_has(args, "check") && cli_has(args, "update"))
		return err_set(err, ERR_USAGE, "--check writes nothing, --update does");
	if (cli_get(args, "output") && args->operand_count > 1)
		return err_set(err, ERR_USAGE, "one lock cannot be that of %zu profiles",
			       args->operand_count);
	for (size_t i = 0; i < args->operand_count; i++) {
		const char *const profile[] = {args->operands[i], NULL};

		if (lock_one(cli, args, profile, err) < 0)
			return -1;
	}
	return 0;
}

const struct cli_verb cli_lock = {
	.name = "lock",
	.operands = "PROFILE...",
	.summary =
		"write down the exact packages and container images of a profile, for build --locked",
	.details =
		"The lock names every package with version, digest and origin, and every container image with\n"
		"what its tag stands for. It is written beside the profile and belongs into version control:\n"
		"`ingot build --locked` then gives the same image on every machine, or fails. A lock whose\n"
		"packages and container images are still the same stays as it is; --update also notes the new\n"
		"state of the repositories.",
	.options = options,
	.operands_min = 1,
	.operands_max = SIZE_MAX,
	.run = run,
};
