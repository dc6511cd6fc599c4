/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of running machines with a fake QEMU (tests/fake/qemu): the test shell and everything that can go
 * wrong with it, the KVM probe, the suite, which must fail when a guest is bad, and the real QEMU's end.
 */
#include "tap.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/size.h"
#include "vm/child.h"
#include "vm/disk.h"
#include "vm/probe.h"
#include "vm/suite.h"
#include "vm/vm.h"

#define IMAGE_SIZE (4 << 20)

static const struct vm_image raw_image = {"disk.raw", "raw", IMAGE_SIZE};

static char top[PATH_MAX];

__attribute__((constructor)) static void remember(void)
{
	if (!getcwd(top, sizeof(top)))
		abort();
}

static struct vm_tools fake;

static const struct vm_tools *fake_tools(const char *mode)
{
	fake = (struct vm_tools){
		.qemu = mem_printf("%s/tests/fake/qemu", top),
		.qemu_img = proc_find("qemu-img"),
		.qemu_major = 9,
		.firmware = "/dev/null",
		.variables = "variables.fd",
	};
	if (access(fake.qemu, X_OK) != 0)
		FAIL("run this from the top of the source tree");
	CHECK(fake.qemu_img);
	CHECK(setenv("FAKE_GUEST", mode, 1) == 0);
	tap_spew("variables.fd", "v", 1);
	return &fake;
}

