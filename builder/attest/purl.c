/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Package URLs: percent-encoding and the order of the parts.
 */
#include "attest/purl.h"

#include "base/mem.h"

#include <ctype.h>
#include <string.h>

/* ECMA-427 5.4: letters, digits, ".-_~" and ":" stand for themselves. Only ASCII: no locale. */
static bool is_plain(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr(".-_~:", c));
}

static void add_part(struct str *to, const char *text, size_t len, bool lower)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (lower && c >= 'A' && c <= 'Z')
			c = (unsigned char)(c + 'a' - 'A');
		if (is_plain(c))
			str_add_bytes(to, &c, 1);
		else
			str_addf(to, "%%%02X", c);
	}
}

void purl_add(struct str *to, const char *type, const char *namespace, const char *name,
	      const char *version, const struct purl_qualifier *qualifiers)
{
	bool lower = strcmp(type, "deb") == 0 || strcmp(type, "oci") == 0;
	char before = '?';

	str_addf(to, "pkg:%s/", type);
	while (namespace && *namespace) {
		size_t len = strcspn(namespace, "/");

		add_part(to, namespace, len, lower);
		if (len)
			str_add(to, "/");
		namespace += len + (namespace[len] == '/');
	}
	add_part(to, name, strlen(name), lower);
	if (version && *version) {
		str_add(to, "@");
		add_part(to, version, strlen(version), false);
	}
	for (; qualifiers && qualifiers->key; qualifiers++) {
		if (!qualifiers->value || !*qualifiers->value)
			continue;
		str_addf(to, "%c%s=", before, qualifiers->key);
		add_part(to, qualifiers->value, strlen(qualifiers->value), false);
		before = '&';
	}
}

void purl_add_deb(struct str *to, const char *vendor, const char *name, const char *version,
		  const char *architecture, const char *distro)
{
	const struct purl_qualifier qualifiers[] = {
		{"arch", architecture}, {"distro", distro}, {NULL, NULL}};

	purl_add(to, "deb", vendor, name, version, qualifiers);
}

void purl_add_oci(struct str *to, const char *reference, const char *digest)
{
	size_t whole = strcspn(reference, "@");
	CLEANUP_FREE char *repository = mem_strndup(reference, whole);
	char *slash = strrchr(repository, '/');
	char *tag = strchr(slash ? slash : repository, ':');
	const char *name;

	/* Without a slash a colon can only start a tag; with one, that of a port is before it. */
	if (tag)
		*tag++ = '\0';
	name = slash ? slash + 1 : repository;
	if (!*name) /* no reference; a purl needs a name */
		name = reference;
	purl_add(to, "oci", NULL, name, digest,
		 (const struct purl_qualifier[]){{"repository_url", slash ? repository : NULL},
						 {"tag", tag},
						 {NULL, NULL}});
}
