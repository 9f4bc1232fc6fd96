-- The rows to learn from: all of them, as ops/warehouse.toml names no watermark. The query gives the
-- columns of Row in dataset.py, and it is yours. The order makes the same rows the same file; a key
-- of your table would do better. With a watermark: `where written >= $since and written < $until`.
-- Without WAREHOUSE_URL it is asked of data/warehouse.duckdb, where each file of data/sample is a
-- table of that name.
select
    checking,
    months,
    history,
    purpose,
    amount,
    savings,
    employed,
    rate,
    sex,
    marital_status,
    other_debtors,
    residence,
    assets,
    age,
    other_plans,
    housing,
    credits,
    job,
    dependents,
    telephone,
    foreign_worker,
    bad
from german
order by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22
