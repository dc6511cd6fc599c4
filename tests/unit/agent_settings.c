/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own settings in user-data: what is taken, what becomes of it as JSON, the file for other verbs, and
 * secrets in credentials. What is refused is in tests/bad-userdata.
 */
#include "tap.h"

#include "agent/userdata/settings.h"
#include "agent/userdata/userdata.h"

#include "base/json.h"
#include "base/mem.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define TOKEN(c)                                                           \
	"SWMTKN-1-" c "0123456789012345678901234567890123456789012345678-" \
	"abcdefghijklmnopqrstuvwxy"

static struct agent machine(void)
{
	return (struct agent){.root = "root"};
}

/* The settings of this text, which must be good, as JSON on one line. */
static char *json_of(const char *text)
{
	struct instance instance = {0};
	struct userdata userdata;
	json_t *json;
	char *line;

	str_add(&instance.user_data, text);
	userdata_read(&(struct userdata_input){.instance = &instance}, &userdata);
	if (userdata.problem_count)
		FAIL("%s", userdata.problems.data);
	json = userdata_settings(&userdata);
	line = json_line(json);
	json_decref(json);
	userdata_free(&userdata);
	str_free(&instance.user_data);
	return line;
}

#define CHECK_JSON(text, want)                          \
	do {                                            \
		CLEANUP_FREE char *got = json_of(text); \
		CHECK_STR(got, want);                   \
	} while (0)

TEST(settings_become_json)
{
	CHECK_JSON("#cloud-config\nhostname: a\n", "{}");
	CHECK_JSON("#cloud-config\ningot:\n", "{}");
	CHECK_JSON(
		"#cloud-config\ningot: {zone: a, labels: {disk: ssd, nn: 1}, node_labels: [role, zone],\n"
		"  sysctl: {vm.swappiness: 1, net.ipv4.conf.eth0/1.rp_filter: \"0 1\"}}\n",
		"{\"labels\":{\"disk\":\"ssd\",\"nn\":\"1\"},\"node_labels\":[\"role\",\"zone\"],"
		"\"sysctl\":{\"net.ipv4.conf.eth0/1.rp_filter\":\"0 1\",\"vm.swappiness\":\"1\"},\"zone\":\"a\"}");
}

TEST(seeds)
{
	CHECK_JSON(
		"#cloud-config\ningot:\n  cluster:\n    name: prod\n    role: manager\n"
		"    secret: " SECRET "\n"
		"    seeds: [10.0.0.5, \"m3.example.com:2378\", \"fd00::1\", \"[fd00::2]:99\"]\n"
		"    advertise: eth0\n    availability: drain\n"
		"    address_pools: [10.20.0.0/16]\n    subnet_size: 24\n    data_path_port: 4789\n",
		"{\"cluster\":{\"address_pools\":[\"10.20.0.0/16\"],\"advertise\":\"eth0\","
		"\"availability\":\"drain\",\"data_path_port\":4789,\"name\":\"prod\","
		"\"role\":\"manager\",\"secret\":\"" SECRET "\",\"seeds\":[\"10.0.0.5\","
		"\"m3.example.com:2378\",\"fd00::1\",\"[fd00::2]:99\"],\"subnet_size\":24}}");
}

TEST(stores)
{
	CHECK_JSON(
		"#cloud-config\ningot:\n  cluster:\n    name: p\n    rendezvous: etcd\n"
		"    secret: credential:cluster.secret\n"
		"    etcd: {endpoints: [\"https://10.0.0.9:2379\", \"http://[::1]:2379\"],\n"
		"           prefix: /ingot, user: u, password: p}\n",
		"{\"cluster\":{\"etcd\":{\"endpoints\":[\"https://10.0.0.9:2379\","
		"\"http://[::1]:2379\"],\"password\":\"p\",\"prefix\":\"/ingot\",\"user\":\"u\"},"
		"\"name\":\"p\",\"rendezvous\":\"etcd\",\"secret\":\"credential:cluster.secret\"}}");
	CHECK_JSON(
		"#cloud-config\ningot:\n  cluster:\n    name: p\n    rendezvous: s3\n"
		"    secret: " SECRET "\n"
		"    s3:\n      endpoint: https://s3.example.com\n      region: eu-1\n"
		"      bucket: bucket\n      access_key: A\n      secret_key: S\n",
		"{\"cluster\":{\"name\":\"p\",\"rendezvous\":\"s3\",\"s3\":{\"access_key\":\"A\","
		"\"bucket\":\"bucket\",\"endpoint\":\"https://s3.example.com\","
		"\"region\":\"eu-1\",\"secret_key\":\"S\"},\"secret\":\"" SECRET "\"}}");
}

TEST(tokens)
{
	CHECK_JSON("#cloud-config\ningot:\n  cluster:\n    rendezvous: static\n    role: worker\n"
		   "    static: {managers: [\"10.0.0.5:2377\"], worker_token: " TOKEN("w") "}\n",
		   "{\"cluster\":{\"rendezvous\":\"static\",\"role\":\"worker\",\"static\":{"
		   "\"managers\":[\"10.0.0.5:2377\"],\"worker_token\":\"" TOKEN("w") "\"}}}");
}

