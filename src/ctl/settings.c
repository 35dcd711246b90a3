#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/config.h"
#include "base/limits.h"
#include "base/str.h"
#include "ctl/ctl.h"

#define AT(field) offsetof(struct settings, field)

/* clang-format off */
static const struct config_key keys[] = {
	{ "", "center", CONFIG_TEXT, AT(center), NULL, false, 0, 0, "The center's host name or address." },
	{ "", "operator-port", CONFIG_COUNT, AT(operator_port), "8445", false, 1, 65535, "Its port for operators." },
	{ "", "public-port", CONFIG_COUNT, AT(public_port), "8080", false, 1, 65535, "Its public port (ledger, revocation lists)." },
	{ "", "server-name", CONFIG_TEXT, AT(server_name), NULL, false, 0, 0, "The name in the center's certificate, where it is not the host above." },
	{ "", "root", CONFIG_PATH, AT(root), NULL, false, 0, 0, "The accreditor's root certificate; the center is checked against it." },
	{ "", "token-file", CONFIG_PATH, AT(token_file), NULL, false, 0, 0, "File with the operator's access token, mode 0600." },
	{ "token", "module", CONFIG_PATH, AT(module), NULL, false, 0, 0, "PKCS#11 module." },
	{ "token", "label", CONFIG_TEXT, AT(token), NULL, false, 0, 0, "Label of the PKCS#11 token." },
	{ "token", "pin-file", CONFIG_PATH, AT(pin_file), NULL, false, 0, 0, "File with its PIN, mode 0600." },
	{ "gateway", "socket", CONFIG_PATH, AT(socket), "/run/sekisho/gateway.socket", false, 0, 0, "The gateway's local socket." },
	{ 0 },
};
/* clang-format on */

static const struct {
	const char *option, *environment;
	size_t offset;
	uint64_t max; /* of a number; 0: a text */
} sources[] = {
	{ "center", "SEKISHO_CENTER", AT(center), 0 },
	{ "operator-port", "SEKISHO_OPERATOR_PORT", AT(operator_port), 65535 },
	{ "public-port", "SEKISHO_PUBLIC_PORT", AT(public_port), 65535 },
	{ "server-name", "SEKISHO_SERVER_NAME", AT(server_name), 0 },
	{ "root", "SEKISHO_ROOT", AT(root), 0 },
	{ "token-file", "SEKISHO_TOKEN_FILE", AT(token_file), 0 },
	{ "module", "SEKISHO_MODULE", AT(module), 0 },
	{ "token", "SEKISHO_TOKEN", AT(token), 0 },
	{ "pin-file", "SEKISHO_PIN_FILE", AT(pin_file), 0 },
	{ "socket", "SEKISHO_SOCKET", AT(socket), 0 },
};

/* An option of the command line with this name, if the command has it and it was given. */
static const char *given(const struct ctl *ctl, const char *name)
{
	for (size_t i = 0; i < ctl->arguments.count; i++) {
		const struct argument *argument = &ctl->arguments.items[i];

		/* Only the shared options are settings; a command's own one of that name is not. */
		for (unsigned group = 0; group < GROUP_COUNT; group++) {
			for (const struct option *option = command_group(group); option->name;
			        option++) {
				if (argument->option == option && argument->count > 0 &&
				        text_equal(option->name, name)) {
					return argument->values[0];
				}
			}
		}
	}
	return NULL;
}

static int override(struct ctl *ctl, size_t index)
{
	const char *option = given(ctl, sources[index].option);
	const char *text = option ? option : getenv(sources[index].environment);
	void *place = (char *)&ctl->settings + sources[index].offset;

	if (!text || *text == '\0') {
		return CTL_OK;
	}
	if (sources[index].max == 0) {
		free(*(char **)place);
		*(char **)place = mem_string(text);
		return CTL_OK;
	}
	if (unsigned_parse(text, sources[index].max, place) != 0 || *(uint64_t *)place == 0) {
		return ctl_fail(ctl, CTL_USAGE, "%s: \"%.40s\" is not a port",
		        sources[index].environment, text);
	}
	return CTL_OK;
}

/* The file and whether it has to be there. */
static char *find_file(const struct ctl *ctl, bool *ret_wanted)
{
	const char *path = ctl_text(ctl, "config"), *home = getenv("HOME");
	const char *directory = getenv("XDG_CONFIG_HOME");

	path = path ? path : getenv("SEKISHO_CONFIG");
	*ret_wanted = path && *path;
	if (*ret_wanted) {
		return mem_string(path);
	}
	if (directory && *directory) {
		return mem_format("%s/sekisho/client.conf", directory);
	}
	return home && *home ? mem_format("%s/.config/sekisho/client.conf", home) : NULL;
}

int settings_read(struct ctl *ctl)
{
	bool wanted;
	AUTO_STRING char *path = find_file(ctl, &wanted);
	int r = 0;

	if (wanted || (path && access(path, F_OK) == 0)) {
		r = config_read(path, keys, &ctl->settings, &ctl->err);
	} else {
		ctl->settings.operator_port = 8445;
		ctl->settings.public_port = 8080;
		ctl->settings.socket = mem_string("/run/sekisho/gateway.socket");
	}
	if (r != 0) {
		return r == -ENOENT ? CTL_NOT_FOUND : r > 0 ? CTL_USAGE : CTL_FAILED;
	}
	for (size_t i = 0; i < ARRAY_COUNT(sources) && r == 0; i++) {
		r = override(ctl, i);
	}
	return r;
}

void settings_clear(struct settings *settings)
{
	config_clear(keys, settings);
}

void settings_print_sample(void)
{
	config_print_sample(keys);
}
