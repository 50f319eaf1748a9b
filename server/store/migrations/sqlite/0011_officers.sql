-- What two persons decide besides: who belongs to them, and the settle window.

-- How long after its report a lost card is paid out, in seconds.
ALTER TABLE meta ADD COLUMN settle_window_s INTEGER NOT NULL DEFAULT 1209600
    CHECK (settle_window_s BETWEEN 0 AND 31622400);

-- Made anew, since SQLite cannot change a CHECK; nothing refers to it.
CREATE TABLE decision_11 (
    seq     INTEGER NOT NULL PRIMARY KEY,
    at      INTEGER NOT NULL,
    what    TEXT    NOT NULL CHECK (what IN ('closed-in-doubt', 'case-adopted', 'case-blocked',
        'officer-added', 'officer-withdrawn', 'settle-window')),
    subject TEXT    NOT NULL,
    first   TEXT    NOT NULL REFERENCES officer (name),
    second  TEXT    NOT NULL REFERENCES officer (name) CHECK (second <> first),
    reason  TEXT    NOT NULL CHECK (length(reason) BETWEEN 1 AND 200)
) STRICT;

INSERT INTO decision_11 (seq, at, what, subject, first, second, reason)
SELECT seq, at, what, subject, first, second, reason FROM decision;
DROP TABLE decision;
ALTER TABLE decision_11 RENAME TO decision;

CREATE TRIGGER decision_never_changes BEFORE UPDATE ON decision
BEGIN SELECT raise(ABORT, 'a decision never changes'); END;
CREATE TRIGGER decision_never_goes BEFORE DELETE ON decision
BEGIN SELECT raise(ABORT, 'a decision is never deleted'); END;
