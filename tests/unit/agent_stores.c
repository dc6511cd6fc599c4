/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of what comes from stores: answers of etcd and S3, the record, and settings that name none. The backends
 * themselves are tried in tests/build/rendezvous.t.
 */
#include "tap.h"

#include "agent/join/etcd_answer.h"
#include "agent/join/rendezvous_store.h"
#include "agent/join/s3_answer.h"
#include "agent/join/s3_keys.h"

#include "base/mem.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define TOKEN(c)                                                   \
	"SWMTKN-1-11111111111111111111111111111111111111111111111" \
	"111-" c c c c c c c c c c c c c c c c c c c c c c c c c

/* ---- etcd's answers ---------------------------------------------------------------------------------------- */

static struct etcd_answer answer_of(const char *text)
{
	struct etcd_answer a;
	struct err err = {0};

	CHECK_OK(etcd_answer_parse(text, strlen(text), &a, &err), &err);
	return a;
}

TEST(etcd_answers_of_both_gateways)
{
	static const char *const ranges[] = {
		"{\"header\":{\"revision\":\"7\"},\"kvs\":[{\"key\":\"eA==\",\"mod_revision\":\"4\","
		"\"lease\":\"7587862094925311495\",\"value\":\"aGk=\"}],\"count\":\"1\"}\n",
		"{\"header\":{\"revision\":\"7\"},\"kvs\":[{\"key\":\"eA==\",\"modRevision\":\"4\","
		"\"lease\":\"7587862094925311495\",\"value\":\"aGk=\"}]}",
		"{\"header\":{\"revision\":7},\"responses\":[{\"response_put\":{}},{\"responseRange\":"
		"{\"kvs\":[{\"modRevision\":4,\"lease\":7587862094925311495,\"value\":\"aGk=\"}]}}]}",
	};
	struct etcd_answer a;

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		a = answer_of(ranges[i]);
		CHECK(a.has_value && !a.succeeded && a.code == 0);
		CHECK_INT(a.revision, 7);
		CHECK_INT(a.mod, 4);
		CHECK_INT(a.lease, 7587862094925311495);
		CHECK_STR(a.value.data, "hi");
		etcd_answer_free(&a);
	}
	a = answer_of("{\"header\":{\"revision\":\"7\"}}");
	CHECK(!a.has_value);
	a = answer_of("{\"succeeded\":true}");
	CHECK(a.succeeded);
	a = answer_of("{\"result\":{\"ID\":\"12\",\"TTL\":\"10\"}}\n");
	CHECK_INT(a.id, 12);
	CHECK_INT(a.ttl, 10);
	/* A lease that is over has none. */
	a = answer_of("{\"result\":{\"ID\":\"12\"}}");
	CHECK_INT(a.ttl, 0);
	a = answer_of("{\"error\":\"etcdserver: no leader\",\"code\":14}");
	CHECK_INT(a.code, ETCD_CODE_UNAVAILABLE);
	CHECK_STR(a.message, "etcdserver: no leader");
	a = answer_of(
		"{\"error\":{\"grpc_code\":16,\"message\":\"etcdserver: invalid auth token\"}}");
	CHECK_INT(a.code, ETCD_CODE_UNAUTHENTICATED);
	CHECK_CONTAINS(a.message, "invalid auth token");
}