static void make_image(void)
{
	int fd = open("disk.raw", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	CHECK(fd >= 0 && ftruncate(fd, IMAGE_SIZE) == 0);
	close(fd);
}

static void free_fake(void)
{
	free(fake.qemu);
	free(fake.qemu_img);
}

static struct vm *boot(const char *mode)
{
	struct vm_options options = {.image = raw_image, .shell = true, .isolated = true};
	struct err err = {0};
	struct vm *vm;

	make_image();
	vm = vm_start(fake_tools(mode), &options, &err);
	CHECK_OK_PTR(vm, &err);
	CHECK_OK(vm_guest_wait(vm, 30, &err), &err);
	CHECK(strncmp(vm_guest_boot_id(vm), "boot-", 5) == 0);
	return vm;
}

static void end(struct vm *vm)
{
	vm_free(vm);
	free_fake();
}

TEST(commands_give_exit_code_and_output)
{
	CLEANUP(str_free) struct str output = {0};
	struct err err = {0};
	struct vm *vm = boot("");
	int code;

	CHECK_OK(vm_guest_run(vm, "exit 5", 5, &code, &output, &err), &err);
	CHECK_INT(code, 5);
	CHECK_STR(output.data, "leaving\n");
	str_free(&output);
	CHECK_OK(vm_guest_run(vm, "big", 5, &code, &output, &err), &err);
	CHECK_U64(output.len, 65536);
	str_free(&output);
	CHECK_OK(vm_guest_run(vm, "garbage", 5, &code, &output, &err), &err);
	CHECK_INT(code, 3);
	CHECK_STR(output.data, "after garbage");
	end(vm);
}

TEST(answer_that_is_no_base64_is_an_error)
{
	CLEANUP(str_free) struct str output = {0};
	struct err err = {0};
	struct vm *vm = boot("");
	int code;

	CHECK_ERR(vm_guest_run(vm, "bad-base64", 5, &code, &output, &err), &err, ERR_TEST,
		  "makes no sense");
	end(vm);
}

TEST(guest_that_floods_is_stopped)
{
	struct err err = {0};
	struct vm *vm = boot("");
	int code;

	CHECK_ERR(vm_guest_run(vm, "flood", 5, &code, NULL, &err), &err, ERR_TEST,
		  "said more than it may");
	end(vm);
}

TEST(death_is_told_with_the_console)
{
	struct err err = {0};
	struct vm *vm = boot("");
	int code;

	CHECK_ERR(vm_guest_run(vm, "die", 5, &code, NULL, &err), &err, ERR_OTHER,
		  "QEMU failed with exit code 7");
	CHECK_CONTAINS(err.msg, "Kernel panic - not syncing: test");
	CHECK_CONTAINS(err.msg, "Linux version 6.12");
	CHECK(!strchr(err.msg, '\033'));
	CHECK_INT(vm_pid(vm), 0);
	end(vm);
}

TEST(reboot_gives_another_boot_id)
{
	struct err err = {0};
	struct vm *vm = boot("");
	CLEANUP_FREE char *before = mem_strdup(vm_guest_boot_id(vm));
	int code;

	CHECK_OK(vm_guest_reboot(vm, 20, &err), &err);
	CHECK(strcmp(before, vm_guest_boot_id(vm)) != 0);
	CHECK_INT(vm_resets(vm), 1);
	CHECK_OK(vm_guest_run(vm, "exit 0", 5, &code, NULL, &err), &err);
	end(vm);
}

TEST(reboot_that_hangs_is_told)
{
	struct err err = {0};
	struct vm *vm = boot("reboot-hangs");

	CHECK_ERR(vm_guest_reboot(vm, 2, &err), &err, ERR_TEST, "did not answer in time");
	CHECK_INT(vm_resets(vm), 1);
	end(vm);
}

TEST(reboot_under_a_command_is_told)
{
	struct err err = {0};
	struct vm *vm = boot("");
	int code;

	CHECK_ERR(vm_guest_run(vm, "reboot", 5, &code, NULL, &err), &err, ERR_TEST, "rebooted");
	end(vm);
}

TEST(power_button)
{
	struct err err = {0};
	struct vm *vm = boot("");

	CHECK_OK(vm_power_off(vm, 20, &err), &err);
	CHECK_INT(vm_pid(vm), 0);
	end(vm);
	vm = boot("stays-on");
	CHECK_ERR(vm_power_off(vm, 1, &err), &err, ERR_TEST, "did not switch off within 1 s");
	CHECK(vm_pid(vm) > 0);
	end(vm);
}

TEST(silent_guest_is_told)
{
	struct vm_options options = {.image = raw_image, .shell = true};
	struct err err = {0};
	struct vm *vm;

	make_image();
	vm = vm_start(fake_tools("silent"), &options, &err);
	CHECK_OK_PTR(vm, &err);
	CHECK_ERR(vm_guest_wait(vm, 2, &err), &err, ERR_TEST, "did not answer in time");
	CHECK_CONTAINS(err.msg, "Linux version 6.12");
	end(vm);
}

TEST(nothing_is_left_behind)
{
	struct vm *vm;

	CHECK(mkdir("t", 0700) == 0 && setenv("TMPDIR", "t", 1) == 0);
	vm = boot("");
	/* Empty already while the machine runs: so SIGKILL leaves nothing either. */
	CHECK(rmdir("t") == 0);
	end(vm);
}

TEST(kept_disk_belongs_to_one_image)
{
	struct vm_options options = {.image = raw_image, .shell = true, .keep = "k"};
	struct err err = {0};

	make_image();
	for (int i = 0; i < 2; i++) {
		struct vm *vm = vm_start(fake_tools(""), &options, &err);

		CHECK_OK_PTR(vm, &err);
		end(vm);
		CHECK_EXISTS("k/disk.qcow2");
		CHECK_FILE("k/variables.fd", "v");
	}
	CHECK(truncate("disk.raw", 2 * IMAGE_SIZE) == 0);
	CHECK_ERR_PTR(vm_start(fake_tools(""), &options, &err), &err, ERR_USAGE,
		      "belongs to another image");
	free_fake();
}

/* -- the disk -- */

TEST(overlay_is_larger_and_damage_is_one_byte)
{
	struct vm_damage damage = {.offset = 1048584, .value = 7};
	const char *argv[] = {"qemu-img", "convert", "-O", "raw", "d.qcow2", "d.raw", NULL};
	struct proc convert = {.argv = argv};
	struct err err = {0};
	char *bytes;
	size_t len, changed = 0;

	make_image();
	CHECK_OK(vm_disk_create(fake_tools(""), &raw_image, "d.qcow2", 8 << 20, &err), &err);
	CHECK_OK(vm_disk_damage("d.qcow2", &damage, &err), &err);
	CHECK_OK(proc_run(&convert, &err), &err);
	bytes = tap_slurp("d.raw", &len);
	CHECK_U64(len, 8 << 20);
	for (size_t i = 0; i < len; i++)
		changed += bytes[i] != 0;
	CHECK_INT(bytes[damage.offset], 7);
	CHECK_U64(changed, 1);
	free(bytes);
	CHECK_ERR(vm_disk_create(&fake, &raw_image, "e.qcow2", 1 << 20, &err), &err, ERR_USAGE,
		  "at least as large");
	free_fake();
}

static int append(const char *path, const char *text)
{
	FILE *f = fopen(path, "ae");

	return f && fputs(text, f) >= 0 && fclose(f) == 0 ? 0 : -1;
}

/* Lets QEMU's tools make an image of disk.raw, and what lies under an overlay of it a raw file again. */
static void check_format(const char *format, const char *driver, const char *image_options)
{
	const struct vm_image image = {"image", format, IMAGE_SIZE + 1536 * 1024};
	const char *make[] = {"qemu-img", "convert",     "-f",       "raw",   "-O", driver,
			      "-o",       image_options, "disk.raw", "image", NULL};
	const char *back[] = {"qemu-img", "convert", "-f",   "qcow2", "-O",
			      "raw",      "overlay", "back", NULL};
	struct proc proc = {.argv = make};
	struct err err = {0};
	size_t len, want_len;
	char *bytes, *want;

	/* No number of cylinders: a VHD has the size that its footer says. */
	tap_spew("disk.raw", "start", 5);
	CHECK(truncate("disk.raw", (off_t)image.size - 3) == 0);
	CHECK_INT(append("disk.raw", "end"), 0);
	CHECK_OK(proc_run(&proc, &err), &err);
	CHECK_OK(vm_disk_create(fake_tools(""), &image, "overlay", image.size, &err), &err);
	proc.argv = back;
	CHECK_OK(proc_run(&proc, &err), &err);
	bytes = tap_slurp("back", &len);
	want = tap_slurp("disk.raw", &want_len);
	/* An overlay has whole clusters. */
	CHECK(len >= want_len);
	CHECK_MEM(bytes, want, want_len);
	free(bytes);
	free(want);
	free_fake();
}

TEST(qemu_gets_each_format_as_what_it_is)
{
	check_format("raw", "raw", "preallocation=off");
	check_format("qcow2", "qcow2", "compat=1.1");
	check_format("vhd", "vpc", "subformat=fixed,force_size");
	check_format("vmdk", "vmdk", "subformat=streamOptimized");
}

TEST(images_that_qemu_cannot_boot_are_refused)
{
	static const struct vm_image gcp = {"disk.tar.gz", "gcp", GIB},
				     small = {"disk.raw", "raw", 65536},
				     absent = {"absent", "raw", MIB},
				     foreign = {"\xff", "raw", MIB};
	struct err err = {0};

	fake_tools("");
	CHECK_ERR(vm_disk_create(&fake, &gcp, "d", 0, &err), &err, ERR_USAGE,
		  "QEMU reads no images of format gcp");
	CHECK_CONTAINS(err.hint, "ingot convert --format qcow2");
	CHECK_ERR(vm_disk_create(&fake, &small, "d", 0, &err), &err, ERR_VERIFY,
		  "65536 bytes are no size");
	CHECK_ERR(vm_disk_create(&fake, &absent, "d", 0, &err), &err, ERR_OTHER,
		  "cannot open 'absent'");
	tap_spew("\xff", "x", 1);
	CHECK_ERR(vm_disk_create(&fake, &foreign, "d", 0, &err), &err, ERR_USAGE, "is not UTF-8");
	free_fake();
}

/* A qcow2 file that another file lies under: the overlay does not show that file. */
TEST(no_other_file_is_opened)
{
	const char *secret[] = {"qemu-img", "create", "-q", "-f", "raw", "secret", "4M", NULL};
	const char *make[] = {"qemu-img", "create", "-q",     "-f",    "qcow2", "-F",
			      "raw",      "-b",     "secret", "image", NULL};
	const char *back[] = {"qemu-img", "convert", "-f",   "qcow2", "-O",
			      "raw",      "overlay", "back", NULL};
	const struct vm_image image = {"image", "qcow2", IMAGE_SIZE};
	struct proc proc = {.argv = secret};
	struct err err = {0};
	size_t len;
	char *bytes;

	CHECK_OK(proc_run(&proc, &err), &err);
	tap_spew("secret", "secret", 6);
	CHECK(truncate("secret", IMAGE_SIZE) == 0);
	proc.argv = make;
	CHECK_OK(proc_run(&proc, &err), &err);
	CHECK_OK(vm_disk_create(fake_tools(""), &image, "overlay", IMAGE_SIZE, &err), &err);
	proc.argv = back;
	CHECK_OK(proc_run(&proc, &err), &err);
	bytes = tap_slurp("back", &len);
	CHECK_INT(bytes[0], 0);
	free(bytes);
	free_fake();
}

/* -- the probe -- */

static void probe(const char *mode, const char *device, double limit, bool works, const char *part)
{
	CLEANUP(str_free) struct str why = {0};
	struct err err = {0};
	bool result = !works;

	CHECK_OK(vm_probe_run(fake_tools(mode), device, limit, &result, &why, &err), &err);
	str_add(&why, "");
	CHECK_CONTAINS(why.data, part);
	CHECK(result == works);
	free_fake();
}

TEST(probe_believes_only_a_guest_that_runs)
{
	probe("kvm-works", "/dev/null", 10, true, "");
	probe("kvm-hangs", "/dev/null", 0.5, false, "did nothing for 0 s");
	probe("kvm-stops", "/dev/null", 10, false, "KVM internal error. Suberror: 1");
	probe("", "/dev/null", 10, false, "failed to set MSR 0x10a");
	probe("kvm-works", "absent", 10, false, "cannot open 'absent'");
}

TEST(probe_is_remembered_for_this_boot)
{
	CLEANUP(str_free) struct str why = {0};
	struct err err = {0};
	bool kvm = false;
	char *file;

	if (access("/dev/kvm", R_OK | W_OK) == 0) {
		CHECK_OK(vm_probe_decide(fake_tools("kvm-works"), VM_KVM_AUTO, "s", &kvm, &why,
					 &err),
			 &err);
		CHECK(kvm);
		free_fake();
		/* The answer is on disk now: the fake would say no. */
		CHECK_OK(vm_probe_decide(fake_tools(""), VM_KVM_AUTO, "s", &kvm, &why, &err), &err);
		CHECK(kvm);
		/* Another version of QEMU is asked again. */
		fake.qemu_major = 11;
		CHECK_OK(vm_probe_decide(&fake, VM_KVM_AUTO, "s", &kvm, &why, &err), &err);
		CHECK(!kvm);
	} else {
		CHECK_OK(vm_probe_decide(fake_tools(""), VM_KVM_AUTO, "s", &kvm, &why, &err), &err);
		CHECK(!kvm);
	}
	file = tap_slurp("s/kvm-probe", NULL);
	CHECK_CONTAINS(file, "\nno: ");
	free(file);
	CHECK_ERR(vm_probe_decide(&fake, VM_KVM_ON, "s", &kvm, &why, &err), &err, ERR_TOOL,
		  "KVM does not work here");
	CHECK_OK(vm_probe_decide(&fake, VM_KVM_OFF, "s", &kvm, &why, &err), &err);
	CHECK(!kvm);
	free_fake();
}

TEST(probe_words)
{
	struct err err = {0};
	enum vm_kvm value;

	CHECK_OK(vm_probe_parse(NULL, &value, &err), &err);
	CHECK_INT(value, VM_KVM_AUTO);
	CHECK_OK(vm_probe_parse("off", &value, &err), &err);
	CHECK_INT(value, VM_KVM_OFF);
	CHECK_ERR(vm_probe_parse("yes", &value, &err), &err, ERR_USAGE, "expected auto, on or off");
}

/* -- the suite: it must pass for a good guest and fail for each bad one -- */

struct heard {
	struct str passed, failed;
	unsigned machines;
};

static void on_result(bool passed, const char *name, const char *why, void *context)
{
	struct heard *heard = context;

	str_addf(passed ? &heard->passed : &heard->failed, "%s|%s\n", name, why);
}

static void on_note(const char *text, void *context)
{
	(void)context;
	tap_note("%s", text);
}

static void on_finished(const struct vm *vm, const char *machine, bool failed, void *context)
{
	struct heard *heard = context;

	(void)vm, (void)machine, (void)failed;
	heard->machines++;
}

static unsigned run_suite(const char *mode, bool quick, const char *only, struct heard *heard)
{
	static const struct vm_test tests[] = {{"profile's own", "exit 0", "leaving", 5},
					       {"expects", "exit 0", "nothing of it", 5}};
	struct vm_options machine = {.image = raw_image, .kvm = true};
	struct vm_damage damage = {.offset = 8, .value = 1};
	struct vm_suite suite = {
		.tools = fake_tools(mode),
		.machine = &machine,
		.tests = tests,
		.test_count = strstr(mode, "expects") ? 2 : 1,
		.swarm = true,
		.quick = quick,
		.only = only,
		.damage = &damage,
		.result = on_result,
		.note = on_note,
		.finished = on_finished,
		.context = heard,
	};
	struct err err = {0};
	unsigned failed = 0;

	*heard = (struct heard){0};
	str_add(&heard->passed, "");
	str_add(&heard->failed, "");
	make_image();
	CHECK(setenv("FAKE_VERIFIES", "8", 1) == 0);
	CHECK_OK(vm_suite_run(&suite, &failed, &err), &err);
	free_fake();
	return failed;
}

static void forget(struct heard *heard)
{
	str_free(&heard->passed);
	str_free(&heard->failed);
}

TEST_TIMEOUT(good_image_passes_everything, 120)
{
	struct heard heard;

	CHECK_INT(run_suite("", false, NULL, &heard), 0);
	CHECK_STR(heard.failed.data, "");
	CHECK_INT(heard.machines, 3);
	CHECK_CONTAINS(heard.passed.data, "root is mounted read-only|\n");
	CHECK_CONTAINS(heard.passed.data, "profile: profile's own|\n");
	CHECK_CONTAINS(heard.passed.data, "machine is an active member of a swarm|\n");
	CHECK_CONTAINS(heard.passed.data, "reboot: machine-id, host keys and node are the same|\n");
	CHECK_CONTAINS(heard.passed.data, "switches off by the power button|\n");
	CHECK_CONTAINS(heard.passed.data, "second machine: machine-id and host keys are others|\n");
	CHECK_CONTAINS(heard.passed.data, "flipped bit: root is refused|\n");
	CHECK_CONTAINS(heard.passed.data, "flipped bit: machine restarts instead of waiting|\n");
	forget(&heard);
}

TEST_TIMEOUT(quick_is_one_boot, 60)
{
	struct heard heard;

	CHECK_INT(run_suite("", true, NULL, &heard), 0);
	CHECK_INT(heard.machines, 1);
	CHECK(!strstr(heard.passed.data, "reboot"));
	forget(&heard);
}

TEST_TIMEOUT(only_selects_by_name, 60)
{
	struct heard heard;

	CHECK_INT(run_suite("", false, "read-only", &heard), 0);
	CHECK_STR(heard.passed.data,
		  "root is mounted read-only|\nreboot: root is mounted read-only|\n");
	CHECK_INT(heard.machines, 1);
	forget(&heard);
}

TEST_TIMEOUT(writable_root_fails, 60)
{
	struct heard heard;

	CHECK_INT(run_suite("writable", true, NULL, &heard), 1);
	CHECK_STR(heard.failed.data, "root is mounted read-only|exit code 1\n/ is writable\n\n");
	forget(&heard);
}

TEST_TIMEOUT(unmet_expectation_fails, 60)
{
	struct heard heard;

	CHECK_INT(run_suite("expects", true, "profile", &heard), 1);
	CHECK_CONTAINS(heard.failed.data, "profile: expects|'nothing of it' is not in its output");
	forget(&heard);
}

TEST_TIMEOUT(new_identity_after_reboot_fails, 60)
{
	struct heard heard;

	CHECK(run_suite("new-id", false, "reboot", &heard) > 0);
	CHECK_CONTAINS(heard.failed.data,
		       "reboot: machine-id, host keys and node are the same|'machine-id' is not");
	forget(&heard);
}

TEST_TIMEOUT(same_identity_of_two_machines_fails, 60)
{
	struct heard heard;

	CHECK(setenv("FAKE_MACHINE_ID", "00000000000000000000000000000001", 1) == 0);
	CHECK_INT(run_suite("", false, "second machine", &heard), 1);
	CHECK_CONTAINS(heard.failed.data, "others|'machine-id' is the same");
	forget(&heard);
}

TEST_TIMEOUT(damaged_root_that_comes_up_fails, 120)
{
	struct heard heard;

	CHECK_INT(run_suite("comes-up", false, "flipped bit", &heard), 2);
	CHECK_CONTAINS(heard.failed.data, "flipped bit: root is refused|it came up");
	forget(&heard);
}

/* -- the real QEMU -- */

static bool is_gone(pid_t pid)
{
	CLEANUP_FREE char *path = mem_printf("/proc/%d/exe", (int)pid);
	char exe[PATH_MAX];
	ssize_t n = readlink(path, exe, sizeof(exe) - 1);

	/* A zombie has no exe any more; it waits for init. */
	if (n > 0)
		exe[n] = '\0';
	return n <= 0 || !strstr(exe, "qemu");
}

TEST_TIMEOUT(qemu_does_not_outlive_us, 60)
{
	CLEANUP(vm_tools_free) struct vm_tools tools = {0};
	struct vm_options options = {.image = raw_image, .shell = true};
	struct err err = {0};
	int report[2], status;
	pid_t qemu = 0, us;

	make_image();
	CHECK_OK(vm_tools_find(&tools, &err), &err);
	CHECK(pipe(report) == 0);
	us = fork();
	CHECK(us >= 0);
	if (us == 0) {
		struct vm *vm = vm_start(&tools, &options, &err);

		qemu = vm ? vm_pid(vm) : -1;
		if (write(report[1], &qemu, sizeof(qemu)) != sizeof(qemu))
			_exit(1);
		/* A QEMU that could not start would end at once. */
		_exit(vm && vm_wait_end(vm, 60, &err) == 0 ? 0 : 1);
	}
	CHECK(read(report[0], &qemu, sizeof(qemu)) == sizeof(qemu));
	CHECK(qemu > 0);
	usleep(1500000);
	CHECK(!is_gone(qemu));
	CHECK(waitpid(us, &status, WNOHANG) == 0);
	CHECK(kill(us, SIGKILL) == 0);
	CHECK(waitpid(us, &status, 0) == us);
	for (int i = 0; i < 100 && !is_gone(qemu); i++)
		usleep(100000);
	CHECK(is_gone(qemu));
}

TEST_TIMEOUT(real_qemu_takes_our_command_line, 60)
{
	CLEANUP(vm_tools_free) struct vm_tools tools = {0};
	const char *forwards[] = {"tcp:48211:22", NULL};
	struct vm_options options = {.image = raw_image,
				     .shell = true,
				     .isolated = true,
				     .forwards = forwards,
				     .memory = 268435456};
	struct err err = {0};
	double until = clock_monotonic() + 50;
	struct vm *vm;

	make_image();
	CHECK_OK(vm_tools_find(&tools, &err), &err);
	vm = vm_start(&tools, &options, &err);
	CHECK_OK_PTR(vm, &err);
	/* The firmware finds nothing to boot on the empty disk, and says so. */
	for (;;) {
		CLEANUP(str_free) struct str text = {0};

		vm_console(vm, 65536, &text);
		if (text.data && strstr(text.data, "BdsDxe"))
			break;
		if (clock_monotonic() > until)
			FAIL("the firmware said: %s", text.data ? text.data : "nothing");
		CHECK_OK(vm_wait_end(vm, 0.5, &err), &err);
		CHECK(vm_pid(vm) > 0);
	}
	vm_free(vm);
}
