/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an inventory makes of a system: packages, units, users, settings, ports, rights. The same tree as a
 * squashfs and handed in entry by entry gives the same.
 */
#include "inventorytree.h"

#include "inspect/inventory_parts.h"

#include <sys/resource.h>

#define SYSTEM "/usr/lib/systemd/system/"
#define INSTALL "[Install]\nWantedBy=multi-user.target\n"

/* Something for each category. cap_net_raw=ep is what getcap says of the bytes. */
static const struct thing system_things[] = {
	FILE("/usr/lib/os-release", "IMAGE_ID=\"demo\"\nIMAGE_VERSION=2\nPRETTY_NAME='A B'\n"),
	LINK("/etc/os-release", "../usr/lib/os-release"),
	LINK("/var/lib/dpkg", "/usr/lib/sysimage/dpkg"),
	FILE("/usr/lib/sysimage/dpkg/status",
	     "Package: dpkg\nStatus: install ok installed\nVersion: 1.22\nArchitecture: amd64\n\n"
	     "Package: gone\nStatus: deinstall ok config-files\nVersion: 3\nArchitecture: all\n\n"
	     "Package: libc6\nStatus: install ok installed\nArchitecture: i386\nVersion: 2.41\n\n"
	     "Package: held\nStatus: hold ok installed\nArchitecture: all\nVersion: 1:2-3\n\n"
	     "Package: torn\nStatus: install ok half-configured\nArchitecture: amd64\nVersion: 9\n"),
	FILE("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nops:x:1000:1000::/home/ops:/bin/sh\n"
			    "open::7:7::/:/bin/sh\nbroken\n"),
	FILE("/etc/shadow", "root:*:1::::::\nops:$6$salt$hash:1::::::\nopen::1::::::\n"),
	FILE("/etc/group", "root:x:0:\ndocker:x:999:ops,nobody\nadm:x:4:ops\n"),
	FILE("/etc/ssh/authorized_keys.d/ops", "# keys\n\nssh-ed25519 AAAA me@there\n"),
	FILE(SYSTEM "on.service", "[Service]\nExecStart=/x\n" INSTALL),
	FILE(SYSTEM "off.service", "[Unit]\nWantedBy=no\n" INSTALL),
	FILE(SYSTEM "plain.service", "[Unit]\nWantedBy=no\n"),
	FILE(SYSTEM "also.service", "[Install]\nAlso=on.service\n"),
	FILE(SYSTEM "gone.service", INSTALL),
	FILE(SYSTEM "user@.service", "[Service]\n"),
	FILE(SYSTEM "web.socket", "[Socket]\nListenStream=8080\nListenStream=/run/web\n"
				  "ListenDatagram=[::1]:53\n[Install]\nWantedBy=sockets.target\n"),
	FILE(SYSTEM "idle.socket", "[Socket]\nListenStream=99\n" INSTALL),
	LINK("/etc/systemd/system/multi-user.target.wants/on.service", SYSTEM "on.service"),
	LINK("/etc/systemd/system/sockets.target.wants/web.socket", SYSTEM "web.socket"),
	LINK("/etc/systemd/system/gone.service", "/dev/null"),
	LINK("/etc/systemd/system/other.service", SYSTEM "on.service"),
	FILE("/etc/systemd/system/on.service.d/more.conf", "[Service]\n"),
	FILE("/etc/systemd/system/web.socket.d/x.conf",
	     "[Socket]\nListenStream=\nListenStream=81\n"),
	FILE("/etc/sysctl.d/50-a.conf",
	     "# no\nkernel.a = 1\nnet/ipv4/conf/eth0.1/x=5\n-k.b=2\n-k.*\n"),
	FILE("/usr/lib/sysctl.d/50-a.conf", "kernel.a = 9\nhidden.key=1\n"),
	FILE("/usr/lib/sysctl.d/60-b.conf", "kernel.a=2\nk.c = a  b \n"),
	FILE("/usr/lib/sysctl.d/70-c.conf", "masked.key=1\n"),
	LINK("/etc/sysctl.d/70-c.conf", "/dev/null"),
	FILE("/usr/lib/ingot/firewall.nft",
	     "# tcp dport 1 accept\ntable inet ingot {\n\tchain input {\n"
	     "\t\ttype filter hook input priority filter - 5; policy drop;\n"
	     "\t\ttcp dport 22 accept comment \"ssh\"\n"
	     "\t\tip saddr { 10.0.0.0/8, 192.168.0.0/16 } udp dport 60000-61000 accept comment \"m\"\n"
	     "\t\tip6 saddr { fc00::/7 } udp dport 60000-61000 accept comment \"m\"\n"
	     "\t\tmeta l4proto esp accept comment \"vpn\"\n\t\ttcp dport 23 drop\n\t}\n}\n"),
	{"/usr/bin/su", S_IFREG | 04755, "su", 0, 0, NULL},
	{"/usr/bin/write", S_IFREG | 02755, "write", 0, 5, NULL},
	{"/usr/bin/ping", S_IFREG | 0755, "ping", 0, 0, "0100000200200000000000000000000000000000"},
	{"/srv/shared", S_IFDIR | 02775, NULL, 0, 50, NULL},
};

