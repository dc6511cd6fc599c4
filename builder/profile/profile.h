/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A resolved profile: parents merged, --set applied, every value checked. One arena owns all of it.
 */
#ifndef INGOT_PROFILE_PROFILE_H
#define INGOT_PROFILE_PROFILE_H

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct profile_list {
	const char **items;
	size_t count;
};

struct profile_overlay {
	const char *name; /* as written */
	const char *path; /* the folder on this machine */
};

struct profile_file {
	const char *path;    /* in the image, absolute and clean */
	const char *content; /* text, or NULL when source is set */
	const char *source;  /* a file on this machine (resolved), or NULL */
	uint32_t mode;       /* 07777 */
	const char *owner, *group;
};

struct profile_setting {
	const char *key, *value;
};

struct profile_user {
	const char *name;
	int64_t uid; /* -1: the next free one from 1000 */
	struct profile_list groups;
	const char *shell;
	const char *home;
	const char *password; /* a crypt(3) hash, or NULL: locked */
	struct profile_list ssh_keys;
};

struct profile_rule {
	const char *name;         /* a word for comments */
	const char *protocol;     /* "tcp", "udp", "esp", "icmp" */
	uint16_t port, port_last; /* inclusive range; both 0 for protocols without ports */
	struct profile_list from; /* networks in CIDR form; empty: any */
};

struct profile_container {
	const char *image; /* a reference, its shape checked, or NULL */
	const char *
		oci; /* OCI layout folder, or a tar of one or of docker save, on this machine, or NULL */
	const char *name; /* of oci: name:tag, or NULL: what the layout or archive says */
};

struct profile_registry {
	const char *name;            /* host[:port]; "docker.io" for the Hub */
	struct profile_list mirrors; /* host[:port], asked first, in this order */
	const char *ca;              /* PEM file on this machine, or NULL: the system's */
	bool insecure;               /* plain HTTP */
};

struct profile_test {
	const char *name;
	const char *run;    /* a shell command, run in the guest as root; exit code 0 passes */
	const char *expect; /* text that its output must contain, or NULL */
	uint32_t timeout;   /* seconds */
};

struct profile {
	const char *source; /* path of the file as given, for messages */
	const char *name, *version, *description;
	struct {
		const char *distribution, *release, *architecture;
		const char *mirror; /* NULL: mmdebstrap's own default */
		struct profile_list components;
		const char *keyring; /* file on this machine, or NULL: the distribution's own */
		const char *image;   /* a disk to start from, a file on this machine, or NULL */
		const char *sha256;  /* of the image, 64 lower-case hex digits; set when image is */
	} base;
	struct profile_list packages;
	struct profile_overlay *overlays;
	size_t overlay_count;
	struct profile_file *files;
	size_t file_count;
	struct profile_setting *sysctl;
	size_t sysctl_count;
	struct profile_list modules;
	struct {
		const char *package;
		struct profile_list cmdline;
	} kernel;
	struct {
		struct profile_list enable, disable, mask;
	} services;
	struct profile_user *users;
	size_t user_count;
	struct {
		bool enabled; /* default deny for what comes in */
		struct profile_rule *allow;
		size_t allow_count;
	} firewall;
	const char *locale, *timezone;
	struct profile_list ntp;
	struct {
		uint64_t esp;   /* bytes */
		uint64_t root;  /* bytes: size of one root slot */
		uint64_t align; /* bytes: the image's size is a multiple */
		struct {
			const char *filesystem; /* "ext4" or "xfs" */
			uint64_t minimum;       /* bytes */
		} var;
	} disk;
	struct {
		const char *compression; /* "zstd", "lz4", "xz", "gzip" */
		uint32_t level;
		uint32_t block; /* bytes, a power of two, 4096 to 1 MiB */
	} rootfs;
	struct {
		const char *mode;            /* "transient" or "persistent" */
		struct profile_list persist; /* paths below /etc, without it */
	} etc;
	struct {
		const char *kind;         /* "none" or "swarm" */
		const char *role;         /* "manager", "worker"; NULL for none */
		const char *availability; /* "active", "pause", "drain"; NULL: not said */
		struct profile_setting *labels;
		size_t label_count;
		struct profile_list node_labels;
	} join;
	struct {
		struct profile_list engines; /* "docker", "containerd" */
		struct profile_container *images;
		size_t image_count;
		struct profile_registry *registries;
		size_t registry_count;
		struct profile_list elsewhere; /* references that the machine may pull itself */
	} containers;
	struct profile_test *tests;
	size_t test_count;
	struct profile_list formats;
	struct profile_list setuid; /* paths that may be setuid or setgid */
	json_t *json;               /* the whole resolved profile; borrowed */
	struct profile_doc *doc;    /* merged document with positions, for explain; borrowed */
};

struct profile_options {
	const char *const
		*set; /* "key.sub=value" (value is YAML), applied last; ended by NULL, or NULL */
	const char *const
		*search; /* folders where profiles and overlays are looked up by name after the
				    * folder of the naming file; ended by NULL */
};

/* Everything that is wrong with a profile, as a compiler prints it: up to 20 entries of
 * "file:line:col: error: ..." each followed by its notes. */
struct profile_problems {
	struct str text;
	size_t count;
};

/* Loads, merges and checks a profile. file_or_name: a path (has '/' or ends in .yaml/.yml) or a name
 * looked up as NAME.yaml in search. On a bad profile returns NULL, fills problems (may be NULL) and
 * sets err (ERR_PROFILE, "2 errors in 'x.yaml'"). Reads only the files it names. Free with
 * profile_free. */
struct profile *profile_load(const char *file_or_name, const struct profile_options *options,
			     struct profile_problems *problems, struct err *err);

/* Frees the profile; NULL is allowed. */
void profile_free(struct profile *profile);

/* Frees the text; usable with CLEANUP(). */
void profile_problems_free(struct profile_problems *problems);

/* Appends "key: value   # file:line" lines of the resolved profile, or only of key ("disk.var") and
 * below, to text. An unknown key is ERR_USAGE with a did-you-mean hint. */
int profile_explain(const struct profile *profile, const char *key, struct str *text,
		    struct err *err);

/* The same as JSON: {"key": {"value":..., "file":..., "line":..., "column":...}}. Caller decrefs. */
json_t *profile_explain_json(const struct profile *profile, const char *key, struct err *err);

/* Documents every key of the schema table: name, type, default, merge rule, meaning; as text. */
void profile_document_keys(struct str *text);

/* The same as a Markdown table, for the README. */
void profile_document_markdown(struct str *text);

/* JSON Schema (2020-12) of the profile format, from the same table. Caller decrefs. */
json_t *profile_json_schema(void);

#endif
