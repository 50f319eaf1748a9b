-- The ledger on PostgreSQL: the tables of SQLite's version 9, column by column, in PostgreSQL's words.
--
-- Ids are 16 bytes, times are microseconds since 1970-01-01 UTC, money is minor units; numbers and
-- truth values are BIGINT, so that one statement serves both databases. What the columns mean stands
-- with SQLite's scripts. docs/ledger.md says which rows change together.

CREATE TABLE tegata (
    id             BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    schema_version BIGINT NOT NULL
);

INSERT INTO tegata (id, schema_version) VALUES (1, 0);

-- One mark for each transaction that writes. Whoever lost the connection while it committed looks for
-- its mark; whoever connects anew looks for the last one it committed, and so notices a database that was
-- put back. Those of an hour ago are taken out.
CREATE TABLE writer_mark (
    mark TEXT        NOT NULL PRIMARY KEY DEFAULT CAST(gen_random_uuid() AS TEXT),
    at   TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE INDEX writer_mark_by_age ON writer_mark (at);

CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '%', TG_ARGV[0]; END $$;

CREATE TABLE meta (
    id         BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    time_floor BIGINT NOT NULL,
    incarnation BYTEA CHECK (length(incarnation) = 16),
    accounts TEXT COLLATE "C" NOT NULL DEFAULT 'individual'
    CHECK (accounts IN ('individual', 'pooled')),
    account_switches BIGINT NOT NULL DEFAULT 0
    CHECK (account_switches BETWEEN 0 AND 4294967295)
);

INSERT INTO meta (id, time_floor) VALUES (1, 0);

CREATE TABLE holder (
    id         BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name       TEXT COLLATE "C" NOT NULL,
    email      TEXT COLLATE "C",
    language   TEXT COLLATE "C" NOT NULL,
    token_hash BYTEA UNIQUE CHECK (length(token_hash) = 32),
    created    BIGINT NOT NULL
);

CREATE TABLE card (
    id                    BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    number_ref            BYTEA NOT NULL UNIQUE CHECK (length(number_ref) = 32),
    masked                TEXT COLLATE "C" NOT NULL,
    uid                   BYTEA NOT NULL UNIQUE CHECK (length(uid) = 7),
    holder                BYTEA NOT NULL REFERENCES holder (id),
    status                TEXT COLLATE "C" NOT NULL CHECK (status IN ('issuing', 'active', 'blocked', 'frozen')),
    currency              TEXT COLLATE "C" NOT NULL CHECK (length(currency) = 3),
    value_max             BIGINT NOT NULL CHECK (value_max BETWEEN 1 AND 1000000),
    epoch                 BIGINT NOT NULL CHECK (epoch >= 0),
    proven_id             BYTEA NOT NULL CHECK (length(proven_id) = 16),
    proven_remittance_seq BIGINT NOT NULL CHECK (proven_remittance_seq BETWEEN 0 AND 4294967295),
    proven_payment_seq    BIGINT NOT NULL CHECK (proven_payment_seq BETWEEN 0 AND 4294967295),
    proven_value          BIGINT NOT NULL CHECK (proven_value BETWEEN 0 AND value_max),
    reread BIGINT NOT NULL DEFAULT 0 CHECK (reread IN (0, 1)),
    lost BIGINT CHECK (lost IS NULL OR status = 'blocked'),
    payouts BIGINT NOT NULL DEFAULT 0 CHECK (payouts BETWEEN 0 AND 8),
    paid_out BIGINT NOT NULL DEFAULT 0 CHECK (paid_out >= 0)
);

CREATE TABLE freeze_case (
    seq       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    card      BYTEA NOT NULL REFERENCES card (id),
    in_flight BYTEA,
    evidence  BYTEA NOT NULL,
    at        BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL DEFAULT 'unexplained-state'
    CHECK (kind IN ('unexplained-state', 'old-card-seen')),
    closed BIGINT
);

CREATE TABLE idempotency (
    principal  BYTEA NOT NULL CHECK (length(principal) = 16),
    operation  TEXT COLLATE "C" NOT NULL,
    key        TEXT COLLATE "C" NOT NULL,
    content    BYTEA NOT NULL CHECK (length(content) = 32),
    remittance BYTEA,
    refusal    TEXT COLLATE "C" CHECK ((refusal IS NULL) <> (remittance IS NULL)),
    at         BIGINT NOT NULL,
    PRIMARY KEY (principal, operation, key)
);

CREATE TABLE template (
    hash  BYTEA NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    bytes BYTEA NOT NULL,
    withdrawn BIGINT
);

CREATE TABLE journal (
    seq       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    record    BYTEA,
    transfers BYTEA CHECK (length(transfers) % 16 = 0),
    CHECK ((record IS NULL) <> (transfers IS NULL))
);

CREATE TABLE log_segment (
    number  BIGINT NOT NULL PRIMARY KEY CHECK (number >= 1),
    first   BIGINT NOT NULL UNIQUE CHECK (first >= 1),
    last    BIGINT NOT NULL UNIQUE CHECK (last >= first),
    hash    BYTEA NOT NULL CHECK (length(hash) = 32),
    records BYTEA NOT NULL,
    head    BYTEA NOT NULL
);

CREATE TABLE log_lease (
    id    BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    owner BYTEA NOT NULL CHECK (length(owner) = 16),
    until BIGINT NOT NULL
);

CREATE TABLE signing_key (
    public     BYTEA NOT NULL PRIMARY KEY CHECK (length(public) = 32),
    revoked_at BIGINT
);

CREATE TABLE remittance (
    id            BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    flow          TEXT COLLATE "C" NOT NULL CHECK (flow IN ('account', 'bank', 'card', 'debit')),
    funds         BYTEA UNIQUE REFERENCES remittance (id) CHECK ((funds IS NULL) = (flow <> 'debit')),
    revision      BIGINT NOT NULL CHECK (revision >= 0),
    sender        BYTEA NOT NULL REFERENCES holder (id),
    sender_name   TEXT COLLATE "C" NOT NULL,
    card          BYTEA NOT NULL REFERENCES card (id),
    currency      TEXT COLLATE "C" NOT NULL CHECK (length(currency) = 3),
    amount        BIGINT NOT NULL CHECK (amount > 0),
    note          TEXT COLLATE "C" NOT NULL,
    status        TEXT COLLATE "C" NOT NULL
        CHECK (status IN ('ordered', 'funding-unknown', 'funding-failed', 'cancelled-unfunded',
            'expired-unfunded', 'refunding', 'open', 'commit-sent', 'credited', 'expired', 'cancelled')),
    cancel_asked  BIGINT NOT NULL
        CHECK (cancel_asked = 0
            OR cancel_asked = 1 AND status IN ('commit-sent', 'funding-unknown', 'refunding')),
    ended         BIGINT CHECK ((ended IS NULL) =
        (status IN ('ordered', 'funding-unknown', 'refunding', 'open', 'commit-sent'))),
    created       BIGINT NOT NULL,
    expires       BIGINT NOT NULL,
    order_bytes   BYTEA NOT NULL,
    signature     BYTEA NOT NULL CHECK (length(signature) = 64),
    program_key   BYTEA NOT NULL CHECK (length(program_key) = 32),
    template_hash BYTEA NOT NULL CHECK (length(template_hash) = 32),
    claim_ref     BYTEA NOT NULL UNIQUE CHECK (length(claim_ref) = 32),
    receipt       BYTEA CHECK ((receipt IS NOT NULL) = (status = 'credited')),
    recovering    BIGINT NOT NULL DEFAULT 0
        CHECK (recovering = 0 OR recovering = 1 AND status IN ('commit-sent', 'funding-unknown')),
    held BIGINT
    CHECK (held IS NULL OR recovering = 0 AND status IN ('commit-sent', 'credited', 'cancelled')),
    payable BIGINT NOT NULL DEFAULT 0
    CHECK (payable = 0 OR payable = 1 AND flow = 'account')
);

CREATE TABLE bank_account (
    holder  BYTEA NOT NULL PRIMARY KEY REFERENCES holder (id),
    account TEXT COLLATE "C" NOT NULL
);

CREATE TABLE bank_debit (
    remittance BYTEA NOT NULL PRIMARY KEY REFERENCES remittance (id),
    account    TEXT COLLATE "C" NOT NULL,
    attempts   BIGINT NOT NULL CHECK (attempts >= 0),
    due        BIGINT,
    error      TEXT COLLATE "C"
);

CREATE TABLE pool_entry (
    transfer BYTEA NOT NULL PRIMARY KEY CHECK (length(transfer) = 16),
    card     BYTEA NOT NULL REFERENCES card (id)
);

CREATE TABLE account (
    id       BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    kind     BIGINT NOT NULL CHECK (kind IN (1, 2, 7)),
    currency TEXT COLLATE "C" NOT NULL CHECK (length(currency) = 3),
    balance  BIGINT NOT NULL CHECK (balance >= 0)
);

CREATE TABLE transfer (
    id        BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    from_kind BIGINT NOT NULL CHECK (from_kind BETWEEN 0 AND 7),
    from_id   BYTEA CHECK ((from_id IS NULL) = (from_kind IN (0, 4, 5, 6))),
    to_kind   BIGINT NOT NULL CHECK (to_kind BETWEEN 0 AND 7),
    to_id     BYTEA CHECK ((to_id IS NULL) = (to_kind IN (0, 4, 5, 6))),
    currency  TEXT COLLATE "C" NOT NULL CHECK (length(currency) = 3),
    amount    BIGINT NOT NULL CHECK (amount > 0),
    at        BIGINT NOT NULL
);

CREATE TABLE officer (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 32),
    token_hash BYTEA NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    created    BIGINT NOT NULL,
    withdrawn  BIGINT
);

