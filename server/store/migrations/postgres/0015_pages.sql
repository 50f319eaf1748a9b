-- Room on each page of the rows that change in place: their next version then stays on the page, and no index
-- has to be told. A third for rows that change now and then; nearly all of it for the one row that changes
-- with every commit. It holds for pages that are filled from now on.

ALTER TABLE account SET (fillfactor = 70);
ALTER TABLE card SET (fillfactor = 70);
ALTER TABLE meta SET (fillfactor = 10);

-- Who orders for an address finds its card by its holder.

CREATE INDEX card_by_holder ON card (holder);
