/*
 * Fuzzes configuration files. What is accepted must keep the table's promises (names valid, numbers
 * in range, required keys there) and read the same twice; what is refused must say why.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/config.h"
#include "base/str.h"

struct sample {
	char *name, *text, *path;
	uint64_t port;
	int64_t wait_sec;
	bool loud;
};

static const struct config_key keys[] = {
	{ "", "name", CONFIG_NAME, offsetof(struct sample, name), NULL, true, 0, 0, "Name." },
	{ "", "text", CONFIG_TEXT, offsetof(struct sample, text), NULL, false, 0, 0, "Text." },
	{ "net", "path", CONFIG_PATH, offsetof(struct sample, path), "/run", false, 0, 0, "Path." },
	{ "net", "port", CONFIG_COUNT, offsetof(struct sample, port), "8443", false, 1, 65535,
	        "P." },
	{ "net", "wait", CONFIG_DURATION, offsetof(struct sample, wait_sec), "30s", false, 1, 60,
	        "Wait." },
	{ "net", "loud", CONFIG_BOOL, offsetof(struct sample, loud), "no", false, 0, 0, "Loud." },
	{ 0 },
};

static void require(bool condition)
{
	if (!condition) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sample one = { 0 }, two = { 0 };
	struct err err = { 0 }, again = { 0 };
	char path[64];
	int fd = memfd_create("config", MFD_CLOEXEC);
	int r;

	require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = config_read(path, keys, &one, &err);
	require(r == 0 || r == 1);
	require(config_read(path, keys, &two, &again) == r);
	if (r == 0) {
		require(one.name && name_valid(one.name));
		require(one.port >= 1 && one.port <= 65535);
		require(one.wait_sec >= 1 && one.wait_sec <= 60);
		require(one.path && one.path[0] == '/');
		require(strcmp(one.name, two.name) == 0 && one.port == two.port);
	} else {
		require(strstr(err.text, path) == err.text && strcmp(err.text, again.text) == 0);
	}
	config_clear(keys, &one);
	config_clear(keys, &two);
	require(!one.name && !one.text && !two.path);
	close(fd);
	return 0;
}
