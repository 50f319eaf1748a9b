-- A case that the audit opened has a kind of its own: its evidence is text, not what a card said.
--
-- Made anew, since SQLite cannot change a CHECK; nothing refers to it.
CREATE TABLE freeze_case_12 (
    seq       INTEGER NOT NULL PRIMARY KEY,
    card      BLOB    NOT NULL REFERENCES card (id),
    in_flight BLOB,
    evidence  BLOB    NOT NULL,
    at        INTEGER NOT NULL,
    kind      TEXT    NOT NULL
        CHECK (kind = 'unexplained-state' OR kind = 'old-card-seen' OR kind = 'books-disagree'),
    closed    INTEGER
) STRICT;

-- The findings of before begin with the name of their check and two spaces.
INSERT INTO freeze_case_12 (seq, card, in_flight, evidence, at, kind, closed)
SELECT seq, card, in_flight, evidence, at,
    CASE WHEN substr(evidence, 1, 26) = CAST('account-is-its-transfers  ' AS BLOB)
           OR substr(evidence, 1, 22) = CAST('card-is-proven-value  ' AS BLOB) THEN 'books-disagree'
         ELSE kind END,
    closed
FROM freeze_case;
DROP TABLE freeze_case;
ALTER TABLE freeze_case_12 RENAME TO freeze_case;

CREATE INDEX freeze_case_open ON freeze_case (card) WHERE closed IS NULL;
