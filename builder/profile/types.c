/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Types whose values are just text of a certain form: each is a pattern, which the JSON Schema uses
 * as well, and words for the error message.
 */
#include "base/path.h"
#include "profile/schema.h"

#include <stdio.h>
#include <string.h>

static bool read_line(const struct schema_row *row, const char *text, struct schema_value *ret)
{
	(void)row;
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p >= 0x20 && *p != 0x7f)
			continue;
		snprintf(ret->problem, sizeof(ret->problem),
			 "text with a line break or control character");
		return false;
	}
	return *text != '\0';
}

static bool read_image_path(const struct schema_row *row, const char *text,
			    struct schema_value *ret)
{
	(void)row;
	(void)ret;
	return text[0] == '/' && path_is_clean(text);
}

static bool read_etc_path(const struct schema_row *row, const char *text, struct schema_value *ret)
{
	(void)row;
	if (strncmp(text, "/etc/", 5) == 0 && path_is_clean(text))
		snprintf(ret->note, sizeof(ret->note), "write it without /etc/: '%.200s'",
			 text + 5);
	return text[0] != '/' && path_is_clean(text);
}

static bool read_unit(const struct schema_row *row, const char *text, struct schema_value *ret)
{
	(void)row;
	if (strchr(text, '.'))
		return true;
	snprintf(ret->note, sizeof(ret->note),
		 "a unit is named with its type: did you mean '%.100s.service'?", text);
	return false;
}

static bool read_disk_file(const struct schema_row *row, const char *text, struct schema_value *ret)
{
	if (strstr(text, "://")) {
		snprintf(ret->problem, sizeof(ret->problem),
			 "'%.100s' is an address, only files can be used", text);
		snprintf(ret->note, sizeof(ret->note),
			 "download it first and name the file; sha256 says which one it must be");
		return false;
	}
	return read_line(row, text, ret);
}

/* What the boot chain itself puts on the command line; a second one would win over it. */
static bool read_argument(const struct schema_row *row, const char *text, struct schema_value *ret)
{
	static const char *const ours[] = {"root=", "roothash=", "usrhash=", "initrd="};

	(void)row;
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		if (!str_has_prefix(text, ours[i]))
			continue;
		snprintf(ret->problem, sizeof(ret->problem), "'%s' cannot be set by a profile",
			 ours[i]);
		snprintf(ret->note, sizeof(ret->note), "the build sets it");
		return false;
	}
	return true;
}

static bool read_label_key(const struct schema_row *row, const char *text, struct schema_value *ret)
{
	static const char *const reserved[] = {"com.docker.", "io.docker.", "org.dockerproject."};

	(void)row;
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
		if (!str_has_prefix(text, reserved[i]))
			continue;
		snprintf(ret->problem, sizeof(ret->problem),
			 "labels that begin with '%s' are the engine's own", reserved[i]);
		snprintf(ret->note, sizeof(ret->note), "it does not start with them");
		return false;
	}
	return true;
}

static bool read_choice(const struct schema_row *row, const char *text, struct schema_value *ret)
{
	CLEANUP(str_free) struct str all = {0};
	const char *nearest;
	size_t count = 0;

	for (; row->choices[count]; count++)
		if (strcmp(row->choices[count], text) == 0)
			return true;
	nearest = str_nearest(text, row->choices, count);
	for (size_t i = 0; i < count; i++)
		str_addf(&all, "%s%s", i ? ", " : "", row->choices[i]);
	snprintf(ret->problem, sizeof(ret->problem), "unknown value '%.60s'", text);
	if (nearest)
		snprintf(ret->note, sizeof(ret->note), "did you mean '%s'?", nearest);
	else
		snprintf(ret->note, sizeof(ret->note), "expected %s%s", count > 1 ? "one of " : "",
			 all.data);
	return false;
}

static bool read_url(const struct schema_row *row, const char *text, struct schema_value *ret)
{
	(void)row;
	if (strchr(text, '@'))
		snprintf(ret->problem, sizeof(ret->problem), "a user or password in an address");
	return true;
}

/* What stands here by mistake may be the secret itself: it must not be in a message. */
static bool read_hash(const struct schema_row *row, const char *text, struct schema_value *ret)
{
	(void)row;
	(void)text;
	snprintf(ret->problem, sizeof(ret->problem), "this is not a password hash");
	return true;
}

static bool read_ssh_key(const struct schema_row *row, const char *text, struct schema_value *ret)
{
	bool line = read_line(row, text, ret);

	snprintf(ret->problem, sizeof(ret->problem), "this is not a public SSH key");
	return line;
}

#define TYPE(id) const struct schema_type schema_type_##id

