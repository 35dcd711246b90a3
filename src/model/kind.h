/*
 * The kinds of organizations (mission A3), sites and gateways, with their names. The zero value is
 * never valid.
 */
#pragma once

#include "base/err.h"

enum organization_kind {
	ORGANIZATION_NONE = 0,
	ORGANIZATION_HOSPITAL,
	ORGANIZATION_CLINIC,
	ORGANIZATION_PHARMACY,
	ORGANIZATION_CARE,
	ORGANIZATION_CHECKUP_CENTER,
	ORGANIZATION_LABORATORY,
	ORGANIZATION_INSURER,
	ORGANIZATION_CLAIMS_REVIEW,
	ORGANIZATION_DEVICE_MAINTENANCE,
	ORGANIZATION_SYSTEM_INTEGRATOR,
	ORGANIZATION_ONLINE_SERVICE,
	ORGANIZATION_ASP,
	ORGANIZATION_RELAY,
	ORGANIZATION_CARRIER,
	ORGANIZATION_OPERATION,
	ORGANIZATION_PATIENT,
	ORGANIZATION_KIND_COUNT,
};

/* The two sides of remote service (HCF, RSC) and whoever is neither. */
enum site_kind {
	SITE_KIND_NONE = 0,
	SITE_HEALTH_CARE_FACILITY,
	SITE_REMOTE_SERVICE_CENTER,
	SITE_SERVICE,
	SITE_KIND_COUNT,
};

/* How a gateway is reached by its peers. */
enum gateway_kind {
	GATEWAY_KIND_NONE = 0,
	GATEWAY_DIRECT,     /* at an address of its own */
	GATEWAY_BEHIND_NAT, /* it has to start every connection */
	GATEWAY_KIND_COUNT,
};

/* What two organizations are to each other (A3). */
enum relation_kind {
	RELATION_KIND_NONE = 0,
	RELATION_KIND_MAINTENANCE,
	RELATION_KIND_INTEGRATION,
	RELATION_KIND_ONLINE_SERVICE,
	RELATION_KIND_APPLICATION_SERVICE,
	RELATION_KIND_RELAY,
	RELATION_KIND_LINE,
	RELATION_KIND_OPERATION,
	RELATION_KIND_PATIENT,
	RELATION_KIND_CLAIMS,
	RELATION_KIND_INSURANCE,
	RELATION_KIND_EXAMINATION,
	RELATION_KIND_CARE,        /* two who treat the same patients */
	RELATION_KIND_SUBCONTRACT, /* said of an organization, never computed */
	RELATION_KIND_COUNT,
};

/* Outcome 1: there is no such kind. */
int organization_kind_parse(const char *text, enum organization_kind *ret_kind) must_use;
int site_kind_parse(const char *text, enum site_kind *ret_kind) must_use;
int relation_kind_parse(const char *text, enum relation_kind *ret_kind) must_use;
int gateway_kind_parse(const char *text, enum gateway_kind *ret_kind) must_use;

/* "" for a value outside the list. */
const char *organization_kind_name(enum organization_kind kind);
const char *organization_kind_english(enum organization_kind kind);
const char *organization_kind_japanese(enum organization_kind kind);
const char *site_kind_name(enum site_kind kind);
const char *site_kind_english(enum site_kind kind);
const char *site_kind_japanese(enum site_kind kind);
/* The relation that follows from the two kinds, in whatever order; NONE when one of them is. */
enum relation_kind relation_kind_of(enum organization_kind left, enum organization_kind right);
const char *relation_kind_name(enum relation_kind kind);
const char *relation_kind_english(enum relation_kind kind);
const char *relation_kind_japanese(enum relation_kind kind);
const char *gateway_kind_name(enum gateway_kind kind);
const char *gateway_kind_english(enum gateway_kind kind);
const char *gateway_kind_japanese(enum gateway_kind kind);
