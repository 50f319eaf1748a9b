-- Room on each page of the rows that change in place: their next version then stays on the page, and no index
-- has to be told. It holds for pages that are filled from now on.

ALTER TABLE account SET (fillfactor = 70);
ALTER TABLE card SET (fillfactor = 70);
ALTER TABLE meta SET (fillfactor = 10);
