#include "model/kind.h"

#include <string.h>

#include "base/mem.h"

struct kind {
	const char *name, *english, *japanese;
};

static const struct kind organizations[ORGANIZATION_KIND_COUNT] = {
	[ORGANIZATION_HOSPITAL] = { "hospital", "Hospital", "病院" },
	[ORGANIZATION_CLINIC] = { "clinic", "Clinic", "診療所" },
	[ORGANIZATION_PHARMACY] = { "pharmacy", "Pharmacy", "調剤薬局" },
	[ORGANIZATION_CARE] = { "care", "Care provider", "介護事業者" },
	[ORGANIZATION_CHECKUP_CENTER] = { "checkup-center", "Checkup center", "総合検診センター" },
	[ORGANIZATION_LABORATORY] = { "laboratory", "Testing laboratory", "検査会社" },
	[ORGANIZATION_INSURER] = { "insurer", "Insurer", "保険者" },
	[ORGANIZATION_CLAIMS_REVIEW] = { "claims-review", "Claims review and payment fund",
	        "審査支払基金" },
	[ORGANIZATION_DEVICE_MAINTENANCE] = { "device-maintenance", "Device maintenance company",
	        "機器保守会社" },
	[ORGANIZATION_SYSTEM_INTEGRATOR] = { "system-integrator", "System integrator",
	        "システムインテグレータ" },
	[ORGANIZATION_ONLINE_SERVICE] = { "online-service", "Online service provider",
	        "オンラインサービス提供事業者" },
	[ORGANIZATION_ASP] = { "asp", "Application service provider", "ASP事業者" },
	[ORGANIZATION_RELAY] = { "relay", "Relay service", "中継サービス事業者" },
	[ORGANIZATION_CARRIER] = { "carrier", "Carrier", "回線事業者" },
	[ORGANIZATION_OPERATION] = { "operation", "Operation contractor", "運用委託事業者" },
	[ORGANIZATION_PATIENT] = { "patient", "Patient", "患者" },
};

static const struct kind sites[SITE_KIND_COUNT] = {
	[SITE_HEALTH_CARE_FACILITY] = { "hcf", "Health care facility", "医療機関" },
	[SITE_REMOTE_SERVICE_CENTER] = { "rsc", "Remote service center",
	        "リモートサービスセンター" },
	[SITE_SERVICE] = { "service", "Service", "サービス拠点" },
};

static const struct kind gateways[GATEWAY_KIND_COUNT] = {
	[GATEWAY_DIRECT] = { "direct", "Reached at its own address", "直接接続" },
	[GATEWAY_BEHIND_NAT] = { "behind-nat", "Behind address translation", "NAT配下" },
};

static const struct kind relations[RELATION_KIND_COUNT] = {
	[RELATION_KIND_MAINTENANCE] = { "maintenance", "Maintenance of devices", "機器保守" },
	[RELATION_KIND_INTEGRATION] = { "integration", "System integration", "システム構築" },
	[RELATION_KIND_ONLINE_SERVICE] = { "online-service", "Online service",
	        "オンラインサービス提供" },
	[RELATION_KIND_APPLICATION_SERVICE] = { "application-service", "Application service",
	        "ASPサービス提供" },
	[RELATION_KIND_RELAY] = { "relay", "Relay", "中継" },
	[RELATION_KIND_LINE] = { "line", "Line", "回線提供" },
	[RELATION_KIND_OPERATION] = { "operation", "Operation by a contractor", "運用委託" },
	[RELATION_KIND_PATIENT] = { "patient", "Patient", "患者" },
	[RELATION_KIND_CLAIMS] = { "claims", "Claims", "診療報酬請求" },
	[RELATION_KIND_INSURANCE] = { "insurance", "Insurance", "保険" },
	[RELATION_KIND_EXAMINATION] = { "examination", "Examination", "検査" },
	[RELATION_KIND_CARE] = { "care", "Care of the same patients", "地域連携" },
	[RELATION_KIND_SUBCONTRACT] = { "subcontract", "Subcontract", "再委託" },
};

