/* Persons: accounts of natural persons, their roles, and logging in with the second factor. */
#include "ctl/nouns.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "ctl/api.h"
#include "ctl/material.h"
#include "model/person_role.h"

#define CODE_BYTES_MAX 15

static int role_list(struct ctl *ctl, json_t **ret_list)
{
	const struct argument *roles = arguments_all(&ctl->arguments, "role");

	*ret_list = json_array();
	for (size_t i = 0; i < roles->count; i++) {
		enum person_role role;

		if (person_role_parse(roles->values[i], &role) != 0) {
			AUTO_BUF struct buf words = BUF(ERR_TEXT_BYTES_MAX);

			person_roles_print(~(person_roles)0, &words);
			json_decref(*ret_list);
			return ctl_fail(ctl, CTL_USAGE, "--role: \"%s\" is not one of %s",
			        roles->values[i], buf_text(&words));
		}
		json_array_append_new(*ret_list, json_string(roles->values[i]));
	}
	return CTL_OK;
}

/* A public key file as base64 of its SubjectPublicKeyInfo. */
static int read_spki(struct ctl *ctl, const char *path, struct buf *out)
{
	AUTO(key) struct key *key = NULL;
	const uint8_t *spki;
	size_t count;
	int r = material_key(ctl, path, &key);

	if (r == CTL_OK) {
		spki = key_spki(key, &count);
		base64_add(out, spki, count);
	}
	return r;
}

/* Token and codes go into a file where one is named, and never onto the screen then. */
static int keep_factors(struct ctl *ctl, const char *path)
{
	const char *token = json_string_value(json_object_get(ctl->result, "token"));
	const char *uri = json_string_value(json_object_get(ctl->result, "otpauth"));
	AUTO_STRING char *line = token ? mem_format("%s\n", token) : NULL;
	AUTO_STRING char *second = NULL, *text = NULL;
	int r;

	if (!path || !line || !uri) {
		return CTL_OK;
	}
	second = mem_format("%s.otpauth", path);
	text = mem_format("%s\n", uri);
	r = ctl_result(ctl, file_replace(path, line, strlen(line), 0600, &ctl->err));
	if (r == CTL_OK) {
		r = ctl_result(ctl, file_replace(second, text, strlen(text), 0600, &ctl->err));
	}
	mem_wipe(line, strlen(line));
	mem_wipe(text, strlen(text));
	if (r == CTL_OK) {
		json_object_del(ctl->result, "token");
		json_object_del(ctl->result, "otpauth");
		ctl_put(ctl, "token_file", path);
		ctl_put(ctl, "otpauth_file", second);
	}
	return r;
}

static int run_add(struct ctl *ctl)
{
	const char *title = ctl_text(ctl, "title"), *mail = ctl_text(ctl, "mail");
	const char *key = ctl_text(ctl, "key");
	AUTO_BUF struct buf spki = BUF(4096);
	json_t *roles = NULL;
	int r = role_list(ctl, &roles);

	if (r == CTL_OK && key) {
		r = read_spki(ctl, key, &spki);
		if (r != CTL_OK) {
			json_decref(roles);
		}
	}
	if (r == CTL_OK) {
		r = api_do(ctl, "/persons",
		        json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:s}", "name",
		                ctl_text(ctl, "NAME"), "organization",
		                ctl_text(ctl, "organization"), "title", title ? title : "", "roles",
		                roles, "natural_person", ctl_text(ctl, "natural-person"), "mail",
		                mail ? mail : "", "spki", buf_text(&spki)));
	}
	return r == CTL_OK ? keep_factors(ctl, ctl_text(ctl, "out")) : r;
}

static int run_list(struct ctl *ctl)
{
	const char *organization = ctl_text(ctl, "organization");
	AUTO_STRING char *path = organization ? mem_format("/persons?organization=%s", organization)
	                                      : mem_string("/persons");

	return api_list(ctl, path);
}

