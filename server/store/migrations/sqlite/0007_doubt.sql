-- What no session settles: remittances closed in doubt, cases that two persons decide, lost cards.

-- Kinds of accounts, here and in transfer: 0 float, 1 holder, 2 card, 3 escrow (the remittance's
-- id), 4 bank, 5 loss:in-doubt, 6 written-off, 7 payable (the holder's id, marked). 0, 4, 5 and 6
-- have no id and no row. Made anew, since SQLite cannot change a CHECK; nothing refers to them.
CREATE TABLE account_5 (
    id       BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    kind     INTEGER NOT NULL CHECK (kind IN (1, 2, 7)),
    currency TEXT    NOT NULL CHECK (length(currency) = 3),
    balance  INTEGER NOT NULL CHECK (balance >= 0)
) STRICT, WITHOUT ROWID;

INSERT INTO account_5 (id, kind, currency, balance) SELECT id, kind, currency, balance FROM account;
DROP TABLE account;
ALTER TABLE account_5 RENAME TO account;

CREATE TABLE transfer_5 (
    id        BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    from_kind INTEGER NOT NULL CHECK (from_kind BETWEEN 0 AND 7),
    from_id   BLOB    CHECK ((from_id IS NULL) = (from_kind IN (0, 4, 5, 6))),
    to_kind   INTEGER NOT NULL CHECK (to_kind BETWEEN 0 AND 7),
    to_id     BLOB    CHECK ((to_id IS NULL) = (to_kind IN (0, 4, 5, 6))),
    currency  TEXT    NOT NULL CHECK (length(currency) = 3),
    amount    INTEGER NOT NULL CHECK (amount > 0),
    at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO transfer_5 (id, from_kind, from_id, to_kind, to_id, currency, amount, at)
SELECT id, from_kind, from_id, to_kind, to_id, currency, amount, at FROM transfer;
DROP TABLE transfer;
ALTER TABLE transfer_5 RENAME TO transfer;

CREATE TRIGGER transfer_never_changes BEFORE UPDATE ON transfer
BEGIN SELECT raise(ABORT, 'a transfer never changes'); END;
CREATE TRIGGER transfer_never_goes BEFORE DELETE ON transfer
BEGIN SELECT raise(ABORT, 'a transfer is never deleted'); END;

-- When two persons closed it in doubt, for ever. With it the status `held` is stored as
-- `commit-sent`, and `closed` as `cancelled`.
ALTER TABLE remittance ADD COLUMN held INTEGER
    CHECK (held IS NULL OR recovering = 0 AND status IN ('commit-sent', 'credited', 'cancelled'));

-- With 1 the flow `account` is `payable`: what the issuer owes the sender paid, and gets it back.
ALTER TABLE remittance ADD COLUMN payable INTEGER NOT NULL DEFAULT 0
    CHECK (payable = 0 OR payable = 1 AND flow = 'account');

CREATE INDEX remittance_undecided ON remittance (card) WHERE status = 'commit-sent';

ALTER TABLE card ADD COLUMN lost INTEGER CHECK (lost IS NULL OR status = 'blocked');
ALTER TABLE card ADD COLUMN payouts INTEGER NOT NULL DEFAULT 0 CHECK (payouts BETWEEN 0 AND 8);
ALTER TABLE card ADD COLUMN paid_out INTEGER NOT NULL DEFAULT 0 CHECK (paid_out >= 0);

ALTER TABLE freeze_case ADD COLUMN kind TEXT NOT NULL DEFAULT 'unexplained-state'
    CHECK (kind IN ('unexplained-state', 'old-card-seen'));
ALTER TABLE freeze_case ADD COLUMN closed INTEGER;

CREATE INDEX freeze_case_open ON freeze_case (card) WHERE closed IS NULL;

-- Persons who decide, two by two. A name is never given out again.
CREATE TABLE officer (
    name       TEXT    NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 32),
    token_hash BLOB    NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    created    INTEGER NOT NULL,
    withdrawn  INTEGER
) STRICT, WITHOUT ROWID;

-- What they decided. The audit log has the hash of name, name and reason, each ended by a zero byte.
CREATE TABLE decision (
    seq     INTEGER NOT NULL PRIMARY KEY,
    at      INTEGER NOT NULL,
    what    TEXT    NOT NULL CHECK (what IN ('closed-in-doubt', 'case-adopted', 'case-blocked')),
    subject TEXT    NOT NULL,
    first   TEXT    NOT NULL REFERENCES officer (name),
    second  TEXT    NOT NULL REFERENCES officer (name) CHECK (second <> first),
    reason  TEXT    NOT NULL CHECK (length(reason) BETWEEN 1 AND 200)
) STRICT;

CREATE TRIGGER decision_never_changes BEFORE UPDATE ON decision
BEGIN SELECT raise(ABORT, 'a decision never changes'); END;
CREATE TRIGGER decision_never_goes BEFORE DELETE ON decision
BEGIN SELECT raise(ABORT, 'a decision is never deleted'); END;
