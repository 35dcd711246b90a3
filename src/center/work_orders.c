#include "center/work_orders.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "center/ledger.h"
#include "center/live.h"
#include "center/mailbox.h"
#include "center/persons.h"
#include "center/registry.h"
#include "center/work_order_mail.h"
#include "center/work_order_row.h"
#include "pki/seal.h"
#include "policy/explain.h"

/* --- the world ----------------------------------------------------------- */

static int world_person(void *context, const char *name, struct work_person *ret_person)
{
	const struct person *person = persons_get(context, name);

	if (!person || !person->active) {
		return 1;
	}
	*ret_person = (struct work_person){
		.may_apply = person_may(person->roles, PERSON_APPLY),
		.may_approve = person_may(person->roles, PERSON_APPROVE),
		.may_report = person_may(person->roles, PERSON_REPORT),
	};
	snprintf(ret_person->organization, sizeof(ret_person->organization), "%s",
	        person->organization);
	snprintf(ret_person->natural_person, sizeof(ret_person->natural_person), "%s",
	        person->natural_person);
	return 0;
}

static int world_site(void *context, const char *name, char *ret_organization, size_t room)
{
	const struct site_entry *site = registry_site(context, name);

	return site && *site->organization ? text_copy(ret_organization, room, site->organization)
	                                   : 1;
}

static bool world_approver(
        void *context, const char *name, const char *approver, const char *key_id_text)
{
	const struct site_entry *site = registry_site(context, name);
	size_t count = site && site->policy ? site_policy_approver_count(site->policy) : 0;
	bool found = false;

	for (size_t i = 0; i < count && !found; i++) {
		AUTO(key) struct key *key = NULL;
		struct policy_approver at;
		struct err err;

		site_policy_approver_at(site->policy, i, &at);
		found = text_equal(at.name, approver) &&
		        key_parse_base64(at.spki, &key, &err) == 0 &&
		        text_equal(key_id(key).text, key_id_text);
	}
	return found;
}

void work_orders_request(const struct work_order *order, const struct work_target *target,
        struct policy_request *ret_request)
{
	*ret_request = (struct policy_request){
		.from = target->from,
		.to = target->to,
		.class = order->terms.class,
		.protocol = target->protocol,
		.port = target->port,
		.emergency = order->emergency,
	};
	memcpy(ret_request->work_order, order->terms.work_order.text,
	        sizeof(ret_request->work_order));
	snprintf(ret_request->person, sizeof(ret_request->person), "%s", order->terms.worker);
}

static bool world_permitted(void *context, const struct work_order *order,
        const struct work_target *target, int64_t now, int64_t *ret_review_sec, struct err *err)
{
	struct center *center = context;
	AUTO_BUF struct buf reason = BUF(ERR_TEXT_BYTES_MAX);
	struct policy_request request;
	enum policy_layer layer;

	work_orders_request(order, target, &request);
	center->work_trial = order;
	center->decision = live_explain(center, &request);
	center->work_trial = NULL;
	*ret_review_sec = center->decision.review_sec;
	if (center->decision.verdict == VERDICT_PERMIT) {
		return true;
	}
	layer = decision_denied_by(&center->decision);
	if (layer < LAYER_COUNT) {
		policy_reason_print(&center->decision, layer, &request, LANGUAGE_ENGLISH, &reason);
	}
	err_set(err, 0, "%s to %s, %s port %u is not permitted: %s",
	        host_ref_print(&target->from).text, host_ref_print(&target->to).text,
	        protocol_name(target->protocol), (unsigned)target->port, buf_text(&reason));
	return false;
}

/* --- facts --------------------------------------------------------------- */

static const struct work_order *find_order(struct center *center, const char *id)
{
	if (center->work_trial && text_equal(center->work_trial->terms.work_order.text, id)) {
		return center->work_trial;
	}
	return work_find(center->work, id);
}

static enum policy_work_order_state state_of(struct center *center, const struct work_order *order,
        const struct policy_request *request, int64_t now)
{
	struct work_target target = { request->from, request->to, request->protocol,
		request->port };

	if (!order) {
		return WORK_ORDER_MISSING;
	}
	if (!text_equal(order->terms.worker, request->person)) {
		return WORK_ORDER_OTHER_WORKER;
	}
	if (order->terms.class != request->class || !work_terms_has(&order->terms, &target)) {
		return WORK_ORDER_OTHER_TARGET;
	}
	/* An emergency is opened as one and ends with its terms; other work never becomes one. */
	if (order->emergency != request->emergency ||
	        (order->emergency && now >= work_order_end(order))) {
		return WORK_ORDER_NOT_OPEN;
	}
	if (order == center->work_trial || order->state == WORK_APPROVED ||
	        order->state == WORK_WORKING) {
		return WORK_ORDER_OPEN;
	}
	return WORK_ORDER_NOT_OPEN;
}

