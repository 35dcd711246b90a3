#include "gateway/config.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "gateway/dataplane.h"

#define FIELD(name) offsetof(struct gateway_config, name)

static const char *const gateway_zone_keys[] = { "zone-dmz", "zone-sz", "zone-hsz" };

const struct config_key gateway_config_keys[] = {
	{ "", "provider", CONFIG_NAME, FIELD(provider), NULL, true, 0, 0,
	        "The provider whose service this gateway uses." },
	{ "", "center", CONFIG_TEXT, FIELD(center), NULL, true, 0, 0,
	        "Host name or address of the provider's center." },
	{ "", "device-port", CONFIG_COUNT, FIELD(device_port), "8443", false, 1, 65535,
	        "The center's port for gateways with a service certificate." },
	{ "", "enrol-port", CONFIG_COUNT, FIELD(enrol_port), "8444", false, 1, 65535,
	        "The center's port for enrolment (EST)." },
	{ "", "trust-root", CONFIG_PATH, FIELD(trust_root), "/etc/sekisho/root.pem", false, 0, 0,
	        "The accreditor's root certificate; everything is checked against it." },
	{ "", "site-owner", CONFIG_PATH, FIELD(site_owner), "/etc/sekisho/owner.pem", false, 0, 0,
	        "Public key of the site's owner, who signs the site's policy. Set up here, never "
	        "taken from the center." },
	{ "", "state-dir", CONFIG_PATH, FIELD(state_dir), "/var/lib/sekisho", false, 0, 0,
	        "Directory for what must survive a restart." },
	{ "", "run-dir", CONFIG_PATH, FIELD(run_dir), "/run/sekisho", false, 0, 0,
	        "Directory for sockets." },
	{ "", "user", CONFIG_TEXT, FIELD(user), "nobody", false, 0, 0,
	        "User that the process on the network (agent) runs as." },
	{ "", "charon", CONFIG_PATH, FIELD(charon), "/usr/sbin/charon-systemd", false, 0, 0,
	        "strongSwan's IKE daemon." },
	{ "", "log-level", CONFIG_TEXT, FIELD(log_level), "info", false, 0, 0,
	        "error, warning, info or debug." },
	{ "network", "wan", CONFIG_TEXT, FIELD(wan), "wan0", false, 0, 0,
	        "Interface towards the internet." },
	{ "network", "lan", CONFIG_TEXT, FIELD(lan), "lan0", false, 0, 0,
	        "Interface towards the site's own network." },
	{ "network", "allow-local", CONFIG_TEXT, FIELD(allow_local), "", false, 0, 0,
	        "TCP ports of the gateway itself that the site's own network may reach, separated "
	        "by commas." },
	{ "network", "service-prefix", CONFIG_TEXT, FIELD(service_prefix), "100.64.0.0/10", false,
	        0, 0,
	        "The range that holds the service addresses of every site of the provider, or two, "
	        "one of IPv4 and one of IPv6, separated by a comma; the packet filter guards "
	        "them." },
	{ "network", "zone-dmz", CONFIG_TEXT, FIELD(zones[0]), "", false, 0, 0,
	        "Interfaces behind which the hosts of zone dmz are, and nobody else, separated by "
	        "commas. Nothing passes between the interfaces of the site through the gateway." },
	{ "network", "zone-sz", CONFIG_TEXT, FIELD(zones[1]), "", false, 0, 0,
	        "The same for zone sz." },
	{ "network", "zone-hsz", CONFIG_TEXT, FIELD(zones[2]), "", false, 0, 0,
	        "The same for zone hsz, whose hosts may have remote maintenance only." },
	{ "network", "path-mtu", CONFIG_COUNT, FIELD(path_mtu), "1400", false, 1280, 9000,
	        "What the line to other gateways carries at least, in bytes; TCP in the tunnels is "
	        "kept small enough for it." },
	{ "network", "dataplane", CONFIG_TEXT, FIELD(dataplane), "auto", false, 0, 0,
	        "auto, kernel (ESP in the kernel) or libipsec (ESP in charon)." },
	{ "token", "module", CONFIG_PATH, FIELD(token_module), "/usr/lib/softhsm/libsofthsm2.so",
	        false, 0, 0, "PKCS#11 module of the token that holds this gateway's keys." },
	{ "token", "label", CONFIG_TEXT, FIELD(token_label), "sekisho", false, 0, 0,
	        "Label of the token." },
	{ "token", "pin-file", CONFIG_PATH, FIELD(token_pin_file), "/etc/sekisho/token.pin", false,
	        0, 0, "File with the token's PIN in its first line, mode 0600 or 0640." },
	{ "token", "softhsm-conf", CONFIG_PATH, FIELD(token_config), NULL, false, 0, 0,
	        "SoftHSM configuration file, where SoftHSM is the token." },
	{ "limits", "grant-max", CONFIG_DURATION, FIELD(grant_sec_max), "8h", false, 1,
	        GRANT_SEC_MAX,
	        "The longest connection this gateway opens, whatever the center grants." },
	{ "limits", "lease-max", CONFIG_DURATION, FIELD(lease_sec_max), "300s", false, 1,
	        LEASE_SEC_MAX, "The longest lease this gateway accepts." },
	{ 0 },
};

