/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which images a tree uses: every place that can name one, what does not count, and how uses compare with
 * what is preloaded.
 */
#include "tap.h"

#include "base/mem.h"
#include "layers/imageuse.h"
#include "layers/packages.h"

#define UNITS "/usr/lib/systemd/system/"

static struct tree *tree;
static struct profile profile;

static void put_from(const char *path, const char *text, const char *origin)
{
	struct err err = {0};

	CHECK_OK(tree_put_file(tree, path, 0644, text, strlen(text), origin, &err), &err);
}

static void put(const char *path, const char *text)
{
	put_from(path, text, "overlay");
}

static void put_link(const char *path, const char *target)
{
	struct err err = {0};

	CHECK_OK(tree_put_symlink(tree, path, target, "profile", &err), &err);
}

static void start(void)
{
	tree_free(tree);
	tree = tree_new();
	profile = (struct profile){0};
}

/* A unit that multi-user.target wants. */
static void put_enabled(const char *name, const char *text)
{
	CLEANUP_FREE char *path = mem_printf(UNITS "%s", name);
	CLEANUP_FREE char *link =
		mem_printf("/etc/systemd/system/multi-user.target.wants/%s", name);

	put(path, text);
	put_link(link, path);
}

/* The uses as "engine image file:line" or "?why file:line", one per line. */
static char *found(void)
{
	CLEANUP(imageuse_list_free) struct imageuse_list list = {0};
	struct str text = {0};
	struct err err = {0};

	CHECK_OK(imageuse_find(tree, &profile, &list, &err), &err);
	str_add(&text, "");
	for (size_t i = 0; i < list.count; i++) {
		const struct imageuse *use = &list.items[i];

		CHECK(!use->image != !use->why);
		str_addf(&text, "%s %s%s %s:%u\n", use->engine ? use->engine : "any",
			 use->image ? "" : "?", use->image ? use->image : use->why,
			 strrchr(use->file, '/') + 1, use->line);
	}
	return str_steal(&text);
}

static void check_found(const char *want)
{
	char *have = found();

	CHECK_STR(have, want);
	free(have);
}

/* Command lines, and what they use; NULL for nothing. "?" starts what cannot be told. */
static const struct {
	const char *exec, *want;
} commands[] = {
	{"/usr/bin/docker run app:1", "docker app:1"},
	{"-/usr/bin/docker run --rm -it --name web -p 80:80 app:1 sh -c 'docker run other'",
	 "docker app:1"},
	{"@!/usr/bin/docker --config /etc/d -H unix:///x run -dp80:80 --env=A=b app:1",
	 "docker app:1"},
	{"docker -l debug container create -e \"A=b c\" --pull never 'app:1' x", "docker app:1"},
	{"docker create --label a=b -- app:1", "docker app:1"},
	{"docker run -v/a:/b -w=/x --network host --privileged registry.example.com:5000/a/b@sha256:0",
	 "docker registry.example.com:5000/a/b@sha256:0"},
	{"docker service create --replicas 3 -q --with-registry-auth app:2 cmd", "docker app:2"},
	{"docker service update --image app:3 web", "docker app:3"},
	{"docker service update --force --image=app:3 web", "docker app:3"},
	{"docker run --frobnicate x app:1", "docker ?option '--frobnicate' of 'run' is not known"},
	{"docker --frobnicate run app:1", "docker ?option '--frobnicate' of docker is not known"},
	{"docker run ${OPTS} app:1", "docker ?'${OPTS}' has no value in the image"},
	{"docker run app:${TAG}", "docker ?'app:${TAG}' has no value in the image"},
	{"docker run app:${TAG:-5}", "docker app:5"},
	{"docker run app:%H", "docker ?'app:%H' has no value in the image"},
	{"docker run \"\"", "docker ?the name of the image is empty"},
	{"docker run", NULL},
	{"docker ps -a", NULL},
	{"docker pull app:1", NULL},
	{"docker", NULL},
	{"/usr/sbin/dockerd -H fd://", NULL},
	{"/usr/bin/logger docker run app:1", NULL},
	{"/bin/sh -c 'docker run app:1 && docker run app:2; true # docker run app:3'",
	 "docker app:1\ndocker app:2"},
	{"/bin/bash -ec \"if ! docker run --rm app:1; then exec docker run app:2; fi\"",
	 "docker app:1\ndocker app:2"},
	{"/bin/sh -e -c 'sh -c \"docker run app:1\" | cat'", "docker app:1"},
	{"/bin/sh -c 'docker run app:$(cat /etc/tag)'",
	 "docker ?'app:$' has no value in the image"},
	{"/usr/bin/env A=b docker run app:1", "docker app:1"},
	{"/usr/bin/timeout 10 docker run app:1", "docker app:1"},
	{"A=b ; docker run app:1", "docker app:1"},
	{"/bin/true ; /usr/bin/docker run app:1", "docker app:1"},
	{"podman run --replace --sdnotify conmon app:1", "podman app:1"},
	{"podman --log-level debug create --pod p app:1", "podman app:1"},
	{"podman run --rootfs /srv/root sh", NULL},
	{"nerdctl -n k8s.io run -d --restart always app:1", "containerd app:1"},
	{"ctr -n k8s.io run --rm --net-host -d docker.io/a/b:1 id sh",
	 "containerd docker.io/a/b:1"},
	{"ctr --namespace k8s.io containers create --label a=b docker.io/a/b:1 id",
	 "containerd docker.io/a/b:1"},
	{"ctr image ls", NULL},
	{"docker compose -f - up", NULL},
	{"docker compose up", "docker ?no Compose file is named, and none is in '/'"},
	{"docker-compose -f /no/such.yaml up", "docker ?'/no/such.yaml' is not in the image"},
};