CREATE TABLE decision (
    seq     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      BIGINT NOT NULL,
    what    TEXT COLLATE "C" NOT NULL CHECK (what IN ('closed-in-doubt', 'case-adopted', 'case-blocked')),
    subject TEXT COLLATE "C" NOT NULL,
    first   TEXT COLLATE "C" NOT NULL REFERENCES officer (name),
    second  TEXT COLLATE "C" NOT NULL REFERENCES officer (name) CHECK (second <> first),
    reason  TEXT COLLATE "C" NOT NULL CHECK (length(reason) BETWEEN 1 AND 200)
);

CREATE TABLE address (
    holder        BYTEA NOT NULL REFERENCES holder (id),
    email         TEXT COLLATE "C" NOT NULL CHECK (email = lower(email)),
    card          BYTEA REFERENCES card (id),
    verified_at   BIGINT,
    request       BYTEA NOT NULL UNIQUE CHECK (length(request) = 16),
    code_hash     BYTEA CHECK ((code_hash IS NULL) = (verified_at IS NOT NULL)),
    code_expires  BIGINT NOT NULL,
    tries_left    BIGINT NOT NULL CHECK (tries_left BETWEEN 0 AND 5),
    mail_due      BIGINT,
    mail_attempts BIGINT NOT NULL,
    PRIMARY KEY (holder, email)
);