static struct inventory *make_system(void)
{
	return make_inventory(system_things, ARRAY_SIZE(system_things));
}

TEST(system_facts)
{
	CLEANUP(inventory_cleanup) struct inventory *inv = make_system();

	CHECK_STR(
		FACT(inv, "image"),
		"{\"architecture\":\"amd64\",\"name\":\"demo\",\"system\":\"A B\",\"version\":\"2\"}");
	CHECK_STR(FACT(inv, "packages"),
		  "{\"dpkg\":{\"architecture\":\"amd64\",\"version\":\"1.22\"},"
		  "\"held\":{\"architecture\":\"all\",\"version\":\"1:2-3\"},"
		  "\"libc6:i386\":{\"architecture\":\"i386\",\"version\":\"2.41\"},"
		  "\"torn\":{\"architecture\":\"amd64\",\"status\":\"install ok half-configured\","
		  "\"version\":\"9\"}}");
	CHECK_STR(
		FACT(inv, "setuid"),
		"{\"/usr/bin/ping\":{\"capabilities\":\"cap_net_raw=ep\",\"gid\":0,\"mode\":\"0755\","
		"\"uid\":0},\"/usr/bin/su\":{\"gid\":0,\"mode\":\"4755\",\"uid\":0},"
		"\"/usr/bin/write\":{\"gid\":5,\"mode\":\"2755\",\"uid\":0}}");
}

TEST(users)
{
	CLEANUP(inventory_cleanup) struct inventory *inv = make_system();

	CHECK_STR(FACT(inv, "users", "root"),
		  "{\"gid\":0,\"groups\":[],\"home\":\"/root\",\"password\":\"locked\","
		  "\"shell\":\"/bin/bash\",\"ssh_keys\":[],\"uid\":0}");
	CHECK_STR(FACT(inv, "users", "ops", "groups"), "[\"adm\",\"docker\"]");
	/* printf '%s' '$6$salt$hash' | sha256sum; the hash itself is not shown. */
	CHECK_STR(FACT(inv, "users", "ops", "password"), "\"set d722f0abfd853428\"");
	CHECK_STR(FACT(inv, "users", "open", "password"), "\"none needed\"");
	/* printf '%s' 'ssh-ed25519 AAAA me@there' | sha256sum */
	CHECK_STR(FACT(inv, "users", "ops", "ssh_keys"), "[\"me@there ee2b988490b87460\"]");
	CHECK_STR(FACT(inv, "users", "group docker"), "{\"gid\":999}");
	CHECK_STR(FACT(inv, "users", "broken"), "(absent)");
}