static bool one_of(const char *text, const char *const *words)
{
	for (; *words; words++) {
		if (text_equal(text, *words)) {
			return true;
		}
	}
	return false;
}

static int read_ports(const char *path, struct gateway_config *config, struct err *err)
{
	AUTO_STRING char *ports = mem_string(config->allow_local);
	char *rest = ports, *word;
	uint64_t port;

	while ((word = strsep(&rest, ", "))) {
		if (*word == '\0') {
			continue;
		}
		if (unsigned_parse(word, 65535, &port) != 0 || port == 0) {
			return err_set(err, 1, "%s: [network] allow-local: \"%s\" is not a port",
			        path, word);
		}
		if (config->local_port_count == GATEWAY_LOCAL_PORTS_MAX) {
			return err_set(err, 1, "%s: [network] allow-local: more than %d ports",
			        path, GATEWAY_LOCAL_PORTS_MAX);
		}
		config->local_ports[config->local_port_count++] = (uint16_t)port;
	}
	return 0;
}

/* Outcome 1: wrong. */
static int read_services(struct gateway_config *config)
{
	AUTO_STRING char *text = mem_string(config->service_prefix);
	char *rest = text, *word;

	while ((word = strsep(&rest, ", "))) {
		struct prefix prefix;
		size_t count = config->services_count;

		if (*word == '\0') {
			continue;
		}
		if (count == ARRAY_COUNT(config->services) || prefix_parse(word, &prefix) != 0 ||
		        prefix.bits < (prefix.address.family == ADDRESS_V4 ? 8 : 16) ||
		        (count > 0 &&
		                config->services[0].address.family == prefix.address.family)) {
			return 1;
		}
		config->services[config->services_count++] = prefix;
	}
	return config->services_count > 0 ? 0 : 1;
}

static int read_zones(const char *path, struct gateway_config *config, struct err *err)
{
	for (size_t zone = 0; zone < ARRAY_COUNT(config->zones); zone++) {
		AUTO_STRING char *names = mem_string(config->zones[zone]);
		char *rest = names, *word;

		while ((word = strsep(&rest, ", "))) {
			size_t *count = &config->zone_interface_count[zone];

			if (*word == '\0') {
				continue;
			}
			if (*count == GATEWAY_ZONE_INTERFACES_MAX ||
			        text_equal(word, config->wan)) {
				return err_set(err, 1,
				        "%s: [network] %s: a zone has at most %d interfaces, and "
				        "the wan interface is in none",
				        path, gateway_zone_keys[zone], GATEWAY_ZONE_INTERFACES_MAX);
			}
			config->zone_interfaces[zone][(*count)++] = mem_string(word);
		}
	}
	return 0;
}

static int read_network(const char *path, struct gateway_config *config, struct err *err)
{
	if (read_services(config) != 0) {
		return err_set(err, 1,
		        "%s: [network] service-prefix: must be an IPv4 prefix such as "
		        "100.64.0.0/10 (8 bits or more), an IPv6 prefix such as fd00:64::/32 (16 "
		        "bits or more), or both, separated by a comma, not \"%s\"",
		        path, config->service_prefix);
	}
	if (text_equal(config->wan, config->lan)) {
		return err_set(err, 1,
		        "%s: [network] wan and lan: must be two interfaces, not both \"%s\"", path,
		        config->wan);
	}
	return read_zones(path, config, err) ? 1 : read_ports(path, config, err);
}

int gateway_config_read(const char *path, struct gateway_config *config, struct err *err)
{
	enum dataplane plane;
	static const char *const levels[] = { "error", "warning", "info", "debug", NULL };
	int r;

	r = config_read(path, gateway_config_keys, config, err);
	if (r != 0) {
		return r;
	}
	if (dataplane_parse(config->dataplane, &plane) != 0) {
		return err_set(err, 1,
		        "%s: [network] dataplane: must be auto, kernel or libipsec, not \"%s\"",
		        path, config->dataplane);
	}
	if (!one_of(config->log_level, levels)) {
		return err_set(err, 1,
		        "%s: log-level: must be error, warning, info or debug, not \"%s\"", path,
		        config->log_level);
	}
	return read_network(path, config, err);
}

void gateway_config_clear(struct gateway_config *config)
{
	for (size_t zone = 0; zone < ARRAY_COUNT(config->zones); zone++) {
		while (config->zone_interface_count[zone] > 0) {
			free(config->zone_interfaces[zone][--config->zone_interface_count[zone]]);
		}
	}
	config_clear(gateway_config_keys, config);
}

enum log_level gateway_log_level(const struct gateway_config *config)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };

	for (int level = 0; level < (int)ARRAY_COUNT(names); level++) {
		if (text_equal(names[level], config->log_level)) {
			return (enum log_level)level;
		}
	}
	return LOG_INFO;
}

char *gateway_run_path(const struct gateway_config *config, const char *name)
{
	return mem_format("%s/%s", config->run_dir, name);
}

char *gateway_state_path(const struct gateway_config *config, const char *name)
{
	return mem_format("%s/%s", config->state_dir, name);
}