CREATE TABLE address_history (
    id     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    holder BYTEA NOT NULL REFERENCES holder (id),
    email  TEXT COLLATE "C" NOT NULL,
    what   TEXT COLLATE "C" NOT NULL CHECK (what IN ('asked', 'wrong-code', 'verified', 'default-card', 'removed')),
    card   BYTEA REFERENCES card (id),
    at     BIGINT NOT NULL
);

CREATE TABLE in_flight (
    card           BYTEA NOT NULL PRIMARY KEY REFERENCES card (id),
    remittance     BYTEA NOT NULL UNIQUE REFERENCES remittance (id),
    epoch          BIGINT NOT NULL CHECK (epoch >= 0),
    seq            BIGINT NOT NULL CHECK (seq BETWEEN 1 AND 4294967295),
    payment_seq    BIGINT NOT NULL CHECK (payment_seq BETWEEN 0 AND 4294967295),
    balance_before BIGINT NOT NULL CHECK (balance_before >= 0),
    session        BYTEA NOT NULL,
    batch          BYTEA NOT NULL,
    since          BIGINT NOT NULL
);

CREATE TABLE outbox (
    id         BYTEA NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    remittance BYTEA NOT NULL UNIQUE REFERENCES remittance (id),
    message_id TEXT COLLATE "C" NOT NULL,
    to_address TEXT COLLATE "C" NOT NULL,
    language   TEXT COLLATE "C" NOT NULL,
    status     TEXT COLLATE "C" NOT NULL CHECK (status IN ('queued', 'sent', 'failed')),
    attempts   BIGINT NOT NULL CHECK (attempts >= 0),
    due        BIGINT NOT NULL,
    error      TEXT COLLATE "C"
);

