-- What two persons decide besides: who belongs to them, and the settle window.

ALTER TABLE meta ADD COLUMN settle_window_s BIGINT NOT NULL DEFAULT 1209600
    CHECK (settle_window_s BETWEEN 0 AND 31622400);

ALTER TABLE decision DROP CONSTRAINT decision_what_check;
ALTER TABLE decision ADD CONSTRAINT decision_what_check CHECK (what IN ('closed-in-doubt', 'case-adopted',
    'case-blocked', 'officer-added', 'officer-withdrawn', 'settle-window'));
