/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the metadata sources share: names that come from outside, DMI, media, HTTP services. Only source*.c and
 * their tests include it.
 */
#ifndef INGOT_AGENT_SOURCE_PARTS_H
#define INGOT_AGENT_SOURCE_PARTS_H

#include "agent/source.h"

#include <stdbool.h>
#include <stddef.h>

#define SOURCE_LINE_MAX 512                 /* bytes of an identity: instance-id, zone, address */
#define SOURCE_KEYS_MAX 64                  /* SSH keys of one instance; so are tags */
#define SOURCE_KEY_MAX 16384                /* bytes of one SSH key */
#define SOURCE_META_MAX ((size_t)256 << 10) /* bytes of meta-data */

/* What may override the "ds=" of the kernel's command line or of the DMI serial number. */
struct source_option {
	char *name;                 /* "nocloud"; NULL when there is none */
	char *seed, *id, *hostname; /* s=, i=, h=; or NULL */
};

/* Reads "ds=NAME[;KEY=VALUE]..." among the words of text (cloud-init's form; quotes around the word are
 * fine). Returns false when there is none. Pure. Free with source_option_free, also after false. */
bool source_option_parse(const char *text, struct source_option *ret);

/* The same from /proc/cmdline, else from the DMI serial number of the product. */
bool source_option_find(const struct agent *agent, struct source_option *ret);

/* Frees what the two above made; usable with CLEANUP() on a zeroed value. */
void source_option_free(struct source_option *option);

/* A field of /sys/class/dmi/id without blanks around it; NULL when it is absent or empty. Caller frees. */
char *source_dmi(const struct agent *agent, const char *field);

/* True when that field is this text. */
bool source_dmi_is(const struct agent *agent, const char *field, const char *text);

/* Replaces each __dmi.NAME__ of a URL by the value of cloud-init's DMI NAME ("chassis-serial-number"), percent-encoded.
 * Caller frees; NULL with err for a NAME that is not known or that this machine does not have. */
char *source_expand_dmi(const struct agent *agent, const char *url, struct err *err);

/* A text of len bytes as one line of printable ASCII without blanks around it and inside; NULL when it is
 * something else, empty, or longer than SOURCE_LINE_MAX. Caller frees. */
char *source_word(const char *text, size_t len);

/* The same for an instance-id, which becomes a part of file names: no slash, no dot in front. */
char *source_id(const char *text, size_t len);

/* The same for a host name (RFC 1123: labels of letters, digits and "-", 253 bytes in all), lower case. */
char *source_hostname(const char *text, size_t len);

/* Adds each line of text that can be an SSH key; others are left out, so are those over the limits. */
void source_add_keys(struct instance *instance, const char *text, size_t len);

/* Adds "key=value" when both are printable and there is room. */
void source_add_tag(struct instance *instance, const char *key, const char *value);

/* Opens path below dir, which must lead over no link and out of no file system to a regular file, and reads at most max
 * bytes. *ret_found is false when there is none. */
int source_read_at(int dir, const char *path, size_t max, struct str *text, bool *ret_found,
		   struct err *err);

/* Opens the first of the two labels below /dev/disk/by-label: a vfat or iso9660 file system, mounted read-only,
 * nosuid, nodev and noexec, seen by nobody else, for as long as *ret_dir is open. -1 in *ret_dir when there is no such
 * label. Needs CAP_SYS_ADMIN. */
int source_open_label(const struct agent *agent, const char *const labels[2], int *ret_dir,
		      struct err *err);

/* The same for a block device (below the agent's root) with one of these file systems (ended by NULL); ERR_NETWORK
 * never. */
int source_open_device(const struct agent *agent, const char *device, const char *const *types,
		       int *ret_dir, struct err *err);

/* True when one of the two labels is there. */
bool source_has_label(const struct agent *agent, const char *const labels[2]);

/* Reads NoCloud's meta-data (YAML or JSON): instance-id, local-hostname, public-keys, availability-zone, region.
 * What ret has already stays. name is for messages. An absent instance-id is no error here. */
int source_meta_data(const char *text, size_t len, const char *name, struct instance *ret,
		     struct err *err);

/* Reads the files of NoCloud in a folder: meta-data, user-data, vendor-data, network-config; only the first must be
 * there. */
int source_read_seed(int dir, const char *name, struct instance *ret, struct err *err);

/* The functions of the rows of sources[]: see struct source for what each does. */

/* True when there is a credential with user-data or meta-data. */
bool source_credentials_detect(const struct agent *agent);

/* Reads the credentials; without meta-data the instance-id is the machine's UUID. */
int source_credentials_fetch(const struct agent *agent, struct instance *ret, struct err *err);

/* True for the label cidata, the seed folder, and an option "ds=nocloud" that needs no network. */
bool source_nocloud_detect(const struct agent *agent);

/* Reads the seed. Needs root for the label. */
int source_nocloud_fetch(const struct agent *agent, struct instance *ret, struct err *err);

#endif
