"""A query over a CSV file in DuckDB, and over SQLite; the drivers for PostgreSQL load."""

import pathlib
import sqlite3
import tempfile

import duckdb
import psycopg
import pyodbc

with tempfile.TemporaryDirectory() as scratch:
    table = pathlib.Path(scratch, "table.csv")
    table.write_text("key,value\na,10\nb,20\nb,30\n")
    frame = duckdb.sql(f"SELECT key, sum(value) AS total FROM '{table}' GROUP BY key ORDER BY key").df()
    parquet = table.with_suffix(".parquet")
    duckdb.sql(f"COPY (SELECT * FROM '{table}') TO '{parquet}'")
    assert duckdb.sql(f"SELECT count(*) FROM '{parquet}'").fetchall() == [(3,)]

assert list(frame["key"]) == ["a", "b"]
assert sqlite3.connect(":memory:").execute("SELECT 6 * 7").fetchone() == (42,)
assert psycopg.pq.version() > 150000
assert any("PostgreSQL" in driver for driver in pyodbc.drivers()), pyodbc.drivers()
print("total", frame["total"].sum())
