/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libguestfs, called in a child process (guest_process.c). The library is loaded when it is needed, so
 * that everything else works without it; this file is its only user.
 */
#include "disk/guest_parts.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if __has_include(<guestfs.h>)
#include <guestfs.h>

#define LIBRARY "libguestfs.so.0"
#define LIST_MAX 256                /* partitions, file systems, kernels that are told */
#define FILE_MAX ((size_t)64 << 10) /* of os-release */
#define STDERR_MAX ((size_t)16 << 10)

/* Every function that is used, by its name without "guestfs_". */
/* clang-format off */
#define FUNCTIONS(F)                                                                        \
	F(create) F(close) F(last_error) F(set_error_handler) F(set_event_callback)         \
	F(set_backend) F(set_backend_setting) F(set_hv) F(set_network) F(set_tmpdir)        \
	F(set_verbose) F(add_drive_opts_argv) F(launch)                                     \
	F(blockdev_getsize64) F(part_list) F(free_partition_list) F(part_get_parttype)      \
	F(list_filesystems) F(vfs_label) F(mount_ro)                                        \
	F(inspect_os) F(inspect_get_type) F(inspect_get_distro)                             \
	F(inspect_get_product_name) F(inspect_get_arch) F(inspect_get_major_version)        \
	F(inspect_get_minor_version) F(inspect_get_package_format)                          \
	F(inspect_get_mountpoints) F(inspect_list_applications2) F(free_application2_list)  \
	F(filesize) F(read_file) F(is_dir) F(ls) F(tar_out_opts_argv)
/* clang-format on */

struct api {
#define DECLARE(name) __typeof__(guestfs_##name) *name;
	FUNCTIONS(DECLARE)
#undef DECLARE
};

struct guest {
	const struct guest_work *work;
	struct api api;
	guestfs_h *g;
	json_t *report;
	char *root;
	char **mounts; /* mount point, device, ... of the root, ended by NULL */
};

