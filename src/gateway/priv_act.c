/*
 * Process priv: doing what the tunnel machine says, in its order (tunnel.h, "the shell's part").
 */
#include "gateway/priv.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "gateway/message.h"
#include "wire/json.h"

#define INITIATE_MSEC 20000
#define TERMINATE_MSEC 5000
#define RECONCILE_AGAIN_MSEC 300

/* What a call on charon is about, until it is done. */
struct pending {
	struct priv *priv;
	uint32_t tag;
	struct pending *next, **at; /* in the list of all */
};

/* What an action came to, told to the machine after the whole list was carried out. */
struct result {
	const struct tunnel_action *action;
	bool ok;
	struct err err;
};

struct round {
	struct result *results;
	size_t result_count;
	bool journal_failed;
	bool unsynced; /* records were written and are not on disk yet */
};

/* Which hosts with changeover have a live connection, `opening` (an id, or NULL) counted in: these
 * are away from their LAN. Outcome 1: that could not be done. */
static int apply_changeover(struct priv *priv, const char *opening)
{
	const struct site_policy *site = trust_site_policy(priv->trust);
	size_t count = priv->machine ? tunnel_count(priv->machine) : 0, used = 0;
	struct ip *away = mem_new(count + 1, sizeof(*away));
	struct err err = { 0 };
	int r;

	for (size_t i = 0; site && i < count; i++) {
		struct tunnel_view view = tunnel_at(priv->machine, i);
		bool first = text_equal(view.grant->initiator.site, trust_site(priv->trust));
		const struct grant_end *own =
		        first ? &view.grant->initiator : &view.grant->responder;
		struct policy_host host;

		if ((view.state == TUNNEL_OPENING || view.state == TUNNEL_UP ||
		            text_equal(opening, view.grant->id.text)) &&
		        site_policy_host_get(site, own->host, &host) == 0 && host.changeover) {
			away[used++] = ip_make(host.address.family, host.address.bytes);
		}
	}
	r = firewall_away_set(priv->firewall, away, used, &err);
	free(away);
	if (r != 0) {
		log_error("changeover: %s", err.text);
	}
	return r == 0 ? 0 : 1;
}

static struct pending *pending_new(struct priv *priv, uint32_t tag)
{
	struct pending *pending = mem_new(1, sizeof(*pending));

	*pending = (struct pending){
		.priv = priv, .tag = tag, .next = priv->pendings, .at = &priv->pendings
	};
	if (pending->next) {
		pending->next->at = &pending->next;
	}
	priv->pendings = pending;
	return pending;
}

static void pending_free(struct pending *pending)
{
	*pending->at = pending->next;
	if (pending->next) {
		pending->next->at = pending->at;
	}
	free(pending);
}

static void on_loaded(void *context, enum charon_outcome outcome, const char *text)
{
	struct pending *pending = context;
	struct priv *priv = pending->priv;
	struct tunnel_actions actions = { 0 };

	tunnel_loaded(
	        priv->machine, pending->tag, outcome == CHARON_OK, text, clock_now(), &actions);
	pending_free(pending);
	priv_act(priv, &actions);
}

static void on_initiated(void *context, enum charon_outcome outcome, const char *text)
{
	struct pending *pending = context;
	struct priv *priv = pending->priv;
	struct tunnel_actions actions = { 0 };

	if (outcome != CHARON_OK) {
		log_warning("charon could not start a tunnel: %s", text);
	}
	tunnel_initiated(
	        priv->machine, pending->tag, outcome == CHARON_OK, text, clock_now(), &actions);
	pending_free(pending);
	priv_act(priv, &actions);
}

static void on_nothing(void *context, enum charon_outcome outcome, const char *text)
{
}

/* With kernel ESP each peer has an xfrm interface; its id is the peer's name hashed into 1 to 2^30,
 * so that it stays the same over restarts without being kept anywhere. */
static uint32_t interface_id(const char *peer)
{
	uint32_t hash = 2166136261U;

	for (; *peer; peer++) {
		hash = (hash ^ (uint8_t)*peer) * 16777619U;
	}
	return (hash & 0x3fffffffU) | 1U;
}