TEST(units)
{
	CLEANUP(inventory_cleanup) struct inventory *inv = make_system();

	CHECK_STR(FACT(inv, "units", "on.service", "state"), "\"enabled\"");
	CHECK_STR(FACT(inv, "units", "on.service", "wanted_by"), "[\"multi-user.target\"]");
	CHECK_INT(json_object_size(
			  value_at(inventory_facts(inv), "units", "on.service", "drop_ins", NULL)),
		  1);
	CHECK_STR(FACT(inv, "units", "off.service", "state"), "\"disabled\"");
	CHECK_STR(FACT(inv, "units", "plain.service", "state"), "\"static\"");
	CHECK_STR(FACT(inv, "units", "also.service", "state"), "\"indirect\"");
	CHECK_STR(FACT(inv, "units", "gone.service", "state"), "\"masked\"");
	CHECK_STR(FACT(inv, "units", "gone.service", "content"), "(absent)");
	CHECK_STR(FACT(inv, "units", "other.service"),
		  "{\"alias_of\":\"on.service\",\"state\":\"alias\"}");
	CHECK_STR(FACT(inv, "units", "web.socket", "state"), "\"enabled\"");
	CHECK_STR(FACT(inv, "units", "idle.socket", "state"), "\"disabled\"");
}

/* The drop-in replaces what web.socket itself listens on; a comment and a drop let nothing in. */
TEST(ports)
{
	CLEANUP(inventory_cleanup) struct inventory *inv = make_system();

	CHECK_STR(FACT(inv, "ports"),
		  "{\"allow esp\":{\"from\":[\"anywhere\"],\"name\":\"vpn\"},"
		  "\"allow tcp 22\":{\"from\":[\"anywhere\"],\"name\":\"ssh\"},"
		  "\"allow udp 60000-61000\":{\"from\":[\"{ 10.0.0.0/8, 192.168.0.0/16 }\","
		  "\"{ fc00::/7 }\"],\"name\":\"m\"},\"policy\":\"drop\","
		  "\"socket tcp 81\":{\"units\":[\"web.socket\"]}}");
}

TEST(no_firewall_accepts)
{
	CLEANUP(inventory_cleanup) struct inventory *inv = MAKE(FILE("/etc/passwd", ""));

	CHECK_STR(FACT(inv, "ports"), "{\"policy\":\"accept\"}");
	CHECK_STR(FACT(inv, "packages"), "(absent)");
}

TEST(sysctl)
{
	CLEANUP(inventory_cleanup) struct inventory *inv = make_system();

	CHECK_STR(
		FACT(inv, "sysctl"),
		"{\"k.b\":\"2\",\"k.c\":\"a  b\",\"kernel.a\":\"2\",\"net.ipv4.conf.eth0/1.x\":\"5\"}");
}

/* The type of a thing of the tree writer. */
static enum tree_type type_of(mode_t mode)
{
	return S_ISDIR(mode) ? TREE_DIR : S_ISLNK(mode) ? TREE_SYMLINK : TREE_FILE;
}

static void write_squashfs(const struct thing *things, size_t count, const char *path)
{
	static const uint8_t none[16];
	const struct squashfs_options o = {.compression = "zstd",
					   .level = 1,
					   .block = 4096,
					   .jobs = 1,
					   .salt = none,
					   .salt_len = 16,
					   .uuid = none};
	CLEANUP(tree_cleanup) struct tree *tree = tree_new();
	CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct squashfs_result result;
	struct err err = {0};

	for (size_t i = 0; i < count; i++) {
		const struct thing *t = &things[i];
		struct tree_inode inode = {.type = type_of(t->mode),
					   .mode = t->mode & 07777,
					   .uid = t->uid,
					   .gid = t->gid};
		char bytes[20];
		struct tree_xattr xattr = {"security.capability", bytes, sizeof(bytes)};

		for (size_t k = 0; t->capability && k < sizeof(bytes); k++) {
			unsigned byte;

			CHECK(sscanf(t->capability + 2 * k, "%2x", &byte) == 1);
			bytes[k] = (char)byte;
		}
		inode.xattrs = t->capability ? &xattr : NULL;
		inode.xattr_count = t->capability ? 1 : 0;
		inode.target = inode.type == TREE_SYMLINK ? t->text : NULL;
		if (inode.type == TREE_FILE)
			inode.data = (struct tree_data){.size = strlen(t->text), .bytes = t->text};
		CHECK_OK_PTR(tree_put(tree, t->path, &inode, &err), &err);
	}
	CHECK_OK(squashfs_write(tree, &o, fd, path, NULL, NULL, &result, &err), &err);
	str_free(&result.hash_area);
}

