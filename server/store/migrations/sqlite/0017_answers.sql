-- Which secret of which endpoint each idempotency key made, for ever. The secret itself is kept nowhere: it
-- follows from the endpoint, its number and a key file. An endpoint that is forgotten leaves its keys: none
-- of them may ever stand for another.

CREATE TABLE webhook_secret_key (
    principal BLOB    NOT NULL CHECK (length(principal) = 16),
    key       TEXT    NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    webhook   BLOB    NOT NULL CHECK (length(webhook) = 16),
    secret    INTEGER NOT NULL CHECK (secret BETWEEN 1 AND 4294967295),
    at        INTEGER NOT NULL,
    PRIMARY KEY (principal, key)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER webhook_secret_key_never_changes BEFORE UPDATE ON webhook_secret_key
BEGIN SELECT raise(ABORT, 'an answer never changes'); END;
CREATE TRIGGER webhook_secret_key_never_goes BEFORE DELETE ON webhook_secret_key
BEGIN SELECT raise(ABORT, 'an answer is never deleted'); END;

-- The first answer to a cancel, kept with its key: what the order was then. Orders need none: theirs follows
-- from the order as it was placed.

ALTER TABLE idempotency ADD COLUMN answer BLOB CHECK (length(answer) BETWEEN 1 AND 4096);