/* Row 0 is the zero value and has no name. Outcome 1: no row has this name. */
static int find_kind(const struct kind *kinds, size_t count, const char *text, size_t *ret_kind)
{
	for (size_t i = 1; i < count; i++) {
		if (strcmp(kinds[i].name, text) == 0) {
			*ret_kind = i;
			return 0;
		}
	}
	return 1;
}

static const struct kind *kind_at(const struct kind *kinds, size_t count, size_t index)
{
	static const struct kind none = { "", "", "" };

	return index > 0 && index < count ? &kinds[index] : &none;
}

/* The four functions of one enumeration. */
#define KIND_DEFINE(kind_type, table)                                                              \
	int kind_type##_parse(const char *text, enum kind_type *ret_kind)                          \
	{                                                                                          \
		size_t index;                                                                      \
		int r = find_kind(table, ARRAY_COUNT(table), text, &index);                        \
                                                                                                   \
		if (r == 0) {                                                                      \
			*ret_kind = (enum kind_type)index;                                         \
		}                                                                                  \
		return r;                                                                          \
	}                                                                                          \
                                                                                                   \
	const char *kind_type##_name(enum kind_type kind)                                          \
	{                                                                                          \
		return kind_at(table, ARRAY_COUNT(table), (size_t)kind)->name;                     \
	}                                                                                          \
                                                                                                   \
	const char *kind_type##_english(enum kind_type kind)                                       \
	{                                                                                          \
		return kind_at(table, ARRAY_COUNT(table), (size_t)kind)->english;                  \
	}                                                                                          \
                                                                                                   \
	const char *kind_type##_japanese(enum kind_type kind)                                      \
	{                                                                                          \
		return kind_at(table, ARRAY_COUNT(table), (size_t)kind)->japanese;                 \
	}

KIND_DEFINE(organization_kind, organizations)
KIND_DEFINE(site_kind, sites)
KIND_DEFINE(gateway_kind, gateways)
KIND_DEFINE(relation_kind, relations)

/* What an organization of this kind is to others, if it decides the relation. */
static enum relation_kind relation_of(enum organization_kind kind)
{
	switch (kind) {
	case ORGANIZATION_DEVICE_MAINTENANCE:
		return RELATION_KIND_MAINTENANCE;
	case ORGANIZATION_SYSTEM_INTEGRATOR:
		return RELATION_KIND_INTEGRATION;
	case ORGANIZATION_ONLINE_SERVICE:
		return RELATION_KIND_ONLINE_SERVICE;
	case ORGANIZATION_ASP:
		return RELATION_KIND_APPLICATION_SERVICE;
	case ORGANIZATION_RELAY:
		return RELATION_KIND_RELAY;
	case ORGANIZATION_CARRIER:
		return RELATION_KIND_LINE;
	case ORGANIZATION_OPERATION:
		return RELATION_KIND_OPERATION;
	case ORGANIZATION_PATIENT:
		return RELATION_KIND_PATIENT;
	case ORGANIZATION_CLAIMS_REVIEW:
		return RELATION_KIND_CLAIMS;
	case ORGANIZATION_INSURER:
		return RELATION_KIND_INSURANCE;
	case ORGANIZATION_LABORATORY:
	case ORGANIZATION_CHECKUP_CENTER:
		return RELATION_KIND_EXAMINATION;
	case ORGANIZATION_HOSPITAL:
	case ORGANIZATION_CLINIC:
	case ORGANIZATION_PHARMACY:
	case ORGANIZATION_CARE:
		return RELATION_KIND_CARE;
	case ORGANIZATION_NONE:
	case ORGANIZATION_KIND_COUNT:
		break;
	}
	return RELATION_KIND_NONE;
}

enum relation_kind relation_kind_of(enum organization_kind left, enum organization_kind right)
{
	enum relation_kind one = relation_of(left), other = relation_of(right);

	/* In the order of the list: who serves decides before who is served. */
	if (one == RELATION_KIND_NONE || other == RELATION_KIND_NONE) {
		return RELATION_KIND_NONE;
	}
	return one < other ? one : other;
}
