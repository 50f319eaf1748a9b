-- Card accounts kept one by one, or as one pool per currency with a sub-record per card.

ALTER TABLE meta ADD COLUMN accounts TEXT NOT NULL DEFAULT 'individual'
    CHECK (accounts IN ('individual', 'pooled'));
ALTER TABLE meta ADD COLUMN account_switches INTEGER NOT NULL DEFAULT 0
    CHECK (account_switches BETWEEN 0 AND 4294967295);

-- Whose sub-record a transfer to or from the pool changed. In such a transfer the pool stands as an
-- account of kind 2 whose id is 13 zero bytes and the currency's code. The sub-record itself is the
-- card's row in account.
CREATE TABLE pool_entry (
    transfer BLOB NOT NULL PRIMARY KEY CHECK (length(transfer) = 16),
    card     BLOB NOT NULL REFERENCES card (id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER pool_entry_never_changes BEFORE UPDATE ON pool_entry
BEGIN SELECT raise(ABORT, 'a pool entry never changes'); END;
CREATE TRIGGER pool_entry_never_goes BEFORE DELETE ON pool_entry
BEGIN SELECT raise(ABORT, 'a pool entry is never deleted'); END;