static void interface_name(const char *peer, char out[IFNAMSIZ])
{
	snprintf(out, IFNAMSIZ, DATAPLANE_TUNNEL_PREFIX "%x", interface_id(peer));
}

static struct ip ip_of(struct address address)
{
	return ip_make(address.family, address.bytes);
}

/* Our address of the peer's family; where the peer's is not known it speaks first, and over IPv4 if
 * we have it. */
static int find_wan(struct priv *priv, struct address peer, struct ip *ret_ip, struct err *err)
{
	const char *wan = priv->config->wan;

	if (peer.family == ADDRESS_NONE &&
	        address_find(priv->address, wan, IP_V4, ret_ip, err) == 0) {
		return 0;
	}
	return address_find(
	        priv->address, wan, peer.family == ADDRESS_V4 ? IP_V4 : IP_V6, ret_ip, err);
}

static int make_interface(struct priv *priv, const struct tunnel_peer *peer, struct err *err)
{
	char name[IFNAMSIZ];

	interface_name(peer->name, name);
	if (address_tunnel_make(
	            priv->address, name, priv->config->wan, interface_id(peer->name), err) != 0) {
		return 1;
	}
	for (size_t i = 0; i < peer->child_count; i++) {
		if (address_route_add(priv->address, ip_of(peer->children[i].remote), name, err) !=
		        0) {
			return 1;
		}
	}
	return 0;
}

static int load_peer(
        struct priv *priv, const struct tunnel_peer *peer, uint32_t tag, struct err *err)
{
	const struct cert *identity = trust_identity(priv->trust);
	struct charon_child *children = mem_new(peer->child_count, sizeof(*children));
	struct address_text remote = address_print(peer->address);
	struct ip_text local;
	struct ip wan;
	struct charon_peer load = { .name = peer->name,
		.local_address = local.text,
		.remote_address = peer->address.family ? remote.text : NULL,
		.local_id = cert_dns_name(identity, 0),
		.remote_id = peer->identity,
		.children = children,
		.children_count = peer->child_count };
	struct pending *pending;
	int r;

	if (!trust_service_ca(priv->trust)) {
		free(children);
		return err_set(err, 1, "the service CA is not known");
	}
	if (peer->certificate_bytes == 0) {
		free(children);
		return err_set(err, 1, "the peer's service certificate is not known");
	}
	/* Looked up each time: an address given by DHCP may be another one today. */
	if (find_wan(priv, peer->address, &wan, err) != 0) {
		free(children);
		return 1;
	}
	local = ip_print(wan);
	load.peer_certificate = peer->certificate;
	load.peer_certificate_bytes = peer->certificate_bytes;
	for (size_t i = 0; i < peer->child_count; i++) {
		children[i] = (struct charon_child){ .name = peer->children[i].name,
			.local = ip_of(peer->children[i].local),
			.remote = ip_of(peer->children[i].remote) };
	}
	if (priv->dataplane == DATAPLANE_KERNEL) {
		load.if_id = interface_id(peer->name);
		if (make_interface(priv, peer, err) != 0) {
			free(children);
			return 1;
		}
	}
	priv_authority_load(priv);
	pending = pending_new(priv, tag);
	r = charon_load_peer(priv->charon, &load, on_loaded, pending);
	if (r != 0) {
		pending_free(pending);
		err_set(err, 1, "charon's queue is full");
	}
	free(children);
	return r == 0 ? 0 : 1;
}

static void drop_interface(struct priv *priv, const char *peer)
{
	char name[IFNAMSIZ];
	struct err err;

	if (priv->dataplane != DATAPLANE_KERNEL) {
		return;
	}
	interface_name(peer, name);
	if (address_link_remove(priv->address, name, &err) != 0) {
		log_warning("%s", err.text);
	}
}

static void send_report(struct priv *priv, const struct tunnel_action *action)
{
	AUTO_JSON json_t *report = json_pack(
	        "{s:s,s:s}", "type", tunnel_report_name(action->report), "id", action->id.text);
	AUTO_BUF struct buf text = BUF(MESSAGE_BYTES_MAX);
	AUTO_BUF struct buf payload = BUF(MESSAGE_BYTES_MAX);

	if (action->reason[0]) {
		json_object_set_new(report, "reason", json_string(action->reason));
	}
	if (action->local) {
		json_object_set_new(report, "local", json_true());
	}
	json_print(report, &text);
	buf_add_block(&payload, text.bytes, text.count);
	priv_send(priv, MESSAGE_REPORT, action->may_wait, &payload);
}