/* The approval that holds the grant, or that is in force now, or else the newest. */
static const struct work_approval *pick_approval(
        const struct work_order *order, const struct grant *grant, int64_t now)
{
	const struct work_approval *newest = NULL;

	for (size_t i = 0; i < order->approval_count; i++) {
		const struct work_approval *at = &order->approvals[i];

		if (at->kind == APPROVAL_OF_REVIEW) {
			continue;
		}
		newest = at;
		if (grant && at->not_before <= grant->not_before &&
		        grant->not_after <= at->not_after) {
			return at;
		}
	}
	return work_order_approval(order, now) ? work_order_approval(order, now) : newest;
}

static struct policy_approval approval_of(struct center *center, const struct work_order *order,
        const char *site, const struct grant *grant, int64_t now)
{
	struct policy_approval fact = { .state = APPROVAL_NONE };
	const struct work_approval *approval;
	const struct person *approver, *worker;

	if (!order || !text_equal(order->terms.site, site)) {
		return fact;
	}
	approval = pick_approval(order, grant, now);
	if (!approval) {
		return fact;
	}
	approver = persons_get(center, approval->approver);
	worker = persons_get(center, order->terms.worker);
	fact.window = (struct policy_window){ approval->not_before, approval->not_after };
	fact.state =
	        approver && approver->active && person_may(approver->roles, PERSON_APPROVE) &&
	                        !persons_same(approver, worker) &&
	                        world_approver(center, site, approval->approver, approval->key_id)
	                ? APPROVAL_GIVEN
	                : APPROVAL_INVALID;
	return fact;
}

void work_orders_fact(struct center *center, const struct policy_request *request,
        const struct grant *grant, int64_t now, struct policy_facts *facts)
{
	const struct work_order *order =
	        *request->work_order ? find_order(center, request->work_order) : NULL;

	facts->work_order = (struct policy_work_order){
		.state = state_of(center, order, request, now),
		.status = order ? work_state_name(order->state) : NULL,
		/* An emergency always has its work order, which was let in when it was applied for;
		 * without one there would be nothing to review. */
		.emergency_allowed = order && order->emergency ? FACT_YES : FACT_NO,
	};
	facts->initiator.approval = approval_of(center, order, request->from.site, grant, now);
	facts->responder.approval = approval_of(center, order, request->to.site, grant, now);
}

json_t *work_orders_approvals(struct center *center, const char *id)
{
	const struct work_order *order = *id ? work_find(center->work, id) : NULL;
	json_t *list = json_array();

	for (size_t i = 0; order && i < order->approval_count; i++) {
		if (order->approvals[i].kind != APPROVAL_OF_REVIEW) {
			json_array_append_new(list, json_string(order->approvals[i].seal));
		}
	}
	return list;
}

/* --- actions ------------------------------------------------------------- */

static void store_order(struct center *center, const struct work_order *order)
{
	AUTO_BUF struct buf body = BUF(JSON_BYTES_MAX);
	struct store_work_order row = { .open = work_state_is_open(order->state),
		.changed_usec = order->changed_at,
		.deletion = order->deletion,
		.report = order->report,
		.leaf = order->leaf };

	work_order_pack(order, &body);
	row.body = (char *)buf_text(&body);
	snprintf(row.id, sizeof(row.id), "%s", order->terms.work_order.text);
	snprintf(row.state, sizeof(row.state), "%s", work_state_name(order->state));
	snprintf(row.site, sizeof(row.site), "%s", order->terms.site);
	snprintf(row.site_organization, sizeof(row.site_organization), "%s",
	        order->site_organization);
	snprintf(row.worker, sizeof(row.worker), "%s", order->terms.worker);
	snprintf(row.organization, sizeof(row.organization), "%s", order->organization);
	ledger_begin(center);
	core_must(store_work_order_put(center->store, &row), "keep a work order");
}

static void store_approval(struct center *center, const struct work_order *order)
{
	const struct work_approval *newest = &order->approvals[order->approval_count - 1];
	struct store_work_approval row = { .number = order->approval_count - 1,
		.seal = newest->seal };

	snprintf(row.work_order, sizeof(row.work_order), "%s", order->terms.work_order.text);
	memcpy(row.digest, newest->digest, sizeof(row.digest));
	ledger_begin(center);
	core_must(store_work_approval_put(center->store, &row), "keep an approval");
}

/* Mails of one kind, each address once. */
struct posting {
	struct center *center;
	struct mailbox_mail mail;
	char sent[32][NAME_BYTES_MAX + 1];
	size_t count;
};