TEST(etcd_answers_that_are_none)
{
	static const char *const bad[] = {
		"",
		"[]",
		"<html>",
		"{\"kvs\":{}}",
		"{\"kvs\":[1]}",
		"{\"kvs\":[{\"value\":\"aGk=\"}]}",
		"{\"kvs\":[{\"mod_revision\":\"-4\"}]}",
		"{\"kvs\":[{\"mod_revision\":\"4\",\"value\":\"no base64\"}]}",
		"{\"header\":{\"revision\":\"99999999999999999999\"}}",
		"{\"succeeded\":1}",
		"{\"ID\":\"0x12\"}",
		"{\"token\":\"a\\r\\nX: y\"}",
	};
	CLEANUP_FREE char *large = mem_alloc(ETCD_ANSWER_MAX + 1);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct etcd_answer a;
		struct err err = {0};

		CHECK_ERR(etcd_answer_parse(bad[i], strlen(bad[i]), &a, &err), &err, ERR_NETWORK,
			  "not one of etcd");
		etcd_answer_free(&a);
	}
	memset(large, ' ', ETCD_ANSWER_MAX + 1);
	large[0] = '{';
	large[ETCD_ANSWER_MAX] = '}';
	CHECK_INT(etcd_answer_parse(large, ETCD_ANSWER_MAX + 1, &(struct etcd_answer){0}, NULL),
		  -1);
}

/* ---- answers of S3 ----------------------------------------------------------------------------------------- */

TEST(s3_codes_and_dates)
{
	static const char *const bad[] = {"",
					  "Fri, 24 May 2013 00:00:00 GMX",
					  "Fri, 24 May 2013 00:00:00 GMT ",
					  "Fri, 24 Foo 2013 00:00:00 GMT",
					  "Fri, 24 May 2013 24:00:00 GMT",
					  "Fri, -4 May 2013 00:00:00 GMT",
					  "Friday, 24-May-13 00:00:00 GMT",
					  "2013-05-24T00:00:00Z         "};
	char code[S3_CODE_SIZE];
	int64_t t;

	CHECK(s3_date("Fri, 24 May 2013 00:00:00 GMT", &t));
	CHECK_INT(t, 1369353600);
	CHECK(s3_date("Sun, 06 Nov 1994 08:49:37 GMT", &t));
	CHECK_INT(t, 784111777);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK(!s3_date(bad[i], &t));
#define CODE(text) s3_error_code(text, strlen(text), code)
	CHECK_STR(CODE("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>"),
		  "AccessDenied");
	CHECK_STR(CODE("<Error><Code>Access Denied</Code></Error>"), "");
	CHECK_STR(CODE("<Code>Access"), "");
	CHECK_STR(CODE("<Code></Code>"), "");
	CHECK_STR(
		CODE("<Code>aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa</Code>"),
		"");
	CHECK_STR(s3_error_code(NULL, 0, code), "");
}

TEST(s3_keys_of_a_role)
{
	static const char good[] =
		"{\"Code\":\"Success\",\"Type\":\"AWS-HMAC\",\"AccessKeyId\":\"ASIA\","
		"\"SecretAccessKey\":\"S/+\",\"Token\":\"T==\"}";
	static const char *const bad[] = {
		"",
		"{}",
		"{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\"}",
		"{\"AccessKeyId\":\"A\\r\\nX: y\",\"SecretAccessKey\":\"S\",\"Token\":\"T\"}",
	};
	struct s3_keys keys = {.of_role = true};

	CHECK(s3_keys_parse(good, strlen(good), &keys));
	CHECK_STR(keys.access, "ASIA");
	CHECK_STR(keys.secret, "S/+");
	CHECK_STR(keys.token, "T==");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK(!s3_keys_parse(bad[i], strlen(bad[i]), &keys));
		CHECK(!keys.access && !keys.secret && !keys.token);
	}
}

/* ---- the record -------------------------------------------------------------------------------------------- */

static struct rendezvous_view ready_view(void)
{
	struct rendezvous_view view = {
		.cluster_id = "abc", .token = TOKEN("m"), .other_token = TOKEN("w")};

	strv_add(&view.addresses, "10.0.0.5:2377");
	strv_add(&view.addresses, "10.0.0.6");
	return view;
}

