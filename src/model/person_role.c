#include "model/person_role.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

#define CLASS(name) (1U << SERVICE_##name)
#define CLINICAL                                                                                   \
	(CLASS(REGIONAL_SHARING) | CLASS(PATIENT_INFORMATION) | CLASS(PUBLIC_INFORMATION) |        \
	        CLASS(MAIL) | CLASS(RESULTS_DELIVERY) | CLASS(TIMESTAMP) | CLASS(VALIDATION))
#define BUSINESS (CLASS(INTERNET) | CLASS(ONLINE_CLAIMS) | CLASS(ASP) | CLASS(BACKUP))
#define SERVED CLASS(REMOTE_MAINTENANCE)
#define OWN (PERSON_READ | PERSON_LOGIN)

/* The matrix of A4: one row a role, its columns the actions and the classes of connections. A role
 * that applies for work never approves it. */
static const struct person_role_info roles[PERSON_ROLE_COUNT] = {
	[PERSON_SYSTEM_ADMINISTRATOR] = { "system-administrator", "System administrator",
	        "システム管理者", true, false, PERSON_SIDE_FACILITY,
	        OWN | PERSON_REQUEST | PERSON_APPROVE | PERSON_SIGN | PERSON_MANAGE | PERSON_CUT |
	                PERSON_POLICY,
	        CLINICAL | BUSINESS },
	[PERSON_NETWORK_ADMINISTRATOR] = { "network-administrator", "Network administrator",
	        "ネットワーク管理者", false, false, PERSON_SIDE_FACILITY,
	        OWN | PERSON_CUT | PERSON_POLICY, 0 },
	[PERSON_CLINICIAN] = { "clinician", "Doctor, technician or other clinical staff",
	        "医師・技師等", true, false, PERSON_SIDE_FACILITY,
	        OWN | PERSON_REQUEST | PERSON_CUT, CLINICAL },
	[PERSON_SERVICE_ENGINEER] = { "service-engineer", "Service engineer", "サービスマン", true,
	        false, PERSON_SIDE_SERVICE,
	        OWN | PERSON_REQUEST | PERSON_APPLY | PERSON_REPORT | PERSON_CUT,
	        SERVED | CLINICAL | BUSINESS },
	[PERSON_SERVICE_NETWORK_ADMINISTRATOR] = { "service-network-administrator",
	        "Administrator of the service center", "RSCネットワーク管理者", false, false,
	        PERSON_SIDE_SERVICE, OWN | PERSON_SIGN | PERSON_MANAGE | PERSON_CUT | PERSON_POLICY,
	        0 },
	[PERSON_FIELD_ENGINEER] = { "field-engineer", "First-line engineer on site",
	        "一次サービスマン", true, false, PERSON_SIDE_FACILITY | PERSON_SIDE_SERVICE,
	        OWN | PERSON_REQUEST | PERSON_APPLY | PERSON_REPORT | PERSON_CUT, SERVED },
	[PERSON_PROVIDER_OPERATOR] = { "provider-operator", "Operator of the provider",
	        "サービス提供者の運用者", false, true, PERSON_SIDE_SERVICE,
	        OWN | PERSON_MANAGE | PERSON_CUT | PERSON_POLICY, 0 },
	[PERSON_AUDITOR] = { "auditor", "Auditor", "監査人", false, true, PERSON_SIDE_ANY, OWN, 0 },
	[PERSON_PATIENT] = { "patient", "Patient", "患者", false, false, PERSON_SIDE_PATIENT,
	        OWN | PERSON_REQUEST | PERSON_SIGN | PERSON_CUT,
	        CLASS(REGIONAL_SHARING) | CLASS(PATIENT_INFORMATION) | CLASS(PUBLIC_INFORMATION) },
	[PERSON_SYSTEM] = { "system", "Program that sends notices", "通知システム", false, false,
	        PERSON_SIDE_FACILITY | PERSON_SIDE_SERVICE, PERSON_NOTIFY, 0 },
};

static const char *const action_names[PERSON_ACTION_COUNT] = { "request", "apply", "approve",
	"report", "sign", "manage", "cut", "read", "notify", "policy", "login" };