/* A lease that cannot be taken out must not stay: then everything goes. */
static void close_lease(struct priv *priv, const struct nft_lease *lease)
{
	struct err err = { 0 };
	int r = firewall_lease_remove(priv->firewall, lease, 1);

	if (r == 0 || r == FIREWALL_MISSING) {
		return;
	}
	log_error("a lease could not be removed (%d): the whole table is removed", r);
	if (firewall_unload(priv->firewall, &err) != 0 ||
	        firewall_load(priv->firewall, &err) != 0) {
		log_error("%s", err.text);
	}
	priv_apply_policy(priv); /* the address maps went with it */
}

/* Failing to ask is a result as well; like every result it goes back after the whole list. */
static void ask_charon(struct priv *priv, const struct tunnel_action *action, struct round *round)
{
	struct err err = { 0 };
	struct pending *pending;
	int r;

	if (action->type == TUNNEL_PEER_LOAD) {
		r = load_peer(priv, action->peer, action->tag, &err);
	} else {
		pending = pending_new(priv, action->tag);
		r = charon_initiate(priv->charon, action->peer_name, action->child, INITIATE_MSEC,
		        on_initiated, pending);
		if (r != 0) {
			pending_free(pending);
			err_set(&err, 1, "charon's queue is full");
		}
	}
	if (r != 0) {
		log_warning("%s: %s", action->peer_name, err.text);
		round->results[round->result_count++] =
		        (struct result){ .action = action, .err = err };
	}
}

static void end_tunnel(struct priv *priv, const struct tunnel_action *action)
{
	const char *child = action->type == TUNNEL_CHILD_TERMINATE ? action->child : NULL;
	int r;

	if (action->type == TUNNEL_PEER_UNLOAD) {
		r = charon_unload_peer(priv->charon, action->peer_name, on_nothing, NULL);
		drop_interface(priv, action->peer_name);
	} else {
		r = charon_terminate(
		        priv->charon, action->peer_name, child, TERMINATE_MSEC, on_nothing, NULL);
	}
	if (r != 0) {
		log_warning("charon's queue is full; the next comparison ends what is left");
	}
}

/* Records in a row share one sync, and what shuts does not wait for it: a slow disk must not keep a
 * cut waiting, and should the power fail in between, the elements go as well. */
static void keep_record(struct priv *priv, const struct tunnel_action *action, struct round *round)
{
	int r = priv_record_wanted(priv, action->kind)
	                ? journal_write(priv->journal, action->record.bytes, action->record.count)
	                : 0;

	if (r != 0) {
		log_error("the journal cannot be written (%d): nothing is opened any more", r);
		round->journal_failed = true;
	}
	round->unsynced = true;
}

static void sync_records(struct priv *priv, struct round *round)
{
	int r = round->unsynced && !round->journal_failed ? journal_sync(priv->journal) : 0;

	round->unsynced = false;
	if (r != 0) {
		log_error("the journal cannot be synced (%d): nothing is opened any more", r);
		round->journal_failed = true;
	}
}

/* What charon is asked for opens nothing: it works while the disk does. The list is not done, and
 * nobody hears of it, before the sync was. */
static bool needs_no_sync(enum tunnel_action_type type)
{
	return type == TUNNEL_RECORD || type == TUNNEL_LEASE_CLOSE || type == TUNNEL_FLOWS_FORGET ||
	       type == TUNNEL_PEER_LOAD || type == TUNNEL_CHILD_INITIATE;
}

/* A host with changeover leaves its LAN before its connection opens, or the connection does not
 * (protocol.md 2.5). It comes back when the list of actions is done. */
static int open_lease(struct priv *priv, const struct tunnel_action *action)
{
	int r = apply_changeover(priv, action->id.text);

	return r == 0 ? firewall_lease_set(priv->firewall, &action->lease, 1, action->ttl_msec) : r;
}