TEST(squashfs_and_entries_give_the_same)
{
	CLEANUP(inventory_cleanup) struct inventory *a = make_system(), *b = NULL;
	CLEANUP_JSON json_t *diff = NULL;
	struct strv only = {0};
	struct err err = {0};

	write_squashfs(system_things, ARRAY_SIZE(system_things), "image");
	b = inventory_open("image", &err);
	CHECK_OK_PTR(b, &err);
	CHECK_STR(inventory_kind(b), "image");
	diff = diff_inventories(a, b, &only, &err);
	CHECK_OK_PTR(diff, &err);
	CHECK(json_is_true(json_object_get(diff, "same")));
	CHECK_STR(line(json_object_get(diff, "unknown")), "[]");
	CHECK_STR(line(value_at(diff, "files", "content_unknown", NULL)), "0");
}

TEST(contents_are_digested_on_demand)
{
	CLEANUP(inventory_cleanup) struct inventory *inv = NULL;
	const struct inventory_file *files, *file;
	struct digest digest;
	struct err err = {0};
	size_t count, place;

	write_squashfs(system_things, ARRAY_SIZE(system_things), "image");
	inv = inventory_open("image", &err);
	CHECK_OK_PTR(inv, &err);
	CHECK(inventory_files(inv, &files, &count));
	for (size_t i = 1; i < count; i++)
		CHECK(strcmp(files[i - 1].path, files[i].path) < 0);
	file = inventory_find(inv, "/usr/bin/ping");
	CHECK(file && !file->digest);
	CHECK_STR(file->xattrs, "security.capability=0100000200200000000000000000000000000000\n");
	place = (size_t)(file - files);
	CHECK_OK(inventory_hash(inv, &place, 1, &err), &err);
	digest_bytes("ping", 4, &digest);
	CHECK_MEM(file->digest, &digest, sizeof(digest));
	CHECK(!inventory_find(inv, "/usr/bin/su")->digest);
	CHECK(!inventory_find(inv, "/usr/bin/none"));
}

TEST(links_are_followed_inside)
{
	CLEANUP(inventory_cleanup)
	struct inventory *inv =
		MAKE(FILE("/b/c/file", "x"), LINK("/a", "b"), LINK("/b/up", "../../../b/./c"),
		     LINK("/loop", "loop"), LINK("/one", "/two"), LINK("/two", "one"),
		     LINK("/empty", ""), LINK("/abs", "/a/up/file"));

	CHECK_STR(inventory_resolve(inv, "/a/c/file")->path, "/b/c/file");
	CHECK_STR(inventory_resolve(inv, "/a/up/file")->path, "/b/c/file");
	CHECK_STR(inventory_resolve(inv, "//abs")->path, "/b/c/file");
	CHECK_STR(inventory_resolve(inv, "/../..")->path, "/");
	CHECK(!inventory_resolve(inv, "/loop"));
	CHECK(!inventory_resolve(inv, "/one/x"));
	CHECK(!inventory_resolve(inv, "/empty"));
	CHECK(!inventory_resolve(inv, "/b/c/file/x"));
	CHECK(!inventory_resolve(inv, "/nothing"));
}

TEST(two_entries_of_one_name)
{
	CLEANUP(inventory_cleanup) struct inventory *inv = inventory_begin("disk", "disk");
	const struct inventory_file file = {.path = "/x", .mode = S_IFREG};
	struct err err = {0};

	CHECK_OK(inventory_add(inv, &file, &err), &err);
	CHECK_OK(inventory_add(inv, &file, &err), &err);
	CHECK_ERR(inventory_finish(inv, &err), &err, ERR_VERIFY,
		  "cannot read 'disk': it has two files with the name '/x'");
}

