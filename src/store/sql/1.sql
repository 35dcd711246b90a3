-- Schema 1. Times are microseconds since 1970 (UTC); hashes are 32 bytes; names are DNS labels.
-- A schema is never edited after a release: the next one is the file 2.sql, which starts from here.

CREATE TABLE counters (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Persons and programs with a token. Only the token's SHA-256 is here (A37).
CREATE TABLE operators (
  name TEXT PRIMARY KEY,
  token_hash BLOB NOT NULL UNIQUE,
  roles TEXT NOT NULL,
  created_usec INTEGER NOT NULL,
  expires_usec INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE organizations (
  name TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  title TEXT NOT NULL,
  created_usec INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sites (
  name TEXT PRIMARY KEY,
  organization TEXT NOT NULL REFERENCES organizations (name),
  owner_spki BLOB NOT NULL,
  created_usec INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Every accreditation statement ever taken; per role and id the highest seq counts.
CREATE TABLE statements (
  role TEXT NOT NULL,
  id TEXT NOT NULL,
  seq INTEGER NOT NULL,
  text TEXT NOT NULL,
  received_usec INTEGER NOT NULL,
  PRIMARY KEY (role, id, seq)
) STRICT, WITHOUT ROWID;

-- Every policy ever activated; per owner the highest version is the active one.
CREATE TABLE policies (
  kind TEXT NOT NULL,
  owner TEXT NOT NULL,
  version INTEGER NOT NULL,
  text TEXT NOT NULL,
  received_usec INTEGER NOT NULL,
  PRIMARY KEY (kind, owner, version)
) STRICT, WITHOUT ROWID;

-- One gateway's way through the procedure a to l (mission C).
CREATE TABLE procedures (
  gateway TEXT PRIMARY KEY,
  site TEXT NOT NULL,
  maker TEXT NOT NULL,
  steps INTEGER NOT NULL,
  device_serial TEXT NOT NULL,
  information TEXT NOT NULL,
  device_certificate BLOB NOT NULL,
  device_fingerprint BLOB NOT NULL,
  created_usec INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX procedures_site ON procedures (site, gateway);
CREATE INDEX procedures_maker ON procedures (maker, gateway);
CREATE UNIQUE INDEX procedures_device_serial ON procedures (maker, device_serial)
  WHERE device_serial <> '';
CREATE UNIQUE INDEX procedures_device_fingerprint ON procedures (device_fingerprint)
  WHERE length(device_fingerprint) > 0;

CREATE TABLE procedure_steps (
  gateway TEXT NOT NULL REFERENCES procedures (gateway),
  step INTEGER NOT NULL,
  by TEXT NOT NULL,
  at_usec INTEGER NOT NULL,
  leaf INTEGER NOT NULL,
  PRIMARY KEY (gateway, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE enrolments (
  id TEXT PRIMARY KEY,
  gateway TEXT NOT NULL REFERENCES procedures (gateway),
  csr BLOB NOT NULL,
  csr_hash BLOB NOT NULL,
  tbs BLOB NOT NULL,
  state TEXT NOT NULL,
  created_usec INTEGER NOT NULL,
  decided_usec INTEGER NOT NULL,
  decided_by TEXT NOT NULL,
  certificate_serial TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX enrolments_gateway ON enrolments (gateway, id);

-- Both tiers: 1 as registered, 2 as issued here.
CREATE TABLE certificates (
  tier INTEGER NOT NULL,
  serial TEXT NOT NULL,
  gateway TEXT NOT NULL,
  der BLOB NOT NULL,
  key_hash BLOB NOT NULL,
  not_before_usec INTEGER NOT NULL,
  not_after_usec INTEGER NOT NULL,
  revoked_usec INTEGER NOT NULL,
  reason INTEGER NOT NULL,
  leaf INTEGER NOT NULL,
  PRIMARY KEY (tier, serial)
) STRICT, WITHOUT ROWID;
CREATE INDEX certificates_gateway ON certificates (gateway, tier, not_after_usec);
CREATE INDEX certificates_key ON certificates (key_hash);
CREATE INDEX certificates_revoked ON certificates (tier, serial) WHERE revoked_usec > 0;

CREATE TABLE crls (
  tier INTEGER PRIMARY KEY,
  number INTEGER NOT NULL,
  der BLOB NOT NULL,
  this_update_usec INTEGER NOT NULL,
  next_update_usec INTEGER NOT NULL
) STRICT;

-- Every connection there ever was; `grant` is the canonical payload that was sealed.
CREATE TABLE connections (
  id TEXT PRIMARY KEY,
  number INTEGER NOT NULL,
  state TEXT NOT NULL,
  reports INTEGER NOT NULL,
  initiator_site TEXT NOT NULL,
  responder_site TEXT NOT NULL,
  changed_usec INTEGER NOT NULL,
  live INTEGER NOT NULL,
  by TEXT NOT NULL,
  reason TEXT NOT NULL,
  "grant" TEXT NOT NULL,
  leaf INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX connections_live ON connections (id) WHERE live = 1;
CREATE INDEX connections_number ON connections (number);
CREATE INDEX connections_initiator ON connections (initiator_site, id);
CREATE INDEX connections_responder ON connections (responder_site, id);

-- The gateways' own chained logs, as they were sent.
CREATE TABLE journals (
  gateway TEXT PRIMARY KEY,
  next_seq INTEGER NOT NULL,
  head BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE journal_records (
  gateway TEXT NOT NULL,
  seq INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  PRIMARY KEY (gateway, seq)
) STRICT, WITHOUT ROWID;

-- The ledger: leaves as they were hashed, and the hashes of complete subtrees (RFC 6962).
CREATE TABLE leaves (
  leaf INTEGER PRIMARY KEY,
  bytes BLOB NOT NULL
) STRICT;

CREATE TABLE nodes (
  level INTEGER NOT NULL,
  place INTEGER NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY (level, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoints (
  size INTEGER PRIMARY KEY,
  root BLOB NOT NULL,
  note TEXT NOT NULL,
  signed_usec INTEGER NOT NULL
) STRICT;