static int run_show(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/persons/%s", ctl_text(ctl, "NAME"));

	return api_show(ctl, path);
}

static int change(struct ctl *ctl, const char *what, json_t *body)
{
	AUTO_STRING char *path = mem_format("/persons/%s/%s", ctl_text(ctl, "NAME"), what);

	return body ? api_do(ctl, path, body)
	            : ctl_fail(ctl, CTL_USAGE, "an option holds bytes that are not UTF-8");
}

static int run_duty(struct ctl *ctl)
{
	json_t *roles = NULL;
	int r = role_list(ctl, &roles);

	return r == CTL_OK ? change(ctl, "duty", json_pack("{s:o}", "roles", roles)) : r;
}

static int run_left(struct ctl *ctl)
{
	return change(ctl, "left", json_pack("{s:s}", "reason", ctl_text(ctl, "reason")));
}

static int run_key(struct ctl *ctl)
{
	AUTO_BUF struct buf spki = BUF(4096);
	int r = read_spki(ctl, ctl_text(ctl, "key"), &spki);

	return r == CTL_OK ? change(ctl, "key", json_pack("{s:s}", "spki", buf_text(&spki))) : r;
}

static int run_renew(struct ctl *ctl)
{
	int r = change(ctl, "renew", json_object());

	return r == CTL_OK ? keep_factors(ctl, ctl_text(ctl, "out")) : r;
}

static int run_confirm(struct ctl *ctl)
{
	return change(ctl, "confirm", json_object());
}

/* --- login --------------------------------------------------------------- */

/* From the option, or a line of standard input. */
static int read_code(struct ctl *ctl, char code[CODE_BYTES_MAX + 1])
{
	const char *given = ctl_text(ctl, "code");

	if (!given) {
		char line[64];

		if (isatty(STDIN_FILENO)) {
			fputs("Code: ", stderr);
		}
		if (!fgets(line, sizeof(line), stdin)) {
			return ctl_fail(ctl, CTL_USAGE, "--code: is missing");
		}
		line[strcspn(line, "\r\n")] = '\0';
		return text_copy(code, CODE_BYTES_MAX + 1, line) == 0
		               ? CTL_OK
		               : ctl_fail(ctl, CTL_USAGE, "the code has six digits");
	}
	return text_copy(code, CODE_BYTES_MAX + 1, given) == 0
	               ? CTL_OK
	               : ctl_fail(ctl, CTL_USAGE, "--code: has six digits");
}

static int run_login(struct ctl *ctl)
{
	AUTO_STRING char *path = api_session_file(ctl), *line = NULL;
	char code[CODE_BYTES_MAX + 1] = "";
	const char *token;
	int r = path ? read_code(ctl, code)
	             : ctl_fail(ctl, CTL_USAGE,
	                       "the file with the person's token is not known: give --token-file");

	ctl->own_token = true;
	if (r == CTL_OK) {
		r = api_do(ctl, "/sessions", json_pack("{s:s}", "code", code));
	}
	if (r != CTL_OK) {
		return r;
	}
	token = json_string_value(json_object_get(ctl->result, "token"));
	if (!token) {
		return ctl_fail(ctl, CTL_UNREACHABLE, "the center's answer holds no session");
	}
	line = mem_format("%s\n", token);
	r = ctl_result(ctl, file_replace(path, line, strlen(line), 0600, &ctl->err));
	mem_wipe(line, strlen(line));
	if (r == CTL_OK) {
		json_object_del(ctl->result, "token");
		ctl_put(ctl, "session_file", path);
	}
	return r;
}

static int run_logout(struct ctl *ctl)
{
	AUTO_STRING char *path = api_session_file(ctl);
	int r = api_delete(ctl, "/sessions", &ctl->result);

	if (r == CTL_OK && path && unlink(path) != 0) {
		ctl_progress("%s was not there", path);
	}
	return r;
}

