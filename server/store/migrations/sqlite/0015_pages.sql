-- Who orders for an address finds its card by its holder. (PostgreSQL's version 15 is about pages as well.)

CREATE INDEX card_by_holder ON card (holder);
