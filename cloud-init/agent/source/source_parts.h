/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the metadata sources share: names that come from outside, DMI, media, HTTP services. Only source*.c and
 * their tests include it.
 */
#ifndef INGOT_AGENT_SOURCE_PARTS_H
#define INGOT_AGENT_SOURCE_PARTS_H

#include "agent/source/source.h"

#include "base/json.h"
#include "net/http.h"

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

/* Where tests have the services of all clouds: the address of the machine's own services is replaced by it, and the
 * one over IPv6 by the second. NULL but in unit tests: no file, no environment and no option of a real machine
 * can send the agent elsewhere. */
extern const char *source_test_base, *source_test_base6;

/* A metadata service. */
struct source_service {
	const char *base;           /* "http://169.254.169.254" */
	const char *const *headers; /* for each request, ended by NULL, or NULL */
	const char *const *want;    /* headers of answers that are kept, or NULL */
	bool elsewhere; /* it is no address of this link: proxies and redirects are fine */
	struct http_session *session;
};

/* One thing to ask it for. */
struct source_item {
	const char *path; /* behind the base */
	bool needed;      /* 404 means that it does not know this machine yet */
	size_t max;       /* bytes of the answer; 0: SOURCE_META_MAX */
	struct http_answer answer;
};

/* Asks for all items at the same time, one try each of at most 5 s. An answer other than 200 is ERR_NETWORK (its status
 * can be seen in the item), but 404 gives an empty body where it is not needed; one that is too large or goes round in
 * redirects is ERR_OTHER. Free the items with source_items_free in any case. */
int source_service_get(const struct source_service *service, struct source_item *items,
		       size_t count, struct err *err);

/* Wipes and frees the answers. */
void source_items_free(struct source_item *items, size_t count);

/* Sends a body (method PUT or POST) and gives the answer, whatever its status. */
int source_service_send(const struct source_service *service, const char *method, const char *path,
			const char *body, struct http_answer *answer, struct err *err);

/* The answer as a word (see source_word), id or host name; NULL when it is none. Caller frees. */
char *source_item_text(const struct source_item *item,
		       char *(*check)(const char *text, size_t len));

/* Moves the body of the answer to to. */
void source_item_move(struct source_item *item, struct str *to);

/* Parses a JSON object; messages quote nothing of it, for it may be secret. Caller decrefs; NULL with err (ERR_OTHER). */
json_t *source_json(const char *text, size_t len, const char *name, struct err *err);

/* Parses the answer as a JSON object. Caller decrefs; NULL with err (ERR_OTHER). */
json_t *source_item_json(const struct source_item *item, struct err *err);

/* A string member of a JSON object as a word, id or host name; NULL when it is none. Caller frees. */
char *source_member(const json_t *object, const char *key,
		    char *(*check)(const char *text, size_t len));

/* Reads OpenStack's meta_data.json, and network_data.json and vendor_data.json where they are not empty. */
int source_openstack_read(const struct str *meta, const struct str *network,
			  const struct str *vendor, struct instance *ret, struct err *err);

/* Takes SSH keys and user-data from the attributes of a GCE instance and of its project. */
int source_gce_read(const json_t *instance, const json_t *project, struct instance *ret,
		    struct err *err);

/* Takes from Azure's instance metadata all but user data. */
int source_azure_read(const json_t *value, struct instance *ret, struct err *err);

/* What the CD that Azure gives a new machine says. */
struct source_ovf {
	char *hostname; /* or NULL */
	struct str custom_data;
};

/* Reads ovf-env.xml. ERR_OTHER when it is not well-formed or too large. */
int source_ovf_parse(const char *text, size_t len, struct source_ovf *ret, struct err *err);

/* Reads it from the CD, if there is one; else from what was kept of it for the instance id. *ret_found is false when
 * there is neither. Needs root. */
int source_ovf_load(const struct agent *agent, const char *id, struct source_ovf *ret,
		    bool *ret_found, struct err *err);

