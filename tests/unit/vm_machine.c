/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of the pure parts of vm/: QEMU's command line, credentials, answers of the test shell,
 * the console's text, and the judges of the checks.
 */
#include "tap.h"

#include "base/mem.h"
#include "base/size.h"
#include "vm/checks.h"
#include "vm/machine.h"
#include "vm/tools.h"

static struct vm_tools tools(unsigned major)
{
	return (struct vm_tools){.qemu = (char *)"/x/qemu",
				 .qemu_major = major,
				 .firmware = "/x/CODE.fd",
				 .variables = "/x/VARS.fd"};
}

static char *command_line(const struct vm_options *options, unsigned major, struct err *err)
{
	struct vm_tools t = tools(major);
	struct vm_files files = {10, 11, options->terminal ? -1 : 12, 13, options->shell ? 14 : -1};
	CLEANUP(strv_free) struct strv argv = {0};
	struct str text = {0};

	if (vm_machine_arguments(&t, options, &files, &argv, err) < 0)
		return NULL;
	for (size_t i = 0; i < argv.count; i++)
		str_addf(&text, "%s ", argv.items[i]);
	return str_steal(&text);
}

TEST(command_line_of_a_test_machine)
{
	struct err err = {0};
	struct vm_options options = {
		.image = {"x", "raw", 1 << 20}, .isolated = true, .shell = true};
	CLEANUP_FREE char *line = command_line(&options, 10, &err);

	CHECK_CONTAINS(line, "/x/qemu -nodefaults -no-user-config -display none ");
	CHECK_CONTAINS(line, " -accel tcg,thread=multi -cpu max -smp 2 -m 2048 ");
	CHECK_CONTAINS(line, "read-only=on,file.driver=file,file.filename=/x/CODE.fd ");
	CHECK_CONTAINS(line, " -add-fd fd=10,set=2 ");
	CHECK_CONTAINS(line, " -add-fd fd=11,set=1 ");
	CHECK_CONTAINS(line, " -chardev file,id=console,path=/dev/fdset/3 -add-fd fd=12,set=3 ");
	CHECK_CONTAINS(line, " -chardev socket,id=qmp,fd=13 ");
	CHECK_CONTAINS(line, " -netdev user,id=net,restrict=on ");
	CHECK_CONTAINS(line, " -chardev socket,id=shell,fd=14 ");
	CHECK_CONTAINS(line, " virtserialport,chardev=shell,name=ingot.test ");
	CHECK_CONTAINS(line, "credential.binary:systemd.extra-unit.ingot-test.service=");
	CHECK_CONTAINS(line, "credential.binary:systemd.unit-dropin.sysinit.target=");
}

TEST(command_line_of_a_terminal)
{
	struct err err = {0};
	const char *forwards[] = {"tcp:2222:22", "udp:5353:53", NULL};
	struct vm_options options = {.image = {"x", "raw", 1 << 20},
				     .terminal = true,
				     .kvm = true,
				     .cpus = 4,
				     .memory = 512 * MIB,
				     .forwards = forwards};
	CLEANUP_FREE char *line = command_line(&options, 7, &err);

	CHECK_CONTAINS(line, " -accel kvm -cpu host -smp 4 -m 512 ");
	CHECK_CONTAINS(line, "stdio,id=console,mux=on,signal=off ");
	CHECK_CONTAINS(line, " user,id=net,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=udp:127.0.0.1:"
			     "5353-:53 ");
	CHECK(!strstr(line, "ingot.test"));
	CHECK(!strstr(line, "-smbios"));
	CHECK(!strstr(line, "restrict"));
}

TEST(old_qemu_gets_no_cmpxchg16b)
{
	struct err err = {0};
	struct vm_options options = {.image = {"x", "raw", 1 << 20}};
	CLEANUP_FREE char *line = command_line(&options, 7, &err);
	struct vm_tools new = tools(8);

	CHECK_CONTAINS(line, " -cpu max,-cx16 ");
	CHECK_STR(vm_tools_cpu(&new, false), "max");
}

TEST(bad_forwards_are_refused)
{
	static const char *const bad[] = {"",           "22",         "tcp:22",
					  "tcp:0:22",   "tcp:22:0",   "tcp:70000:22",
					  "sctp:22:22", "tcp:22:22x", "tcp:22:22,guestfwd=x",
					  "icmp:1:1"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = {0};
		const char *forwards[] = {bad[i], NULL};
		struct vm_options options = {.image = {"x", "raw", 1 << 20}, .forwards = forwards};

		CHECK(command_line(&options, 10, &err) == NULL);
		CHECK_INT(err.code, ERR_USAGE);
		CHECK_CONTAINS(err.msg, "expected tcp:HOSTPORT:GUESTPORT");
	}
}

TEST(bad_credentials_are_refused)
{
	struct err err = {0};
	struct vm_credential item = {"a,value=b", "x"};
	struct vm_options options = {
		.image = {"x", "raw", 1 << 20}, .credentials = &item, .credential_count = 1};
	CLEANUP_FREE char *large = mem_alloc(60001);

	CHECK(command_line(&options, 10, &err) == NULL);
	CHECK_CONTAINS(err.msg, "bad credential name 'a,value=b'");
	item.name = "a";
	memset(large, 'x', 60000);
	item.value = large;
	CHECK(command_line(&options, 10, &err) == NULL);
	CHECK_CONTAINS(err.msg, "too large");
}

