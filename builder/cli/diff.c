/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingot diff: what differs between two images, manifests or locks.
 */
#include "cli/cli.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/size.h"
#include "cli/text.h"
#include "inspect/diff.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LINES 20 /* of a category, without --all */

static const struct cli_option options[] = {
	{"only", 0, "LIST", "compare only these categories, such as packages,units"},
	{"all", 'a', NULL, "print every line, not only the first 20 of each category"},
	{"exit-code", 0, NULL, "fail with exit code 5 when something differs"},
	{0},
};

/* Digests are told apart by their first digits; JSON has all of them. */
static bool is_digest(const json_t *value)
{
	const char *text = json_string_value(value);

	return text && strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* Digests of container images say by which algorithm they are. */
static bool is_oci_digest(const json_t *value)
{
	const char *text = json_string_value(value);

	return text && strlen(text) == 71 && str_has_prefix(text, "sha256:") &&
	       strspn(text + 7, "0123456789abcdef") == 64;
}

/* Values are short texts, numbers, lists of texts or objects of digests. */
static void value_text(const json_t *value, struct str *text)
{
	const char *name, *separator = "";
	json_t *item;
	size_t i;

	if (is_digest(value)) {
		str_addf(text, "%.12s...", json_string_value(value));
	} else if (is_oci_digest(value)) {
		str_addf(text, "%.19s...", json_string_value(value));
	} else if (json_is_string(value)) {
		str_add(text, json_string_value(value));
	} else if (json_is_integer(value)) {
		str_addf(text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	} else if (json_is_array(value)) {
		json_array_foreach(value, i, item)
		{
			str_add(text, i ? ", " : "");
			value_text(item, text);
		}
		str_add(text, i ? "" : "none");
	} else if (json_is_object(value)) {
		json_object_foreach((json_t *)value, name, item)
		{
			str_addf(text, "%s%s ", separator, name);
			value_text(item, text);
			separator = ", ";
		}
	} else {
		str_add(text, "none");
	}
}

static void print_value(const json_t *value)
{
	CLEANUP(str_free) struct str text = {0};

	str_add(&text, "");
	value_text(value, &text);
	text_print(text.data);
}

static bool is_empty(const json_t *value)
{
	return json_is_array(value) ? json_array_size(value) == 0 : json_is_true(value);
}

/* "  + name  member value, member value" */
static void print_row(char sign, const json_t *row)
{
	const json_t *value = json_object_get(row, "value");
	const char *key, *separator = "  ";
	json_t *item;

	printf("  %c ", sign);
	text_print(json_member_string(row, "name"));
	if (!json_is_object(value)) {
		if (!is_empty(value)) {
			fputs("  ", stdout);
			print_value(value);
		}
		putchar('\n');
		return;
	}
	json_object_foreach((json_t *)value, key, item)
	{
		if (is_empty(item) || strcmp(key, "content") == 0 || strcmp(key, "sha256") == 0)
			continue;
		printf("%s%s ", separator, key);
		print_value(item);
		separator = ", ";
	}
	putchar('\n');
}

static void print_change(const json_t *from, const json_t *to)
{
	print_value(from);
	fputs(" -> ", stdout);
	print_value(to);
}

/* "  ~ name  member from -> to, ..." */
static void print_changed_row(const json_t *row)
{
	const json_t *from = json_object_get(row, "from"), *to = json_object_get(row, "to");
	const char *key, *separator = "  ";
	json_t *item;

	fputs("  ~ ", stdout);
	text_print(json_member_string(row, "name"));
	if (!json_is_object(from)) {
		fputs("  ", stdout);
		print_change(from, to);
		putchar('\n');
		return;
	}
	json_object_foreach((json_t *)from, key, item)
	{
		printf("%s%s ", separator, key);
		print_change(item, json_object_get(to, key));
		separator = ", ";
	}
	json_object_foreach((json_t *)to, key, item)
	{
		if (json_object_get(from, key))
			continue;
		printf("%s%s ", separator, key);
		print_change(NULL, item);
		separator = ", ";
	}
	putchar('\n');
}

static void print_size(const json_t *row)
{
	json_int_t from = json_integer_value(json_object_get(row, "from"));
	json_int_t to = json_integer_value(json_object_get(row, "to"));
	char a[16], b[16], difference[16];

	fputs("  ~ ", stdout);
	text_print(json_member_string(row, "name"));
	printf("  %s -> %s (%c%s)\n", size_format((uint64_t)from, a), size_format((uint64_t)to, b),
	       to < from ? '-' : '+',
	       size_format((uint64_t)(to < from ? from - to : to - from), difference));
}

/* "  + /path  file 0644 0:0 12 B" */
static void print_file(char sign, const json_t *file)
{
	const char *target = json_member_string(file, "target");
	const json_t *size = json_object_get(file, "size");
	char text[16];

	printf("  %c ", sign);
	text_print(json_member_string(file, "path"));
	printf("  %s %s %" JSON_INTEGER_FORMAT ":%" JSON_INTEGER_FORMAT,
	       json_member_string(file, "type"), json_member_string(file, "mode"),
	       json_integer_value(json_object_get(file, "uid")),
	       json_integer_value(json_object_get(file, "gid")));
	if (size)
		printf(" %s", size_format((uint64_t)json_integer_value(size), text));
	if (target) {
		fputs(" -> ", stdout);
		text_print(target);
	}
	putchar('\n');
}

/* What is worth a "from -> to"; contents and attributes are only said to differ. */
static void print_member(const json_t *file, const char *what)
{
	const json_t *from = json_object_get(file, "from"), *to = json_object_get(file, "to");

	fputs(what, stdout);
	if (strcmp(what, "content") == 0 || strcmp(what, "xattrs") == 0)
		return;
	putchar(' ');
	if (strcmp(what, "owner") != 0) {
		print_change(json_object_get(from, what), json_object_get(to, what));
		return;
	}
	printf("%" JSON_INTEGER_FORMAT ":%" JSON_INTEGER_FORMAT " -> %" JSON_INTEGER_FORMAT
	       ":%" JSON_INTEGER_FORMAT,
	       json_integer_value(json_object_get(from, "uid")),
	       json_integer_value(json_object_get(from, "gid")),
	       json_integer_value(json_object_get(to, "uid")),
	       json_integer_value(json_object_get(to, "gid")));
}

static void print_changed_file(const json_t *file)
{
	const json_t *what;
	size_t i;

	fputs("  ~ ", stdout);
	text_print(json_member_string(file, "path"));
	fputs("  ", stdout);
	json_array_foreach(json_object_get(file, "what"), i, what)
	{
		fputs(i ? ", " : "", stdout);
		print_member(file, json_string_value(what));
	}
	putchar('\n');
}

/* The lists of a category, with what prints a line of each. */
struct list {
	const char *key;
	char sign;
};

static const struct list lists[] = {{"removed", '-'}, {"added", '+'}, {"changed", '~'}};

static void print_item(const char *category, char sign, const json_t *item)
{
	bool files = strcmp(category, "files") == 0;

	if (sign != '~')
		(files ? print_file : print_row)(sign, item);
	else if (files)
		print_changed_file(item);
	else if (strcmp(category, "sizes") == 0)
		print_size(item);
	else
		print_changed_row(item);
}

/* How many entries a list has, also those that are not in it. */
static json_int_t count_of(const json_t *value, const char *key)
{
	CLEANUP_FREE char *name = mem_printf("%s_count", key);
	const json_t *count = json_object_get(value, name);

	return count ? json_integer_value(count)
		     : (json_int_t)json_array_size(json_object_get(value, key));
}

static void print_category(const json_t *diff, const char *category, bool all)
{
	const json_t *value = json_object_get(diff, category), *item;
	json_int_t total = 0, printed = 0;
	const char *separator = "";
	size_t i;

	for (size_t k = 0; k < ARRAY_SIZE(lists); k++)
		total += count_of(value, lists[k].key);
	if (!total)
		return;
	printf("\n%s (", category);
	for (size_t k = 0; k < ARRAY_SIZE(lists); k++) {
		json_int_t count = count_of(value, lists[k].key);

		if (!count)
			continue;
		printf("%s%" JSON_INTEGER_FORMAT " %s", separator, count, lists[k].key);
		separator = ", ";
	}
	puts(")");
	for (size_t k = 0; k < ARRAY_SIZE(lists); k++) {
		json_array_foreach(json_object_get(value, lists[k].key), i, item)
		{
			if (!all && printed == LINES)
				break;
			print_item(category, lists[k].sign, item);
			printed++;
		}
	}
	if (printed < total)
		printf("  ... and %" JSON_INTEGER_FORMAT " more%s\n", total - printed,
		       all ? "" : "; --all shows them");
}

static void print_side(char letter, const json_t *side)
{
	const char *name = json_member_string(side, "name");
	const char *version = json_member_string(side, "version");

	printf("%c  ", letter);
	text_print(json_member_string(side, "file"));
	if (name || version) {
		fputs("  (", stdout);
		text_print(name ? name : "");
		fputs(name && version ? " " : "", stdout);
		text_print(version ? version : "");
		putchar(')');
	}
	putchar('\n');
}

/* What only the other side tells. */
static void print_untold(const json_t *diff, const char *side)
{
	const char *kind = json_member_string(json_object_get(diff, side), "kind");
	const char *separator = "";
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(diff, "unknown"), i, item)
	{
		if (json_is_true(json_object_get(item, side)))
			continue;
		if (!*separator)
			printf("\nnot compared, as the %s %s does not tell: ", kind, side);
		printf("%s%s", separator, json_member_string(item, "category"));
		separator = ", ";
	}
	if (*separator)
		putchar('\n');
}

/* What could not be compared is said: silence would look like equality. */
static void print_unknown(const json_t *diff)
{
	const json_t *files = json_object_get(diff, "files");
	json_int_t count = json_integer_value(json_object_get(files, "content_unknown"));

	print_untold(diff, "a");
	print_untold(diff, "b");
	if (count)
		printf("\nnot compared, as they are not known: contents of %" JSON_INTEGER_FORMAT
		       " files whose sizes are the same\n",
		       count);
}

static void print_diff(const json_t *diff, bool all)
{
	print_side('a', json_object_get(diff, "a"));
	print_side('b', json_object_get(diff, "b"));
	for (const char *const *category = diff_categories; *category; category++)
		print_category(diff, *category, all);
	if (json_is_true(json_object_get(diff, "same")))
		puts(json_array_size(json_object_get(diff, "unknown"))
			     ? "\nno difference in what was compared"
			     : "\nno difference");
	print_unknown(diff);
}

static int no_category(const char *word, struct err *err)
{
	CLEANUP(str_free) struct str list = {0};
	const char *near;
	size_t count = 0;

	for (; diff_categories[count]; count++)
		str_addf(&list, "%s%s", count ? ", " : "", diff_categories[count]);
	near = str_nearest(word, diff_categories, count);
	err_set(err, ERR_USAGE, "option '--only' has no category '%.40s'", word);
	return near ? err_hint(err, "did you mean '%s'?", near)
		    : err_hint(err, "there are: %s", list.data);
}

static bool is_category(const char *word)
{
	for (const char *const *category = diff_categories; *category; category++)
		if (strcmp(*category, word) == 0)
			return true;
	return false;
}

/* Splits "packages,units". */
static int parse_only(const struct cli_args *args, struct strv *ret, struct err *err)
{
	CLEANUP(strv_free) struct strv values = {0};

	cli_get_all(args, "only", &values);
	for (size_t i = 0; i < values.count; i++) {
		char *save = NULL;

		for (char *word = strtok_r(values.items[i], ",", &save); word;
		     word = strtok_r(NULL, ",", &save)) {
			if (!is_category(word))
				return no_category(word, err);
			strv_add(ret, word);
		}
	}
	return values.count && !ret->count ? no_category("", err) : 0;
}

static int run(const struct cli *cli, const struct cli_args *args, struct err *err)
{
	CLEANUP(inventory_cleanup) struct inventory *a = NULL, *b = NULL;
	CLEANUP(strv_free) struct strv only = {0};
	CLEANUP_JSON json_t *diff = NULL;

	if (parse_only(args, &only, err) < 0 ||
	    diff_open(args->operands[0], args->operands[1], &a, &b, err) < 0)
		return -1;
	diff = diff_inventories(a, b, &only, err);
	if (!diff)
		return -1;
	if (cli->json)
		log_event("diff", json_incref(diff));
	else
		print_diff(diff, cli_has(args, "all"));
	if (cli_has(args, "exit-code") && !json_is_true(json_object_get(diff, "same")))
		return err_set(err, ERR_VERIFY, "'%s' and '%s' differ", args->operands[0],
			       args->operands[1]);
	return 0;
}

const struct cli_verb cli_diff = {
	.name = "diff",
	.operands = "A B",
	.summary = "show what differs between two images, manifests or locks",
	.details =
		"A and B are disk images in any format that ingot reads, a squashfs, manifest.json or a\n"
		"folder with one, or a lock; they need not be of one kind. No root is needed. Categories,\n"
		"what matters most first: image, setuid, ports, units, users, cmdline, sysctl, packages,\n"
		"build_packages, containers, repositories, keys, partitions, sizes, files. Times of files\n"
		"and hard links are not compared.\n"
		"Exit code 0 also when they differ, unless --exit-code is given. With --json one event \"diff\".",
	.options = options,
	.operands_min = 2,
	.operands_max = 2,
	.run = run,
};