static const struct option add_options[] = {
	{ OPTION("NAME", OPTION_NAME), "the account", .required = true, .operand = true },
	{ OPTION("organization", OPTION_NAME), "the organization the person works for",
	        .required = true },
	{ OPTION("role", OPTION_NAME), "a role, such as clinician or service-engineer", "ROLE",
	        .required = true, .repeated = true },
	{ OPTION("natural-person", OPTION_TEXT),
	        "employee number or the like: the same for all accounts of one person",
	        .required = true },
	{ OPTION("title", OPTION_TEXT), "name or post, in any script" },
	{ OPTION("mail", OPTION_TEXT), "where notices go" },
	{ OPTION("key", OPTION_FILE), "the person's own public key (P-256)" },
	{ OPTION("out", OPTION_FILE),
	        "file for the access token, and FILE.otpauth for the codes (mode 0600); else both "
	        "are printed, once" },
	{ 0 },
};
static const struct option list_options[] = {
	{ OPTION("organization", OPTION_NAME), "of another organization, as far as it is yours" },
	{ 0 },
};
static const struct option name_options[] = {
	{ OPTION("NAME", OPTION_NAME), "the person", .required = true, .operand = true },
	{ 0 },
};
static const struct option duty_options[] = {
	{ OPTION("NAME", OPTION_NAME), "the person", .required = true, .operand = true },
	{ OPTION("role", OPTION_NAME), "all roles from now on", "ROLE", .required = true,
	        .repeated = true },
	{ 0 },
};
static const struct option left_options[] = {
	{ OPTION("NAME", OPTION_NAME), "the person", .required = true, .operand = true },
	{ OPTION("reason", OPTION_TEXT), "why; it is recorded", NULL, "left" },
	{ 0 },
};
static const struct option key_options[] = {
	{ OPTION("NAME", OPTION_NAME), "the person", .required = true, .operand = true },
	{ OPTION("key", OPTION_FILE), "the new public key (P-256)", .required = true },
	{ 0 },
};
static const struct option renew_options[] = {
	{ OPTION("NAME", OPTION_NAME), "the person", .required = true, .operand = true },
	{ OPTION("out", OPTION_FILE),
	        "file for the access token, and FILE.otpauth for the codes (mode 0600)" },
	{ 0 },
};
static const struct option login_options[] = {
	{ OPTION("code", OPTION_TEXT), "the one-time code; else it is read from standard input",
	        "CODE" },
	{ 0 },
};

static const struct command person_commands[] = {
	{ "add", "Gives a person an account: access token and one-time codes, shown once.",
	        GROUP_CENTER, add_options, run_add },
	{ "list", "Lists persons with their last login and the yearly confirmation.",
	        GROUP_CENTER | GROUP_PAGE, list_options, run_list },
	{ "show", "Shows one person.", GROUP_CENTER, name_options, run_show },
	{ "duty", "Gives a person other roles; what the person has open ends.", GROUP_CENTER,
	        duty_options, run_duty },
	{ "left", "Reports that a person has left: all rights end at once.", GROUP_CENTER,
	        left_options, run_left },
	{ "key", "Registers a person's own public key.", GROUP_CENTER, key_options, run_key },
	{ "renew", "Gives a person a new access token and new codes; the old ones are void.",
	        GROUP_CENTER, renew_options, run_renew },
	{ "confirm", "Confirms, once a year, that a person is still here.", GROUP_CENTER,
	        name_options, run_confirm },
	{ 0 },
};
const struct noun noun_person = { "person", "persons and their accounts", person_commands };

static const struct command login_commands[] = {
	{ NULL, "Logs in with the second factor; later commands use the session.", GROUP_CENTER,
	        login_options, run_login },
	{ 0 },
};
const struct noun noun_login = { "login", "begins a session", login_commands };

static const struct command logout_commands[] = {
	{ NULL, "Ends the session.", GROUP_CENTER, NULL, run_logout },
	{ 0 },
};
const struct noun noun_logout = { "logout", "ends a session", logout_commands };