TEST(records_come_back)
{
	CLEANUP(rendezvous_view_free)
	struct rendezvous_view ready = ready_view(), worker = {0}, manager = {0}, other = {0};
	CLEANUP(rendezvous_record_free) struct rendezvous_record claim = {0}, record = {0};
	struct seal_key key;
	char *text = rendezvous_record_claim("prod", "m1", 7, 1234);
	struct err err = {0};

	CHECK_OK(rendezvous_record_parse(text, strlen(text), "prod", &claim, &err), &err);
	CHECK(!claim.ready);
	CHECK_U64(claim.epoch, 7);
	CHECK_INT(claim.expires, 1234);
	CHECK_STR(claim.owner, "m1");
	CHECK_ERR(rendezvous_record_parse(text, strlen(text), "test", &record, &err), &err,
		  ERR_VERIFY, "another cluster");
	free(text);

	seal_key_derive(SECRET, "rendezvous", "prod", &key);
	text = rendezvous_record_ready(&key, "prod", "m1", 7, &ready, &err);
	CHECK_OK_PTR(text, &err);
	CHECK(!strstr(text, "SWMTKN") && !strchr(text, '\n'));
	CHECK_OK(rendezvous_record_parse(text, strlen(text), "prod", &record, &err), &err);
	CHECK_OK(rendezvous_record_show(&key, "prod", "worker", &record, &worker, &err), &err);
	CHECK_OK(rendezvous_record_show(&key, "prod", "manager", &record, &manager, &err), &err);
	CHECK_INT(worker.state, RENDEZVOUS_READY);
	CHECK_STR(worker.token, TOKEN("w"));
	CHECK_STR(manager.token, TOKEN("m"));
	CHECK_STR(worker.cluster_id, "abc");
	CHECK_U64(worker.addresses.count, 2);
	CHECK_STR(worker.addresses.items[1], "10.0.0.6:2377");

	/* Moved to another role, epoch or swarm no token opens. */
	free(record.worker);
	record.worker = mem_strdup(record.manager);
	CHECK_ERR(rendezvous_record_show(&key, "prod", "worker", &record, &other, &err), &err,
		  ERR_VERIFY, "sealed");
	record.epoch++;
	CHECK_ERR(rendezvous_record_show(&key, "prod", "manager", &record, &other, &err), &err,
		  ERR_VERIFY, "sealed");
	record.epoch--;
	record.cluster_id[0] = 'x';
	CHECK_ERR(rendezvous_record_show(&key, "prod", "manager", &record, &other, &err), &err,
		  ERR_VERIFY, "sealed");
	CHECK_STR(other.token, "");
	free(text);
}