/* Links may be long and entries many: memory has an end before the machine's. */
TEST(memory_is_bounded)
{
	CLEANUP(inventory_cleanup) struct inventory *inv = inventory_begin("disk", "disk");
	CLEANUP_FREE char *target = mem_alloc(65536);
	struct inventory_file file = {.path = "/link", .mode = S_IFLNK, .target = target};
	struct err err = {0};
	size_t count = 0;

	memset(target, 'x', 65535);
	while (count < 4096 && inventory_add(inv, &file, &err) == 0)
		count++;
	CHECK(count > 1400 && count < 2200);
	CHECK_STR(err.msg, "cannot read 'disk': it has more files than fit in 128 MiB");
}

/* In a process of its own, whose memory does not count. */
static void write_many(size_t count, const char *path)
{
	pid_t child = fork();
	int status = -1;

	if (child == 0) {
		struct thing *things = mem_alloc_array(count, sizeof(*things));

		for (size_t i = 0; i < count; i++)
			things[i] =
				(struct thing){mem_printf("/%07zu", i), S_IFREG, "", 0, 0, NULL};
		write_squashfs(things, count, path);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

/* A small file that has very many: refused before it has taken the memory of the machine. */
TEST_TIMEOUT(memory_for_a_hostile_image, 300)
{
	struct inventory *inv;
	struct rusage usage;
	struct stat st;
	struct err err = {0};

	write_many(1200000, "many");
	CHECK(stat("many", &st) == 0 && st.st_size < 32 << 20);
	inv = inventory_open("many", &err);
	CHECK_ERR_PTR(inv, &err, ERR_OTHER,
		      "cannot read 'many': it has more files than fit in 128 MiB");
	CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
#ifndef __SANITIZE_ADDRESS__
	CHECK(usage.ru_maxrss < 256 << 10); /* KiB */
#endif
}

TEST(too_many_rows)
{
	CLEANUP(inventory_cleanup) struct inventory *inv = inventory_begin("disk", "disk");
	struct err err = {0};
	int result = 0;

	for (int i = 0; result == 0 && i < 70000; i++) {
		CLEANUP_FREE char *name = mem_printf("%d", i);

		result = inventory_set(inv, "sysctl", name, json_true(), &err);
	}
	CHECK_INT(result, -1);
	CHECK_STR(err.msg, "cannot read 'disk': more than 65536 sysctl");
}

TEST(bytes_that_are_no_utf8)
{
	static const struct {
		const char *from, *to;
	} rows[] = {
		{"a\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x9f", "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x9f"},
		{"\xff", "\\xff"},
		{"\xc0\xaf", "\\xc0\\xaf"},
		{"\xed\xa0\x80", "\\xed\\xa0\\x80"},
		{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
		{"x\xe2\x82", "x\\xe2\\x82"},
		{"\x01\\x2d", "\x01\\x2d"}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_JSON json_t *text = inventory_string(rows[i].from);

		CHECK_STR(json_string_value(text), rows[i].to);
	}
}

static void check_json(const char *text, int code, const char *part)
{
	CLEANUP(inventory_cleanup) struct inventory *inv = NULL;
	struct err err = {0};

	CHECK_OK(outfile_write("x.json", text, strlen(text), false, &err), &err);
	inv = inventory_open("x.json", &err);
	if (code)
		CHECK_ERR_PTR(inv, &err, code, part);
	else
		CHECK_OK_PTR(inv, &err);
}

TEST(manifests_and_locks)
{
	CLEANUP(inventory_cleanup) struct inventory *inv = NULL;
	const struct inventory_file *files;
	struct err err = {0};
	size_t count;

	check_json("{\"artifacts\": []}", 0, "");
	check_json("{\"artifacts\": [1]}", ERR_VERIFY, "member artifacts is not as in a manifest");
	check_json("{\"artifacts\": [], \"packages\": {}}", ERR_VERIFY, "member packages");
	check_json("{\"artifacts\": [], \"packages\": [{\"name\": \"x\"}]}", ERR_VERIFY,
		   "member packages");
	check_json("{\"artifacts\": [], \"disk\": 1}", ERR_VERIFY, "member disk");
	check_json("{\"lock\": 1}", ERR_VERIFY, "member profile or base is not as in a lock");
	check_json("{\"packages\": []}", ERR_VERIFY, "neither a manifest nor a lock");
	check_json("{\"artifacts\": [}", ERR_OTHER, "not valid JSON");
	check_json(
		"  \n {\"lock\": 1, \"profile\": \"p\", \"base\": {\"architecture\": \"amd64\"},"
		"\"packages\": [{\"name\": \"a\", \"version\": \"1\", \"architecture\": \"amd64\","
		"\"sha256\": \"00\"}, {\"name\": \"a\", \"version\": \"1\","
		"\"architecture\": \"i386\"}], \"containers\": [{\"reference\": \"r\","
		"\"digest\": \"sha256:1\"}], \"repositories\": [{\"suite\": \"s\","
		"\"inrelease\": \"11\"}]}",
		0, "");
	inv = inventory_open("x.json", &err);
	CHECK_OK_PTR(inv, &err);
	CHECK_STR(inventory_kind(inv), "lock");
	CHECK_STR(FACT(inv, "packages"),
		  "{\"a\":{\"architecture\":\"amd64\",\"sha256\":\"00\",\"version\":\"1\"},"
		  "\"a:i386\":{\"architecture\":\"i386\",\"version\":\"1\"}}");
	CHECK_STR(FACT(inv, "containers"), "{\"r\":{\"digest\":\"sha256:1\"}}");
	CHECK_STR(FACT(inv, "repositories"), "{\"s\":\"11\"}");
	CHECK(!inventory_files(inv, &files, &count));
}

#define DIGEST(digit) \
	"sha256:" digit "000000000000000000000000000000000000000000000000000000000000000"
#define OF(digit) "{\"digest\": \"" DIGEST(digit) "\"}"

static const char description[] =
	"{\"version\": 1, \"engines\": {}, \"images\": ["
	"{\"names\": [\"docker.io/a:1\", \"docker.io/a:2\"], \"repositories\": [\"docker.io/a\"],"
	" \"target\": " OF("1") ", \"manifest\": " OF("2") ", \"config\": " OF(
		"3") ","
		     " \"blobs\": [], \"layers\": [\"" DIGEST("4") "\", \"" DIGEST(
			     "5") "\"]},"
				  "{\"names\": [], \"repositories\": [\"docker.io/b\"],"
				  " \"target\": " OF("6") ", \"manifest\": " OF("6") ", \"config\": " OF(
					  "7") ","
					       " \"blobs\": [], \"layers\": []},"
					       "{\"names\": [], \"repositories\": [\"docker.io/b\"],"
					       " \"target\": " OF("8") ", \"manifest\": " OF("8") ", \"config\": " OF(
						       "9") ","
							    " \"blobs\": [], \"layers\": []}],"
							    "\"layers\": {\"" DIGEST("4") "\": {\"size\": 40}, \"" DIGEST(
								    "5") "\": {\"size\": 2}}}";

#define IMAGES "/usr/share/ingot/containers/images.json"
#define LAYER(file) "/usr/share/ingot/containers/layers/00/" file

TEST(containers)
{
	CLEANUP(inventory_cleanup)
	struct inventory *inv =
		MAKE(FILE(IMAGES, description), {LAYER("su"), S_IFREG | 04755, "x", 0, 0, NULL},
		     FILE(LAYER("usr/lib/systemd/system/x.service"), INSTALL),
		     FILE(LAYER("root/.ssh/authorized_keys"), "key\n"));
	CLEANUP(inventory_cleanup) struct inventory *none = MAKE(FILE("/x", "x"));

	CHECK_STR(FACT(inv, "containers", "docker.io/a:1"),
		  "{\"bytes\":42,\"digest\":\"" DIGEST("1") "\",\"image\":\"" DIGEST(
			  "3") "\",\"layers\":2,\"manifest\":\"" DIGEST("2") "\"}");
	CHECK_STR(FACT(inv, "containers", "docker.io/a:2", "digest"), "\"" DIGEST("1") "\"");
	CHECK_STR(FACT(inv, "containers", "docker.io/b", "digest"), "\"" DIGEST("6") "\"");
	CHECK_STR(FACT(inv, "containers", "docker.io/b@" DIGEST("8"), "digest"),
		  "\"" DIGEST("8") "\"");
	CHECK_INT(json_object_size(value_at(inventory_facts(inv), "containers", NULL)), 4);
	/* What is in a layer is not the host's. */
	CHECK_STR(FACT(inv, "setuid"), "{}");
	CHECK_STR(FACT(inv, "units"), "{}");
	CHECK(!inventory_wants_text(LAYER("usr/lib/systemd/system/x.service"), 10));
	CHECK(!inventory_wants_text(LAYER("root/.ssh/authorized_keys"), 10));
	CHECK_STR(FACT(none, "containers"), "{}");
}

static void refuse_containers(const char *from, const char *to, const char *message)
{
	CLEANUP(inventory_cleanup) struct inventory *inv = inventory_begin("test", "disk");
	const char *at = strstr(description, from);
	CLEANUP_FREE char *text = NULL;
	struct err err = {0};

	CHECK(at != NULL);
	text = mem_printf("%.*s%s%s", (int)(at - description), description, to, at + strlen(from));
	add_thing(inv, &(struct thing)DIR("/"));
	add_thing(inv, &(struct thing)DIR("/usr"));
	add_thing(inv, &(struct thing)DIR("/usr/share"));
	add_thing(inv, &(struct thing)DIR("/usr/share/ingot"));
	add_thing(inv, &(struct thing)DIR("/usr/share/ingot/containers"));
	add_thing(inv, &(struct thing)FILE(IMAGES, text));
	CHECK(inventory_finish(inv, &err) < 0);
	CHECK_CONTAINS(err.msg, message);
}

TEST(hostile_containers)
{
	refuse_containers("\"version\": 1", "\"version\": 2", "its version is not 1");
	refuse_containers("\"images\": [", "\"images\": 1, \"x\": [", "no list of at most");
	refuse_containers("{\"names\": [\"docker.io/a:1\"", "{\"names\": [\"\\u001b[2J\"",
			  "member names of image 1 is wrong");
	refuse_containers("{\"names\": [\"docker.io/a:1\"", "{\"names\": [1",
			  "member names of image 1 is wrong");
	refuse_containers("\"repositories\": [\"docker.io/b\"", "\"repositories\": [\"\"",
			  "member repositories of image 2 is wrong");
	refuse_containers("\"target\": {", "\"target\": 1, \"x\": {", "member target of image 1");
	refuse_containers("{\"digest\": \"sha256:6", "{\"digest\": \"sha256:../",
			  "member target of image 2");
	refuse_containers("\"size\": 40", "\"size\": -1", "member layers of image 1");
	refuse_containers("\"size\": 40", "\"size\": 9223372036854775807",
			  "member layers of image 1");
	refuse_containers("\"size\": 40", "\"size\": \"40\"", "member layers of image 1");
	refuse_containers("\"layers\": {", "\"layers\": 1, \"x\": {", "member layers of image 1");
	refuse_containers("{\"version\"", "[\"version\"", "not valid JSON");
}

/* Each byte of metadata flipped: an error or another inventory, never a crash. */
TEST(damaged_squashfs)
{
	CLEANUP_FREE char *bytes = NULL;
	size_t len, refused = 0;

	write_squashfs(system_things, ARRAY_SIZE(system_things), "image");
	bytes = tap_slurp("image", &len);
	for (size_t i = 0; i < len; i += 3) {
		CLEANUP(inventory_cleanup) struct inventory *inv = NULL;
		struct err err = {0};

		bytes[i] = (char)~bytes[i];
		CHECK_OK(outfile_write("bad", bytes, len, false, &err), &err);
		bytes[i] = (char)~bytes[i];
		inv = inventory_open("bad", &err);
		CHECK(inv || err.code);
		refused += !inv;
	}
	CHECK(refused > len / 12);
}
