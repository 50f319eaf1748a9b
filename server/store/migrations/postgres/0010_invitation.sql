-- Orders to an address that nobody has verified, while that is so. What the columns mean stands with SQLite's script.

CREATE TABLE invitation (
    id            BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    sender        BYTEA NOT NULL REFERENCES holder (id),
    sender_name   TEXT COLLATE "C" NOT NULL,
    email         TEXT COLLATE "C" NOT NULL CHECK (email = lower(email)),
    currency      TEXT COLLATE "C" NOT NULL CHECK (length(currency) = 3),
    amount        BIGINT NOT NULL CHECK (amount > 0),
    note          TEXT COLLATE "C" NOT NULL,
    status        TEXT COLLATE "C" NOT NULL
        CHECK (status IN ('invited', 'recovering', 'bound', 'expired', 'cancelled', 'closed')),
    cancel_asked  BIGINT NOT NULL CHECK (cancel_asked = 0 OR cancel_asked = 1 AND status = 'recovering'),
    ended         BIGINT CHECK ((ended IS NULL) = (status IN ('invited', 'recovering'))),
    created       BIGINT NOT NULL,
    expires       BIGINT NOT NULL,
    message_id    TEXT COLLATE "C" NOT NULL,
    mail          TEXT COLLATE "C" NOT NULL CHECK (mail IN ('queued', 'sent', 'failed')),
    mail_due      BIGINT CHECK (mail_due IS NULL OR mail = 'queued' AND status = 'invited'),
    mail_attempts BIGINT NOT NULL CHECK (mail_attempts >= 0)
);

CREATE INDEX invitation_by_sender ON invitation (sender, id);
CREATE INDEX invitation_waiting ON invitation (email, id) WHERE status IN ('invited', 'recovering');
CREATE INDEX invitation_ending ON invitation (expires) WHERE status = 'invited';
CREATE INDEX invitation_mail ON invitation (mail_due) WHERE mail_due IS NOT NULL;
