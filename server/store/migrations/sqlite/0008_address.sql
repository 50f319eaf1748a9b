-- Verified mail addresses: whose, which card they stand for, and what became of them.

-- request: names one verification; its code is derived from it and is stored nowhere.
-- mail_due: when the code's mail is due; none once it went out or was given up.
CREATE TABLE address (
    holder        BLOB    NOT NULL REFERENCES holder (id),
    email         TEXT    NOT NULL CHECK (email = lower(email)),
    card          BLOB    REFERENCES card (id),
    verified_at   INTEGER,
    request       BLOB    NOT NULL UNIQUE CHECK (length(request) = 16),
    code_hash     BLOB    CHECK ((code_hash IS NULL) = (verified_at IS NOT NULL)),
    code_expires  INTEGER NOT NULL,
    tries_left    INTEGER NOT NULL CHECK (tries_left BETWEEN 0 AND 5),
    mail_due      INTEGER,
    mail_attempts INTEGER NOT NULL,
    PRIMARY KEY (holder, email)
) STRICT, WITHOUT ROWID;

CREATE INDEX address_by_email ON address (email);
-- one verified address belongs to one holder
CREATE UNIQUE INDEX address_verified ON address (email) WHERE verified_at IS NOT NULL;
CREATE INDEX address_mail ON address (mail_due) WHERE mail_due IS NOT NULL;

CREATE TABLE address_history (
    id     INTEGER PRIMARY KEY,
    holder BLOB    NOT NULL REFERENCES holder (id),
    email  TEXT    NOT NULL,
    what   TEXT    NOT NULL CHECK (what IN ('asked', 'wrong-code', 'verified', 'default-card', 'removed')),
    card   BLOB    REFERENCES card (id),
    at     INTEGER NOT NULL
) STRICT;

CREATE INDEX address_history_by_holder ON address_history (holder, id);
CREATE TRIGGER address_history_never_changes BEFORE UPDATE ON address_history
BEGIN SELECT raise(ABORT, 'history never changes'); END;
CREATE TRIGGER address_history_never_goes BEFORE DELETE ON address_history
BEGIN SELECT raise(ABORT, 'history is never deleted'); END;