TEST(command_lines)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		CLEANUP(str_free) struct str want = {0};
		CLEANUP_FREE char *unit = mem_printf("[Service]\nExecStart=%s\n", commands[i].exec);
		CLEANUP_FREE char *copy = mem_strdup(commands[i].want ? commands[i].want : "");
		char *have, *save = NULL;

		start();
		put_enabled("a.service", unit);
		str_add(&want, "");
		for (char *w = strtok_r(copy, "\n", &save); w; w = strtok_r(NULL, "\n", &save))
			str_addf(&want, "%s a.service:2\n", w);
		have = found();
		if (strcmp(have, want.data) != 0)
			FAIL("%s\n got: %s\nwant: %s", commands[i].exec, have, want.data);
		free(have);
	}
}

TEST(lines_are_those_of_the_file)
{
	start();
	put_enabled("a.service", "# docker run no:1\n[Service]\nExecStartPre=/bin/true\n"
				 "ExecStart=/usr/bin/docker run \\\n  --rm \\\n# between\n  app:1\n"
				 "ExecStop=docker run app:2\n");
	check_found("docker app:1 a.service:4\ndocker app:2 a.service:8\n");
}

TEST(variables_of_units)
{
	start();
	put("/etc/default/app", "# TAG=no\nTAG='7'\nexport MORE=\"--rm -d\"\n");
	put_enabled("a@.service", "[Service]\nEnvironment=NAME=app \"ARGS=--rm --init\"\n"
				  "EnvironmentFile=-/etc/default/app\nEnvironmentFile=-/no/such\n"
				  "ExecStart=docker run $ARGS ${NAME}:${TAG}\n"
				  "ExecStartPost=docker run $MORE %p:%i\n"
				  "ExecStop=sh -c 'docker run $${NAME}:8'\n");
	put_link("/etc/systemd/system/multi-user.target.wants/a@x1.service", UNITS "a@.service");
	tree_remove(tree, "/etc/systemd/system/multi-user.target.wants/a@.service");
	check_found("docker app:7 a@.service:5\ndocker a:x1 a@.service:6\n"
		    "docker app:8 a@.service:7\n");
}

TEST(only_enabled_units_count)
{
	start();
	put(UNITS "off.service", "[Service]\nExecStart=docker run off:1\n");
	put_enabled("masked.service", "[Service]\nExecStart=docker run masked:1\n");
	put_link("/etc/systemd/system/masked.service", "/dev/null");
	put_enabled("a.timer", "[Timer]\nOnBootSec=1\n");
	put(UNITS "a.service", "[Service]\nExecStart=docker run timer:1\n");
	put_enabled("b.path", "[Path]\nUnit=c.service\n");
	put(UNITS "c.service", "[Unit]\nWants=d.service none.service e@%p.service\n"
			       "[Service]\nExecStart=docker run path:1\n");
	put(UNITS "d.service", "[Service]\nExecStart=docker run wanted:1\n");
	put(UNITS "e@.service", "[Service]\nExecStart=docker run of:%i\n");
	check_found("docker timer:1 a.service:2\ndocker path:1 c.service:4\n"
		    "docker wanted:1 d.service:2\ndocker of:c e@.service:2\n");
}

