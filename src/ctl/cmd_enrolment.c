/* Requests for service certificates that wait for a person. */
#include "ctl/nouns.h"

#include <string.h>

#include "base/str.h"
#include "ctl/api.h"

static int run_list(struct ctl *ctl)
{
	return api_list(ctl, "/enrolments");
}

static const char *member(const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));

	return text ? text : "";
}

/* What waits: of a gateway its ids, and of all gateways their names. */
struct waiting {
	struct buf ids, gateways;
	size_t count;
	char id[ID_BYTES_MAX + 1]; /* the last one */
};

static void look(const json_t *rows, const char *gateway, struct waiting *waiting)
{
	size_t index;
	json_t *row;

	json_array_foreach(rows, index, row)
	{
		if (!text_equal(member(row, "state"), "waiting")) {
			continue;
		}
		buf_add_format(&waiting->gateways, "%s%s", waiting->gateways.count > 0 ? ", " : "",
		        member(row, "gateway"));
		if (text_equal(member(row, "gateway"), gateway) && id_valid(member(row, "id"))) {
			buf_add_format(&waiting->ids, "%s%s of %s", waiting->count > 0 ? ", " : "",
			        member(row, "id"), member(row, "created"));
			memcpy(waiting->id, member(row, "id"), sizeof(waiting->id));
			waiting->count++;
		}
	}
}

/* The one enrolment of a gateway that waits. Where there are several nobody but a person can say
 * which of its keys is the right one. */
static int find_waiting(struct ctl *ctl, const char *gateway, char ret_id[ID_BYTES_MAX + 1])
{
	AUTO_JSON json_t *rows = NULL;
	struct waiting waiting = { BUF(REPORT_BYTES_MAX), BUF(REPORT_BYTES_MAX), 0, "" };
	int r = api_all(ctl, "/enrolments", &rows);

	look(rows, gateway, &waiting);
	if (r == CTL_OK && waiting.count == 0) {
		r = ctl_fail(ctl, CTL_NOT_FOUND, "no enrolment of %s waits; waiting: %s", gateway,
		        waiting.gateways.count > 0 ? buf_text(&waiting.gateways) : "none");
	} else if (r == CTL_OK && waiting.count > 1) {
		r = ctl_fail(ctl, CTL_REFUSED,
		        "%zu enrolments of %s wait, so give the id of one: %s", waiting.count,
		        gateway, buf_text(&waiting.ids));
	}
	memcpy(ret_id, waiting.id, sizeof(waiting.id));
	buf_clear(&waiting.ids);
	buf_clear(&waiting.gateways);
	return r;
}

static int decide(struct ctl *ctl, const char *verb)
{
	const char *which = ctl_text(ctl, "GATEWAY|ID");
	char id[ID_BYTES_MAX + 1];
	AUTO_STRING char *path = NULL;
	int r = CTL_OK;

	if (id_valid(which)) {
		memcpy(id, which, sizeof(id));
	} else if (name_valid(which)) {
		r = find_waiting(ctl, which, id);
	} else {
		r = ctl_fail(ctl, CTL_USAGE,
		        "GATEWAY|ID: \"%s\" is neither a gateway's name nor an id of %d characters",
		        which, ID_BYTES_MAX);
	}
	if (r != CTL_OK) {
		return r;
	}
	path = mem_format("/enrolments/%s/%s", id, verb);
	return api_do(ctl, path, NULL);
}

static int run_approve(struct ctl *ctl)
{
	return decide(ctl, "approve");
}

static int run_refuse(struct ctl *ctl)
{
	return decide(ctl, "refuse");
}

static const struct option which_options[] = {
	{ OPTION("GATEWAY|ID", OPTION_TEXT),
	        "the gateway of which one enrolment waits, or the enrolment, as listed",
	        .required = true, .operand = true },
	{ 0 },
};

static const struct command enrolment_commands[] = {
	{ "list", "Lists requests for service certificates.", GROUP_CENTER | GROUP_PAGE, NULL,
	        run_list },
	{ "approve", "Approves one; the certificate is issued when the gateway asks next.",
	        GROUP_CENTER, which_options, run_approve },
	{ "refuse", "Refuses one.", GROUP_CENTER, which_options, run_refuse },
	{ 0 },
};
const struct noun noun_enrolment = { "enrolment", "requests for service certificates",
	enrolment_commands };
