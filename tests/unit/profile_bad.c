/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every tests/bad/NAME.yaml is refused with exactly the text of NAME.err: the problems as they are
 * printed, then the message of the error.
 */
#include "tap.h"

#include "profile/profile.h"

static char top[PATH_MAX];

/* Each test runs in a folder of its own; the files are in the one where the program was started. */
__attribute__((constructor)) static void remember(void)
{
	if (!getcwd(top, sizeof(top)))
		abort();
}

static void enter_bad(void)
{
	CHECK(chdir(top) == 0);
	if (chdir("tests/bad") != 0)
		FAIL("run this from the top of the source tree");
}

static char *refused(const char *file)
{
	struct profile_problems problems = {0};
	struct str text = {0};
	struct err err = {0};
	struct profile *profile = profile_load(file, NULL, &problems, &err);

	if (profile)
		FAIL("%s was accepted", file);
	CHECK_INT(err.code, ERR_PROFILE);
	str_addf(&text, "%s%s\n", problems.text.data ? problems.text.data : "", err.msg);
	profile_problems_free(&problems);
	return text.data;
}

static int names(struct dirent ***ret_list)
{
	int count = scandir(".", ret_list, NULL, alphasort);

	CHECK(count > 0);
	return count;
}

TEST(bad_profiles_have_their_messages)
{
	struct dirent **list;
	int count, checked = 0, wrong = 0;

	enter_bad();
	count = names(&list);
	for (int i = 0; i < count; i++) {
		char want_name[300], *got, *want;
		const char *name = list[i]->d_name;

		if (!str_has_suffix(name, ".yaml"))
			continue;
		snprintf(want_name, sizeof(want_name), "%.*s.err", (int)strlen(name) - 5, name);
		got = refused(name);
		want = tap_slurp(want_name, NULL);
		if (strcmp(got, want) != 0) {
			tap_note("%s\n got: %s\nwant: %s", name, got, want);
			wrong++;
		}
		checked++;
		free(got);
		free(want);
	}
	for (int i = 0; i < count; i++)
		free(list[i]);
	free(list);
	CHECK_INT(wrong, 0);
	CHECK(checked >= 120);
}

TEST(every_message_has_its_profile)
{
	struct dirent **list;
	int count;

	enter_bad();
	count = names(&list);
	for (int i = 0; i < count; i++) {
		char name[300];

		if (str_has_suffix(list[i]->d_name, ".err")) {
			snprintf(name, sizeof(name), "%.*s.yaml", (int)strlen(list[i]->d_name) - 4,
				 list[i]->d_name);
			CHECK_EXISTS(name);
		}
		free(list[i]);
	}
	free(list);
}

/* Without a place for the problems the error is the same. */
TEST(problems_are_optional)
{
	struct err err = {0};

	enter_bad();
	CHECK_ERR_PTR(profile_load("package.yaml", NULL, NULL, &err), &err, ERR_PROFILE,
		      "5 errors in 'package.yaml'");
}