TYPE(choice) = {
	.name = "choice",
	.article = "a known value",
	.expected = "one of the listed values",
	.max = 64,
	.read = read_choice,
};
TYPE(name) = {
	.name = "name",
	.article = "a name",
	.expected = "lower-case letters, digits and hyphens, at most 32, a letter first",
	.pattern = "^[a-z]([a-z0-9-]*[a-z0-9])?$",
	.max = 32,
};
TYPE(version) = {
	.name = "version",
	.article = "a version",
	.expected = "letters, digits, '.', '~' and '-', at most 32, a letter or digit first",
	.pattern = "^[A-Za-z0-9][A-Za-z0-9.~-]*$",
	.max = 32,
};
TYPE(line) = {
	.name = "text",
	.article = "a line of text",
	.expected = "one line of text",
	.max = 1024,
	.read = read_line,
};
TYPE(text) = {
	.name = "text, lines",
	.article = "text",
	.expected = "text, also of several lines",
	.max = DOC_BYTES_MAX,
};
TYPE(word) = {
	.name = "word",
	.article = "a word",
	.expected = "lower-case letters, digits and hyphens, at most 32",
	.pattern = "^[a-z0-9][a-z0-9-]*$",
	.max = 32,
};
TYPE(title) = {
	.name = "title",
	.article = "a title",
	.expected = "letters, digits, spaces and ,./:()_+- at most 80",
	.pattern = "^[A-Za-z0-9/][A-Za-z0-9 ,./:()_+-]*$",
	.max = 80,
};
TYPE(parent) = {
	.name = "profile",
	.article = "a profile",
	.expected = "the name of a profile, or a path to one",
	.max = 1024,
	.store = SCHEMA_NOWHERE,
	.read = read_line,
};
TYPE(overlay) = {
	.name = "overlay",
	.article = "an overlay",
	.expected = "the name of a folder in overlays/, or a path to one",
	.max = 1024,
	.store = SCHEMA_OVERLAY,
	.read = read_line,
};
TYPE(file) = {
	.name = "file",
	.article = "a file",
	.expected = "a path, relative to the folder of the profile",
	.max = 4095,
	.store = SCHEMA_PATH,
	.read = read_line,
};
TYPE(disk_file) = {
	.name = "file",
	.article = "a disk image",
	.expected =
		"the path of a raw, qcow2, vmdk, vhd, vhdx or vdi file, relative to the folder of "
		"the profile",
	.max = 4095,
	.store = SCHEMA_PATH,
	.read = read_disk_file,
};
TYPE(digest) = {
	.name = "SHA-256",
	.article = "a SHA-256",
	.expected = "the 64 lower-case hex digits that 'sha256sum' prints",
	.pattern = "^[0-9a-f]{64}$",
	.max = 64,
};
TYPE(image_path) = {
	.name = "path",
	.article = "a path in the image",
	.expected = "an absolute path without '.', '..', '//' or a slash at the end",
	.pattern = "^/[^/]",
	.max = PATH_IMAGE_MAX - 1,
	.read = read_image_path,
};
TYPE(etc_path) = {
	.name = "path in /etc",
	.article = "a path below /etc",
	.expected = "a relative path without '.', '..', '//' or a slash at the end",
	.max = PATH_IMAGE_MAX - 8,
	.read = read_etc_path,
};
TYPE(package) = {
	.name = "package",
	.article = "a package name",
	.expected = "lower-case letters, digits and +-. as in 'curl', or with a version as in "
		    "'curl=8.14.1-2'",
	.pattern = "^[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?(=[0-9A-Za-z][A-Za-z0-9.+:~-]*)?$",
	.max = 200,
};
TYPE(unit) = {
	.name = "unit",
	.article = "a systemd unit",
	.expected = "a name with its type, such as 'ssh.service' or 'fstrim.timer'",
	.pattern = "^[A-Za-z0-9:_.@-]+[.](service|socket|timer|target|path|mount|automount|swap|"
		   "slice)$",
	.max = 255,
	.read = read_unit,
};
TYPE(module) = {
	.name = "module",
	.article = "a kernel module",
	.expected = "letters, digits, '_' and '-'",
	.pattern = "^[A-Za-z0-9_][A-Za-z0-9_-]*$",
	.max = 64,
};
TYPE(sysctl_key) = {
	.name = "sysctl",
	.article = "a sysctl",
	.expected = "parts joined by dots, such as 'net.ipv4.ip_forward'",
	.pattern = "^[A-Za-z0-9_-]+([./][A-Za-z0-9_:@*-]+)+$",
	.max = 200,
};
TYPE(sysctl) = {
	.name = "text",
	.article = "a sysctl value",
	.expected = "one line of text",
	.max = 1024,
	.read = read_line,
};
/* What swarm's placement constraints can name: swarmkit, manager/constraint. */
TYPE(label_key) = {
	.name = "label key",
	.article = "a label key",
	.expected =
		"lower-case letters, digits and ._- after a letter, at least 2 and at most 63, such as "
		"'disk'",
	.pattern = "^[a-z][a-z0-9._-]*[a-z0-9]$",
	.max = 63,
	.read = read_label_key,
};
TYPE(label) = {
	.name = "label",
	.article = "a label",
	.expected = "letters, digits and ._:/- without spaces, such as 'ssd'",
	.pattern = "^[A-Za-z0-9]([A-Za-z0-9._:/-]*[A-Za-z0-9])?$",
	.max = 63,
};
TYPE(argument) = {
	.name = "argument",
	.article = "a kernel argument",
	.expected = "one word without spaces and quotes, such as 'console=ttyS0'",
	.pattern = "^[A-Za-z0-9_][!#$%&()*+,./0-9:;<=>?@A-Z^_`a-z{|}~-]*$",
	.max = 256,
	.read = read_argument,
};
TYPE(user) = {
	.name = "user",
	.article = "a user or group name",
	.expected = "lower-case letters, digits, '_' and '-', at most 31",
	.pattern = "^[a-z_][a-z0-9_-]*$",
	.max = 31,
};
TYPE(owner) = {
	.name = "user or id",
	.article = "a user or group",
	.expected = "a name that exists in the image, or a number",
	.pattern = "^([a-z_][a-z0-9_-]*|[0-9][0-9]?[0-9]?[0-9]?[0-9]?)$",
	.max = 31,
};
TYPE(host) = {
	.name = "host",
	.article = "a host",
	.expected = "a host name or an address",
	.pattern = "^[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?$",
	.max = 253,
};
TYPE(url) = {
	.name = "address",
	.article = "the address of a repository",
	.expected = "an address with http://, https:// or file://, without a password",
	.pattern = "^(https?://[A-Za-z0-9._:-]+|file://)(/[!$%&()*+,./0-9:;=A-Z_a-z~-]*)?$",
	.max = 1024,
	.read = read_url,
};
TYPE(release) = {
	.name = "release",
	.article = "a release",
	.expected = "a code name such as 'trixie'",
	.pattern = "^[a-z][a-z0-9-]*$",
	.max = 32,
};
TYPE(component) = {
	.name = "component",
	.article = "a component",
	.expected = "a word such as 'main' or 'non-free-firmware'",
	.pattern = "^[a-z][a-z0-9/-]*$",
	.max = 64,
};
TYPE(locale) = {
	.name = "locale",
	.article = "a locale",
	.expected = "a UTF-8 locale such as 'C.UTF-8' or 'en_US.UTF-8'",
	.pattern = "^(C|[a-z][a-z][a-z]?(_[A-Z][A-Z])?)\\.UTF-8(@[a-z]+)?$",
	.max = 32,
};
TYPE(timezone) = {
	.name = "time zone",
	.article = "a time zone",
	.expected = "a name such as 'Etc/UTC' or 'Europe/Berlin'",
	.pattern = "^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$",
	.max = 64,
};
TYPE(hash) = {
	.name = "password hash",
	.article = "a password hash",
	.expected = "what 'openssl passwd -6' prints; it starts with '$'",
	.pattern = "^([$][0-9a-z]+[$][A-Za-z0-9./$=,+-]+|[*]|!)$",
	.max = 512,
	.read = read_hash,
};
TYPE(ssh_key) = {
	.name = "SSH key",
	.article = "a public SSH key",
	.expected = "a line such as 'ssh-ed25519 AAAA... comment'",
	.pattern = "^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|"
		   "ecdsa-sha2-nistp256)@openssh[.]com) AAAA[A-Za-z0-9+/]+=*( .*)?$",
	.max = 4096,
	.read = read_ssh_key,
};

