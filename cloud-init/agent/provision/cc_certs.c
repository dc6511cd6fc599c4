/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates that this machine trusts besides the image's: appended to the bundle that curl and Go read, and linked
 * by their hash for OpenSSL. update-ca-certificates would do the same for all 140 of them at each boot.
 */
#include "agent/provision/cloudconfig.h"
#include "agent/provision/place.h"

#include "base/mem.h"
#include "base/proc.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define BUNDLE "/etc/ssl/certs/ca-certificates.crt"
#define FOLDER "/etc/ssl/certs"
#define CERTIFICATES_MAX 64
#define PEM_MAX ((size_t)64 << 10)
#define LINKS_MAX 10

static const char begin[] = "-----BEGIN CERTIFICATE-----";
static const char end[] = "-----END CERTIFICATE-----";

/* Links HASH.N to the file, N the first that is free: other names may have the same hash. */
static int link_hash(struct cc *cc, const char *name, struct err *err)
{
	CLEANUP_FREE char *file = NULL;
	CLEANUP_FREE char *program = proc_find("openssl");
	CLEANUP(str_free) struct str hash = {0};
	CLEANUP_FREE char *path = mem_printf(FOLDER "/%s", name);
	const char *argv[] = {"openssl", "x509", "-noout", "-subject_hash", "-in", NULL, NULL};
	const struct proc proc = {.argv = argv, .output = &hash, .output_max = 4096};

	if (!program)
		return 0; /* then nobody looks for such links */
	file = agent_path(cc->agent, path);
	argv[5] = file;
	if (proc_run(&proc, err) < 0)
		return -1;
	hash.data[strcspn(hash.data, "\n")] = '\0';
	if (strlen(hash.data) != 8 || strspn(hash.data, "0123456789abcdef") != 8)
		return err_set(err, ERR_OTHER, "openssl printed no hash");
	for (int i = 0; i < LINKS_MAX; i++) {
		CLEANUP_FREE char *link = mem_printf(FOLDER "/%s.%d", hash.data, i);
		CLEANUP_FREE char *full = agent_path(cc->agent, link);
		char target[256];
		ssize_t len = readlink(full, target, sizeof(target) - 1);

		if (len < 0 && errno == ENOENT)
			return place_link(cc->agent, link, name, err);
		target[len > 0 ? len : 0] = '\0';
		if (strcmp(target, name) == 0)
			return 0;
	}
	return err_set(err, ERR_OTHER, "too many certificates have the hash %s", hash.data);
}

/* One certificate of text, at *at; what is around it is passed over. NULL when there is none left. */
static char *next_certificate(const char **at)
{
	const char *from = strstr(*at, begin), *to = from ? strstr(from, end) : NULL;

	if (!to)
		return NULL;
	*at = to + sizeof(end) - 1;
	return mem_printf("%.*s\n", (int)(*at - from), from);
}

static int add_one(struct cc *cc, const char *pem, size_t number, struct err *err)
{
	CLEANUP_FREE char *name = mem_printf("ingot-user-data-%zu.pem", number);
	CLEANUP_FREE char *path = mem_printf(FOLDER "/%s", name);
	const struct place bundle = {.mode = 0644, .append = true};
	CLEANUP(str_free) struct str whole = {0};

	if (place_text(cc->agent, path, pem, 0644, err) < 0 || link_hash(cc, name, err) < 0)
		return -1;
	if (agent_read(cc->agent, BUNDLE, PLACE_FILE_MAX, &whole, err) < 0)
		return -1;
	if (strstr(whole.data, pem))
		return 0;
	return place_write(cc->agent, BUNDLE, pem, strlen(pem), &bundle, err);
}

int cc_ca_certs(struct cc *cc, const struct doc_node *value, struct err *err)
{
	static const char *const known[] = {"trusted", "remove_defaults", "remove-defaults"};
	CLEANUP(strv_free) struct strv texts = {0};
	const struct doc_node *trusted;
	size_t count = 0;

	(void)err; /* each certificate is a matter of its own */
	if (!cc_is(cc, value, DOC_MAP, "ca_certs"))
		return 0;
	cc_check_keys(cc, value, "ca_certs", known, ARRAY_SIZE(known));
	for (size_t i = 1; i < ARRAY_SIZE(known); i++)
		if (doc_node_get(value, known[i]) && cc_flag(cc, value, known[i], false))
			cc_problem(cc, doc_node_get(value, known[i]),
				   "ca_certs: the image's certificates stay: leave the package "
				   "ca-certificates out of its profile");
	trusted = doc_node_get(value, "trusted");
	if (!trusted || !cc_texts(cc, trusted, "ca_certs.trusted", 0, &texts))
		return 0;
	for (size_t i = 0; i < texts.count; i++) {
		const char *at = texts.items[i];
		struct err own = {0};
		char *pem = NULL;
		size_t before = count;

		while (count < CERTIFICATES_MAX && (pem = next_certificate(&at))) {
			if (strlen(pem) > PEM_MAX || add_one(cc, pem, count, &own) < 0)
				cc_failed(cc, trusted, &own);
			count++;
			free(pem);
		}
		if (count == before)
			cc_problem(cc, trusted, "ca_certs.trusted: entry %zu has no certificate",
				   i + 1);
	}
	return 0;
}
