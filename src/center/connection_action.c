/* The action list of the connection machine, and the words of its states and reports. */
#include <stdio.h>
#include <string.h>

#include "center/connection_step.h"

void connection_actions_reset(struct connection_actions *actions)
{
	for (size_t i = 0; i < actions->count; i++) {
		struct connection_action *action = &actions->items[i];

		buf_clear(&action->record);
		free(action->row);
		free(action->grant);
		free(action->decision);
	}
	actions->count = 0;
}

void connection_actions_clear(struct connection_actions *actions)
{
	connection_actions_reset(actions);
	free(actions->items);
	*actions = (struct connection_actions){ 0 };
}

struct connection_action *step_push(struct connection_turn *turn, enum connection_action_type type)
{
	struct connection_actions *out = turn->out;

	if (out->count == out->room) {
		out->room = out->room ? 2 * out->room : 16;
		out->items = mem_resize(out->items, out->room, sizeof(*out->items));
	}
	out->items[out->count] = (struct connection_action){ .type = type };
	out->count++;
	return &out->items[out->count - 1];
}

struct record *step_record_new(struct connection_turn *turn, const char *kind, const char *id)
{
	struct record *record = record_begin(kind, turn->now.wall_usec);

	record_subject(record, id);
	return record;
}

/* Adopts the record. */
void step_record_push(
        struct connection_turn *turn, const char *kind, const char *id, struct record *record)
{
	struct connection_action *action = step_push(turn, CONNECTION_RECORD);

	action->kind = record_kind_find(kind)->name;
	action->record = BUF(LEDGER_RECORD_BYTES_MAX);
	snprintf(action->id.text, sizeof(action->id.text), "%s", id);
	assert_always(record_end(record, &action->record) == 0);
}

void step_store(struct connection_turn *turn, struct connection *connection)
{
	struct connection_action *action;

	connection->row.changed_at = turn->now.wall_usec;
	action = step_push(turn, CONNECTION_STORE);
	action->id = connection->row.grant.id;
	action->row = mem_copy(&connection->row, sizeof(connection->row));
}

static const char *const state_names[] = {
	[CONNECTION_NONE] = "none",
	[CONNECTION_GRANTED] = "granted",
	[CONNECTION_GOING] = "going",
	[CONNECTION_UP] = "up",
	[CONNECTION_CLOSING] = "closing",
	[CONNECTION_CLOSED] = "closed",
};

static const char *const report_names[] = {
	[CONNECTION_REPORT_REFUSED] = "refused",
	[CONNECTION_REPORT_ARMED] = "armed",
	[CONNECTION_REPORT_UP] = "up",
	[CONNECTION_REPORT_CLOSED] = "closed",
};

const char *connection_state_name(enum connection_state state)
{
	return state_names[state];
}

int connection_state_parse(const char *name, enum connection_state *ret_state)
{
	for (size_t i = 0; i < ARRAY_COUNT(state_names); i++) {
		if (strcmp(state_names[i], name) == 0) {
			*ret_state = i;
			return 0;
		}
	}
	return 1;
}

int connection_report_parse(const char *name, enum connection_report *ret_report)
{
	for (size_t i = 0; i < ARRAY_COUNT(report_names); i++) {
		if (strcmp(report_names[i], name) == 0) {
			*ret_report = i;
			return 0;
		}
	}
	return 1;
}