int person_role_parse(const char *text, enum person_role *ret_role)
{
	for (int i = 1; i < PERSON_ROLE_COUNT; i++) {
		if (text_equal(roles[i].name, text)) {
			*ret_role = (enum person_role)i;
			return 0;
		}
	}
	return 1;
}

const struct person_role_info *person_role_info(enum person_role role)
{
	return role > PERSON_ROLE_NONE && role < PERSON_ROLE_COUNT ? &roles[role] : NULL;
}

const char *person_action_name(enum person_action action)
{
	for (int i = 0; i < PERSON_ACTION_COUNT; i++) {
		if ((unsigned)action == 1U << i) {
			return action_names[i];
		}
	}
	return "";
}

enum person_side person_side_of(enum organization_kind kind)
{
	switch (kind) {
	case ORGANIZATION_HOSPITAL:
	case ORGANIZATION_CLINIC:
	case ORGANIZATION_PHARMACY:
	case ORGANIZATION_CARE:
	case ORGANIZATION_CHECKUP_CENTER:
	case ORGANIZATION_LABORATORY:
	case ORGANIZATION_INSURER:
	case ORGANIZATION_CLAIMS_REVIEW:
		return PERSON_SIDE_FACILITY;
	case ORGANIZATION_DEVICE_MAINTENANCE:
	case ORGANIZATION_SYSTEM_INTEGRATOR:
	case ORGANIZATION_ONLINE_SERVICE:
	case ORGANIZATION_ASP:
	case ORGANIZATION_RELAY:
	case ORGANIZATION_CARRIER:
	case ORGANIZATION_OPERATION:
		return PERSON_SIDE_SERVICE;
	case ORGANIZATION_PATIENT:
		return PERSON_SIDE_PATIENT;
	case ORGANIZATION_NONE:
	case ORGANIZATION_KIND_COUNT:
		break;
	}
	return PERSON_SIDE_NONE;
}

int person_roles_parse(const char *text, person_roles *ret_roles, struct err *err)
{
	AUTO_STRING char *copy = mem_string(text);
	char *rest = copy, *word;

	*ret_roles = 0;
	while ((word = strsep(&rest, " "))) {
		enum person_role role;

		if (person_role_parse(word, &role) != 0) {
			return err_set(err, 1, "\"%.40s\" is not a role of a person", word);
		}
		if (*ret_roles & 1U << role) {
			return err_set(err, 1, "\"%s\" is there twice", word);
		}
		*ret_roles |= 1U << role;
	}
	return 0;
}

void person_roles_print(person_roles set, struct buf *out)
{
	const char *blank = "";

	for (int i = 1; i < PERSON_ROLE_COUNT; i++) {
		if (set & 1U << i) {
			buf_add_format(out, "%s%s", blank, roles[i].name);
			blank = " ";
		}
	}
}

int person_roles_check(person_roles set, enum organization_kind kind, struct err *err)
{
	unsigned side = (unsigned)person_side_of(kind);

	for (int i = 1; i < PERSON_ROLE_COUNT; i++) {
		if (set & 1U << i && !(roles[i].sides & side)) {
			return err_set(err, 1, "an organization of the kind %s has no %s",
			        organization_kind_name(kind), roles[i].name);
		}
	}
	return set == 0 ? err_set(err, 1, "a person needs a role") : 0;
}

bool person_may(person_roles set, unsigned actions)
{
	for (int i = 1; i < PERSON_ROLE_COUNT; i++) {
		if (set & 1U << i && roles[i].actions & actions) {
			return true;
		}
	}
	return false;
}

bool person_may_request(person_roles set, enum service_class class)
{
	for (int i = 1; i<PERSON_ROLE_COUNT &&class> SERVICE_CLASS_NONE; i++) {
		if (set & 1U << i && roles[i].actions & PERSON_REQUEST &&
		        roles[i].classes & 1U << class) {
			return true;
		}
	}
	return false;
}

bool person_roles_by_provider(person_roles set)
{
	for (int i = 1; i < PERSON_ROLE_COUNT; i++) {
		if (set & 1U << i && roles[i].by_provider) {
			return true;
		}
	}
	return false;
}

bool person_roles_party(person_roles set)
{
	for (int i = 1; i < PERSON_ROLE_COUNT; i++) {
		if (set & 1U << i && roles[i].party) {
			return true;
		}
	}
	return false;
}
