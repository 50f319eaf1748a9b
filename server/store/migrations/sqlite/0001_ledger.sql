-- The ledger, version 1. docs/ledger.md says which rows change together.
--
-- Ids are 16 bytes, times are microseconds since 1970-01-01 UTC, money is minor units.
-- The checks repeat what the rules guarantee: they are the last fence, not the first.

CREATE TABLE meta (
    id         INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    time_floor INTEGER NOT NULL
) STRICT;

INSERT INTO meta (id, time_floor) VALUES (1, 0);

CREATE TABLE holder (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name       TEXT    NOT NULL,
    email      TEXT,
    language   TEXT    NOT NULL,
    token_hash BLOB    UNIQUE CHECK (length(token_hash) = 32),
    created    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Accounts of holders and cards; id is the holder's or the card's. Narrow, because these are the
-- rows that every transfer rewrites. Float and escrow have no row here: they are derived.
CREATE TABLE account (
    id       BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    kind     INTEGER NOT NULL CHECK (kind IN (1, 2)),
    currency TEXT    NOT NULL CHECK (length(currency) = 3),
    balance  INTEGER NOT NULL CHECK (balance >= 0)
) STRICT, WITHOUT ROWID;

-- kinds: 0 float (no id), 1 holder, 2 card, 3 escrow (the remittance's id)
CREATE TABLE transfer (
    id        BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    from_kind INTEGER NOT NULL CHECK (from_kind IN (0, 1, 2, 3)),
    from_id   BLOB    CHECK ((from_id IS NULL) = (from_kind = 0)),
    to_kind   INTEGER NOT NULL CHECK (to_kind IN (0, 1, 2, 3)),
    to_id     BLOB    CHECK ((to_id IS NULL) = (to_kind = 0)),
    currency  TEXT    NOT NULL CHECK (length(currency) = 3),
    amount    INTEGER NOT NULL CHECK (amount > 0),
    at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE card (
    id                    BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    number_ref            BLOB    NOT NULL UNIQUE CHECK (length(number_ref) = 32),
    masked                TEXT    NOT NULL,
    uid                   BLOB    NOT NULL UNIQUE CHECK (length(uid) = 7),
    holder                BLOB    NOT NULL REFERENCES holder (id),
    status                TEXT    NOT NULL CHECK (status IN ('issuing', 'active', 'blocked', 'frozen')),
    currency              TEXT    NOT NULL CHECK (length(currency) = 3),
    value_max             INTEGER NOT NULL CHECK (value_max BETWEEN 1 AND 1000000),
    epoch                 INTEGER NOT NULL CHECK (epoch >= 0),
    proven_id             BLOB    NOT NULL CHECK (length(proven_id) = 16),
    proven_remittance_seq INTEGER NOT NULL CHECK (proven_remittance_seq BETWEEN 0 AND 4294967295),
    proven_payment_seq    INTEGER NOT NULL CHECK (proven_payment_seq BETWEEN 0 AND 4294967295),
    proven_value          INTEGER NOT NULL CHECK (proven_value BETWEEN 0 AND value_max)
) STRICT, WITHOUT ROWID;

CREATE TABLE remittance (
    id            BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    revision      INTEGER NOT NULL CHECK (revision >= 0),
    sender        BLOB    NOT NULL REFERENCES holder (id),
    sender_name   TEXT    NOT NULL,
    card          BLOB    NOT NULL REFERENCES card (id),
    currency      TEXT    NOT NULL CHECK (length(currency) = 3),
    amount        INTEGER NOT NULL CHECK (amount > 0),
    note          TEXT    NOT NULL,
    status        TEXT    NOT NULL
        CHECK (status IN ('open', 'commit-sent', 'credited', 'expired', 'cancelled')),
    cancel_asked  INTEGER NOT NULL
        CHECK (cancel_asked = 0 OR cancel_asked = 1 AND status = 'commit-sent'),
    ended         INTEGER CHECK ((ended IS NULL) = (status IN ('open', 'commit-sent'))),
    created       INTEGER NOT NULL,
    expires       INTEGER NOT NULL,
    order_bytes   BLOB    NOT NULL,
    signature     BLOB    NOT NULL CHECK (length(signature) = 64),
    program_key   BLOB    NOT NULL CHECK (length(program_key) = 32),
    template_hash BLOB    NOT NULL CHECK (length(template_hash) = 32),
    claim_ref     BLOB    NOT NULL UNIQUE CHECK (length(claim_ref) = 32),
    receipt       BLOB    CHECK ((receipt IS NOT NULL) = (status = 'credited'))
) STRICT;

CREATE INDEX remittance_by_sender ON remittance (sender, id);
CREATE INDEX remittance_open ON remittance (expires) WHERE status = 'open';

-- One operation in flight per card, credit or debit: the primary key is the promise.
CREATE TABLE in_flight (
    card           BLOB    NOT NULL PRIMARY KEY REFERENCES card (id),
    remittance     BLOB    NOT NULL UNIQUE REFERENCES remittance (id),
    epoch          INTEGER NOT NULL CHECK (epoch >= 0),
    seq            INTEGER NOT NULL CHECK (seq BETWEEN 1 AND 4294967295),
    payment_seq    INTEGER NOT NULL CHECK (payment_seq BETWEEN 0 AND 4294967295),
    balance_before INTEGER NOT NULL CHECK (balance_before >= 0),
    session        BLOB    NOT NULL,
    batch          BLOB    NOT NULL,
    since          INTEGER NOT NULL
) STRICT;

CREATE TABLE freeze_case (
    seq       INTEGER NOT NULL PRIMARY KEY,
    card      BLOB    NOT NULL REFERENCES card (id),
    in_flight BLOB,
    evidence  BLOB    NOT NULL,
    at        INTEGER NOT NULL
) STRICT;

-- The answer to each idempotency key, for ever: the remittance that was placed, or the refusal.
CREATE TABLE idempotency (
    principal  BLOB    NOT NULL CHECK (length(principal) = 16),
    operation  TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    content    BLOB    NOT NULL CHECK (length(content) = 32),
    remittance BLOB,
    refusal    TEXT    CHECK ((refusal IS NULL) <> (remittance IS NULL)),
    at         INTEGER NOT NULL,
    PRIMARY KEY (principal, operation, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE template (
    hash  BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    bytes BLOB NOT NULL
) STRICT;

-- due: when the next attempt may start; a lease moves it forward.
CREATE TABLE outbox (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    remittance BLOB    NOT NULL UNIQUE REFERENCES remittance (id),
    message_id TEXT    NOT NULL,
    to_address TEXT    NOT NULL,
    language   TEXT    NOT NULL,
    status     TEXT    NOT NULL CHECK (status IN ('queued', 'sent', 'failed')),
    attempts   INTEGER NOT NULL CHECK (attempts >= 0),
    due        INTEGER NOT NULL,
    error      TEXT
) STRICT;

CREATE INDEX outbox_due ON outbox (due) WHERE status = 'queued';

-- Every change of state, in commit order; transfers are their own record.
CREATE TABLE event (
    seq     INTEGER NOT NULL PRIMARY KEY,
    at      INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    subject BLOB    NOT NULL,
    detail  TEXT    NOT NULL
) STRICT;

CREATE TRIGGER transfer_never_changes BEFORE UPDATE ON transfer
BEGIN SELECT raise(ABORT, 'a transfer never changes'); END;
CREATE TRIGGER transfer_never_goes BEFORE DELETE ON transfer
BEGIN SELECT raise(ABORT, 'a transfer is never deleted'); END;
CREATE TRIGGER event_never_changes BEFORE UPDATE ON event
BEGIN SELECT raise(ABORT, 'an event never changes'); END;
CREATE TRIGGER event_never_goes BEFORE DELETE ON event
BEGIN SELECT raise(ABORT, 'an event is never deleted'); END;
CREATE TRIGGER idempotency_never_changes BEFORE UPDATE ON idempotency
BEGIN SELECT raise(ABORT, 'an answer never changes'); END;
CREATE TRIGGER idempotency_never_goes BEFORE DELETE ON idempotency
BEGIN SELECT raise(ABORT, 'an answer is never deleted'); END;