static void post_to(struct posting *posting, const char *person)
{
	struct store_person row = { 0 };
	int r;

	for (size_t i = 0; i < posting->count; i++) {
		if (text_equal(posting->sent[i], person)) {
			return;
		}
	}
	if (posting->count < ARRAY_COUNT(posting->sent)) {
		snprintf(posting->sent[posting->count++], NAME_BYTES_MAX + 1, "%s", person);
	}
	r = store_person_get(posting->center->store, person, &row);
	core_must(r < 0 ? r : 0, "read a person");
	if (r == 0 && text_equal(row.state, "active")) {
		posting->mail.recipient = row.mail;
		mailbox_put(posting->center, &posting->mail);
	}
	store_row_clear(STORE_PERSON, &row);
}

static void post(struct center *center, const struct work_order *order, enum work_mail kind)
{
	AUTO_BUF struct buf subject = BUF(MAIL_HEADER_BYTES_MAX), text = BUF(MAIL_TEXT_BYTES_MAX);
	const struct site_entry *site = registry_site(center, order->terms.site);
	unsigned to = work_mail_to(kind);
	struct posting posting = { .center = center };

	if (!center->config.mail_server) {
		return;
	}
	work_mail_print(kind, order, &subject, &text);
	posting.mail = (struct mailbox_mail){ .subject = buf_text(&subject),
		.text = buf_text(&text),
		.about = order->terms.work_order.text,
		.kind = work_mail_name(kind) };
	if (to & WORK_TO_WORKER) {
		post_to(&posting, order->terms.worker);
		post_to(&posting, order->applicant);
	}
	for (size_t i = 0; (to & WORK_TO_APPROVERS) && site && site->policy &&
	                   i < site_policy_approver_count(site->policy);
	        i++) {
		struct policy_approver approver;

		site_policy_approver_at(site->policy, i, &approver);
		post_to(&posting, approver.name);
	}
}

struct own_connections {
	const char *work_order;
	char (*ids)[ID_BYTES_MAX + 1];
	size_t count, room;
};

static void collect(void *context, const struct connection_row *row)
{
	struct own_connections *own = context;

	if (!text_equal(row->grant.work_order, own->work_order) ||
	        row->state == CONNECTION_CLOSING) {
		return;
	}
	if (own->count == own->room) {
		own->room = own->room ? 2 * own->room : 16;
		own->ids = mem_resize(own->ids, own->room, sizeof(*own->ids));
	}
	memcpy(own->ids[own->count++], row->grant.id.text, sizeof(*own->ids));
}

static void cut_all(struct center *center, const struct work_order *order, const char *reason)
{
	struct own_connections own = { .work_order = order->terms.work_order.text };
	uint64_t leaf;

	if (!center->machine) {
		return;
	}
	connection_list(center->machine, order->terms.site, NULL, collect, &own);
	for (size_t i = 0; i < own.count; i++) {
		if (live_cut(center, own.ids[i], order->by, reason, &leaf) != 0) {
			log_debug("connection %s was closed already", own.ids[i]);
		}
	}
	free(own.ids);
}

static json_t *ask(struct center *center, const struct work_order *order, size_t index)
{
	const struct work_target *target = &order->terms.targets[index];
	struct connection_request request = { 0 };
	struct live_answer answer;
	json_t *json;

	work_orders_request(order, target, &request.policy);
	answer = live_ask(center, &request);
	json = json_pack("{ss ss ss si}", "from", host_ref_print(&target->from).text, "to",
	        host_ref_print(&target->to).text, "protocol", protocol_name(target->protocol),
	        "port", (int)target->port);
	if (answer.answer == CONNECTION_ACCEPTED || answer.answer == CONNECTION_EXISTS) {
		json_object_set_new(json, "id", json_string(answer.id.text));
	} else if (answer.answer == CONNECTION_DENIED) {
		json_object_set_new(
		        json, "layers", live_layers(&center->decision, &request.policy));
	} else {
		json_object_set_new(json, "busy", json_true());
	}
	return json;
}

void work_orders_run(
        struct center *center, struct work_actions *actions, struct work_result *ret_result)
{
	*ret_result = (struct work_result){ .leaf = center->tree.size };
	for (size_t i = 0; i < actions->count; i++) {
		struct work_action *action = &actions->items[i];

		switch (action->type) {
		case WORK_RECORD:
			ret_result->leaf = ledger_append(center, TAKE(action->record));
			action->order->leaf = ret_result->leaf;
			break;
		case WORK_STORE:
			store_order(center, action->order);
			break;
		case WORK_STORE_APPROVAL:
			store_approval(center, action->order);
			break;
		case WORK_MAIL:
			post(center, action->order, action->mail);
			break;
		case WORK_ASK:
			if (!ret_result->connections) {
				ret_result->connections = json_array();
			}
			json_array_append_new(ret_result->connections,
			        ask(center, action->order, action->target));
			break;
		case WORK_CUT:
			cut_all(center, action->order, action->reason);
			break;
		}
	}
	work_actions_clear(actions);
}