static void do_action(struct priv *priv, const struct tunnel_action *action, struct round *round)
{
	int r;

	if (!needs_no_sync(action->type)) {
		sync_records(priv, round);
	}
	if (round->journal_failed && action->type != TUNNEL_LEASE_CLOSE &&
	        action->type != TUNNEL_FLOWS_FORGET) {
		return;
	}
	switch (action->type) {
	case TUNNEL_RECORD:
		keep_record(priv, action, round);
		break;
	case TUNNEL_PEER_LOAD:
	case TUNNEL_CHILD_INITIATE:
		ask_charon(priv, action, round);
		break;
	case TUNNEL_LEASE_OPEN:
		r = open_lease(priv, action);
		round->results[round->result_count++] =
		        (struct result){ .action = action, .ok = r == 0 };
		break;
	case TUNNEL_LEASE_RENEW:
		r = firewall_lease_set(priv->firewall, &action->lease, 1, action->ttl_msec);
		if (r != 0) {
			log_warning("a lease could not be renewed (%d); it runs out", r);
		}
		break;
	case TUNNEL_LEASE_CLOSE:
		close_lease(priv, &action->lease);
		break;
	case TUNNEL_FLOWS_FORGET:
		if (firewall_flows_cut(priv->firewall, action->lease.mark) != 0) {
			log_warning(
			        "flows of connection %u could not be removed", action->lease.mark);
		}
		break;
	case TUNNEL_CHILD_TERMINATE:
	case TUNNEL_PEER_TERMINATE:
	case TUNNEL_PEER_UNLOAD:
		end_tunnel(priv, action);
		break;
	case TUNNEL_REPORT:
		send_report(priv, action);
		break;
	}
}

static void tell_result(struct priv *priv, const struct result *result, struct tunnel_actions *next)
{
	const struct tunnel_action *action = result->action;

	switch (action->type) {
	case TUNNEL_LEASE_OPEN:
		tunnel_opened(priv->machine, action->id.text, result->ok, clock_now(), next);
		break;
	case TUNNEL_PEER_LOAD:
		tunnel_loaded(priv->machine, action->tag, result->ok, result->err.text, clock_now(),
		        next);
		break;
	default:
		tunnel_initiated(priv->machine, action->tag, result->ok, result->err.text,
		        clock_now(), next);
	}
}

void priv_act(struct priv *priv, struct tunnel_actions *actions)
{
	struct tunnel_actions now = *actions;

	*actions = (struct tunnel_actions){ 0 };
	while (now.count > 0) {
		struct tunnel_actions next = { 0 };
		struct round round = { .results = mem_new(now.count, sizeof(struct result)) };

		for (size_t i = 0; i < now.count; i++) {
			do_action(priv, &now.items[i], &round);
		}
		sync_records(priv, &round);
		for (size_t i = 0; i < round.result_count && !round.journal_failed; i++) {
			tell_result(priv, &round.results[i], &next);
		}
		free(round.results);
		tunnel_actions_clear(&now);
		if (round.journal_failed) {
			tunnel_actions_clear(&next);
			loop_stop(priv->loop,
			        1); /* main starts a new one, which reads what is on disk */
			return;
		}
		now = next;
	}
	tunnel_actions_clear(&now);
	if (apply_changeover(priv, NULL) != 0) {
		log_warning("a host may still be away from its LAN, or not be it");
	}
	if (priv->machine) {
		int64_t left = tunnel_next(priv->machine) - clock_monotonic_usec();
		int64_t msec =
		        left > USEC_PER_SEC ? 1000 : (left + USEC_PER_MSEC - 1) / USEC_PER_MSEC;

		loop_timer_set(priv->tick, msec > 1 ? msec : 1);
	}
}

struct leases {
	struct nft_lease *items;
	size_t count, room;
};

static void add_lease(void *context, const struct firewall_lease *lease)
{
	struct leases *leases = context;

	if (leases->count < leases->room) {
		leases->items[leases->count++] = lease->lease;
	}
}

static void count_lease(void *context, const struct firewall_lease *lease)
{
	++*(size_t *)context;
}

/* Before the machine is there, what the process before this one opened is known to the kernel only.
 */
