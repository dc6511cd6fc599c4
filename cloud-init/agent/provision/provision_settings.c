/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key "ingot" of user-data: for the other verbs, for the engine (labels) and for the kernel (sysctl).
 */
#include "agent/provision/labels.h"
#include "agent/provision/provision.h"
#include "agent/userdata/settings.h"

#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* One write: the kernel takes each write for a whole value. */
static int write_sysctl(const struct agent *agent, const char *key, const char *value,
			struct err *err)
{
	CLEANUP_FREE char *name = mem_strdup(key);
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FD int fd = -1;
	size_t len = strlen(value);

	for (char *p = name; *p; p++)
		*p = *p == '.' ? '/' : *p == '/' ? '.' : *p;
	if (strstr(name, "..") || *name == '/' || !len)
		return err_set(err, ERR_PROFILE, "ingot.sysctl: '%s' is no kernel setting", key);
	path = mem_printf("%s/proc/sys/%s", agent->root, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, len) != (ssize_t)len)
		return err_sys(err, errno, "ingot.sysctl: cannot set '%s'", key);
	return 0;
}

static void apply_sysctl(struct cc *cc, const struct userdata *userdata)
{
	const struct doc_node *map =
		userdata->settings ? doc_node_get(userdata->settings, "sysctl") : NULL;

	for (size_t i = 0; map && map->kind == DOC_MAP && i < map->count; i++) {
		const struct doc_pair *pair = &map->pairs[i];
		struct err err = {0};

		if (pair->value->kind == DOC_SCALAR &&
		    write_sysctl(cc->agent, pair->key, pair->value->text, &err) < 0)
			cc_failed(cc, pair->value, &err);
	}
}

int provision_settings(struct cc *cc, const struct userdata *userdata, struct err *err)
{
	CLEANUP_JSON json_t *settings = userdata_settings(userdata);
	const char *zone = cc->instance->zone;
	int r;

	if (!userdata->settings_wrong && zone && !json_object_get(settings, "zone"))
		json_object_set_new(settings, "zone", json_string(zone));
	r = settings_save(cc->agent, settings, err);
	if (userdata->settings_wrong)
		return r;
	apply_sysctl(cc, userdata);
	if (labels_apply(cc->agent, settings, zone, r < 0 ? NULL : err) < 0)
		r = -1;
	return r;
}