static void free_list(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

static void at(const struct guest *guest, const char *text)
{
	guest_tell(guest->work, json_pack("{s:s}", "at", text));
}

/* Returns -1 by a constant, for the analysis: then the functions are not there. */
static int load(struct api *api, struct err *err)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	const char *missing = NULL;

	if (!library) {
		err_set(err, ERR_TOOL,
			"cannot look into this disk: libguestfs cannot be loaded: %s", dlerror());
		err_hint(err, "install the package libguestfs0");
		return -1;
	}
#define RESOLVE(name)                                                               \
	api->name = (__typeof__(guestfs_##name) *)dlsym(library, "guestfs_" #name); \
	if (!api->name)                                                             \
		missing = "guestfs_" #name;
	FUNCTIONS(RESOLVE)
#undef RESOLVE
	if (!missing)
		return 0;
	err_set(err, ERR_TOOL, "cannot look into this disk: this libguestfs has no '%s'", missing);
	return -1;
}

/* What library and appliance print, for -vv. */
static void on_text(guestfs_h *g, void *context, uint64_t event, int handle, int flags,
		    const char *text, size_t len, const uint64_t *array, size_t array_len)
{
	const struct guest *guest = context;
	json_t *line = json_stringn(text, len);

	(void)g;
	(void)event;
	(void)handle;
	(void)flags;
	(void)array;
	(void)array_len;
	if (line)
		guest_tell(guest->work, json_pack("{s:o}", "debug", line));
}

/* Why the appliance did not start, by what the library or the programs that it runs said. */
static const struct cause {
	const char *text, *hint;
} causes[] = {
	{"failed to find a suitable kernel",
	 "install a kernel for the appliance, such as the package linux-image-cloud-amd64"},
	{"supermin: ext2: parent directory", "install the package supermin again"},
	{"Command 'supermin'", "install the package supermin"},
	{"supermin: not found", "install the package supermin"},
	{"cannot find any suitable libguestfs",
	 "install the package libguestfs0, or unset LIBGUESTFS_PATH"},
	{"qemu-img: not found", "install the package qemu-utils"},
	{"qemu-img", "install the package qemu-utils"},
	{"cannot find any suitable QEMU", "install the package qemu-system-x86"},
	{"qemu-system", "install the package qemu-system-x86"},
};

/* The last lines of what was said on standard error. */
static char *said(const struct guest *guest)
{
	char *text = mem_alloc(STDERR_MAX + 1), *start;
	off_t size = lseek(guest->work->stderr_fd, 0, SEEK_END);
	off_t from = size > (off_t)STDERR_MAX ? size - (off_t)STDERR_MAX : 0;
	ssize_t n = pread(guest->work->stderr_fd, text, STDERR_MAX, from);

	text[n > 0 ? n : 0] = '\0';
	start = text + strlen(text);
	for (int lines = 0; start > text && lines < 4; start--)
		lines += start[-1] == '\n' && start[0];
	memmove(text, start, strlen(start) + 1);
	return text;
}

/* An error of the library. */
static int failed(const struct guest *guest, int code, const char *what, struct err *err)
{
	const char *text = guest->api.last_error(guest->g);
	CLEANUP_FREE char *more = said(guest);

	/* Its first line says it; the others are advice for whoever calls the library. */
	err_set(err, code, "cannot %s: %.*s%s%.600s", what, text ? (int)strcspn(text, "\n") : 17,
		text ? text : "libguestfs failed", *more ? "\n    " : "", more);
	if (code != ERR_TOOL)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(causes); i++)
		if ((text && strstr(text, causes[i].text)) || strstr(more, causes[i].text))
			return err_hint(err, "%s", causes[i].hint);
	return err_hint(err, "-vv shows what the appliance prints");
}

static int launch(struct guest *guest, struct err *err)
{
	const struct guestfs_add_drive_opts_argv drive = {
		.bitmask = GUESTFS_ADD_DRIVE_OPTS_READONLY_BITMASK |
			   GUESTFS_ADD_DRIVE_OPTS_FORMAT_BITMASK,
		.readonly = 1,
		.format = guest->work->format,
	};
	const struct api *api = &guest->api;
	double start = clock_monotonic();

	guest->g = api->create();
	if (!guest->g)
		return err_set(err, ERR_TOOL,
			       "cannot look into this disk: libguestfs does not start");
	api->set_error_handler(guest->g, NULL, NULL);
	/* /tmp is this process' own: nothing of it outlives a kill. */
	if (api->set_backend(guest->g, "direct") < 0 || api->set_tmpdir(guest->g, "/tmp") < 0 ||
	    api->set_network(guest->g, 0) < 0 ||
	    (guest->work->verbose &&
	     (api->set_verbose(guest->g, 1) < 0 ||
	      api->set_event_callback(guest->g, on_text,
				      GUESTFS_EVENT_LIBRARY | GUESTFS_EVENT_APPLIANCE, 0,
				      guest) < 0)) ||
	    (!guest->work->kvm && api->set_backend_setting(guest->g, "force_tcg", "1") < 0) ||
	    api->add_drive_opts_argv(guest->g, guest->work->image, &drive) < 0)
		return failed(guest, ERR_TOOL, "look into this disk", err);
	at(guest, guest->work->kvm ? "starting the libguestfs appliance"
				   : "starting the libguestfs appliance without KVM: about 10 s");
	if (api->launch(guest->g) < 0)
		return failed(guest, ERR_TOOL, "start the appliance of libguestfs", err);
	json_object_set_new(guest->report, "seconds", json_real(clock_monotonic() - start));
	return 0;
}

/* Text of the guest that is no UTF-8 is left out. */
static json_t *text_json(char *text)
{
	json_t *value = text && *text ? json_string(text) : NULL;

	free(text);
	return value ? value : json_null();
}

static void add_partitions(struct guest *guest)
{
	const struct api *api = &guest->api;
	struct guestfs_partition_list *list = api->part_list(guest->g, "/dev/sda");
	json_t *parts = json_array();
	char *type = list ? api->part_get_parttype(guest->g, "/dev/sda") : NULL;

	for (size_t i = 0; list && i < list->len && i < LIST_MAX; i++)
		json_array_append_new(parts, json_pack("{s:i, s:I, s:I}", "number",
						       (int)list->val[i].part_num, "offset",
						       (json_int_t)list->val[i].part_start, "size",
						       (json_int_t)list->val[i].part_size));
	if (list)
		api->free_partition_list(list);
	if (type && strcmp(type, "msdos") == 0)
		memcpy(type, "dos", 4);
	json_object_set_new(guest->report, "partitions", parts);
	json_object_set_new(guest->report, "table", text_json(type));
	json_object_set_new(guest->report, "size",
			    json_integer(api->blockdev_getsize64(guest->g, "/dev/sda")));
}

static const char *mount_of(const struct guest *guest, const char *device)
{
	for (size_t i = 0; guest->mounts && guest->mounts[i] && guest->mounts[i + 1]; i += 2)
		if (strcmp(guest->mounts[i + 1], device) == 0)
			return guest->mounts[i];
	return NULL;
}

static void add_filesystems(struct guest *guest)
{
	const struct api *api = &guest->api;
	char **list = api->list_filesystems(guest->g); /* device, type, ... */
	json_t *all = json_array();

	for (size_t i = 0; list && list[i] && list[i + 1] && i < 2 * LIST_MAX; i += 2) {
		bool plain = strncmp(list[i], "/dev/", 5) == 0;
		int64_t size = plain ? api->blockdev_getsize64(guest->g, list[i]) : -1;
		json_t *row;

		if (strcmp(list[i + 1], "unknown") == 0)
			continue;
		row = json_pack("{s:s, s:s, s:s?}", "device", list[i], "type", list[i + 1], "mount",
				mount_of(guest, list[i]));
		if (!row)
			continue;
		json_object_set_new(row, "label", text_json(api->vfs_label(guest->g, list[i])));
		json_object_set_new(row, "size", size >= 0 ? json_integer(size) : json_null());
		json_array_append_new(all, row);
	}
	free_list(list);
	json_object_set_new(guest->report, "filesystems", all);
}

/* Finds the operating system; the first when there are several. False when there is none. */
static bool find_system(struct guest *guest)
{
	const struct api *api = &guest->api;
	char **roots = api->inspect_os(guest->g);
	json_t *system;

	json_object_set_new(guest->report, "system", json_null());
	if (!roots || !roots[0]) {
		free_list(roots);
		return false;
	}
	guest->root = mem_strdup(roots[0]);
	free_list(roots);
	guest->mounts = api->inspect_get_mountpoints(guest->g, guest->root);
	system = json_pack("{s:o, s:o, s:o, s:o, s:o}", "type",
			   text_json(api->inspect_get_type(guest->g, guest->root)), "distribution",
			   text_json(api->inspect_get_distro(guest->g, guest->root)), "product",
			   text_json(api->inspect_get_product_name(guest->g, guest->root)),
			   "architecture", text_json(api->inspect_get_arch(guest->g, guest->root)),
			   "package_format",
			   text_json(api->inspect_get_package_format(guest->g, guest->root)));
	json_object_set_new(
		system, "version",
		text_json(mem_printf("%d.%d", api->inspect_get_major_version(guest->g, guest->root),
				     api->inspect_get_minor_version(guest->g, guest->root))));
	json_object_set_new(guest->report, "system", system);
	return true;
}

/* Mounts the root first, then what lies below it. What cannot be mounted but the root is left out, as at
 * a boot with "nofail": an old fstab names disks that are not here. */
static int mount_all(struct guest *guest, struct err *err)
{
	const struct api *api = &guest->api;
	size_t longest = 0;

	for (size_t i = 0; guest->mounts && guest->mounts[i]; i++)
		if (strlen(guest->mounts[i]) > longest)
			longest = strlen(guest->mounts[i]);
	for (size_t len = 1; len <= longest; len++)
		for (size_t i = 0; guest->mounts[i] && guest->mounts[i + 1]; i += 2)
			if (strlen(guest->mounts[i]) == len &&
			    api->mount_ro(guest->g, guest->mounts[i + 1], guest->mounts[i]) < 0 &&
			    len == 1)
				return failed(guest, ERR_VERIFY, "mount the root of the guest",
					      err);
	if (longest == 0)
		return failed(guest, ERR_VERIFY, "find the file systems of the guest", err);
	return 0;
}

static void add_os_release(struct guest *guest)
{
	static const char *const paths[] = {"/etc/os-release", "/usr/lib/os-release"};
	const struct api *api = &guest->api;

	json_object_set_new(guest->report, "os_release", json_null());
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		int64_t length = api->filesize(guest->g, paths[i]);
		char *bytes;
		size_t len;

		if (length <= 0 || length > (int64_t)FILE_MAX)
			continue;
		bytes = api->read_file(guest->g, paths[i], &len);
		json_object_set_new(guest->report, "os_release", text_json(bytes));
		return;
	}
}

