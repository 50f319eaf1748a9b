-- The same promises, said so that checking them costs nothing.
--
-- SQLite builds a temporary table for each `IN` of more than two values, each time a row is written
-- (docs/PERFORMANCE.md): two for every transfer, five for every order. CASE and BETWEEN build none.

CREATE TABLE transfer_9 (
    id        BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    from_kind INTEGER NOT NULL CHECK (from_kind BETWEEN 0 AND 7),
    from_id   BLOB    CHECK ((from_id IS NULL) = (from_kind = 0 OR from_kind BETWEEN 4 AND 6)),
    to_kind   INTEGER NOT NULL CHECK (to_kind BETWEEN 0 AND 7),
    to_id     BLOB    CHECK ((to_id IS NULL) = (to_kind = 0 OR to_kind BETWEEN 4 AND 6)),
    currency  TEXT    NOT NULL CHECK (length(currency) = 3),
    amount    INTEGER NOT NULL CHECK (amount > 0),
    at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO transfer_9 (id, from_kind, from_id, to_kind, to_id, currency, amount, at)
SELECT id, from_kind, from_id, to_kind, to_id, currency, amount, at FROM transfer;
DROP TABLE transfer;
ALTER TABLE transfer_9 RENAME TO transfer;

CREATE TRIGGER transfer_never_changes BEFORE UPDATE ON transfer
BEGIN SELECT raise(ABORT, 'a transfer never changes'); END;
CREATE TRIGGER transfer_never_goes BEFORE DELETE ON transfer
BEGIN SELECT raise(ABORT, 'a transfer is never deleted'); END;

-- The check after `held` names every status with what may stand beside it.
CREATE TABLE remittance_9 (
    id            BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    flow          TEXT    NOT NULL
        CHECK (CASE flow WHEN 'account' THEN 1 WHEN 'bank' THEN 1 WHEN 'card' THEN 1 WHEN 'debit' THEN 1 ELSE 0 END),
    funds         BLOB    UNIQUE REFERENCES remittance (id) CHECK ((funds IS NULL) = (flow <> 'debit')),
    revision      INTEGER NOT NULL CHECK (revision >= 0),
    sender        BLOB    NOT NULL REFERENCES holder (id),
    sender_name   TEXT    NOT NULL,
    card          BLOB    NOT NULL REFERENCES card (id),
    currency      TEXT    NOT NULL CHECK (length(currency) = 3),
    amount        INTEGER NOT NULL CHECK (amount > 0),
    note          TEXT    NOT NULL,
    status        TEXT    NOT NULL,
    cancel_asked  INTEGER NOT NULL CHECK (cancel_asked BETWEEN 0 AND 1),
    ended         INTEGER,
    created       INTEGER NOT NULL,
    expires       INTEGER NOT NULL,
    order_bytes   BLOB    NOT NULL,
    signature     BLOB    NOT NULL CHECK (length(signature) = 64),
    program_key   BLOB    NOT NULL CHECK (length(program_key) = 32),
    template_hash BLOB    NOT NULL CHECK (length(template_hash) = 32),
    claim_ref     BLOB    NOT NULL UNIQUE CHECK (length(claim_ref) = 32),
    receipt       BLOB    CHECK ((receipt IS NOT NULL) = (status = 'credited')),
    recovering    INTEGER NOT NULL DEFAULT 0 CHECK (recovering BETWEEN 0 AND 1),
    held          INTEGER,
    payable       INTEGER NOT NULL DEFAULT 0
        CHECK (payable = 0 OR payable = 1 AND flow = 'account'),
    CHECK (CASE status
        WHEN 'ordered'            THEN ended IS NULL AND cancel_asked = 0 AND recovering = 0 AND held IS NULL
        WHEN 'funding-unknown'    THEN ended IS NULL AND held IS NULL
        WHEN 'refunding'          THEN ended IS NULL AND recovering = 0 AND held IS NULL
        WHEN 'open'               THEN ended IS NULL AND cancel_asked = 0 AND recovering = 0 AND held IS NULL
        WHEN 'commit-sent'        THEN ended IS NULL AND (held IS NULL OR recovering = 0)
        WHEN 'credited'           THEN ended IS NOT NULL AND cancel_asked = 0 AND recovering = 0
        WHEN 'cancelled'          THEN ended IS NOT NULL AND cancel_asked = 0 AND recovering = 0
        WHEN 'expired'            THEN ended IS NOT NULL AND cancel_asked = 0 AND recovering = 0 AND held IS NULL
        WHEN 'funding-failed'     THEN ended IS NOT NULL AND cancel_asked = 0 AND recovering = 0 AND held IS NULL
        WHEN 'cancelled-unfunded' THEN ended IS NOT NULL AND cancel_asked = 0 AND recovering = 0 AND held IS NULL
        WHEN 'expired-unfunded'   THEN ended IS NOT NULL AND cancel_asked = 0 AND recovering = 0 AND held IS NULL
        ELSE 0 END)
) STRICT;

INSERT INTO remittance_9 (id, flow, funds, revision, sender, sender_name, card, currency, amount, note,
    status, cancel_asked, ended, created, expires, order_bytes, signature, program_key, template_hash,
    claim_ref, receipt, recovering, held, payable)
SELECT id, flow, funds, revision, sender, sender_name, card, currency, amount, note,
    status, cancel_asked, ended, created, expires, order_bytes, signature, program_key, template_hash,
    claim_ref, receipt, recovering, held, payable FROM remittance;
DROP TABLE remittance;
ALTER TABLE remittance_9 RENAME TO remittance;

CREATE INDEX remittance_by_sender ON remittance (sender, id);
CREATE INDEX remittance_ending ON remittance (expires) WHERE status IN ('open', 'ordered');
CREATE INDEX remittance_recovering ON remittance (card) WHERE recovering = 1;
CREATE INDEX remittance_replaced ON remittance (id) WHERE status = 'open' AND revision > 0;
CREATE INDEX remittance_undecided ON remittance (card) WHERE status = 'commit-sent';
