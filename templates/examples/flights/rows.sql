-- The rows to learn from, of one window. The query gives the columns of Row in dataset.py, and it is
-- yours. $since is the first moment of the window and $until the first one after it; both are bound
-- by the driver, never pasted into the text. The order makes the same rows the same file.
-- Without WAREHOUSE_URL it is asked of data/warehouse.duckdb, where each file of data/sample is a
-- table of that name.
select
    scheduled,
    carrier,
    flight,
    origin,
    destination,
    distance,
    late
from flights
where scheduled >= $since and scheduled < $until
order by scheduled, carrier, flight
