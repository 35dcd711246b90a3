/*
 * The conditions of protocol.md 1.3, one after the other, each with its own reason. The order is:
 * is it for us, is it still in time, does our site want it, are the addresses what the policies
 * say, is everybody trusted. What the center says is never taken for the own site's word: the own
 * host's address comes from the site's policy, the peer's must be in the peer's prefix.
 */
#include "gateway/tunnel_judge.h"

#include <stdio.h>
#include <string.h>

#include "base/sim_bug.h"

static enum grant_side other_side(enum grant_side side)
{
	return side == GRANT_INITIATOR ? GRANT_RESPONDER : GRANT_INITIATOR;
}

int tunnel_judge_side(const struct tunnel_config *config, const struct grant *grant,
        enum grant_side *ret_side, struct err *err)
{
	const struct grant_end *own;

	if (grant_side_of(grant, config->identity, ret_side)) {
		return err_set(err, 1, "neither gateway of the grant is this one");
	}
	own = grant_end(grant, *ret_side);
	if (!text_equal(own->gateway, config->gateway) || !text_equal(own->site, config->site)) {
		return err_set(err, 1, "the grant has this gateway's identity under another name");
	}
	if (!text_equal(own->serial, config->serial)) {
		return err_set(
		        err, 1, "the grant is for another service certificate of this gateway");
	}
	return 0;
}

static int judge_time(const struct tunnel_standing *standing, const struct grant *grant,
        int64_t wall_usec, struct err *err)
{
	int64_t skew = CLOCK_SKEW_SEC_MAX * USEC_PER_SEC;
	int64_t start = grant->issued_at > grant->not_before ? grant->issued_at : grant->not_before;
	int64_t ceiling = standing->config->grant_sec_max * USEC_PER_SEC;

	if (grant->epoch < standing->epoch && !SIM_BUG(epoch)) {
		return err_set(err, 1, "epoch %llu is over, it is %llu now",
		        (unsigned long long)grant->epoch, (unsigned long long)standing->epoch);
	}
	if (grant->not_before - skew > wall_usec) {
		return err_set(err, 1, "the grant has not begun (is the clock right?)");
	}
	if (grant->not_after <= wall_usec || grant->not_after <= standing->issued_floor) {
		return err_set(err, 1, "the grant has ended (is the clock right?)");
	}
	if (grant->issued_at > wall_usec + skew) {
		return err_set(err, 1, "the grant was issued in the future (is the clock right?)");
	}
	if (start + GRANT_AGE_SEC_MAX * USEC_PER_SEC < wall_usec) {
		return err_set(
		        err, 1, "the grant was held up for more than %d s", GRANT_AGE_SEC_MAX);
	}
	if (grant->not_after - grant->not_before > ceiling && !SIM_BUG(ceiling)) {
		return err_set(err, 1, "the grant is longer than the %lld s this gateway accepts",
		        (long long)standing->config->grant_sec_max);
	}
	return 0;
}

/* The hospital's own word decides which machine a name is, and which real address it has. */
static int judge_addresses(const struct tunnel_standing *standing, const struct grant *grant,
        enum grant_side side, struct policy_host *ret_host, struct err *err)
{
	const struct grant_end *own = grant_end(grant, side);
	const struct grant_end *peer = grant_end(grant, other_side(side));

	if (site_policy_host_get(standing->site, own->host, ret_host)) {
		return err_set(err, 1, "this site's policy has no host %s", own->host);
	}
	if (!address_equal(ret_host->service, own->service)) {
		return err_set(err, 1, "host %s has another service address in this site's policy",
		        own->host);
	}
	if (provider_policy_site_contains(
	            standing->provider, standing->config->site, peer->service)) {
		return err_set(err, 1, "the peer's service address is in this site's own prefix");
	}
	if (!provider_policy_pool_contains(standing->provider, peer->service)) {
		return err_set(err, 1, "the peer's service address is outside the provider's pool");
	}
	if (!provider_policy_site_contains(standing->provider, peer->site, peer->service)) {
		return err_set(err, 1, "the peer's service address is not in the prefix of site %s",
		        peer->site);
	}
	if (ret_host->address.family != own->service.family ||
	        own->service.family != peer->service.family) {
		return err_set(err, 1, "the addresses are not all of one family");
	}
	return 0;
}

struct nft_lease tunnel_judge_key(const struct grant *grant, struct address source)
{
	const struct address *destination = &grant->responder.service;
	struct nft_lease lease = {
		.source = ip_make(source.family, source.bytes),
		.destination = ip_make(destination->family, destination->bytes),
		.protocol = (uint8_t)grant->protocol,
		.port = grant->port,
		.mark = grant->number,
	};

	if (grant->protocol == PROTOCOL_ICMP) {
		lease.protocol = source.family == ADDRESS_V6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
		lease.port = source.family == ADDRESS_V6 ? NFT_PORT_ICMP6_ECHO : NFT_PORT_ICMP_ECHO;
	}
	return lease;
}

int tunnel_judge_again(const struct tunnel_standing *standing, const struct grant *grant,
        int64_t wall_usec, struct tunnel_terms *terms, struct err *err)
{
	const struct tunnel_trust *trust = &standing->config->trust;
	/* Whose grant it is was settled when it was accepted; the certificate may be a newer one
	 * now. */
	struct tunnel_case what = { .grant = grant,
		.side = text_equal(grant->initiator.gateway, standing->config->gateway)
		                ? GRANT_INITIATOR
		                : GRANT_RESPONDER };
	struct policy_host host;

	if (tunnel_judge_policy(standing, &what, wall_usec, terms, err) ||
	        judge_addresses(standing, grant, what.side, &host, err)) {
		return 1;
	}
	return trust->grant_check(trust->context, grant, wall_usec, err) != 0;
}

int tunnel_judge_grant(const struct tunnel_standing *standing, const struct grant *grant,
        const struct tunnel_offer *offer, int64_t wall_usec, struct tunnel_verdict *ret_verdict,
        struct err *err)
{
	const struct tunnel_trust *trust = &standing->config->trust;
	struct tunnel_case what = { .grant = grant, .offer = offer };
	struct policy_host host;

	*ret_verdict = (struct tunnel_verdict){ 0 };
	if (!text_equal(grant->provider, standing->config->provider)) {
		return err_set(err, 1, "the grant is of another provider");
	}
	if (tunnel_judge_side(standing->config, grant, &what.side, err) ||
	        grant_check(grant, err) || judge_time(standing, grant, wall_usec, err) ||
	        tunnel_judge_policy(standing, &what, wall_usec, &ret_verdict->terms, err) ||
	        judge_addresses(standing, grant, what.side, &host, err) ||
	        trust->grant_check(trust->context, grant, wall_usec, err)) {
		return 1;
	}
	ret_verdict->side = what.side;
	ret_verdict->source =
	        what.side == GRANT_INITIATOR ? host.address : grant->initiator.service;
	return 0;
}
