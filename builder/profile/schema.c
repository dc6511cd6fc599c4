/* SPDX-License-Identifier: Apache-2.0 */
/*
 * THE table of the profile format. A new key is one row here and a field in struct profile; parser,
 * checks, defaults, help, README table and JSON Schema follow from it.
 */
#include "profile/schema.h"

#include "base/size.h"

static const char *const distributions[] = {"debian", NULL};
static const char *const architectures[] = {"amd64", "arm64", NULL};
static const char *const protocols[] = {"tcp", "udp", "esp", "icmp", NULL};
static const char *const filesystems[] = {"ext4", "xfs", NULL};
static const char *const compressions[] = {"zstd", "lz4", "xz", "gzip", NULL};
static const char *const etc_modes[] = {"transient", "persistent", NULL};
static const char *const engines[] = {"docker", "containerd", NULL};
static const char *const join_kinds[] = {"none", "swarm", NULL};
static const char *const join_roles[] = {"manager", "worker", NULL};
static const char *const availabilities[] = {"active", "pause", "drain", NULL};
/* Those of output/formats.c; a test compares them. */
static const char *const formats[] = {"raw", "raw.zst", "bmap", "qcow2", "qcow2-zlib",
				      "vhd", "vmdk",    "ova",  "gcp",   NULL};

#define AT(field) .offset = offsetof(struct profile, field)
#define IN(element, field) .offset = offsetof(struct element, field)
#define VALUE(id) .shape = SCHEMA_VALUE, .type = &schema_type_##id
#define LIST(id) .shape = SCHEMA_LIST, .type = &schema_type_##id
#define SETTINGS(id, key_id)                                                                \
	.shape = SCHEMA_SETTINGS, .type = &schema_type_##id, .keys = &schema_type_##key_id, \
	.size = sizeof(struct profile_setting)
#define SECTION .shape = SCHEMA_SECTION
#define COUNT(field) .count_offset = offsetof(struct profile, field)
#define TABLE(element) .shape = SCHEMA_TABLE, .size = sizeof(struct element)

