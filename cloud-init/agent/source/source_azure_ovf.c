/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Azure's ovf-env.xml: custom data and the host name, on a CD that only a machine's first boot is sure to find. So what
 * it said is kept, for this instance alone.
 */
#include "agent/source/source_parts.h"

#include "base/base64.h"
#include "base/fd.h"
#include "base/mem.h"

#include <string.h>
#include <unistd.h>

#define KEPT AGENT_STATE "/azure-ovf.json"
#define SECTION "Environment/ProvisioningSection/LinuxProvisioningConfigurationSet/"
#define OVF_MAX ((size_t)256 << 10)

struct reading {
	struct source_ovf *ovf;
	bool is_azure, bad;
};

static bool take(void *context, const char *path, const char *text, size_t len)
{
	struct reading *reading = context;
	CLEANUP(str_wipe) struct str packed = {0};

	if (!str_has_prefix(path, SECTION))
		return true;
	reading->is_azure = true;
	path += strlen(SECTION);
	if (strcmp(path, "HostName") == 0 && !reading->ovf->hostname)
		reading->ovf->hostname = source_hostname(text, len);
	if (strcmp(path, "CustomData") != 0 && strcmp(path, "UserData") != 0)
		return true;
	if (reading->ovf->custom_data.len)
		return true; /* the first one counts */
	/* Base64, perhaps in lines. */
	str_reserve(&packed, len);
	for (size_t i = 0; i < len; i++)
		if (!strchr(" \t\r\n", text[i]))
			str_add_bytes(&packed, text + i, 1);
	str_reserve(&reading->ovf->custom_data, packed.len);
	reading->bad = reading->bad || base64_decode(packed.len ? packed.data : "", packed.len,
						     &reading->ovf->custom_data) < 0;
	return !reading->bad;
}

int source_ovf_parse(const char *text, size_t len, struct source_ovf *ret, struct err *err)
{
	struct reading reading = {.ovf = ret};
	int r;

	*ret = (struct source_ovf){0};
	r = source_xml_read(text, len, take, &reading, err);
	if (r < 0)
		err_wrap(err, "cannot read ovf-env.xml");
	else if (reading.bad)
		r = err_set(err, ERR_OTHER, "the custom data of ovf-env.xml is not base64");
	else if (!reading.is_azure)
		r = err_set(err, ERR_OTHER, "ovf-env.xml has no LinuxProvisioningConfigurationSet");
	if (r < 0)
		source_ovf_free(ret);
	return r;
}

void source_ovf_free(struct source_ovf *ovf)
{
	free(ovf->hostname);
	str_wipe(&ovf->custom_data);
	*ovf = (struct source_ovf){0};
}

/* What an earlier boot read, when that was of this instance. */
static bool load_kept(const struct agent *agent, const char *id, struct source_ovf *ret)
{
	CLEANUP_JSON json_t *value = agent_read_json(agent, KEPT, NULL);
	const char *whose = json_member_string(value, "id");
	const char *data = json_member_string(value, "custom_data");

	if (!whose || strcmp(whose, id) != 0)
		return false;
	ret->hostname = source_member(value, "hostname", source_hostname);
	return !data || base64_decode(data, strlen(data), &ret->custom_data) == 0;
}

static int keep(const struct agent *agent, const char *id, const struct source_ovf *ovf,
		struct err *err)
{
	CLEANUP_JSON json_t *value = json_object();
	CLEANUP(str_wipe) struct str text = {0};

	json_object_set_new(value, "id", json_string(id));
	if (ovf->hostname)
		json_object_set_new(value, "hostname", json_string(ovf->hostname));
	base64_add(ovf->custom_data.data, ovf->custom_data.len, &text);
	if (text.len)
		json_object_set_new(value, "custom_data", json_string(text.data));
	return agent_write_json_secret(agent, KEPT, value, true, err);
}

/* Reads the CD; *ret_found is false when there is none, or one of something else. */
static int read_cd(const struct agent *agent, struct str *text, bool *ret_found, struct err *err)
{
	static const char *const devices[] = {"/dev/sr0", "/dev/sr1"};
	static const char *const types[] = {"udf", "iso9660", NULL};

	*ret_found = false;
	for (size_t i = 0; i < ARRAY_SIZE(devices) && !*ret_found; i++) {
		CLEANUP_FREE char *full = agent_path(agent, devices[i]);
		CLEANUP_FD int dir = -1;

		/* An empty drive cannot be mounted: that is no error, there is a kept copy or there was never custom data. */
		if (access(full, F_OK) < 0 ||
		    source_open_device(agent, devices[i], types, &dir, NULL) < 0)
			continue;
		if (source_read_at(dir, "ovf-env.xml", OVF_MAX, text, ret_found, err) < 0)
			return -1;
	}
	return 0;
}

int source_ovf_load(const struct agent *agent, const char *id, struct source_ovf *ret,
		    bool *ret_found, struct err *err)
{
	CLEANUP(str_wipe) struct str text = {0};

	*ret = (struct source_ovf){0};
	*ret_found = load_kept(agent, id, ret);
	if (*ret_found)
		return 0;
	source_ovf_free(ret);
	if (read_cd(agent, &text, ret_found, err) < 0)
		return -1;
	if (!*ret_found)
		return 0;
	if (source_ovf_parse(text.data, text.len, ret, err) < 0)
		return -1;
	return keep(agent, id, ret, err);
}
