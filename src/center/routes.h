/* Every route of the center in one table, from which requests are served and OpenAPI is printed. */
#pragma once

#include "center/exchange.h"

typedef void route_handler(struct exchange *exchange);

struct route {
	const char *method, *path; /* one {…} segment at most; "{rest}" takes all that follows */
	enum listener listener;
	unsigned roles; /* operator listener: enum role bits */
	route_handler *handler;
	const char *refused; /* the kind of the record of a refusal; NULL: request.refused */
	const char *summary;
	/* Persons: enum person_action bits of which a role needs one; 0: the roles above count for
	 * persons of the provider, and nobody else may. What changes something needs a session,
	 * with a second factor, unless it is marked (protocol.md 6.1): a bare token reads and cuts.
	 */
	unsigned person;
	bool bare;
};

/* Serves a request: finds the route, who asks, and whether he may. Always answers, or begins a
 * stream. */
void routes_serve(struct center *center, struct front_link *front, uint32_t tag,
        const struct request *request);

/* Writes the OpenAPI 3.1 document on standard output. */
void routes_print_openapi(void);

/* The handlers, by file. */
route_handler device_stream, device_report, device_journal, device_connect, device_cut,
        device_traffic, device_connections, device_consistency;
route_handler enrol_cacerts, enrol_csrattrs, enrol_simpleenroll, enrol_simplereenroll;
route_handler public_ocsp_post, public_ocsp_get, public_crl, public_checkpoint, public_tile,
        public_health, public_metrics, public_status;
route_handler operators_post, operators_list, operators_delete;
route_handler persons_post, persons_list, persons_show, persons_duty, persons_left, persons_key,
        persons_renew, persons_confirm, sessions_post, sessions_delete;
route_handler agreements_post, agreements_list, agreements_show, agreements_sign, agreements_end,
        agreements_responsibility, policies_acknowledge, policies_unacknowledged;
route_handler organizations_post, organizations_list, sites_post, sites_list;
route_handler statements_post, statements_list, crls_post;
route_handler policies_post_provider, policies_get_provider, policies_post_site, policies_get_site;
route_handler procedures_post, procedures_purchase, procedures_register, procedures_certificate,
        procedures_installed, procedures_delivered, procedures_use, procedures_list, procedures_get;
route_handler enrolments_list, enrolments_approve, enrolments_refuse;
route_handler gateways_list, gateways_journal, certificates_list, certificates_revoke;
route_handler connections_post, connections_list, connections_get, connections_cut,
        connections_explain;
route_handler notices_post, notices_list, notices_get;
route_handler work_orders_post, work_orders_list, work_orders_get, work_orders_approve,
        work_orders_refuse, work_orders_withdraw, work_orders_begin, work_orders_extend,
        work_orders_end, work_orders_deleted, work_orders_report, work_orders_close;
route_handler files_post, files_list, files_get, files_received, files_refused, files_certificate;
route_handler ledger_entries, ledger_proof, ledger_raise_epoch;