TEST(file)
{
	struct agent agent = machine();
	struct err err = {0};
	struct stat st;
	json_t *json = settings_load(&agent, &err), *back;

	CHECK_OK_PTR(json, &err);
	CHECK_INT((intmax_t)json_object_size(json), 0);
	json_object_set_new(json, "zone", json_string("a"));
	umask(0);
	CHECK_OK(settings_save(&agent, json, &err), &err);
	CHECK(stat("root/run/ingot/settings.json", &st) == 0);
	CHECK_INT(st.st_mode & 07777, 0600);
	back = settings_load(&agent, &err);
	CHECK_OK_PTR(back, &err);
	CHECK(json_equal(json, back));
	json_decref(json);
	json_decref(back);
	tap_spew("root/run/ingot/settings.json", "[]", 2);
	CHECK_ERR_PTR(settings_load(&agent, &err), &err, ERR_OTHER, "holds no JSON object");
}

/* After a typo no verb may act as if it had been told nothing. */
TEST(wrong_settings_are_no_settings)
{
	static const char *const texts[] = {
		"#cloud-config\ningot: {cluster: {name: p, sede: [a]}}\n",
		"#cloud-config\ningot: {zone: a, zone: b}\n",
		"#cloud-config\ningot: [\n",
		"#cloud-confg\ningot: {}\n",
		"#include\nhttp://127.0.0.1/\n",
		"\x1f\x8b\x08 damaged",
		"#include http://\xff\xbd\xbd\xbd\xed\xa0\x80\n",
	};
	struct agent agent = machine();

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct instance instance = {0};
		struct userdata userdata;
		struct err err = {0};
		json_t *json;

		str_add(&instance.user_data, texts[i]);
		userdata_read(&(struct userdata_input){.instance = &instance}, &userdata);
		CHECK(userdata.settings_wrong);
		CHECK(!userdata.settings);
		json = userdata_settings(&userdata);
		CHECK_OK(settings_save(&agent, json, &err), &err);
		json_decref(json);
		CHECK_ERR_PTR(settings_load(&agent, &err), &err, ERR_PROFILE,
			      "the settings in user-data are wrong: user-data:");
		userdata_free(&userdata);
		str_free(&instance.user_data);
	}
}

static void put(const char *path, const char *text)
{
	CHECK(system("mkdir -p root/run/credentials/@system root/run/credentials/u") == 0);
	tap_spew(path, text, strlen(text));
}

TEST(secrets)
{
	struct agent agent = machine();
	struct err err = {0};
	char big[SETTINGS_SECRET_MAX + 2];
	char *value;

	unsetenv("CREDENTIALS_DIRECTORY");
	value = settings_secret(&agent, "plain", &err);
	CHECK_STR(value, "plain");
	free(value);
	CHECK_ERR_PTR(settings_secret(&agent, "credential:s", &err), &err, ERR_OTHER,
		      "cannot read the credential 's'");
	put("root/run/credentials/@system/s", "of the system\n");
	value = settings_secret(&agent, "credential:s", &err);
	CHECK_STR(value, "of the system");
	free(value);
	setenv("CREDENTIALS_DIRECTORY", "/run/credentials/u", 1);
	value = settings_secret(&agent, "credential:s", &err);
	CHECK_STR(value, "of the system");
	free(value);
	put("root/run/credentials/u/s", "of the unit");
	value = settings_secret(&agent, "credential:s", &err);
	CHECK_STR(value, "of the unit");
	free(value);
	put("root/run/credentials/u/s", "\n");
	CHECK_ERR_PTR(settings_secret(&agent, "credential:s", &err), &err, ERR_PROFILE, "is empty");
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	put("root/run/credentials/u/s", big);
	CHECK_ERR_PTR(settings_secret(&agent, "credential:s", &err), &err, ERR_OTHER, "larger");
	CHECK_ERR_PTR(settings_secret(&agent, "credential:../s", &err), &err, ERR_PROFILE,
		      "names no credential");
	CHECK_ERR_PTR(settings_secret(&agent, "credential:", &err), &err, ERR_PROFILE,
		      "names no credential");
}

TEST(secrets_are_forgotten)
{
	CLEANUP_JSON json_t *settings = json_loads(
		"{\"cluster\":{\"name\":\"a\",\"secret\":\"s\",\"etcd\":{\"user\":\"u\",\"password\":\"s\"},"
		"\"s3\":{\"bucket\":\"b\",\"secret_key\":\"s\"},\"static\":{\"worker_token\":\"s\","
		"\"manager_token\":\"s\",\"managers\":[\"m\"]}},\"zone\":\"z\"}",
		0, NULL);
	CLEANUP_FREE char *line = NULL;

	CHECK(settings);
	settings_forget_secrets(settings);
	line = json_line(settings);
	CHECK_STR(line, "{\"cluster\":{\"etcd\":{\"user\":\"u\"},\"name\":\"a\",\"s3\":{\"bucket\":"
			"\"b\"},\"static\":{\"managers\":[\"m\"]}},\"zone\":\"z\"}");
}
