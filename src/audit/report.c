/* What the verifier says, in words. */
#include <inttypes.h>

#include "audit/verify.h"

static const struct {
	const char *name;
	const char *meaning;
} faults[EXPORT_FAULTS] = {
	[EXPORT_CHECKPOINT_MISSING] = { "checkpoint-missing",
	        "Without the signed head nothing proves that these records are the ledger. Ask for "
	        "the export "
	        "again." },
	[EXPORT_CHECKPOINT_MALFORMED] = { "checkpoint-malformed",
	        "The signed head cannot be read, so nothing proves that these records are the "
	        "ledger." },
	[EXPORT_ORIGIN_UNKNOWN] = { "origin-unknown",
	        "This is the ledger of somebody else, or the wrong verifier key was given." },
	[EXPORT_UNSIGNED] = { "unsigned", "The provider's key did not sign this head." },
	[EXPORT_SIGNATURE_BAD] = { "signature-bad",
	        "The head was changed after it was signed, or was never signed by the provider." },
	[EXPORT_ENTRY_ALTERED] = { "entry-altered",
	        "The record is not the one that the provider signed for. Do not rely on it." },
	[EXPORT_ENTRY_REMOVED] = { "entry-removed",
	        "The provider signed for a record here that was taken out of the export." },
	[EXPORT_ENTRY_INSERTED] = { "entry-inserted",
	        "There is a record here that the provider never signed for." },
	[EXPORT_ENTRIES_SWAPPED] = { "entries-swapped",
	        "The records are genuine but not in the order in which things happened." },
	[EXPORT_TRUNCATED] = { "truncated", "The end of the ledger was cut off." },
	[EXPORT_TILE_ALTERED] = { "tile-altered", "A hash in the export was changed or damaged. "
	                                          "The records themselves are judged separately." },
	[EXPORT_TILE_MISSING] = { "tile-missing", "A file of hashes is not in the export. The "
	                                          "records themselves are judged separately." },
	[EXPORT_DIFFERS] = { "differs", "Records and hashes contradict each other, and nothing "
	                                "tells which of them is right." },
	[EXPORT_REWRITTEN] = { "rewritten", "Records and hashes fit together but are not what was "
	                                    "signed: somebody made the ledger anew." },
	[EXPORT_ROLLED_BACK] = { "rolled-back", "A longer ledger was signed before. What came "
	                                        "later is withheld or was lost, for example by "
	                                        "restoring a backup." },
	[EXPORT_FORKED] = { "forked", "Two signed heads contradict each other. Keep both: together "
	                              "they prove that the provider "
	                              "showed two histories." },
	[EXPORT_KNOWN_BAD] = { "known-bad", "The earlier checkpoint that was given is not a "
	                                    "checkpoint of this ledger; it proves nothing." },
	[EXPORT_RECORD_MALFORMED] = { "record-malformed",
	        "The provider signed for these bytes, but they are not a record in the form of the "
	        "ledger." },
	[EXPORT_RECORD_UNKNOWN] = { "record-unknown", "The record is of a kind that this version "
	                                              "does not know. Check it with a newer one." },
	[EXPORT_TIME_BACK] = { "time-back", "The record is dated before the one in front of it. A "
	                                    "clock was set, or a record was written "
	                                    "later than it claims." },
};

const char *export_fault_name(enum export_fault fault)
{
	return faults[fault].name;
}

const char *export_fault_meaning(enum export_fault fault)
{
	return faults[fault].meaning;
}

bool export_fault_is_notice(enum export_fault fault)
{
	return fault >= EXPORT_RECORD_UNKNOWN;
}

void export_report_print(const struct export_report *report, struct buf *out)
{
	if (report->intact) {
		buf_add_format(out, "intact: %" PRIu64 " records of %s, all as signed",
		        report->entries, report->checkpoint.origin);
		if (report->known_good > 0) {
			buf_add_format(out, "; continues %zu earlier checkpoint%s",
			        report->known_good, report->known_good == 1 ? "" : "s");
		}
		buf_add_text(out, "\n");
	} else {
		buf_add_text(out, "NOT INTACT\n");
	}
	for (size_t i = 0; i < report->finding_count; i++) {
		const struct export_finding *finding = &report->findings[i];

		buf_add_format(out, "%s: %s\n    %s\n", faults[finding->fault].name, finding->text,
		        faults[finding->fault].meaning);
	}
	if (report->findings_left_out > 0) {
		buf_add_format(out, "and %" PRIu64 " more\n", report->findings_left_out);
	}
}
