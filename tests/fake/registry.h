/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts tests/fake/registry and other servers for a test, and a certificate authority with a certificate for
 * loopback. All die with the test.
 */
#ifndef TESTS_FAKE_REGISTRY_H
#define TESTS_FAKE_REGISTRY_H

#include "fake/http.h"

/* A file of the source tree: the test lies in build/<variant>/tests there. */
__attribute__((unused)) static const char *source_file(const char *path)
{
	static char text[2 * PATH_MAX];
	char program[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);
	char *build;

	if (len < 0)
		FAIL("cannot tell where this test is: %s", strerror(errno));
	program[len] = '\0';
	build = strstr(program, "/build/");
	if (!build)
		FAIL("'%s' is not below build/", program);
	*build = '\0';
	snprintf(text, sizeof(text), "%s/%s", program, path);
	return text;
}

/* What this machine uses for the world, and for registries, is not for the test. */
static void clean_environment(void)
{
	static const char *const names[] = {
		"http_proxy",         "https_proxy",   "HTTPS_PROXY",    "all_proxy",
		"ALL_PROXY",          "no_proxy",      "NO_PROXY",       "DOCKER_AUTH_CONFIG",
		"REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"};
	char here[PATH_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
	if (!getcwd(here, sizeof(here)))
		FAIL("cannot tell the folder: %s", strerror(errno));
	setenv("HOME", here, 1);
}

static pid_t server_pid; /* of the last that was started */

/* Starts a program with its standard output in a pipe, whose end is returned, and its errors in server.log. */
__attribute__((unused)) static int start_server(const char *const *argv)
{
	int out[2];
	pid_t pid;

	clean_environment();
	if (pipe2(out, O_CLOEXEC) < 0)
		FAIL("cannot make a pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		FAIL("cannot fork: %s", strerror(errno));
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], STDOUT_FILENO);
		dup2(open("server.log", O_WRONLY | O_CREAT | O_APPEND, 0600), STDERR_FILENO);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	close(out[1]);
	server_pid = pid;
	return out[0];
}

/* Starts the fault server with further arguments (ended by NULL); returns its port. */
__attribute__((unused)) static unsigned int fake_registry(const char *const *arguments)
{
	const char *argv[16] = {"python3", source_file("tests/fake/registry")};
	char text[16] = "";
	ssize_t n;
	int out;

	for (size_t i = 0; arguments && arguments[i] && i < 12; i++)
		argv[i + 2] = arguments[i];
	out = start_server(argv);
	n = read(out, text, sizeof(text) - 1);
	if (n <= 0 || atoi(text) <= 0)
		FAIL("the fault server did not start");
	return (unsigned int)atoi(text);
}

__attribute__((unused)) static void run_program(const char *const *argv)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		dup2(open("run.log", O_WRONLY | O_CREAT | O_APPEND, 0600), STDERR_FILENO);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
		FAIL("'%s %s' failed: %s", argv[0], argv[1], tap_slurp("run.log", NULL));
}

/* Writes ca.pem, server.pem and server.key into this folder: an authority, and its certificate for loopback. */
__attribute__((unused)) static void make_certificates(void)
{
	static const char *const ca[] = {"openssl",  "req",
					 "-x509",    "-newkey",
					 "rsa:2048", "-nodes",
					 "-days",    "2",
					 "-keyout",  "ca.key",
					 "-out",     "ca.pem",
					 "-subj",    "/CN=test authority",
					 NULL};
	static const char *const request[] = {"openssl",    "req",     "-newkey",       "rsa:2048",
					      "-nodes",     "-keyout", "server.key",    "-out",
					      "server.csr", "-subj",   "/CN=localhost", NULL};
	static const char *const sign[] = {
		"openssl",    "x509",   "-req",     "-in",    "server.csr",
		"-CA",        "ca.pem", "-CAkey",   "ca.key", "-CAcreateserial",
		"-days",      "2",      "-extfile", "names",  "-out",
		"server.pem", NULL};
	static const char names[] = "subjectAltName=DNS:localhost,IP:127.0.0.1\n";

	tap_spew("names", names, strlen(names));
	run_program(ca);
	run_program(request);
	run_program(sign);
}

#endif
