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
