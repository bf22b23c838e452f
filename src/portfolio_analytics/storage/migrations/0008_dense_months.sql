-- Closed months seldom change, so their pages need no room for it.
ALTER TABLE rollup_months SET (fillfactor = 100);
