-- Schema 2: persons, sessions, agreements; work orders. Starts from schema 1.

-- A subcontractor's principal (G3: the same duties for subcontractors), or ''.
ALTER TABLE organizations ADD COLUMN subcontractor_of TEXT NOT NULL DEFAULT '';

CREATE INDEX sites_organization ON sites (organization, name);

-- One account of one natural person in one organization (G3). The token is here as its SHA-256;
-- totp is the secret of the one-time codes in the clear, because a code cannot be checked without
-- it: the threat model says who can read it.
CREATE TABLE persons (
  name TEXT PRIMARY KEY,
  token_hash BLOB NOT NULL UNIQUE,
  organization TEXT NOT NULL REFERENCES organizations (name),
  title TEXT NOT NULL,
  roles TEXT NOT NULL,
  natural_person TEXT NOT NULL,
  mail TEXT NOT NULL,
  spki BLOB NOT NULL,
  totp BLOB NOT NULL,
  totp_step INTEGER NOT NULL,
  wrong INTEGER NOT NULL,
  locked_usec INTEGER NOT NULL,
  state TEXT NOT NULL,
  created_usec INTEGER NOT NULL,
  left_usec INTEGER NOT NULL,
  left_reason TEXT NOT NULL,
  login_usec INTEGER NOT NULL,
  confirmed_usec INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX persons_natural ON persons (organization, natural_person) WHERE state = 'active';
CREATE INDEX persons_organization ON persons (organization, name);
CREATE INDEX persons_same ON persons (natural_person);

CREATE TABLE sessions (
  token_hash BLOB PRIMARY KEY,
  person TEXT NOT NULL REFERENCES persons (name),
  factor TEXT NOT NULL,
  address TEXT NOT NULL,
  created_usec INTEGER NOT NULL,
  expires_usec INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_person ON sessions (person);

-- `text` is the agreement as canonical JSON: what was signed, byte for byte.
CREATE TABLE agreements (
  name TEXT PRIMARY KEY,
  state TEXT NOT NULL,
  party_a TEXT NOT NULL REFERENCES organizations (name),
  party_b TEXT NOT NULL REFERENCES organizations (name),
  text TEXT NOT NULL,
  signer_a TEXT NOT NULL,
  signed_a_usec INTEGER NOT NULL,
  signer_b TEXT NOT NULL,
  signed_b_usec INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  created_usec INTEGER NOT NULL,
  ended_by TEXT NOT NULL,
  ended_reason TEXT NOT NULL,
  ended_usec INTEGER NOT NULL,
  leaf INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX agreements_a ON agreements (party_a, name);
CREATE INDEX agreements_b ON agreements (party_b, name);

-- Which version of a site's policy an organization has acknowledged (H11).
CREATE TABLE acknowledgements (
  organization TEXT NOT NULL,
  site TEXT NOT NULL,
  version INTEGER NOT NULL,
  person TEXT NOT NULL,
  at_usec INTEGER NOT NULL,
  PRIMARY KEY (organization, site)
) STRICT, WITHOUT ROWID;

-- Work orders: `body` is the machine's row as canonical JSON. `open` is 1 while a step can follow.
CREATE TABLE work_orders (
  id TEXT PRIMARY KEY,
  state TEXT NOT NULL,
  site TEXT NOT NULL,
  site_organization TEXT NOT NULL,
  worker TEXT NOT NULL,
  organization TEXT NOT NULL,
  open INTEGER NOT NULL,
  changed_usec INTEGER NOT NULL,
  body TEXT NOT NULL,
  deletion TEXT NOT NULL,
  report TEXT NOT NULL,
  leaf INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX work_orders_open ON work_orders (id) WHERE open = 1;
CREATE INDEX work_orders_site ON work_orders (site_organization, id);
CREATE INDEX work_orders_worker ON work_orders (organization, id);

-- Each approval once, by what was signed: seals can be re-made by anybody (A05).
CREATE TABLE work_approvals (
  work_order TEXT NOT NULL REFERENCES work_orders (id),
  number INTEGER NOT NULL,
  digest BLOB NOT NULL UNIQUE,
  seal TEXT NOT NULL,
  PRIMARY KEY (work_order, number)
) STRICT, WITHOUT ROWID;

-- Mails and messages that came in. `device` is '' when it is no notice.
CREATE TABLE notices (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  device TEXT NOT NULL,
  site TEXT NOT NULL,
  fault TEXT NOT NULL,
  sender TEXT NOT NULL,
  subject TEXT NOT NULL,
  message_id TEXT NOT NULL,
  text TEXT NOT NULL,
  received_by TEXT NOT NULL,
  received_usec INTEGER NOT NULL,
  work_order TEXT NOT NULL,
  leaf INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX notices_site ON notices (site, id);
CREATE INDEX notices_message ON notices (message_id) WHERE message_id <> '';

-- Mails that go out: written with the change that they tell of. Once sent, the text goes.
CREATE TABLE outbox (
  id TEXT PRIMARY KEY,
  recipient TEXT NOT NULL,
  subject TEXT NOT NULL,
  text TEXT NOT NULL,
  about TEXT NOT NULL,
  kind TEXT NOT NULL,
  created_usec INTEGER NOT NULL,
  state TEXT NOT NULL,
  tries INTEGER NOT NULL,
  next_usec INTEGER NOT NULL,
  reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_waiting ON outbox (next_usec) WHERE state = 'waiting';

-- Files that went to another organization, sealed: that they did, and not what was in them.
CREATE TABLE files (
  id TEXT PRIMARY KEY,
  state TEXT NOT NULL,
  name TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  sender TEXT NOT NULL,
  from_site TEXT NOT NULL,
  from_organization TEXT NOT NULL,
  to_site TEXT NOT NULL,
  to_organization TEXT NOT NULL,
  recipients TEXT NOT NULL,
  purpose TEXT NOT NULL,
  work_order TEXT NOT NULL,
  scanner TEXT NOT NULL,
  scanner_usec INTEGER NOT NULL,
  sent_usec INTEGER NOT NULL,
  receiver TEXT NOT NULL,
  reason TEXT NOT NULL,
  leaf INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX files_from ON files (from_organization, id);
CREATE INDEX files_to ON files (to_organization, id);
