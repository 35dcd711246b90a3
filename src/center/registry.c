#include "center/registry.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "center/ledger.h"
#include "center/live.h"
#include "center/procedure.h"
#include "wire/sse.h"

struct fingerprint_text {
	char text[2 * 32 + 1];
};

static struct fingerprint_text print_fingerprint(const uint8_t bytes[32])
{
	struct fingerprint_text text;

	hex_print(bytes, 32, text.text);
	return text;
}

struct gateway *registry_gateway(const struct center *center, const char *name)
{
	return names_get(center->gateways, name);
}

struct site_entry *registry_site(const struct center *center, const char *name)
{
	return names_get(center->sites, name);
}

void registry_sites_want(const struct center *center, const char *const names[2])
{
	names_want(center->sites, names[0]);
	names_want(center->sites, names[1]);
}

void registry_sites(
        const struct center *center, const char *const names[2], struct site_entry *ret_sites[2])
{
	void *sites[2];

	names_get_both(center->sites, names, sites);
	for (int i = 0; i < 2; i++) {
		ret_sites[i] = sites[i];
		site_policy_want(ret_sites[i] ? ret_sites[i]->policy : NULL);
	}
}

struct gateway *registry_device(const struct center *center, struct key_hash fingerprint)
{
	return names_get(center->devices, print_fingerprint(fingerprint.bytes).text);
}

struct gateway_certificate *registry_certificate(struct gateway *gateway, const char *serial)
{
	for (size_t i = 0; i < gateway->service_count; i++) {
		if (text_equal(gateway->service[i].serial, serial)) {
			return &gateway->service[i];
		}
	}
	return NULL;
}

struct site_entry *registry_take_site(struct center *center, const char *name)
{
	struct site_entry *site = registry_site(center, name);

	if (!site) {
		site = mem_new(1, sizeof(*site));
		snprintf(site->name, sizeof(site->name), "%s", name);
		names_put(center->sites, name, site);
	}
	return site;
}

struct gateway *registry_take_procedure(struct center *center, const struct store_procedure *row)
{
	struct site_entry *site = registry_take_site(center, row->site);
	struct gateway *gateway = registry_gateway(center, row->gateway);

	if (!gateway) {
		gateway = mem_new(1, sizeof(*gateway));
		memcpy(gateway->name, row->gateway, sizeof(gateway->name));
		names_put(center->gateways, gateway->name, gateway);
	}
	memcpy(gateway->site, row->site, sizeof(gateway->site));
	memcpy(gateway->maker, row->maker, sizeof(gateway->maker));
	gateway->steps = row->steps;
	/* One access point a site; another takes its place when it comes and this one is away. */
	if (!site->gateway) {
		site->gateway = gateway;
	}
	if (row->device_fingerprint.count == STORE_HASH_BYTES) {
		names_put(center->devices, print_fingerprint(row->device_fingerprint.bytes).text,
		        gateway);
	}
	return gateway;
}

static void fill_certificate(struct gateway_certificate *own, const struct store_certificate *row)
{
	struct hash fingerprint = hash_of(row->der.bytes, row->der.count);

	memcpy(own->serial, row->serial, sizeof(own->serial));
	own->not_before_usec = row->not_before_usec;
	own->not_after_usec = row->not_after_usec;
	own->revoked_usec = row->revoked_usec;
	own->reason = row->reason;
	memcpy(own->fingerprint.bytes, fingerprint.bytes, sizeof(own->fingerprint.bytes));
}

void registry_take_certificate(struct center *center, const struct store_certificate *row)
{
	struct gateway *gateway = registry_gateway(center, row->gateway);
	struct gateway_certificate *own;
	size_t at = 0;

	if (!gateway) {
		return;
	}
	if (row->tier == 1) {
		fill_certificate(&gateway->device, row);
		return;
	}
	own = registry_certificate(gateway, row->serial);
	if (own) {
		fill_certificate(own, row);
		return;
	}
	while (at < gateway->service_count &&
	        gateway->service[at].not_after_usec > row->not_after_usec) {
		at++;
	}
	if (at == GATEWAY_CERTIFICATES_MAX) {
		return;
	}
	if (gateway->service_count < GATEWAY_CERTIFICATES_MAX) {
		gateway->service_count++;
	}
	memmove(&gateway->service[at + 1], &gateway->service[at],
	        (gateway->service_count - at - 1) * sizeof(gateway->service[0]));
	fill_certificate(&gateway->service[at], row);
}

static int take_site(void *context, const void *row)
{
	const struct store_site *site = row;
	struct site_entry *own = registry_take_site(context, site->name);

	memcpy(own->organization, site->organization, sizeof(own->organization));
	return 0;
}

static int take_procedure(void *context, const void *row)
{
	registry_take_procedure(context, row);
	return 0;
}

static int take_certificate(void *context, const void *row)
{
	registry_take_certificate(context, row);
	return 0;
}

