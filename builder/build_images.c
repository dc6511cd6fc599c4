/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last step: kernel, initrd, command line and os-release become a UKI; loader and UKI an ESP; ESP,
 * root and hash tree a disk; the disk every format at once. All of it are regions over files in the
 * cache: nothing is copied before the images are written.
 */
#include "build_job.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/size.h"
#include "build_output.h"
#include "build_parts.h"
#include "disk/esp.h"
#include "disk/plan.h"
#include "disk/uki.h"
#include "output/output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#define FORMAT_VERSION "2"
#define STUB_MAX ((size_t)4 << 20)
#define LOADER_MAX ((size_t)4 << 20)
#define TEXT_MAX ((size_t)64 << 10)
#define SLOT_WARN_PERCENT 60

/* Paths that differ by architecture (UEFI specification 2.10, 3.5.1.1). */
static const struct architecture {
	const char *name, *stub, *loader, *fallback, *installed;
} architectures[] = {
	{"amd64", "/usr/lib/systemd/boot/efi/linuxx64.efi.stub",
	 "/usr/lib/systemd/boot/efi/systemd-bootx64.efi", "EFI/BOOT/BOOTX64.EFI",
	 "EFI/systemd/systemd-bootx64.efi"},
	{"arm64", "/usr/lib/systemd/boot/efi/linuxaa64.efi.stub",
	 "/usr/lib/systemd/boot/efi/systemd-bootaa64.efi", "EFI/BOOT/BOOTAA64.EFI",
	 "EFI/systemd/systemd-bootaa64.efi"},
};

/* The formats of the command line, else those of the profile. */
static int choose_formats(const struct job *job,
			  const struct output_format *ret[OUTPUT_TARGETS_MAX], size_t *ret_count,
			  struct err *err)
{
	CLEANUP(str_free) struct str list = {0};

	if (job->options->formats)
		return output_formats_choose(job->options->formats, ret, ret_count, err);
	for (size_t i = 0; i < job->profile->formats.count; i++)
		str_addf(&list, "%s,", job->profile->formats.items[i]);
	return output_formats_choose(list.len ? list.data : "", ret, ret_count, err);
}

/* Keys of the profile that the root does not depend on (build_root.c). */
static const char *const manifest_only[] = {"disk", "formats", "tests"};

int build_images_key(struct job *job, struct cache_key *key, struct err *err)
{
	CLEANUP_FREE char *loader = path_join(job->options->data, "firmware/loader/loader.conf");
	const struct output_format *formats[OUTPUT_TARGETS_MAX];
	CLEANUP(str_free) struct str list = {0};
	const struct profile *p = job->profile;
	struct digest d;
	size_t count;

	cache_key_add(key, "format", FORMAT_VERSION);
	cache_key_add_digest(key, "root", &job->digests[STEP_ROOT]);
	cache_key_add_digest(key, "initrd", &job->digests[STEP_INITRD]);
	if (digest_file(loader, &d, err) < 0 || choose_formats(job, formats, &count, err) < 0)
		return -1;
	cache_key_add_digest(key, "firmware/loader", &d);
	for (size_t i = 0; i < count; i++)
		str_addf(&list, "%s ", formats[i]->name);
	cache_key_add(key, "formats", list.data);
	list.len = 0;
	for (size_t i = 0; i < p->kernel.cmdline.count; i++)
		str_addf(&list, "%s ", p->kernel.cmdline.items[i]);
	cache_key_add(key, "kernel.cmdline", list.len ? list.data : "");
	cache_key_addf(key, "disk.esp", "%" PRIu64, p->disk.esp);
	cache_key_addf(key, "disk.root", "%" PRIu64, p->disk.root);
	cache_key_addf(key, "disk.align", "%" PRIu64, p->disk.align);
	/* What follows is in the manifest only: see build_output_has_disk. */
	cache_key_digest(key, "disk", &job->disk_digest);
	for (size_t i = 0; i < ARRAY_SIZE(manifest_only); i++) {
		CLEANUP_FREE char *name = mem_printf("profile %s", manifest_only[i]);
		CLEANUP_FREE char *line = json_line(json_object_get(p->json, manifest_only[i]));

		cache_key_add(key, name, line ? line : "");
	}
	return 0;
}

/* What the images are made from, open. */
struct parts {
	const struct architecture *arch;
	struct build_root root;
	int initrd_fd;
	char *stub, *loader, *uname, *cmdline;
	size_t stub_size, loader_size;
	struct str loader_conf;
	struct uki uki;
	struct esp esp;
	struct disk disk;
};

static void parts_close(struct parts *parts)
{
	disk_free(&parts->disk);
	esp_free(&parts->esp);
	uki_free(&parts->uki);
	build_root_close(&parts->root);
	fd_close(&parts->initrd_fd);
	free(parts->stub);
	free(parts->loader);
	free(parts->uname);
	free(parts->cmdline);
	str_free(&parts->loader_conf);
}

