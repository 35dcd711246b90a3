/* The gateway's configuration (gateway.conf): one table, read by every process of the program. */
#pragma once

#include <netinet/in.h>

#include "base/config.h"
#include "base/log.h"
#include "model/address.h"

#define GATEWAY_LOCAL_PORTS_MAX 16
#define GATEWAY_ZONE_INTERFACES_MAX 8

struct gateway_config {
	char *provider;       /* whose service this gateway uses */
	char *center;         /* host or address of the center */
	uint64_t device_port; /* listener `device` */
	uint64_t enrol_port;  /* listener `enrol` */
	char *trust_root;     /* PEM: the accreditor's root certificate, set by hand once */
	char *site_owner; /* PEM: the site owner's public key, pinned here and never taken from afar
	                   */

	char *wan;            /* interface at the access point */
	char *lan;            /* interface of the site's own network */
	char *allow_local;    /* tcp ports open to the gateway itself from the lan, e.g. "22" */
	char *service_prefix; /* in which every service address lies */
	char *dataplane;      /* auto, kernel or libipsec */
	char *zones[3];       /* interfaces of DMZ, SZ and HSZ, separated by commas */
	uint64_t path_mtu;

	char *token_module; /* PKCS#11 module of the token */
	char *token_label;
	char *token_pin_file;
	char *token_config; /* SOFTHSM2_CONF for the token process, where the module needs one */

	char *state_dir;
	char *run_dir;
	char *user;   /* the agent runs as this user */
	char *charon; /* charon-systemd's path */

	int64_t grant_sec_max; /* local ceilings, whatever the center signs (A12) */
	int64_t lease_sec_max;
	char *log_level;

	/* Read from the texts above. */
	struct prefix services[2]; /* at most one of each family */
	char *zone_interfaces[3][GATEWAY_ZONE_INTERFACES_MAX];
	size_t zone_interface_count[3];
	size_t services_count;
	uint16_t local_ports[GATEWAY_LOCAL_PORTS_MAX];
	size_t local_port_count;
};

extern const struct config_key gateway_config_keys[];

/* Reads and cross-checks. Outcome 1: the file is wrong; err names file, line and key. */
int gateway_config_read(const char *path, struct gateway_config *config, struct err *err) must_use;
void gateway_config_clear(struct gateway_config *config);

enum log_level gateway_log_level(const struct gateway_config *config);

/* "RUN_DIR/name" and "STATE_DIR/name", owned by the caller. */
char *gateway_run_path(const struct gateway_config *config, const char *name);
char *gateway_state_path(const struct gateway_config *config, const char *name);