int registry_open(struct center *center, struct err *err)
{
	int r;

	center->gateways = names_new();
	center->sites = names_new();
	center->devices = names_new();
	center->streams = names_new();
	r = store_site_list(center->store, "", INT64_MAX, take_site, center);
	if (r == 0) {
		r = store_procedure_list(
		        center->store, NULL, NULL, "", INT64_MAX, take_procedure, center);
	}
	for (uint64_t tier = 1; r == 0 && tier <= 2; tier++) {
		r = store_certificate_list(
		        center->store, tier, "", INT64_MAX, take_certificate, center);
	}
	return r < 0 ? err_set(err, FAULT(r), "sites and gateways cannot be read") : 0;
}

static void print_event(struct buf *out, const char *name, const json_t *data)
{
	AUTO_BUF struct buf text = BUF(MESSAGE_BYTES_MAX - 256);

	json_print(data, &text);
	sse_print(out, name, NULL, buf_text(&text), text.count);
}

void registry_event(
        struct center *center, const struct gateway *gateway, const char *name, json_t *data)
{
	AUTO_BUF struct buf event = BUF(MESSAGE_BYTES_MAX - 16);

	if (gateway->front) {
		print_event(&event, name, data);
		center->counts.events++;
		core_send(center, gateway->front, MESSAGE_EVENT, gateway->stream, event.bytes,
		        event.count);
	}
}

void registry_broadcast(struct center *center, const char *name, json_t *data)
{
	AUTO_BUF struct buf event = BUF(MESSAGE_BYTES_MAX - 16);

	print_event(&event, name, data);
	center->counts.events++;
	core_send(center, NULL, MESSAGE_BROADCAST, 0, event.bytes, event.count);
}

struct stream_key {
	char text[32];
};

static struct stream_key stream_key(const struct front_link *front, uint32_t stream)
{
	struct stream_key key;

	snprintf(key.text, sizeof(key.text), "%u/%u", front->index, stream);
	return key;
}

void registry_online(
        struct center *center, struct gateway *gateway, struct front_link *front, uint32_t stream)
{
	struct site_entry *site = registry_site(center, gateway->site);

	if (gateway->front) {
		core_send(center, gateway->front, MESSAGE_END, gateway->stream, NULL, 0);
		registry_offline(center, gateway, "a newer stream came");
	}
	gateway->front = front;
	gateway->stream = stream;
	names_put(center->streams, stream_key(front, stream).text, gateway);
	gateway->since_usec = clock_wall_usec();
	if (site && (!site->gateway || !site->gateway->front)) {
		site->gateway = gateway;
	}
}

void registry_offline(struct center *center, struct gateway *gateway, const char *why)
{
	struct record *record = ledger_record(center, "gateway.offline", gateway->name);

	names_remove(center->streams, stream_key(gateway->front, gateway->stream).text);
	gateway->front = NULL;
	record_text(record, "reason", why);
	ledger_append(center, record);
	live_gateway_offline(center, gateway);
}

struct leaving {
	struct center *center;
	struct front_link *front;
};

static void leave(void *context, const char *name, void *value)
{
	struct leaving *leaving = context;
	struct gateway *gateway = value;

	if (gateway->front == leaving->front) {
		registry_offline(leaving->center, gateway, "the front ended");
	}
}

void registry_front_gone(struct center *center, struct front_link *front)
{
	struct leaving leaving = { center, front };

	names_each(center->gateways, leave, &leaving);
}

void registry_stream_gone(struct center *center, struct front_link *front, uint32_t stream)
{
	struct gateway *gateway = names_get(center->streams, stream_key(front, stream).text);

	if (gateway) {
		registry_offline(center, gateway, "the stream ended");
	}
}

size_t registry_online_count(const struct center *center)
{
	return names_count(center->streams);
}

json_t *registry_print(const struct gateway *gateway)
{
	const struct gateway_certificate *newest =
	        gateway->service_count > 0 ? &gateway->service[0] : NULL;
	char steps[PROCEDURE_STEP_COUNT + 1] = "";
	json_t *json;

	for (int step = 0, at = 0; step < PROCEDURE_STEP_COUNT; step++) {
		if (gateway->steps & PROCEDURE_BIT(step)) {
			steps[at++] = procedure_letter((enum procedure_step)step);
		}
	}
	json = json_pack("{ss ss ss ss sb sb}", "name", gateway->name, "site", gateway->site,
	        "maker", gateway->maker, "steps", steps, "online", gateway->front != NULL, "ready",
	        gateway->front && gateway->ready);
	if (newest) {
		json_object_set_new(json, "serial", json_string(newest->serial));
		json_object_set_new(
		        json, "not_after", json_string(time_print(newest->not_after_usec).text));
	}
	if (gateway->front) {
		json_object_set_new(json, "address",
		        json_string(gateway->address.family == ADDRESS_NONE
		                            ? "any"
		                            : address_print(gateway->address).text));
		json_object_set_new(json, "version", json_string(gateway->version));
		json_object_set_new(json, "dataplane", json_string(gateway->dataplane));
		json_object_set_new(
		        json, "since", json_string(time_print(gateway->since_usec).text));
	}
	return json;
}