static int read_from_layer(const struct job *job, const char *path, size_t max, char **ret,
			   size_t *ret_len, struct err *err)
{
	const struct tree_node *node = tree_resolve(job->layer.tree, path);

	if (node && node->inode->type == TREE_FILE)
		return tree_read(node, max, ret, ret_len, err);
	err_set(err, ERR_VERIFY, "the package layer has no '%s'", path);
	return err_hint(err, "the profile's packages must contain systemd-boot-efi");
}

static char *make_cmdline(const struct job *job, const struct digest *root_hash)
{
	struct str text = {0};
	char hex[DIGEST_HEX_SIZE];

	str_addf(&text, "roothash=%s rootfstype=squashfs ro", digest_hex(root_hash, hex));
	for (size_t i = 0; i < job->profile->kernel.cmdline.count; i++)
		str_addf(&text, " %s", job->profile->kernel.cmdline.items[i]);
	return str_steal(&text);
}

/* The one kernel of the layer. */
static const struct tree_node *find_kernel(const struct job *job, struct err *err)
{
	const struct tree_node *boot = tree_find(job->layer.tree, "/boot");
	const struct tree_node *kernel = NULL;

	for (size_t i = 0; boot && i < boot->child_count; i++) {
		const struct tree_node *node = boot->children[i];

		if (!str_has_prefix(node->name, "vmlinuz-") || node->inode->type != TREE_FILE)
			continue;
		if (kernel) {
			err_set(err, ERR_PROFILE, "the packages bring two kernels: '%s' and '%s'",
				kernel->name, node->name);
			return NULL;
		}
		kernel = node;
	}
	if (!kernel)
		err_set(err, ERR_PROFILE, "the packages bring no kernel (/boot/vmlinuz-*)");
	return kernel;
}

static int open_parts(struct job *job, struct parts *parts, struct err *err)
{
	CLEANUP_FREE char *initrd = path_join(job->dirs[STEP_INITRD], "initrd.zst");
	CLEANUP_FREE char *conf = path_join(job->options->data, "firmware/loader/loader.conf");
	const char *arch = job->profile->base.architecture;

	for (size_t i = 0; i < ARRAY_SIZE(architectures) && !parts->arch; i++)
		if (strcmp(architectures[i].name, arch) == 0)
			parts->arch = &architectures[i];
	if (!parts->arch)
		return err_set(err, ERR_PROFILE, "no boot loader known for architecture '%s'",
			       arch);
	if (build_open_layer(job, err) < 0)
		return -1;
	job->damaged[STEP_ROOT] = build_root_open(job->dirs[STEP_ROOT], &parts->root, err) < 0;
	if (job->damaged[STEP_ROOT])
		return -1;
	parts->initrd_fd = open(initrd, O_RDONLY | O_CLOEXEC);
	job->damaged[STEP_INITRD] = parts->initrd_fd < 0;
	if (parts->initrd_fd < 0)
		return err_sys(err, errno, "cannot read '%s'", initrd);
	if (read_from_layer(job, parts->arch->stub, STUB_MAX, &parts->stub, &parts->stub_size,
			    err) < 0 ||
	    read_from_layer(job, parts->arch->loader, LOADER_MAX, &parts->loader,
			    &parts->loader_size, err) < 0 ||
	    fd_read_file(conf, TEXT_MAX, &parts->loader_conf, err) < 0)
		return -1;
	parts->cmdline = make_cmdline(job, &parts->root.root_hash);
	return 0;
}

static int plan_uki(struct job *job, struct parts *parts, struct err *err)
{
	const struct tree_node *kernel = find_kernel(job, err);
	struct region initrd = {.fd = parts->initrd_fd, .name = "initrd"};
	struct uki_input input = {
		.stub = parts->stub,
		.stub_size = parts->stub_size,
		.osrel = parts->root.os_release,
		.cmdline = parts->cmdline,
		.initrds = &initrd,
		.initrd_count = 1,
	};

	if (!kernel || fd_size(parts->initrd_fd, "initrd", &initrd.length, err) < 0)
		return -1;
	parts->uname = mem_strdup(kernel->name + strlen("vmlinuz-"));
	input.uname = parts->uname;
	input.kernel = (struct region){
		.length = kernel->inode->data.size,
		.bytes = kernel->inode->data.bytes,
		.fd = kernel->inode->data.fd,
		.source_offset = kernel->inode->data.offset,
		.name = "kernel",
	};
	return uki_plan(&input, &parts->uki, err);
}

