#include "center/process.h"

#include <errno.h>
#include <libgen.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#define PATHS_MAX 48

int process_configure(
        const struct process_arguments *arguments, const char *name, struct center_config *config)
{
	static const char *const levels[] = { "error", "warning", "info", "debug" };
	struct err err = { 0 };

	log_open(name, LOG_INFO);
	if (center_config_read(arguments->config_path, config, &err) != 0) {
		log_error("%s", err.text);
		return 1;
	}
	for (size_t i = 0; i < ARRAY_COUNT(levels); i++) {
		if (text_equal(config->log_level, levels[i])) {
			log_open(name, (enum log_level)i);
		}
	}
	return 0;
}

struct paths {
	struct sandbox_path items[PATHS_MAX];
	size_t count;
};

static void add(struct paths *paths, const char *path, unsigned access)
{
	assert_always(paths->count + 1 < PATHS_MAX);
	paths->items[paths->count++] = (struct sandbox_path){ mem_string(path), access };
}

/* Files are replaced by renaming, so it is the directory that has to be open to us. */
static void add_directory_of(struct paths *paths, const char *path, unsigned access)
{
	AUTO_STRING char *copy = mem_string(path);

	if (copy) {
		add(paths, dirname(copy), access);
	}
}

/* SoftHSM's own file says where its tokens are. */
static void add_softhsm(struct paths *paths, const char *conf)
{
	AUTO_BUF struct buf text = BUF(CONFIG_BYTES_MAX);
	struct err err;
	char *rest, *line;

	add_directory_of(paths, conf, SANDBOX_READ);
	if (!conf || file_read(conf, &text, &err) < 0 || text.count == 0) {
		return;
	}
	rest = (char *)text.bytes;
	while ((line = strsep(&rest, "\n"))) {
		char *value = strchr(line, '=');

		if (text_starts(line, "directories.tokendir") && value) {
			value += 1 + strspn(value + 1, " \t");
			value[strcspn(value, " \t\r")] = '\0';
			add(paths, value, SANDBOX_WRITE);
		}
	}
}

static void add_tokens(struct paths *paths, const struct center_config *config)
{
	static const char *const places[] = { "/var/lib/softhsm", "/var/lib/tpm2_pkcs11",
		"/run/pcscd", "/dev/tpmrm0", "/dev/tpm0", "/run/p11-kit" };
	const struct center_token *const tokens[] = { &config->tls_token, &config->ca_token };

	for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
		add(paths, places[i], SANDBOX_WRITE);
	}
	for (size_t i = 0; i < ARRAY_COUNT(tokens); i++) {
		add_softhsm(paths, tokens[i]->softhsm_conf);
		add_directory_of(paths, tokens[i]->module, SANDBOX_READ | SANDBOX_EXECUTE);
	}
}

const struct sandbox_path *process_paths(const struct process_arguments *arguments,
        const struct center_config *config, bool tokens, bool state)
{
	static struct paths paths;

	add(&paths, "/dev/urandom", SANDBOX_READ);
	add(&paths, "/dev/null", SANDBOX_READ | SANDBOX_WRITE);
	add(&paths, "/usr/lib", SANDBOX_READ | SANDBOX_EXECUTE);
	add(&paths, "/usr/share/zoneinfo", SANDBOX_READ);
	add(&paths, "/etc/localtime", SANDBOX_READ);
	add(&paths, "/etc/ssl", SANDBOX_READ);
	add(&paths, "/etc/ld.so.cache", SANDBOX_READ);
	add_directory_of(&paths, arguments->config_path, SANDBOX_READ);
	add_directory_of(&paths, config->tls_chain, SANDBOX_READ);
	add_directory_of(&paths, config->root, SANDBOX_READ);
	add_directory_of(&paths, config->device_ca, SANDBOX_READ);
	add_directory_of(&paths, config->service_ca, SANDBOX_READ);
	add_directory_of(&paths, config->ocsp_certificate, SANDBOX_READ);
	if (tokens) {
		add_tokens(&paths, config);
	}
	if (state) {
		add_directory_of(&paths, config->database, SANDBOX_WRITE);
		add_directory_of(&paths, config->checkpoint_copy, SANDBOX_WRITE);
		add_directory_of(&paths, config->first_token, SANDBOX_WRITE);
		add_directory_of(&paths, arguments->first_token, SANDBOX_WRITE);
	}
	paths.items[paths.count] = (struct sandbox_path){ 0 };
	return paths.items;
}

int control_send(int fd, enum control_kind kind, unsigned index, int passed)
{
	uint8_t bytes[2] = { (uint8_t)kind, (uint8_t)index };
	struct iovec part = { bytes, sizeof(bytes) };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.room) };
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &passed, sizeof(int));
	return sendmsg(fd, &message, MSG_NOSIGNAL) == sizeof(bytes) ? 0 : FAULT(-errno);
}

int control_receive(int fd, enum control_kind *ret_kind, unsigned *ret_index, int *ret_passed)
{
	uint8_t bytes[2];
	struct iovec part = { bytes, sizeof(bytes) };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.room) };
	struct cmsghdr *head;
	ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);

	if (got < 0) {
		return FAULT(-errno);
	}
	head = CMSG_FIRSTHDR(&message);
	if (got != sizeof(bytes) || !head || head->cmsg_type != SCM_RIGHTS) {
		return 1;
	}
	memcpy(ret_passed, CMSG_DATA(head), sizeof(int));
	*ret_kind = (enum control_kind)bytes[0];
	*ret_index = bytes[1];
	return 0;
}