static void add_kernels(struct guest *guest)
{
	const struct api *api = &guest->api;
	char **names = api->is_dir(guest->g, "/lib/modules") > 0 ? api->ls(guest->g, "/lib/modules")
								 : NULL;
	json_t *kernels = json_array();

	for (size_t i = 0; names && names[i] && i < LIST_MAX; i++) {
		json_t *name = json_string(names[i]);

		if (name)
			json_array_append_new(kernels, name);
	}
	free_list(names);
	json_object_set_new(guest->report, "kernels", kernels);
}

static void add_packages(struct guest *guest)
{
	const struct api *api = &guest->api;
	struct guestfs_application2_list *list;

	at(guest, "reading what is installed");
	list = api->inspect_list_applications2(guest->g, guest->root);
	json_object_set_new(guest->report, "packages",
			    list ? json_integer(list->len) : json_null());
	if (list)
		api->free_application2_list(list);
}

static int send_tar(struct guest *guest, struct err *err)
{
	CLEANUP_FREE char *path = mem_printf("/dev/fd/%d", guest->work->tar_fd);
	/* ACLs and labels of the old system mean nothing in an image that is put together anew. */
	const struct guestfs_tar_out_opts_argv how = {
		.bitmask = GUESTFS_TAR_OUT_OPTS_NUMERICOWNER_BITMASK |
			   GUESTFS_TAR_OUT_OPTS_XATTRS_BITMASK,
		.numericowner = 1,
		.xattrs = 1,
	};

	at(guest, "reading the files of the guest");
	if (guest->api.tar_out_opts_argv(guest->g, "/", path, &how) < 0)
		return failed(guest, ERR_VERIFY, "read the files of the guest", err);
	return 0;
}