TEST(services_enable_and_presets_count)
{
	static const char *names[] = {"on.service"};

	start();
	profile.services.enable = (struct profile_list){names, 1};
	put(UNITS "on.service", "[Service]\nExecStart=docker run on:1\n");
	put(UNITS "preset.service",
	    "[Service]\nExecStart=docker run preset:1\n[Install]\nWantedBy=x.target\n");
	put(UNITS "static.service", "[Service]\nExecStart=docker run static:1\n");
	put(UNITS "not.service",
	    "[Service]\nExecStart=docker run not:1\n[Install]\nWantedBy=x.target\n");
	put("/usr/lib/systemd/system-preset/50-x.preset",
	    "# enable not.service\nenable preset.*\nenable static.service\n");
	put("/usr/lib/systemd/system-preset/40-x.preset", "enable not.service\n");
	put("/etc/systemd/system-preset/40-x.preset", "disable not.service\n");
	check_found("docker on:1 on.service:2\ndocker preset:1 preset.service:2\n");
}

TEST(drop_ins_change_commands)
{
	start();
	put_enabled("a.service", "[Service]\nExecStart=docker run old:1\n");
	put("/etc/systemd/system/a.service.d/10.conf",
	    "[Service]\nExecStart=\nExecStart=docker run new:1\n");
	put(UNITS "a.service.d/20.conf", "[Service]\nExecStartPre=docker run hidden:1\n");
	put("/etc/systemd/system/a.service.d/20.conf",
	    "[Service]\nExecStartPre=docker run more:1\n");
	check_found("docker new:1 10.conf:3\ndocker more:1 20.conf:2\n");
}

TEST(quadlets)
{
	start();
	put("/etc/containers/systemd/a.container",
	    "[Container]\nImage=app:1\n[Install]\nWantedBy=multi-user.target\n");
	put("/usr/share/containers/systemd/b.container", "[Container]\nImage=off:1\n");
	put("/usr/share/containers/systemd/c.container",
	    "[Container]\nImage=c.image\n[Install]\nWantedBy=multi-user.target\n");
	put("/usr/share/containers/systemd/c.image", "[Image]\nImage=pulled:1\n");
	put("/usr/share/containers/systemd/d.container",
	    "[Container]\nImage=d.build\n[Install]\nWantedBy=multi-user.target\n");
	check_found("podman app:1 a.container:2\npodman pulled:1 c.image:2\n");
}

static const char compose[] =
	"x-base: &base\n  image: ${REGISTRY:-registry.example.com}/base:${TAG}\n"
	"services:\n"
	"  web:\n    image: \"web:${TAG-1}\"\n"
	"  worker:\n    <<: *base\n    command: [a]\n"
	"  own:\n    <<: *base\n    image: own:1\n"
	"  built:\n    build: .\n"
	"  secret:\n    image: ${SECRET:?must be set}\n";

TEST(compose_files_by_their_name)
{
	start();
	put("/srv/app/compose.yaml", compose);
	put("/srv/app/.env", "TAG=9\n");
	put("/srv/openstack.yaml", "clouds: {a: {image: x}}\n");
	put("/srv/MyStack.yml", "services: {a: {image: stack:1}}\n");
	put("/srv/docker-compose.prod.yml", "services: {a: {image: !reset prod:1}}\n");
	put("/srv/compose.txt", "services: {a: {image: text:1}}\n");
	put_from("/usr/share/doc/x/docker-compose.yml", "services: {a: {image: doc:1}}\n",
		 PACKAGES_ORIGIN);
	put("/usr/share/ingot/containers/layers/0/compose.yaml",
	    "services: {a: {image: layer:1}}\n");
	check_found("any stack:1 MyStack.yml:1\n"
		    "any web:9 compose.yaml:5\n"
		    "any registry.example.com/base:9 compose.yaml:2\n"
		    "any own:1 compose.yaml:11\n"
		    "any ?'${SECRET:?must be set}' has no value in the image compose.yaml:15\n"
		    "any prod:1 docker-compose.prod.yml:1\n");
}