TEST(answers_are_matched_by_id)
{
	struct vm_answer answer;

	CHECK(vm_guest_parse_answer("abc 0 aGk=", "abc", &answer));
	CHECK_INT(answer.exit, 0);
	CHECK_U64(answer.output_len, 4);
	CHECK(vm_guest_parse_answer("abc 124 ", "abc", &answer));
	CHECK_INT(answer.exit, 124);
	CHECK_U64(answer.output_len, 0);
	CHECK(!vm_guest_parse_answer("abd 0 aGk=", "abc", &answer));
	CHECK(!vm_guest_parse_answer("abcd 0 aGk=", "abc", &answer));
	CHECK(!vm_guest_parse_answer("abc", "abc", &answer));
	CHECK(!vm_guest_parse_answer("abc x aGk=", "abc", &answer));
	CHECK(!vm_guest_parse_answer("abc -1 aGk=", "abc", &answer));
	CHECK(!vm_guest_parse_answer("", "abc", &answer));
}

TEST(lines_arrive_in_pieces)
{
	CLEANUP(str_free) struct str buffer = {0};
	char *line;

	CHECK(vm_take_line(&buffer) == NULL);
	str_add(&buffer, "on");
	CHECK(vm_take_line(&buffer) == NULL);
	str_add(&buffer, "e\ntwo\nth");
	line = vm_take_line(&buffer);
	CHECK_STR(line, "one");
	free(line);
	line = vm_take_line(&buffer);
	CHECK_STR(line, "two");
	free(line);
	CHECK(vm_take_line(&buffer) == NULL);
	CHECK_STR(buffer.data, "th");
}

TEST(console_text_is_clean)
{
	static const char raw[] =
		"\033[2J\033[01;01H\033[=3hBdsDxe: x\r\n\r\n\n\033cdone\a\x7f \xc3\xa9\033[";
	CLEANUP(str_free) struct str text = {0};

	vm_console_clean(raw, sizeof(raw) - 1, &text);
	CHECK_STR(text.data, "BdsDxe: x\ndone \xc3\xa9");
}

TEST(version_of_qemu)
{
	CHECK_INT(vm_tools_parse_version("QEMU emulator version 7.2.22 (Debian 1:7.2)\nCopyright"),
		  7);
	CHECK_INT(vm_tools_parse_version("QEMU emulator version 10.0.2 (x)"), 10);
	CHECK_INT(vm_tools_parse_version("something else"), 0);
	CHECK_INT(vm_tools_parse_version(""), 0);
}

static bool identities(const char *a, const char *b, bool same, const char *part)
{
	CLEANUP(str_free) struct str why = {0};
	bool passed = vm_check_identities(a, b, same, &why);

	str_add(&why, "");
	CHECK_CONTAINS(why.data, part);
	return passed;
}

TEST(identities_are_compared_line_by_line)
{
	static const char a[] = "machine-id 1\nkey AAAA\n", b[] = "machine-id 2\nkey BBBB\n";

	CHECK(identities(a, a, true, ""));
	CHECK(identities(a, b, false, ""));
	CHECK(!identities(a, b, true, "'machine-id' is not the same: '1' and '2'"));
	CHECK(!identities(a, a, false, "'machine-id' is the same"));
	CHECK(!identities(a, "machine-id 2\nkey AAAA\n", false, "'key' is the same"));
	CHECK(!identities(a, "machine-id 1\n", true, "'key' is missing"));
	CHECK(!identities(a, "machine-id 1\nkey AAAAA\n", true, "'key' is not the same"));
	CHECK(!identities("machine-id \n", "machine-id \n", true, "no value"));
	CHECK(!identities("", "", true, "nothing to compare"));
	CHECK(!identities("", b, false, "nothing to compare"));
}

TEST(health_is_judged)
{
	CLEANUP(str_free) struct str why = {0};

	CHECK(vm_check_healthy("{\"health\":{\"now\":\"ok\",\"last_check\":{\"healthy\":true}}}",
			       &why));
	CHECK_U64(why.len, 0);
	CHECK(!vm_check_healthy("{\"health\":{\"now\":\"ok\"}}", &why));
	CHECK(!vm_check_healthy("{\"health\":{\"now\":\"ok\",\"last_check\":{\"healthy\":false}}}",
				&why));
	CHECK(!vm_check_healthy("{\"health\":{\"now\":\"bad\",\"last_check\":{\"healthy\":true}}}",
				&why));
	CHECK_CONTAINS(why.data, "health is 'bad'");
	CHECK(!vm_check_healthy("{}", &why));
	CHECK(!vm_check_healthy("", &why));
	CHECK(!vm_check_healthy("[", &why));
}

TEST(swarm_is_judged)
{
	CLEANUP(str_free) struct str why = {0};

	CHECK(vm_check_swarm("{\"join\":{\"joined\":true,\"node_id\":\"n\"},"
			     "\"engine\":{\"swarm\":\"active\",\"node_id\":\"n\"}}",
			     &why));
	CHECK(!vm_check_swarm("{\"join\":{\"joined\":true,\"node_id\":\"m\"},"
			      "\"engine\":{\"swarm\":\"active\",\"node_id\":\"n\"}}",
			      &why));
	CHECK(!vm_check_swarm("{\"join\":{\"joined\":false,\"node_id\":\"n\"},"
			      "\"engine\":{\"swarm\":\"active\",\"node_id\":\"n\"}}",
			      &why));
	CHECK(!vm_check_swarm("{\"join\":{\"joined\":true,\"node_id\":\"n\"},"
			      "\"engine\":{\"swarm\":\"inactive\",\"node_id\":\"n\"}}",
			      &why));
	CHECK(!vm_check_swarm("{\"join\":{\"joined\":true},\"engine\":{\"swarm\":\"active\"}}",
			      &why));
	CHECK(!vm_check_swarm("nonsense", &why));
}