static void shut_all(struct priv *priv)
{
	struct leases leases = { 0 };

	if (firewall_lease_list(priv->firewall, count_lease, &leases.room) != 0 ||
	        leases.room == 0) {
		return;
	}
	leases.items = mem_new(leases.room, sizeof(*leases.items));
	if (firewall_lease_list(priv->firewall, add_lease, &leases) != 0) {
		log_error("the leases cannot be listed; they run out by themselves");
	}
	for (size_t i = 0; i < leases.count; i++) {
		close_lease(priv, &leases.items[i]);
		if (firewall_flows_cut(priv->firewall, leases.items[i].mark) != 0) {
			log_warning("flows of connection %u could not be removed",
			        leases.items[i].mark);
		}
	}
	free(leases.items);
}

void priv_shut(struct priv *priv, const char *by, const char *reason)
{
	struct tunnel_actions actions = { 0 };

	if (priv->machine) {
		tunnel_cut_all(priv->machine, by, reason, clock_now(), &actions);
		priv_act(priv, &actions);
		return;
	}
	priv_note(priv, by, "connection.cut", "", reason);
	shut_all(priv);
}

struct found {
	struct priv *priv;
	struct tunnel_found_element *elements;
	size_t element_count, element_room;
	struct charon_sa *sas;
	size_t sa_count, sa_room;
	uint64_t child_events; /* how many there had been when the list was asked for */
	bool elements_known;
};

static void add_element(void *context, const struct firewall_lease *lease)
{
	struct found *found = context;

	if (found->element_count == found->element_room) {
		found->element_room = found->element_room ? 2 * found->element_room : 16;
		found->elements =
		        mem_resize(found->elements, found->element_room, sizeof(*found->elements));
	}
	found->elements[found->element_count++] =
	        (struct tunnel_found_element){ .lease = lease->lease,
		        .left_msec = (uint32_t)lease->left_msec,
		        .packets = lease->packets };
}

static int compare_marks(const void *left, const void *right)
{
	uint32_t a = ((const struct tunnel_found_element *)left)->lease.mark;
	uint32_t b = ((const struct tunnel_found_element *)right)->lease.mark;

	return a < b ? -1 : a > b;
}

static void add_flow(void *context, const struct conntrack_flow *flow)
{
	struct found *found = context;
	struct tunnel_found_element key = { .lease.mark = flow->mark };
	struct tunnel_found_element *element =
	        bsearch(&key, found->elements, found->element_count, sizeof(key), compare_marks);

	if (element) {
		element->flow_packets += flow->packets_out + flow->packets_in;
	}
}

/* What passed counts where a connection has an idle limit, and only then is it asked for. */
static void list_flows(struct found *found)
{
	if (!found->elements_known || found->element_count == 0 ||
	        !tunnel_wants_flows(found->priv->machine)) {
		return;
	}
	qsort(found->elements, found->element_count, sizeof(*found->elements), compare_marks);
	if (firewall_flows_list(found->priv->firewall, 0, add_flow, found) != 0) {
		log_warning("the flows cannot be listed: only the packet filter's counters tell "
		            "whether a connection is used");
	}
}

static void add_sa(void *context, const struct charon_sa *sa)
{
	struct found *found = context;

	if (found->sa_count == found->sa_room) {
		found->sa_room = found->sa_room ? 2 * found->sa_room : 16;
		found->sas = mem_resize(found->sas, found->sa_room, sizeof(*found->sas));
	}
	found->sas[found->sa_count++] = *sa;
}

static void compare(struct found *list, bool children_known)
{
	struct priv *priv = list->priv;
	struct tunnel_found_child *children = mem_new(list->sa_count, sizeof(*children));
	struct tunnel_actions actions = { 0 };
	size_t count = 0;

	for (size_t i = 0; i < list->sa_count; i++) {
		/* A CHILD SA that is on its way up or down is no child yet or any more. */
		if (list->sas[i].child[0] && strcmp(list->sas[i].child_state, "INSTALLED") != 0 &&
		        strcmp(list->sas[i].child_state, "REKEYED") != 0 &&
		        strcmp(list->sas[i].child_state, "REKEYING") != 0) {
			continue;
		}
		children[count++] = (struct tunnel_found_child){ .peer = list->sas[i].peer,
			.child = list->sas[i].child };
	}
	tunnel_reconcile(priv->machine,
	        &(struct tunnel_found){ .elements = list->elements,
	                .element_count = list->element_count,
	                .elements_known = list->elements_known,
	                .children = children,
	                .child_count = count,
	                .children_known = children_known },
	        clock_now(), &actions);
	free(children);
	priv_act(priv, &actions);
}