TEST(compose_files_take_in_others)
{
	start();
	put("/srv/compose.yaml",
	    "include:\n- a.yaml\n- path: ./sub/b.yaml\n- path: [c.yaml, none.yaml]\n"
	    "- https://example.com/d.yaml\n"
	    "services:\n  x:\n    extends: {file: e.yaml, service: y}\n");
	put("/srv/a.yaml", "include: [compose.yaml, a.yaml]\nservices: {a: {image: a:1}}\n");
	put("/srv/sub/b.yaml", "services: {b: {image: b:1}}\n");
	for (int i = 0; i < 20; i++) {
		CLEANUP_FREE char *path = mem_printf("/deep/%d%s.yaml", i, i ? "" : "-compose");
		CLEANUP_FREE char *text =
			mem_printf("include: [%d.yaml]\nservices: {a: {command: x}}\n", i + 1);

		put(path, text);
	}
	put("/srv/c.yaml", "services: {c: {image: 'c:${T}'}}\n");
	put("/srv/e.yaml", "services: {y: {image: e:1}}\n");
	put("/srv/.env", "T=1\n");
	check_found("any ?'/deep/17.yaml' is too deep in others 16.yaml:1\n"
		    "any a:1 a.yaml:2\nany b:1 b.yaml:1\nany c:1 c.yaml:1\n"
		    "any ?'/srv/none.yaml' is not in the image compose.yaml:4\n"
		    "any ?it is not known where 'https://example.com/d.yaml' is compose.yaml:5\n"
		    "any e:1 e.yaml:1\n");
}

TEST(compose_files_that_units_name)
{
	start();
	put("/usr/share/app/a.yaml", "services: {a: {image: 'a:${TAG:-1}'}}\n");
	put("/usr/share/app/compose.yml", "services: {b: {image: 'b:${TAG:-1}'}}\n");
	put("/usr/share/app/.env", "TAG=env\n");
	put_enabled("a.service", "[Service]\nWorkingDirectory=/usr/share/app\nEnvironment=TAG=2\n"
				 "ExecStart=docker compose -p x -f ./a.yaml up -d\n"
				 "ExecStartPost=docker stack deploy --prune -c a.yaml name\n"
				 "ExecStop=docker-compose up\n");
	put_enabled("b.service",
		    "[Service]\nExecStart=docker stack deploy -c/usr/share/app/a.yaml x\n");
	check_found("docker a:2 a.yaml:1\ndocker b:2 compose.yml:1\ndocker a:1 a.yaml:1\n");
}

TEST(kubernetes_objects)
{
	start();
	put("/etc/kubernetes/manifests/a.yaml",
	    "kind: Pod\nspec:\n  initContainers:\n  - image: init:1\n  containers:\n"
	    "  - name: a\n    image: main:1\n  volumes:\n  - image: {reference: vol:1}\n"
	    "---\nkind: Pod\nspec: {containers: [{image: second:1}]}\n");
	put("/etc/kubernetes/manifests/.b.yaml", "spec: {containers: [{image: hidden:1}]}\n");
	put("/srv/kube.yaml", "spec: {template: {spec: {containers: [{image: played:1}]}}}\n");
	put_enabled("p.service",
		    "[Service]\nExecStart=podman kube play --replace /srv/kube.yaml\n");
	check_found("podman played:1 kube.yaml:1\n"
		    "containerd init:1 a.yaml:4\ncontainerd main:1 a.yaml:7\n"
		    "containerd second:1 a.yaml:12\n");
}

TEST(sandbox_of_containerd)
{
	static const char *engines[] = {"containerd"};

	start();
	put("/etc/containerd/config.toml", "# sandbox_image = \"no:1\"\n[plugins]\n"
					   "  sandbox_image = \"registry.example.com/pause:3\"\n");
	check_found("");
	profile.containers.engines = (struct profile_list){engines, 1};
	check_found("containerd registry.example.com/pause:3 config.toml:3\n");
}

TEST(broken_files_are_told)
{
	start();
	put("/srv/compose.yaml", "services:\n  a: {image: x\n");
	put("/srv/two-compose.yaml", "services: {a: {image: x}}\nservices: {}\n");
	check_found(
		"any ?/srv/compose.yaml:3:1: not valid YAML: did not find expected ',' or '}' "
		"compose.yaml:0\n"
		"any ?/srv/two-compose.yaml:2:1: duplicate key 'services' two-compose.yaml:0\n");
}

/* ---- comparing ---- */

static char *normalise(const char *text, struct err *err)
{
	if (strchr(text, ' ')) {
		err_set(err, ERR_PROFILE, "a blank");
		return NULL;
	}
	return strchr(text, ':') ? mem_strdup(text) : mem_printf("%s:latest", text);
}

static const char *const docker_only[] = {"docker"};
static const char *const app_names[] = {"app:1", "app@sha256:0", NULL};
static const char *const idle_names[] = {"idle:latest", NULL};
static const char *const there[] = {"elsewhere"};

