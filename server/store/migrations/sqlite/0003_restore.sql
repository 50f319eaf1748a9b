-- A restored backup: which life of the database this is, and what its cards still have to say.

-- incarnation: none until a backup was restored; then issuer.json's no longer counts.
ALTER TABLE meta ADD COLUMN incarnation BLOB CHECK (length(incarnation) = 16);

-- To be read again before anything is sent to it.
ALTER TABLE card ADD COLUMN reread INTEGER NOT NULL DEFAULT 0 CHECK (reread IN (0, 1));

-- With 1 the status is `recovering`; the column `status` then says what it means for the money: it
-- may be on the card already.
ALTER TABLE remittance ADD COLUMN recovering INTEGER NOT NULL DEFAULT 0
    CHECK (recovering = 0 OR recovering = 1 AND status = 'commit-sent');

CREATE INDEX remittance_recovering ON remittance (card) WHERE recovering = 1;

-- Credited by a receipt that was shown, on a card that is still to be read again.
CREATE TABLE receipt_shown (
    remittance BLOB    NOT NULL PRIMARY KEY REFERENCES remittance (id),
    card       BLOB    NOT NULL REFERENCES card (id),
    at         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX receipt_shown_by_card ON receipt_shown (card);
