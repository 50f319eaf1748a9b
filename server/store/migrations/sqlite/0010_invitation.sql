-- Orders to an address that nobody has verified, while that is so.

-- id: also that of the remittance that it becomes. bound: that remittance has the money.
-- mail_due: when the mail that invites is due; none once it went out, was given up, or has no sense.
CREATE TABLE invitation (
    id            BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    sender        BLOB    NOT NULL REFERENCES holder (id),
    sender_name   TEXT    NOT NULL,
    email         TEXT    NOT NULL CHECK (email = lower(email)),
    currency      TEXT    NOT NULL CHECK (length(currency) = 3),
    amount        INTEGER NOT NULL CHECK (amount > 0),
    note          TEXT    NOT NULL,
    status        TEXT    NOT NULL
        CHECK (status IN ('invited', 'recovering', 'bound', 'expired', 'cancelled', 'closed')),
    cancel_asked  INTEGER NOT NULL CHECK (cancel_asked = 0 OR cancel_asked = 1 AND status = 'recovering'),
    ended         INTEGER CHECK ((ended IS NULL) = (status IN ('invited', 'recovering'))),
    created       INTEGER NOT NULL,
    expires       INTEGER NOT NULL,
    message_id    TEXT    NOT NULL,
    mail          TEXT    NOT NULL CHECK (mail IN ('queued', 'sent', 'failed')),
    mail_due      INTEGER CHECK (mail_due IS NULL OR mail = 'queued' AND status = 'invited'),
    mail_attempts INTEGER NOT NULL CHECK (mail_attempts >= 0)
) STRICT, WITHOUT ROWID;

CREATE INDEX invitation_by_sender ON invitation (sender, id);
CREATE INDEX invitation_waiting ON invitation (email, id) WHERE status IN ('invited', 'recovering');
CREATE INDEX invitation_ending ON invitation (expires) WHERE status = 'invited';
CREATE INDEX invitation_mail ON invitation (mail_due) WHERE mail_due IS NOT NULL;