/* Compares the tree with app:1, idle and elsewhere; returns what is logged, to be freed. */
static char *compare(size_t engine_count, int want, struct err *err)
{
	CLEANUP(imageuse_list_free) struct imageuse_list list = {0};
	struct imageuse_image images[] = {{"app:1", app_names}, {"idle", idle_names}};
	struct profile_list engines = {(const char **)docker_only, engine_count};
	struct profile_list elsewhere = {(const char **)there, 1};
	struct imageuse_known known = {images, 2, &elsewhere, &engines, normalise};
	struct err ignored = {0};
	FILE *file = tmpfile();
	int saved = dup(2), r;
	char *text;
	size_t len;

	CHECK(file && saved >= 0);
	CHECK_OK(imageuse_find(tree, &profile, &list, &ignored), &ignored);
	CHECK(dup2(fileno(file), 2) == 2);
	r = imageuse_check(&list, &known, err);
	CHECK(dup2(saved, 2) == 2);
	close(saved);
	CHECK_INT(r, want);
	len = (size_t)lseek(fileno(file), 0, SEEK_END);
	text = mem_alloc(len + 1);
	CHECK(pread(fileno(file), text, len, 0) == (ssize_t)len);
	fclose(file);
	return text;
}

TEST(what_is_there_is_fine)
{
	struct err err = {0};
	char *log;

	start();
	put_enabled("a.service", "[Service]\nExecStart=docker run app:1\n"
				 "ExecStartPost=docker run elsewhere\n"
				 "ExecStop=docker run app@sha256:0\n");
	log = compare(1, 0, &err);
	CHECK_CONTAINS(log, "nothing in the image uses the container image 'idle'");
	CHECK(!strstr(log, "'app:1'") && !strstr(log, "warning"));
	free(log);
}

TEST(what_is_missing_is_an_error)
{
	struct err err = {0};
	char *log;

	start();
	put_enabled("a.service", "[Service]\nExecStart=docker run app:2\n");
	put("/srv/compose.yaml", "services: {a: {image: app:1}, b: {image: other}}\n");
	put("/etc/kubernetes/manifests/p.yaml", "spec: {containers: [{image: app:1}]}\n");
	put("/etc/containers/systemd/q.container",
	    "[Container]\nImage=app:1\n[Install]\nWantedBy=x.target\n");
	log = compare(1, -1, &err);
	CHECK_INT(err.code, ERR_LINT);
	CHECK_CONTAINS(err.msg, "uses 4 container images that it does not have:");
	CHECK_CONTAINS(err.msg, "\n    " UNITS "a.service:2: app:2: not preloaded");
	CHECK_CONTAINS(err.msg, "\n    /srv/compose.yaml:1: other: not preloaded");
	CHECK_CONTAINS(err.msg, "/etc/kubernetes/manifests/p.yaml:1: app:1: preloaded, but not for "
				"containerd");
	CHECK_CONTAINS(err.msg, "q.container:2: app:1: podman has no preloaded images");
	CHECK_CONTAINS(err.hint, "containers.elsewhere");
	free(log);
}

TEST(what_cannot_be_told_is_a_warning)
{
	struct err err = {0};
	char *log;

	start();
	put_enabled("a.service", "[Service]\nExecStart=docker run app:${X}\n"
				 "ExecStop=docker run 'a b'\n");
	log = compare(1, 0, &err);
	CHECK_CONTAINS(log,
		       "cannot tell which image '" UNITS "a.service:2' uses: 'app:${X}' has no "
		       "value in the image");
	CHECK_CONTAINS(log, "cannot tell which image '" UNITS "a.service:3' uses: 'a b': a blank");
	free(log);
}

/* Without engines and Compose files nobody asked for this; with a Compose file its images are wanted. */
TEST(applies_with_engines_or_compose_files)
{
	struct err err = {0};
	char *log;

	start();
	put_enabled("a.service", "[Service]\nExecStart=docker run app:2\n");
	log = compare(0, 0, &err);
	CHECK_STR(log, "");
	free(log);
	put("/srv/stack.yaml", "services: {a: {image: app:1}}\n");
	log = compare(0, -1, &err);
	CHECK_CONTAINS(err.msg, "app:2: not preloaded");
	free(log);
}

TEST(many_findings_are_cut)
{
	struct str text = {0};
	struct err err = {0};

	start();
	str_add(&text, "services:\n");
	for (int i = 0; i < 30; i++)
		str_addf(&text, "  s%02d: {image: missing:%02d}\n", i, i);
	put("/srv/compose.yaml", text.data);
	str_free(&text);
	free(compare(1, -1, &err));
	CHECK_CONTAINS(err.msg, "uses 30 container images");
	CHECK_CONTAINS(err.msg, "missing:09");
	CHECK(!strstr(err.msg, "missing:10"));
	CHECK(str_has_suffix(err.msg, "\n    ..."));
}
