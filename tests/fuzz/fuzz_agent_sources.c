/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: what metadata sources read. The first byte says as what the rest is read; what comes out must keep to the
 * promises of source_parts.h.
 */
#include "agent/source/source_parts.h"

#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool promise)
{
	if (!promise)
		abort();
}

static bool is_plain(const char *text, size_t max)
{
	size_t len = text ? strlen(text) : 0;

	for (size_t i = 0; i < len; i++)
		if (text[i] < '!' || text[i] > '~')
			return false;
	return len <= max;
}

/* Whatever came: it can go into files, names of files and the journal. */
static void check(struct instance *i)
{
	must(is_plain(i->id, 128) && (!i->id || (*i->id && *i->id != '.' && !strchr(i->id, '/'))));
	must(is_plain(i->hostname, 253) && is_plain(i->zone, 2 * SOURCE_LINE_MAX + 1));
	must(is_plain(i->region, SOURCE_LINE_MAX) && is_plain(i->address, SOURCE_LINE_MAX));
	must(i->ssh_keys.count <= SOURCE_KEYS_MAX && i->tags.count <= SOURCE_KEYS_MAX);
	for (size_t k = 0; k < i->ssh_keys.count; k++)
		must(!strpbrk(i->ssh_keys.items[k], "\n\r\x1b"));
	must(i->user_data.len <= INSTANCE_DATA_MAX);
	instance_free(i);
}

static void as_meta_data(const char *text, size_t len)
{
	struct instance i = {0};

	(void)source_meta_data(text, len, "meta-data", &i, NULL);
	check(&i);
}

static void as_words(const char *text, size_t len)
{
	struct source_option option;
	struct instance i = {0};
	char address[16];
	char *word;

	if (source_option_parse(text, &option))
		must(option.name && is_plain(option.seed, SOURCE_LINE_MAX));
	source_option_free(&option);
	i.id = source_id(text, len);
	i.hostname = source_hostname(text, len);
	i.zone = source_word(text, len);
	source_add_keys(&i, text, len);
	source_add_tag(&i, text, text);
	check(&i);
	if (source_wireserver_option(text, address))
		must(strlen(address) >= 7);
	word = source_expand_dmi(&(struct agent){.root = "/nonexistent"}, text, NULL);
	free(word);
}

static bool count_path(void *context, const char *path, const char *text, size_t len)
{
	size_t *count = context;

	must(*path && strlen(path) <= 16 * 65 && text[len] == '\0');
	return ++*count < 100000;
}

static void as_xml(const char *text, size_t len)
{
	struct source_goal goal;
	struct source_ovf ovf;
	size_t count = 0;

	(void)source_xml_read(text, len, count_path, &count, NULL);
	if (source_goal_parse(text, len, &goal, NULL) == 0)
		must(!strpbrk(goal.incarnation, "<>&\"") && !strpbrk(goal.instance, "<>&\""));
	source_goal_free(&goal);
	if (source_ovf_parse(text, len, &ovf, NULL) == 0)
		must(is_plain(ovf.hostname, 253) && ovf.custom_data.len <= len);
	source_ovf_free(&ovf);
}

static void as_json(const char *text, size_t len)
{
	CLEANUP_JSON json_t *value = source_json(text, len, "fuzz", NULL);
	const struct str all = {.data = (char *)text, .len = len}, none = {0};
	struct instance i = {0};

	(void)source_openstack_read(&all, &all, &all, &i, NULL);
	check(&i);
	(void)source_openstack_read(&all, &none, &none, &i, NULL);
	check(&i);
	if (!value)
		return;
	(void)source_gce_read(value, value, &i, NULL);
	check(&i);
	(void)source_azure_read(value, &i, NULL);
	check(&i);
	/* What can be read can be written, and is the same then. */
	if (instance_parse(value, &i)) {
		json_t *again = instance_json(&i, true);
		struct instance second;

		must(instance_parse(again, &second));
		must(strcmp(i.id, second.id) == 0 && i.user_data.len == second.user_data.len);
		instance_free(&second);
		json_decref(again);
	}
	instance_free(&i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const readers[])(const char *, size_t) = {as_meta_data, as_words, as_xml,
								as_json};
	char *text;

	if (size < 1 || size > 65536)
		return 0;
	text = mem_strndup((const char *)data + 1, size - 1);
	readers[data[0] % ARRAY_SIZE(readers)](text, size - 1);
	free(text);
	return 0;
}