CREATE TABLE receipt_shown (
    remittance BYTEA NOT NULL PRIMARY KEY REFERENCES remittance (id),
    card       BYTEA NOT NULL REFERENCES card (id),
    at         BIGINT NOT NULL
);

CREATE INDEX outbox_due ON outbox (due) WHERE status = 'queued';
CREATE INDEX receipt_shown_by_card ON receipt_shown (card);
CREATE INDEX remittance_by_sender ON remittance (sender, id);
CREATE INDEX remittance_ending ON remittance (expires) WHERE status IN ('open', 'ordered');
CREATE INDEX remittance_recovering ON remittance (card) WHERE recovering = 1;
CREATE INDEX bank_debit_due ON bank_debit (due) WHERE due IS NOT NULL;
CREATE INDEX remittance_replaced ON remittance (id) WHERE status = 'open' AND revision > 0;
CREATE INDEX remittance_undecided ON remittance (card) WHERE status = 'commit-sent';
CREATE INDEX freeze_case_open ON freeze_case (card) WHERE closed IS NULL;
CREATE INDEX address_by_email ON address (email);
CREATE UNIQUE INDEX address_verified ON address (email) WHERE verified_at IS NOT NULL;
CREATE INDEX address_mail ON address (mail_due) WHERE mail_due IS NOT NULL;
CREATE INDEX address_history_by_holder ON address_history (holder, id);
CREATE TRIGGER idempotency_never_changes BEFORE UPDATE ON idempotency
    FOR EACH ROW EXECUTE FUNCTION never('an answer never changes');
CREATE TRIGGER idempotency_never_goes BEFORE DELETE ON idempotency
    FOR EACH ROW EXECUTE FUNCTION never('an answer is never deleted');
CREATE TRIGGER journal_never_changes BEFORE UPDATE ON journal
    FOR EACH ROW EXECUTE FUNCTION never('a journal row never changes');
CREATE TRIGGER log_segment_never_changes BEFORE UPDATE ON log_segment
    FOR EACH ROW EXECUTE FUNCTION never('a segment never changes');
CREATE TRIGGER log_segment_never_goes BEFORE DELETE ON log_segment
    FOR EACH ROW EXECUTE FUNCTION never('a segment is never deleted');
CREATE TRIGGER pool_entry_never_changes BEFORE UPDATE ON pool_entry
    FOR EACH ROW EXECUTE FUNCTION never('a pool entry never changes');
CREATE TRIGGER pool_entry_never_goes BEFORE DELETE ON pool_entry
    FOR EACH ROW EXECUTE FUNCTION never('a pool entry is never deleted');
CREATE TRIGGER transfer_never_changes BEFORE UPDATE ON transfer
    FOR EACH ROW EXECUTE FUNCTION never('a transfer never changes');
CREATE TRIGGER transfer_never_goes BEFORE DELETE ON transfer
    FOR EACH ROW EXECUTE FUNCTION never('a transfer is never deleted');
CREATE TRIGGER decision_never_changes BEFORE UPDATE ON decision
    FOR EACH ROW EXECUTE FUNCTION never('a decision never changes');
CREATE TRIGGER decision_never_goes BEFORE DELETE ON decision
    FOR EACH ROW EXECUTE FUNCTION never('a decision is never deleted');
CREATE TRIGGER address_history_never_changes BEFORE UPDATE ON address_history
    FOR EACH ROW EXECUTE FUNCTION never('history never changes');
CREATE TRIGGER address_history_never_goes BEFORE DELETE ON address_history
    FOR EACH ROW EXECUTE FUNCTION never('history is never deleted');