/* Wipes and frees it; usable with CLEANUP() on a zeroed value. */
void source_ovf_free(struct source_ovf *ovf);

/* Called for each element without elements in it: path is its name behind those of its parents ("A/B/C", without name
 * spaces), text what it holds. Returns false to stop. */
typedef bool source_xml_fn(void *context, const char *path, const char *text, size_t len);

/* Reads a small XML document (UTF-8, no document type, no CDATA, 16 levels, at most 512 KiB) strictly. ERR_OTHER when it
 * is something else. */
int source_xml_read(const char *text, size_t len, source_xml_fn *found, void *context,
		    struct err *err);

/* Dotted decimals of the wireserver: DHCP option 245 of a lease that systemd-networkd keeps (text of such a file),
 * into address (16 bytes). Returns false when it is not in there. Pure. */
bool source_wireserver_option(const char *lease, char address[16]);

/* What the wireserver wants to hear back. */
struct source_goal {
	char *incarnation, *container, *instance;
};

/* Reads the goal state. ERR_OTHER when one of the three is missing or no plain word. Free with source_goal_free. */
int source_goal_parse(const char *text, size_t len, struct source_goal *ret, struct err *err);

/* Frees it; usable with CLEANUP() on a zeroed value. */
void source_goal_free(struct source_goal *goal);

/* Tells Azure's fabric that the machine is ready (failure NULL) or why it will not be; without it the machine is given
 * up after 20 minutes. */
int source_wireserver_report(const struct agent *agent, const char *failure, struct err *err);

/* The functions of the rows of sources[]: see struct source for what each does. */

/* True when there is a credential with user-data or meta-data. */
bool source_credentials_detect(const struct agent *agent);

/* Reads the credentials; without meta-data the instance-id is the machine's UUID. */
int source_credentials_fetch(const struct agent *agent, struct instance *ret, struct err *err);

/* True for the label cidata, the seed folder, and an option "ds=nocloud" that needs no network. */
bool source_nocloud_detect(const struct agent *agent);

/* Reads the seed. Needs root for the label. */
int source_nocloud_fetch(const struct agent *agent, struct instance *ret, struct err *err);

/* True for an option "ds=nocloud" with the URL of a seed. */
bool source_nocloud_net_detect(const struct agent *agent);

/* Reads the seed by HTTP. */
int source_nocloud_net_fetch(const struct agent *agent, struct instance *ret, struct err *err);

/* True for the label config-2. */
bool source_configdrive_detect(const struct agent *agent);

/* Reads the drive. Needs root. */
int source_configdrive_fetch(const struct agent *agent, struct instance *ret, struct err *err);

/* The same for a drive that is open. */
int source_configdrive_read(int dir, struct instance *ret, struct err *err);

/* True when DMI says OpenStack, or one of the clouds that are made of it. */
bool source_openstack_detect(const struct agent *agent);

/* Asks the metadata service, over IPv6 where it is not reachable otherwise. */
int source_openstack_fetch(const struct agent *agent, struct instance *ret, struct err *err);

/* True when DMI or the hypervisor says Amazon EC2. */
bool source_ec2_detect(const struct agent *agent);

/* Asks IMDSv2. */
int source_ec2_fetch(const struct agent *agent, struct instance *ret, struct err *err);

/* True when DMI has Azure's asset tag. */
bool source_azure_detect(const struct agent *agent);

/* Asks IMDS, and reads the CD. */
int source_azure_fetch(const struct agent *agent, struct instance *ret, struct err *err);

/* Reports to the wireserver. */
int source_azure_report(const struct agent *agent, const struct instance *instance,
			const char *failure, struct err *err);

/* True when DMI says Google Compute Engine. */
bool source_gce_detect(const struct agent *agent);

/* Asks the metadata server. */
int source_gce_fetch(const struct agent *agent, struct instance *ret, struct err *err);

/* Sets the guest attribute ingot/status, where the machine may. */
int source_gce_report(const struct agent *agent, const struct instance *instance,
		      const char *failure, struct err *err);

#endif