static int plan_esp(struct job *job, struct parts *parts, struct err *err)
{
	const struct profile *p = job->profile;
	CLEANUP_FREE char *uki_path = mem_printf("EFI/Linux/%s_%s+3.efi", p->name, p->version);
	const struct region loader = {
		.length = parts->loader_size, .bytes = parts->loader, .fd = -1, .name = "loader"};
	const struct region conf = {.length = parts->loader_conf.len,
				    .bytes = parts->loader_conf.data,
				    .fd = -1,
				    .name = "loader.conf"};
	const struct esp_file files[] = {
		{parts->arch->fallback, &loader, 1, loader.length},
		{parts->arch->installed, &loader, 1, loader.length},
		{"loader/loader.conf", &conf, 1, conf.length},
		{uki_path, parts->uki.regions.items, parts->uki.regions.count,
		 parts->uki.regions.size},
	};
	const struct esp_options options = {
		.size = p->disk.esp,
		.reserve = parts->uki.regions.size, /* the next version's */
		.serial = disk_esp_serial(&parts->root.root_hash),
		.label = "ESP",
		.time = job->epoch,
	};

	return esp_plan(files, ARRAY_SIZE(files), &options, &parts->esp, err);
}

static int plan_disk(struct job *job, struct parts *parts, struct err *err)
{
	const struct profile *p = job->profile;
	const struct disk_input input = {
		.name = p->name,
		.version = p->version,
		.architecture = p->base.architecture,
		.esp = &parts->esp.regions,
		.root = &parts->root.data,
		.verity = &parts->root.verity,
		.root_hash = parts->root.root_hash,
		.root_slot = p->disk.root,
		.compact = true,
		.align = p->disk.align,
	};

	if (disk_plan(&input, &parts->disk, err) < 0)
		return -1;
	if (parts->disk.slot_used > parts->disk.slot / 100 * SLOT_WARN_PERCENT)
		log_warn("the root takes %" PRIu64 " %% of its slot: slots cannot grow later, "
			 "raise disk.root before machines are installed",
			 parts->disk.slot_used * 100 / parts->disk.slot);
	return 0;
}

/* A pass over the disk, for the moment when its files are complete. */
struct pass {
	struct job *job;
	const struct parts *parts;
	const struct output_target *targets;
	size_t count;
	struct log_step *progress;
	struct build_files files; /* complete, wait for the images to be in place */
};

static void on_progress(uint64_t done, uint64_t total, void *context)
{
	struct pass *pass = context;

	log_step_progress(pass->progress, done, total, NULL);
}

/* Everything that could still fail comes before the first image gets its name. */
static int on_complete(const struct output_result *results, const struct digest *content,
		       void *context, struct err *err)
{
	struct pass *pass = context;

	return build_output_prepare(pass->job, &pass->parts->disk, &pass->parts->root.root_hash,
				    content, pass->targets, results, pass->count, &pass->files,
				    err);
}

static int write_images(struct job *job, const struct parts *parts, struct log_step *progress,
			struct err *err)
{
	const struct output_format *formats[OUTPUT_TARGETS_MAX];
	CLEANUP(strv_free) struct strv paths = {0};
	struct output_target targets[OUTPUT_TARGETS_MAX] = {0};
	struct output_result results[OUTPUT_TARGETS_MAX];
	struct pass pass = {.job = job, .parts = parts, .targets = targets, .progress = progress};
	const struct output_watch watch = {on_progress, on_complete, &pass};
	int r;

	if (choose_formats(job, formats, &pass.count, err) < 0)
		return -1;
	for (size_t i = 0; i < pass.count; i++) {
		strv_addf(&paths, "%s/%s_%s%s", job->out, job->profile->name, job->profile->version,
			  formats[i]->suffix);
		targets[i] = (struct output_target){
			.format = formats[i],
			.path = paths.items[i],
			.options = {.name = job->profile->name, .portable = true}};
	}
	r = output_write_all(&parts->disk.regions, targets, pass.count, job->options->jobs, &watch,
			     results, err);
	if (r == 0)
		r = build_output_finish(job, &pass.files, err);
	build_files_abandon(&pass.files);
	progress->bytes = 0;
	for (size_t i = 0; r == 0 && i < pass.count; i++)
		progress->bytes += results[i].size;
	return r;
}

int build_images_run(struct job *job, const char *dir, struct log_step *progress, struct err *err)
{
	CLEANUP(parts_close) struct parts parts = {.initrd_fd = -1, .root.data_fd = -1};
	CLEANUP_FD int lock = -1;

	(void)dir;
	if (build_output_lock(job, &lock, err) < 0)
		return -1;
	/* Another build may have made them while this one waited. */
	job->found = build_images_done(job);
	if (job->found)
		return 0;
	if (build_output_has_disk(job))
		return build_output_renew(job, err);
	if (open_parts(job, &parts, err) < 0 || plan_uki(job, &parts, err) < 0 ||
	    plan_esp(job, &parts, err) < 0 || plan_disk(job, &parts, err) < 0)
		return -1;
	return write_images(job, &parts, progress, err);
}