static void run_and_forget(struct center *center, struct work_actions *actions)
{
	struct work_result result;

	work_orders_run(center, actions, &result);
	json_decref(result.connections);
}

void work_orders_connected(struct center *center, const char *id)
{
	struct work_actions actions = { 0 };

	work_connected(center->work, id, clock_wall_usec(), &actions);
	run_and_forget(center, &actions);
}

void work_orders_tick(struct center *center)
{
	struct work_actions actions = { 0 };

	work_tick(center->work, clock_wall_usec(), &actions);
	run_and_forget(center, &actions);
}

static void on_person_ended(struct center *center, const char *person, const char *reason)
{
	struct work_actions actions = { 0 };

	work_person_left(center->work, person, clock_wall_usec(), &actions);
	run_and_forget(center, &actions);
}

/* --- the store ----------------------------------------------------------- */

struct restoring {
	struct center *center;
	struct work_order *order;
};

static int restore_approval(void *context, const void *data)
{
	const struct store_work_approval *row = data;
	struct restoring *restoring = context;
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);
	struct err err = { "" };
	struct key_id key;
	int r = seal_peek(row->seal, strlen(row->seal), APPROVAL_SEAL_TYPE, &payload, &key, &err);

	if (r == 0) {
		r = work_order_add_approval(restoring->order, payload.bytes, payload.count,
		        row->seal, key.text, row->digest, &err);
	}
	if (r != 0) {
		log_error("an approval of work order %s: %s", row->work_order, err.text);
		return FAULT(-EBADMSG);
	}
	return 0;
}

int work_orders_unpack(
        struct center *center, const struct store_work_order *stored, struct work_order **ret_order)
{
	AUTO(work_order) struct work_order *order = NULL;
	struct restoring restoring;
	struct err err = { "" };
	int r = work_order_unpack(stored->body, &order, &err);

	if (r != 0) {
		log_error("work order %s: %s", stored->id, err.text);
		return 1;
	}
	order->leaf = stored->leaf;
	order->deletion = *stored->deletion ? mem_string(stored->deletion) : NULL;
	order->report = *stored->report ? mem_string(stored->report) : NULL;
	restoring = (struct restoring){ center, order };
	r = store_work_approval_list(center->store, stored->id, restore_approval, &restoring);
	core_must(r < 0 ? r : 0, "read approvals");
	*ret_order = TAKE(order);
	return 0;
}

int work_orders_read(struct center *center, const char *id, struct work_order **ret_order)
{
	struct store_work_order stored = { 0 };
	int r = store_work_order_get(center->store, id, &stored);

	core_must(r < 0 ? r : 0, "read a work order");
	if (r == 0) {
		r = work_orders_unpack(center, &stored, ret_order);
	}
	store_row_clear(STORE_WORK_ORDER, &stored);
	return r;
}

static int find_open(void *context, const void *data)
{
	const struct store_work_order *stored = data;
	struct names *ids = context;

	names_put(ids, stored->id, ids);
	return 0;
}

static void restore(void *context, const char *id, void *value)
{
	struct center *center = context;
	struct work_order *order = NULL;

	core_must(
	        work_orders_read(center, id, &order) == 0 && work_restore(center->work, order) == 0
	                ? 0
	                : -EBADMSG,
	        "restore a work order");
}

static struct work_settings settings_of(const struct center_config *config)
{
	return (struct work_settings){ config->report_due_sec, config->review_due_sec,
		config->remind_sec, config->remind_later_sec };
}

void work_orders_configure(struct center *center)
{
	struct work_settings settings = settings_of(&center->config);

	work_machine_set(center->work, &settings);
}

int work_orders_open(struct center *center, struct err *err)
{
	struct work_world world = { center, world_person, world_site, world_approver,
		world_permitted };
	struct work_settings settings = settings_of(&center->config);
	AUTO(names) struct names *ids = names_new();
	int r;

	center->work = work_machine_new(&world, &settings);
	center->on_person_ended = on_person_ended;
	/* First the list, then each: a statement of the store is not used inside itself. */
	r = store_work_order_list_open(center->store, find_open, ids);
	if (r < 0) {
		return err_set(err, FAULT(r), "the work orders cannot be read");
	}
	names_each(ids, restore, center);
	return 0;
}