/* The elements are listed now and not when charon was asked: one that came meanwhile is no
 * stranger. charon's list, though, is as old as the question; an event that came since is newer. */
static void on_listed(void *context, enum charon_outcome outcome, const char *text)
{
	struct found *found = context;
	struct priv *priv = found->priv;
	bool current = found->child_events == priv->child_events;

	priv->found = NULL;
	found->elements_known = firewall_lease_list(priv->firewall, add_element, found) == 0;
	list_flows(found);
	compare(found, outcome == CHARON_OK && current);
	if (!current) {
		loop_timer_set(priv->reconcile, RECONCILE_AGAIN_MSEC);
	}
	free(found->elements);
	free(found->sas);
	free(found);
}

void priv_reconcile(struct priv *priv)
{
	struct found *found;

	if (!priv->machine || priv->found) {
		return;
	}
	found = mem_new(1, sizeof(*found));
	found->priv = priv;
	found->child_events = priv->child_events;
	priv->found = found;
	if (!charon_alive(priv->charon) ||
	        charon_list(priv->charon, add_sa, on_listed, found) != 0) {
		on_listed(found, CHARON_GONE, "");
	}
}

/* What charon still owes is not told any more; charon_free() comes before. */
void priv_act_close(struct priv *priv)
{
	while (priv->pendings) {
		pending_free(priv->pendings);
	}
	if (priv->found) {
		free(priv->found->elements);
		free(priv->found->sas);
		free(TAKE(priv->found));
	}
}

/* Which real addresses are in which zone (F1). */
static void apply_zones(struct priv *priv, const struct site_policy *site, size_t count)
{
	static const enum policy_zone zones[FIREWALL_ZONE_COUNT] = { ZONE_DMZ, ZONE_SZ, ZONE_HSZ };
	struct ip *ips = mem_new(count + 1, sizeof(*ips));

	for (int zone = 0; zone < FIREWALL_ZONE_COUNT; zone++) {
		struct policy_host host;
		size_t used = 0;

		for (size_t i = 0; i < count; i++) {
			site_policy_host_at(site, i, &host);
			if (host.zone == zones[zone]) {
				ips[used++] = ip_of(host.address);
			}
		}
		if (firewall_zone_set(priv->firewall, (enum firewall_zone)zone, ips, used) != 0) {
			log_error("zone %s could not be set", firewall_zone_names[zone]);
		}
	}
	free(ips);
}

static bool is_forwarded(const struct priv *priv, struct address address)
{
	bool found = false;

	for (size_t i = 0; i < priv->config->services_count; i++) {
		found |= priv->config->services[i].address.family == address.family;
	}
	return found;
}

void priv_apply_policy(struct priv *priv)
{
	const struct site_policy *site = trust_site_policy(priv->trust);
	size_t count = site ? site_policy_host_count(site) : 0, used = 0;
	struct ip *services = mem_new(count, sizeof(*services));
	struct nft_pair *pairs = mem_new(count, sizeof(*pairs));
	struct err err = { 0 };

	for (size_t i = 0; i < count; i++) {
		struct policy_host host;

		site_policy_host_at(site, i, &host);
		if (host.service.family == ADDRESS_NONE || !is_forwarded(priv, host.service)) {
			continue;
		}
		services[used] = ip_of(host.service);
		pairs[used++] =
		        (struct nft_pair){ .from = ip_of(host.service), .to = ip_of(host.address) };
	}
	/* charon's own ESP wants the gateway to own what it speaks for; the kernel's does not. */
	if ((priv->dataplane == DATAPLANE_USERSPACE &&
	            address_set(priv->address, GATEWAY_BRIDGE, services, used, &err) != 0)) {
		log_error("%s", err.text);
	}
	if (firewall_addresses_set(priv->firewall, pairs, used) != 0) {
		log_error("the address maps could not be set");
	}
	apply_zones(priv, site, count);
	priv_traffic_apply(priv);
	if (apply_changeover(priv, NULL) != 0) {
		log_warning("changeover hosts are looked at again with the next change");
	}
	free(services);
	free(pairs);
}