static int run_all(struct guest *guest, struct err *err)
{
	bool found;

	if (load(&guest->api, err) < 0 || launch(guest, err) < 0)
		return -1;
	at(guest, "looking for an operating system");
	add_partitions(guest);
	found = find_system(guest);
	add_filesystems(guest);
	if (found) {
		if (mount_all(guest, err) < 0)
			return -1;
		add_os_release(guest);
		add_kernels(guest);
	} else if (guest->work->tar_fd >= 0) {
		return err_set(err, ERR_VERIFY, "no operating system is found on this disk");
	}
	if (found && guest->work->tar_fd < 0)
		add_packages(guest);
	guest_tell(guest->work, json_pack("{s:O}", "report", guest->report));
	return guest->work->tar_fd >= 0 ? send_tar(guest, err) : 0;
}

void guest_prepare(void)
{
	const struct guestfs_add_drive_opts_argv drive = {
		.bitmask = GUESTFS_ADD_DRIVE_OPTS_FORMAT_BITMASK, .format = "raw"};
	struct api api;
	guestfs_h *g;

	if (load(&api, NULL) < 0 || !(g = api.create()))
		return;
	api.set_error_handler(g, NULL, NULL);
	/* The appliance is made before the hypervisor is looked at. */
	if (api.set_backend(g, "direct") == 0 && api.set_hv(g, "/bin/false") == 0 &&
	    api.add_drive_opts_argv(g, "/dev/null", &drive) == 0)
		(void)api.launch(g);
	api.close(g);
}

int guest_run(const struct guest_work *work, struct err *err)
{
	struct guest guest = {.work = work, .report = json_object()};
	int r;

	json_object_set_new(guest.report, "format", json_string(work->format));
	r = run_all(&guest, err);
	if (guest.g)
		guest.api.close(guest.g);
	free_list(guest.mounts);
	free(guest.root);
	json_decref(guest.report);
	return r;
}

#else

void guest_prepare(void)
{
}

int guest_run(const struct guest_work *work, struct err *err)
{
	(void)work;
	err_set(err, ERR_TOOL,
		"cannot look into this disk: this ingot was built without libguestfs");
	return err_hint(err, "install the package libguestfs-dev and build ingot again");
}

#endif
