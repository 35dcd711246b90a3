#include "../check.h"

#include "model/person_role.h"

static person_roles roles(const char *text)
{
	person_roles set = 0;
	struct err err = { 0 };

	CHECK(person_roles_parse(text, &set, &err) == 0);
	return set;
}

/* The matrix of A4 as a person would draw it: action by role. */
TEST(matrix_is_as_drawn)
{
	static const struct {
		const char *role;
		bool party, apply, approve, sign, manage, cut, maintenance, sharing;
	} rows[] = {
		{ "system-administrator", true, false, true, true, true, true, false, true },
		{ "network-administrator", false, false, false, false, false, true, false, false },
		{ "clinician", true, false, false, false, false, true, false, true },
		{ "service-engineer", true, true, false, false, false, true, true, true },
		{ "service-network-administrator", false, false, false, true, true, true, false,
		        false },
		{ "field-engineer", true, true, false, false, false, true, true, false },
		{ "provider-operator", false, false, false, false, true, true, false, false },
		{ "auditor", false, false, false, false, false, false, false, false },
		{ "patient", false, false, false, true, false, true, false, true },
		{ "system", false, false, false, false, false, false, false, false },
	};

	CHECK(ARRAY_COUNT(rows) == PERSON_ROLE_COUNT - 1);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		person_roles set = roles(rows[i].role);

		printf("# %s\n", rows[i].role);
		CHECK(person_roles_party(set) == rows[i].party);
		CHECK(person_may(set, PERSON_APPLY) == rows[i].apply);
		CHECK(person_may(set, PERSON_APPROVE) == rows[i].approve);
		CHECK(person_may(set, PERSON_SIGN) == rows[i].sign);
		CHECK(person_may(set, PERSON_MANAGE) == rows[i].manage);
		CHECK(person_may(set, PERSON_CUT) == rows[i].cut);
		CHECK(person_may_request(set, SERVICE_REMOTE_MAINTENANCE) == rows[i].maintenance);
		CHECK(person_may_request(set, SERVICE_REGIONAL_SHARING) == rows[i].sharing);
		CHECK(!person_may_request(set, SERVICE_CLASS_NONE));
	}
}

/* Nobody both applies for work and approves it by one role. */
TEST(no_role_approves_what_it_applies_for)
{
	for (int i = 1; i < PERSON_ROLE_COUNT; i++) {
		unsigned actions = person_role_info((enum person_role)i)->actions;

		CHECK(!(actions & PERSON_APPLY && actions & PERSON_APPROVE));
	}
}

TEST(roles_go_with_the_kind_of_organization)
{
	struct err err = { 0 };

	CHECK(person_roles_check(
	              roles("service-engineer"), ORGANIZATION_DEVICE_MAINTENANCE, &err) == 0);
	CHECK(person_roles_check(roles("service-engineer"), ORGANIZATION_HOSPITAL, &err) == 1);
	CHECK(strstr(err.text, "service-engineer") != NULL);
	CHECK(person_roles_check(roles("system-administrator"), ORGANIZATION_CARRIER, &err) == 1);
	CHECK(person_roles_check(roles("patient"), ORGANIZATION_HOSPITAL, &err) == 1);
	CHECK(person_roles_check(roles("auditor"), ORGANIZATION_PATIENT, &err) == 0);
	CHECK(person_roles_check(0, ORGANIZATION_HOSPITAL, &err) == 1);
	CHECK(person_roles_check(roles("auditor"), ORGANIZATION_NONE, &err) == 1);
	CHECK(person_roles_by_provider(roles("clinician auditor")));
	CHECK(!person_roles_by_provider(roles("clinician")));
}

TEST(words_are_read_strictly)
{
	AUTO_BUF struct buf text = BUF(256);
	person_roles set;
	struct err err = { 0 };

	CHECK(person_roles_parse("", &set, &err) == 1);
	CHECK(person_roles_parse("clinician  auditor", &set, &err) == 1);
	CHECK(person_roles_parse("clinician clinician", &set, &err) == 1);
	CHECK(person_roles_parse("root", &set, &err) == 1 && strstr(err.text, "root") != NULL);
	person_roles_print(roles("auditor clinician"), &text);
	CHECK_TEXT(buf_text(&text), "clinician auditor");
}

TEST(relation_follows_from_the_kinds)
{
	CHECK_TEXT(relation_kind_name(relation_kind_of(
	                   ORGANIZATION_HOSPITAL, ORGANIZATION_DEVICE_MAINTENANCE)),
	        "maintenance");
	CHECK(relation_kind_of(ORGANIZATION_PATIENT, ORGANIZATION_CLINIC) == RELATION_KIND_PATIENT);
	CHECK(relation_kind_of(ORGANIZATION_HOSPITAL, ORGANIZATION_CLINIC) == RELATION_KIND_CARE);
	CHECK(relation_kind_of(ORGANIZATION_HOSPITAL, ORGANIZATION_NONE) == RELATION_KIND_NONE);
}

TEST_MAIN()