TEST(records_that_are_none)
{
#define READY "\"state\":\"ready\",\"clusterID\":\"abc\""
	static const char *const rows[][2] = {
		{"", "no JSON"},
		{"{}", "no version"},
		{"{\"v\":2}", "does not know"},
		{"{\"v\":1,\"cluster\":\"prod\",\"epoch\":0,\"owner\":\"m\"}", "epoch"},
		{"{\"v\":1,\"cluster\":\"prod\",\"epoch\":1,\"owner\":\"a\\u001b[0m\"}", "owner"},
		{"{\"v\":1,\"cluster\":\"prod\",\"epoch\":1,\"owner\":\"m\",\"state\":\"x\"}",
		 "state"},
		{"{\"v\":1,\"cluster\":\"prod\",\"epoch\":1,\"owner\":\"m\",\"state\":\"claiming\"}",
		 "end"},
		{"{\"v\":1,\"cluster\":\"prod\",\"epoch\":1,\"owner\":\"m\"," READY "}",
		 "addresses"},
		{"{\"v\":1,\"cluster\":\"prod\",\"epoch\":1,\"owner\":\"m\"," READY
		 ",\"addrs\":[\"a b\"]}",
		 "addresses"},
		{"{\"v\":1,\"cluster\":\"prod\",\"epoch\":1,\"owner\":\"m\"," READY
		 ",\"addrs\":[\"a:1\"]}",
		 "tokens"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rendezvous_record record;
		struct err err = {0};

		CHECK_ERR(rendezvous_record_parse(rows[i][0], strlen(rows[i][0]), "prod", &record,
						  &err),
			  &err, ERR_VERIFY, rows[i][1]);
		CHECK_CONTAINS(err.hint, "delete it");
	}
}

TEST(what_is_no_swarm_is_not_published)
{
	CLEANUP(rendezvous_view_free) struct rendezvous_view ready = ready_view();
	struct seal_key key = {{0}};
	struct err err = {0};

	memcpy(ready.token, "no token", 9);
	CHECK_ERR_PTR(rendezvous_record_ready(&key, "prod", "m1", 7, &ready, &err), &err, ERR_OTHER,
		      "manager token is none");
	CHECK(!strstr(err.msg, "no token"));
	memcpy(ready.token, ready.other_token, sizeof(ready.token));
	strv_free(&ready.addresses);
	CHECK_ERR_PTR(rendezvous_record_ready(&key, "prod", "m1", 7, &ready, &err), &err, ERR_OTHER,
		      "no address");
}

/* ---- settings ---------------------------------------------------------------------------------------------- */

TEST(settings_are_checked)
{
#define HEAD "{\"name\":\"prod\",\"secret\":\"" SECRET "\","
	static const char *const rows[][3] = {
		{"etcd", "{}", "ingot.cluster.name"},
		{"etcd", "{\"name\":\"prod\"}", "ingot.cluster.secret is missing"},
		{"etcd", "{\"name\":\"prod\",\"secret\":\"short\"}", "too short"},
		{"etcd", HEAD "\"etcd\":{}}", "endpoints is missing"},
		{"etcd", HEAD "\"etcd\":{\"endpoints\":[\"https://u:p@h:1\"]}}", "item 1"},
		{"etcd", HEAD "\"etcd\":{\"endpoints\":[\"http://h:1\",\"http://h/v3\"]}}",
		 "item 2"},
		{"etcd", HEAD "\"etcd\":{\"endpoints\":[\"http://h:1\"],\"user\":\"u\"}}",
		 "ingot.cluster.etcd.password is missing"},
		{"s3", HEAD "\"s3\":{}}", "ingot.cluster.s3.endpoint"},
		{"s3", HEAD "\"s3\":{\"endpoint\":\"ftp://h\"}}", "ingot.cluster.s3.endpoint"},
		{"s3", HEAD "\"s3\":{\"endpoint\":\"https://h\",\"bucket\":\"..\"}}",
		 "ingot.cluster.s3.bucket"},
		{"s3",
		 HEAD "\"s3\":{\"endpoint\":\"https://h\",\"bucket\":\"b\",\"prefix\":\"a/../b\"}}",
		 "ingot.cluster.s3.prefix"},
		{"s3",
		 HEAD "\"s3\":{\"endpoint\":\"https://h\",\"bucket\":\"b\",\"secret_key\":\"k\"}}",
		 "ingot.cluster.s3.access_key is missing"},
		{"s3",
		 HEAD "\"s3\":{\"endpoint\":\"https://h\",\"bucket\":\"b\",\"access_key\":\"k\"}}",
		 "ingot.cluster.s3.secret_key is missing"},
	};
	struct agent agent = {.root = ""};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct rendezvous_kind *kind =
			rows[i][0][0] == 'e' ? &rendezvous_etcd : &rendezvous_s3;
		struct err err = {0};
		CLEANUP_JSON json_t *cluster =
			json_parse(rows[i][1], strlen(rows[i][1]), "settings", &err);
		struct rendezvous r = {
			.agent = &agent, .cluster = cluster, .role = "worker", .self = "m1"};

		CHECK_ERR(kind->open(&r, &err), &err, ERR_PROFILE, rows[i][2]);
		CHECK(!r.state && !strstr(err.msg, SECRET) && !strstr(err.hint, SECRET));
	}
}
