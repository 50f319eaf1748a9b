-- Orders that are paid by a bank or from a card: what happens before the amount is in escrow.
--
-- The two tables are made anew, since SQLite cannot change a CHECK.

-- kinds: 0 float and 4 bank (no id), 1 holder, 2 card, 3 escrow (the remittance's id)
CREATE TABLE transfer_2 (
    id        BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    from_kind INTEGER NOT NULL CHECK (from_kind IN (0, 1, 2, 3, 4)),
    from_id   BLOB    CHECK ((from_id IS NULL) = (from_kind IN (0, 4))),
    to_kind   INTEGER NOT NULL CHECK (to_kind IN (0, 1, 2, 3, 4)),
    to_id     BLOB    CHECK ((to_id IS NULL) = (to_kind IN (0, 4))),
    currency  TEXT    NOT NULL CHECK (length(currency) = 3),
    amount    INTEGER NOT NULL CHECK (amount > 0),
    at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO transfer_2 (id, from_kind, from_id, to_kind, to_id, currency, amount, at)
SELECT id, from_kind, from_id, to_kind, to_id, currency, amount, at FROM transfer;
DROP TABLE transfer;
ALTER TABLE transfer_2 RENAME TO transfer;

CREATE TRIGGER transfer_never_changes BEFORE UPDATE ON transfer
BEGIN SELECT raise(ABORT, 'a transfer never changes'); END;
CREATE TRIGGER transfer_never_goes BEFORE DELETE ON transfer
BEGIN SELECT raise(ABORT, 'a transfer is never deleted'); END;

-- flow: account, bank or card is where the amount of a credit comes from; a debit takes it off a
-- card for the order that `funds` names.
-- recovering with commit-sent: the status is `recovering`; with funding-unknown: it will be, once funded.
-- cancel_asked with refunding: it goes back because it was cancelled, else because it expired.
CREATE TABLE remittance_2 (
    id            BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    flow          TEXT    NOT NULL CHECK (flow IN ('account', 'bank', 'card', 'debit')),
    funds         BLOB    UNIQUE REFERENCES remittance (id) CHECK ((funds IS NULL) = (flow <> 'debit')),
    revision      INTEGER NOT NULL CHECK (revision >= 0),
    sender        BLOB    NOT NULL REFERENCES holder (id),
    sender_name   TEXT    NOT NULL,
    card          BLOB    NOT NULL REFERENCES card (id),
    currency      TEXT    NOT NULL CHECK (length(currency) = 3),
    amount        INTEGER NOT NULL CHECK (amount > 0),
    note          TEXT    NOT NULL,
    status        TEXT    NOT NULL
        CHECK (status IN ('ordered', 'funding-unknown', 'funding-failed', 'cancelled-unfunded',
            'expired-unfunded', 'refunding', 'open', 'commit-sent', 'credited', 'expired', 'cancelled')),
    cancel_asked  INTEGER NOT NULL
        CHECK (cancel_asked = 0
            OR cancel_asked = 1 AND status IN ('commit-sent', 'funding-unknown', 'refunding')),
    ended         INTEGER CHECK ((ended IS NULL) =
        (status IN ('ordered', 'funding-unknown', 'refunding', 'open', 'commit-sent'))),
    created       INTEGER NOT NULL,
    expires       INTEGER NOT NULL,
    order_bytes   BLOB    NOT NULL,
    signature     BLOB    NOT NULL CHECK (length(signature) = 64),
    program_key   BLOB    NOT NULL CHECK (length(program_key) = 32),
    template_hash BLOB    NOT NULL CHECK (length(template_hash) = 32),
    claim_ref     BLOB    NOT NULL UNIQUE CHECK (length(claim_ref) = 32),
    receipt       BLOB    CHECK ((receipt IS NOT NULL) = (status = 'credited')),
    recovering    INTEGER NOT NULL DEFAULT 0
        CHECK (recovering = 0 OR recovering = 1 AND status IN ('commit-sent', 'funding-unknown'))
) STRICT;

INSERT INTO remittance_2 (id, flow, funds, revision, sender, sender_name, card, currency, amount, note,
    status, cancel_asked, ended, created, expires, order_bytes, signature, program_key, template_hash,
    claim_ref, receipt, recovering)
SELECT id, 'account', NULL, revision, sender, sender_name, card, currency, amount, note,
    status, cancel_asked, ended, created, expires, order_bytes, signature, program_key, template_hash,
    claim_ref, receipt, recovering FROM remittance;
DROP TABLE remittance;
ALTER TABLE remittance_2 RENAME TO remittance;

CREATE INDEX remittance_by_sender ON remittance (sender, id);
CREATE INDEX remittance_ending ON remittance (expires) WHERE status IN ('open', 'ordered');

CREATE INDEX remittance_recovering ON remittance (card) WHERE recovering = 1;

CREATE TABLE bank_account (
    holder  BLOB NOT NULL PRIMARY KEY REFERENCES holder (id),
    account TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Orders that the bank pays for. due: when to ask it next; a lease moves it forward; none when
-- there is nothing to ask.
CREATE TABLE bank_debit (
    remittance BLOB    NOT NULL PRIMARY KEY REFERENCES remittance (id),
    account    TEXT    NOT NULL,
    attempts   INTEGER NOT NULL CHECK (attempts >= 0),
    due        INTEGER,
    error      TEXT
) STRICT;

CREATE INDEX bank_debit_due ON bank_debit (due) WHERE due IS NOT NULL;
