/*
 * Deliberate mistakes in the two machines. The build `sim-bugs` compiles the machines' sources once
 * more with this file in front; one bug at a time is switched on by `sim --bug NAME`.
 */
#pragma once

/* clang-format off */
#define SIM_BUGS(bug) \
	bug(epoch, "a gateway does not look at a grant's epoch") \
	bug(epoch_forgotten, "a gateway forgets the raised epoch over a restart") \
	bug(own_policy, "a gateway does not ask its own site's policy") \
	bug(policy_ignored, "a new policy does not end what it no longer permits") \
	bug(ceiling, "a gateway takes grants longer than its owner's ceiling") \
	bug(closed_id, "an id that was closed can be used again") \
	bug(cut_forgotten, "a cut that overtakes its grant is forgotten") \
	bug(keep_on_cut, "closing leaves the element in the packet filter") \
	bug(close_order, "closing ends the SA before the packet filter is shut") \
	bug(terminate_shared, "closing ends an SA that another connection still uses") \
	bug(open_early, "the packet filter opens before the SA is up") \
	bug(no_open_record, "the packet filter opens without a record in the journal") \
	bug(silent_refusal, "a refused grant or lease leaves no record") \
	bug(long_open, "the first opening lasts as long as any lease may") \
	bug(long_lease, "a renewal lasts as long as the center says") \
	bug(lease_replay, "an old lease renews again") \
	bug(renew_late, "a lease that has run out can be renewed") \
	bug(wall_only, "the end of a grant is taken from the wall clock alone") \
	bug(foreign_lease, "the lease of an unknown grant renews another one") \
	bug(number_unchecked, "a gateway takes a number that is in use") \
	bug(peer_unchecked, "a gateway takes any certificate for the peer's") \
	bug(keep_unknown, "unknown elements are left in the packet filter") \
	bug(approval_skipped, "a gateway opens without the approval its policy wants") \
	bug(approval_order, "a gateway takes the approval of another work order") \
	bug(approver_kept, "an approver who was removed still counts") \
	bug(exclusion_order, "of two that exclude each other only one order is refused") \
	bug(outage_own, "a gateway survives an outage that its own policy does not") \
	bug(outage_early, "a gateway renews by itself while the center is there") \
	bug(outage_long, "an outage is survived beyond the end of the grant") \
	bug(idle_ignored, "what nobody uses stays open") \
	bug(number_collision, "the center gives the same number again") \
	bug(cut_once, "the center does not repeat a cut that may be lost")
/* clang-format on */

#define SIM_BUG_ENUM(name, text) SIM_BUG_##name,
enum sim_bug { SIM_BUG_none, SIM_BUGS(SIM_BUG_ENUM) SIM_BUG_count };
#undef SIM_BUG_ENUM

extern enum sim_bug sim_bug;

#define SIM_BUG(name) (sim_bug == SIM_BUG_##name)