TYPE(oci) = {
	.name = "file or folder",
	.article = "a container image",
	.expected =
		"the path of an OCI layout or of a tar file with one, relative to the folder of "
		"the profile",
	.max = 4095,
	.store = SCHEMA_PATH,
	.folder = true,
	.read = read_line,
};

const struct schema_type *const schema_types[] = {
	&schema_type_choice,    &schema_type_bool,
	&schema_type_integer,   &schema_type_id,
	&schema_type_size,      &schema_type_block,
	&schema_type_mode,      &schema_type_ports,
	&schema_type_name,      &schema_type_version,
	&schema_type_line,      &schema_type_text,
	&schema_type_word,      &schema_type_title,
	&schema_type_parent,    &schema_type_overlay,
	&schema_type_file,      &schema_type_disk_file,
	&schema_type_digest,    &schema_type_image_path,
	&schema_type_etc_path,  &schema_type_package,
	&schema_type_unit,      &schema_type_module,
	&schema_type_sysctl,    &schema_type_sysctl_key,
	&schema_type_argument,  &schema_type_user,
	&schema_type_owner,     &schema_type_network,
	&schema_type_host,      &schema_type_url,
	&schema_type_release,   &schema_type_component,
	&schema_type_locale,    &schema_type_timezone,
	&schema_type_hash,      &schema_type_ssh_key,
	&schema_type_image,     &schema_type_image_name,
	&schema_type_oci,       &schema_type_registry,
	&schema_type_mirror,    &schema_type_label,
	&schema_type_label_key, NULL,
};