const struct schema_row schema_rows[] = {
	{"name", VALUE(name), AT(name), .required = true,
	 .help = "What the image is called: file names, partition labels, boot entries."},
	{"version", VALUE(version), AT(version), .required = true,
	 .help = "Version of the image. name_version is a partition label: at most 36 "
		 "characters."},
	{"description", VALUE(line), AT(description), .help = "One line about the role."},
	{"extends", LIST(parent), .shorthand = true,
	 .help = "Parents, merged in this order before this file: names (NAME.yaml beside this "
		 "file, then in the search folders) or paths. One may be given without a list."},

	{"base", SECTION, .help = "The distribution that packages come from."},
	{"base.distribution", VALUE(choice), AT(base.distribution), .choices = distributions,
	 .fallback = "debian", .help = "The distribution."},
	{"base.release", VALUE(release), AT(base.release), .fallback = "trixie",
	 .help = "Code name of its release."},
	{"base.architecture", VALUE(choice), AT(base.architecture), .choices = architectures,
	 .fallback = "amd64", .help = "Architecture of the image, as the distribution names it."},
	{"base.mirror", VALUE(url), AT(base.mirror),
	 .help = "Address of the repository; without it the distribution's own."},
	{"base.components", LIST(component), AT(base.components), .fallback = "[main]", .min = 1,
	 .help = "Components of the repository."},
	{"base.keyring", VALUE(file), AT(base.keyring),
	 .help = "File with the keys that sign the repository; without it the distribution's "
		 "own."},

	{"base.image", VALUE(disk_file), AT(base.image),
	 .help = "A disk image with the distribution on it, such as a vendor's cloud image, that the "
		 "packages are added to; needs libguestfs. A file, relative to the folder of the "
		 "profile."},
	{"base.sha256", VALUE(digest), AT(base.sha256),
	 .help = "SHA-256 of the file base.image; required with it."},

	{"packages", LIST(package), AT(packages),
	 .help = "Packages to install, with what they depend on; what they recommend is not. "
		 "Another version of a parent's package replaces it."},
	{"overlays", LIST(overlay), AT(overlays), COUNT(overlay_count),
	 .help = "Folders laid over the image in this order: names (overlays/NAME beside the "
		 "folder of this file or in it, then beside the search folders) or paths."},

	{"files", TABLE(profile_file), AT(files), COUNT(file_count),
	 .help = "Single files, laid over the overlays."},
	{"files[].path", VALUE(image_path), IN(profile_file, path), .required = true,
	 .help = "Where the file is in the image."},
	{"files[].content", VALUE(text), IN(profile_file, content), .excludes = "source",
	 .help = "Its text. Either this or source."},
	{"files[].source", VALUE(file), IN(profile_file, source), .excludes = "content",
	 .help = "The file to copy, relative to the folder of the profile."},
	{"files[].mode", VALUE(mode), IN(profile_file, mode), .fallback = "0644",
	 .help = "Its mode, octal."},
	{"files[].owner", VALUE(owner), IN(profile_file, owner), .fallback = "root",
	 .help = "Its user."},
	{"files[].group", VALUE(owner), IN(profile_file, group), .fallback = "root",
	 .help = "Its group."},

	{"sysctl", SETTINGS(sysctl, sysctl_key), AT(sysctl), COUNT(sysctl_count),
	 .help = "Kernel settings by name, such as net.ipv4.ip_forward: 1."},
	{"modules", LIST(module), AT(modules), .help = "Kernel modules that are loaded at boot."},

	{"kernel", SECTION, .help = "The kernel and how it is started."},
	{"kernel.package", VALUE(package), AT(kernel.package),
	 .computed = "linux-image-ARCHITECTURE", .help = "Package of the kernel."},
	{"kernel.cmdline", LIST(argument), AT(kernel.cmdline),
	 .help = "Arguments added to the kernel's command line."},

	{"services", SECTION, .help = "What systemd starts."},
	{"services.enable", LIST(unit), AT(services.enable), .help = "Units to enable."},
	{"services.disable", LIST(unit), AT(services.disable),
	 .help = "Units that a package enables and this image does not."},
	{"services.mask", LIST(unit), AT(services.mask), .help = "Units that nothing may start."},

	{"users", TABLE(profile_user), AT(users), COUNT(user_count),
	 .help = "Users that the image has beside those of its packages."},
	{"users[].name", VALUE(user), IN(profile_user, name), .required = true,
	 .help = "Name of the user."},
	{"users[].uid", VALUE(id), IN(profile_user, uid), .max = 65533,
	 .help = "Number of the user; without it the next free one from 1000."},
	{"users[].groups", LIST(user), IN(profile_user, groups),
	 .help = "Further groups, which must exist."},
	{"users[].shell", VALUE(image_path), IN(profile_user, shell), .fallback = "/bin/bash",
	 .help = "Login shell."},
	{"users[].home", VALUE(image_path), IN(profile_user, home),
	 .computed = "/home/NAME, /root for root", .help = "Home folder."},
	{"users[].password", VALUE(hash), IN(profile_user, password),
	 .help = "A crypt(3) hash; without it no password opens the account."},
	{"users[].ssh_keys", LIST(ssh_key), IN(profile_user, ssh_keys),
	 .help = "Public keys that may log in."},

	{"firewall", SECTION, .help = "What may come in from the network."},
	{"firewall.enabled", VALUE(bool), AT(firewall.enabled), .fallback = "true",
	 .help = "Refuse what no rule allows."},
	{"firewall.allow", TABLE(profile_rule), AT(firewall.allow), COUNT(firewall.allow_count),
	 .help = "What is allowed."},
	{"firewall.allow[].name", VALUE(word), IN(profile_rule, name), .required = true,
	 .help = "Name of the rule."},
	{"firewall.allow[].protocol", VALUE(choice), IN(profile_rule, protocol),
	 .choices = protocols, .fallback = "tcp", .help = "Protocol."},
	{"firewall.allow[].port", VALUE(ports), IN(profile_rule, port),
	 .help = "Port or range; needed for tcp and udp."},
	{"firewall.allow[].from", LIST(network), IN(profile_rule, from),
	 .help = "Networks it is allowed from; without it from anywhere."},

	{"locale", VALUE(locale), AT(locale), .fallback = "C.UTF-8", .help = "LANG."},
	{"timezone", VALUE(timezone), AT(timezone), .fallback = "Etc/UTC", .help = "Time zone."},
	{"ntp", LIST(host), AT(ntp), .help = "Time servers; without any the distribution's own."},

	{"disk", SECTION, .help = "Sizes on the disk; whole MiB."},
	{"disk.esp", VALUE(size), AT(disk.esp), .fallback = "512M", .min = 64 * MIB, .max = 4 * GIB,
	 .help = "EFI system partition; holds two kernels."},
	{"disk.root", VALUE(size), AT(disk.root), .fallback = "2G", .min = 64 * MIB,
	 .max = 256 * GIB, .help = "One slot for the root file system; there are two."},
	{"disk.align", VALUE(size), AT(disk.align), .fallback = "1G", .min = MIB, .max = 64 * GIB,
	 .help = "The size of the image is a multiple of this; some clouds need 1G."},
	{"disk.var", SECTION, .help = "The partition that keeps what the machine writes."},
	{"disk.var.filesystem", VALUE(choice), AT(disk.var.filesystem), .choices = filesystems,
	 .fallback = "ext4", .help = "File system of /var."},
	{"disk.var.minimum", VALUE(size), AT(disk.var.minimum), .fallback = "4G", .min = 64 * MIB,
	 .max = 16384 * GIB,
	 .help = "Smallest size of /var; it takes all that is left of the disk."},

	{"rootfs", SECTION, .help = "The read-only root file system (squashfs)."},
	{"rootfs.compression", VALUE(choice), AT(rootfs.compression), .choices = compressions,
	 .fallback = "zstd", .help = "Compression."},
	{"rootfs.level", VALUE(integer), AT(rootfs.level), .max = 22,
	 .computed = "3 for zstd, 6 for xz, 9 for gzip, 1 for lz4",
	 .help = "Level: zstd 1-22, xz 0-9, gzip 1-9, lz4 1."},
	{"rootfs.block", VALUE(block), AT(rootfs.block), .fallback = "128K", .min = 4 * KIB,
	 .max = MIB, .help = "Bytes compressed together; a power of two."},

	{"etc", SECTION, .help = "What may change in /etc."},
	{"etc.mode", VALUE(choice), AT(etc.mode), .choices = etc_modes, .fallback = "transient",
	 .help = "transient: changes are gone after a reboot. persistent: they stay on /var."},
	{"etc.persist", LIST(etc_path), AT(etc.persist),
	 .help = "Files and folders in /etc that stay in spite of transient."},

	{"join", SECTION, .help = "The cluster that the machine becomes part of at first boot."},
	{"join.kind", VALUE(choice), AT(join.kind), .choices = join_kinds, .fallback = "none",
	 .help = "Kind of the cluster."},
	{"join.role", VALUE(choice), AT(join.role), .choices = join_roles,
	 .help = "Role in the cluster; needed for swarm."},
	{"join.availability", VALUE(choice), AT(join.availability), .choices = availabilities,
	 .help = "Whether the swarm gives the node tasks: active, pause (no new ones) or drain (none); without it "
		 "active. Counts where user-data names a cluster: a machine that is a swarm by itself is always "
		 "active. User-data may say otherwise."},
	{"join.labels", SETTINGS(label, label_key), AT(join.labels), COUNT(join.label_count),
	 .help = "Engine labels, such as disk: ssd; the agent adds role and zone. Placement: "
		 "engine.labels.disk==ssd."},
	{"join.node_labels", LIST(label_key), AT(join.node_labels),
	 .help = "On managers: the engine labels that are copied into node labels of all nodes "
		 "(node.labels.KEY). Each machine chooses its own engine labels, so name only what may be "
		 "believed."},

	{"containers", SECTION,
	 .help = "Container images that are in the image and run without a pull."},
	{"containers.engine", LIST(choice), AT(containers.engines), .choices = engines,
	 .shorthand = true,
	 .help = "The engines that find the images: docker, containerd (namespace k8s.io), or both. "
		 "One may be given without a list. Their packages are not added by this."},
	{"containers.images", TABLE(profile_container), AT(containers.images),
	 COUNT(containers.image_count), .shorthand = true,
	 .help = "The images. Plain text is short for an entry with only image. The same tag with "
		 "another digest replaces a parent's."},
	{"containers.images[].image", VALUE(image), IN(profile_container, image), .excludes = "oci",
	 .help = "Reference of an image to pull. Either this or oci. A tag without a digest is "
		 "resolved by the build, or by the lock."},
	{"containers.images[].oci", VALUE(oci), IN(profile_container, oci), .excludes = "image",
	 .help = "An OCI layout (a folder), or a tar file of one or of docker save, relative to the "
		 "folder of the profile."},
	{"containers.images[].name", VALUE(image_name), IN(profile_container, name),
	 .help = "Name and tag of the image in oci; without it what the layout or file says."},
	{"containers.registries", TABLE(profile_registry), AT(containers.registries),
	 COUNT(containers.registry_count), .help = "How registries are reached."},
	{"containers.registries[].name", VALUE(registry), IN(profile_registry, name),
	 .required = true,
	 .help = "Host, with its port if references have it; docker.io for short names."},
	{"containers.registries[].mirrors", LIST(mirror), IN(profile_registry, mirrors),
	 .help = "Hosts that are asked before it, in this order."},
	{"containers.registries[].ca", VALUE(file), IN(profile_registry, ca),
	 .help = "File with the certificates (PEM) that its TLS certificate is checked against, "
		 "relative to the folder of the profile; without it the system's."},
	{"containers.registries[].insecure", VALUE(bool), IN(profile_registry, insecure),
	 .fallback = "false", .help = "Plain HTTP, also for its mirrors."},
	{"containers.elsewhere", LIST(image), AT(containers.elsewhere),
	 .help = "Images that units or Compose files use and that the machine gets by itself; the "
		 "build does not miss them."},

	{"tests", TABLE(profile_test), AT(tests), COUNT(test_count),
	 .help = "What `ingot test` runs in the booted image."},
	{"tests[].name", VALUE(title), IN(profile_test, name), .required = true,
	 .help = "Name of the test."},
	{"tests[].run", VALUE(text), IN(profile_test, run), .required = true,
	 .help = "Shell command, run as root; exit code 0 passes."},
	{"tests[].expect", VALUE(text), IN(profile_test, expect),
	 .help = "Text that its output must contain."},
	{"tests[].timeout", VALUE(integer), IN(profile_test, timeout), .fallback = "60", .min = 1,
	 .max = 3600, .help = "Seconds."},

	{"formats", LIST(choice), AT(formats), .choices = formats, .fallback = "[raw, qcow2]",
	 .min = 1, .help = "Formats that `ingot build` writes."},
	{"setuid", LIST(image_path), AT(setuid),
	 .help = "Files that may be setuid or setgid; others fail the build."},
};

const size_t schema_row_count = ARRAY_SIZE(schema_rows);
