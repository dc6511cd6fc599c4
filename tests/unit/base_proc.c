/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Child processes: what is told of their end, what of their output is kept, and whom their signals reach.
 */
#include "base/proc.h"
#include "tap.h"

static struct err err;

static int run_shell(const char *script, struct proc proc)
{
	const char *argv[] = {"sh", "-c", script, NULL};

	proc.argv = argv;
	err = (struct err){0};
	return proc_run(&proc, &err);
}

TEST(the_end_is_told_with_the_last_words)
{
	CHECK_OK(run_shell("exit 0", (struct proc){0}), &err);
	CHECK_ERR(run_shell("echo why >&2; exit 3", (struct proc){0}), &err, ERR_OTHER,
		  "'sh' failed: exit code 3\n    why");
	CHECK_ERR(run_shell("kill -KILL $$", (struct proc){0}), &err, ERR_OTHER,
		  "'sh' failed: killed by signal 9");
}

TEST(a_program_that_is_not_there)
{
	const char *argv[] = {"no-such-program", NULL};

	CHECK_ERR(proc_run(&(struct proc){.argv = argv}, &err), &err, ERR_TOOL,
		  "cannot run 'no-such-program'");
}

TEST(output_is_kept_as_far_as_it_may)
{
	struct str text = {0};

	CHECK_OK(run_shell("printf abc", (struct proc){.output = &text}), &err);
	CHECK_STR(text.data, "abc");
	str_free(&text);
	CHECK_ERR(run_shell("printf abcdef", (struct proc){.output = &text, .output_max = 3}), &err,
		  ERR_OTHER, "printed more than it may");
	str_free(&text);
}

TEST(a_group_of_its_own_keeps_its_signals)
{
	static const char signals_its_group[] = "kill -HUP 0; sleep 10";

	/* As anything would that is run by a pipeline: in the group of this test. */
	CHECK(setpgid(0, 0) == 0);
	CHECK_ERR(run_shell(signals_its_group, (struct proc){.own_group = true}), &err, ERR_OTHER,
		  "killed by signal 1");
	signal(SIGHUP,
	       SIG_IGN); /* without it we would hear of that, and so does the shell that ignores it */
	CHECK_OK(run_shell("kill -HUP 0", (struct proc){0}), &err);
}
