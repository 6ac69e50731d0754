"""Read a server's database in plain SQL, without Sonoscope's own code."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from tests.server import Server

ROWS = "classifier_analysis"
# A trigger records every end of an analysis, in the transaction that ends it.
ENDS = ("CREATE TABLE chaos_ends (analysis varchar(36), state varchar(9), at_s double precision)",)
SQLITE_TRIGGER = f"""
CREATE TRIGGER chaos_end AFTER UPDATE OF state ON {ROWS}
WHEN new.state IN ('done', 'failed') BEGIN
  INSERT INTO chaos_ends VALUES
    (new.id, new.state, (julianday('now') - 2440587.5) * 86400.0);
END
"""
POSTGRES_TRIGGER = f"""
CREATE FUNCTION chaos_note() RETURNS trigger AS $$ BEGIN
  INSERT INTO chaos_ends VALUES
    (new.id::text, new.state, extract(epoch FROM clock_timestamp()));
  RETURN NULL;
END $$ LANGUAGE plpgsql;
CREATE TRIGGER chaos_end AFTER UPDATE OF state ON {ROWS}
  FOR EACH ROW WHEN (new.state IN ('done', 'failed')) EXECUTE FUNCTION chaos_note();
"""


@dataclass(frozen=True, slots=True)
class Row:
    """An analysis in the database."""

    analysis: UUID
    clip: UUID
    state: str
    token: str
    attempts: int
    error_code: str
    error_detail: str


@dataclass(frozen=True, slots=True)
class Observer:
    server: Server

    def watch(self) -> None:
        trigger = POSTGRES_TRIGGER if self.server.database_url else SQLITE_TRIGGER
        for statement in (*ENDS, trigger):
            self.ask(statement)

    def ask(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Execute a statement on a new connection, because the server may have been restarted."""
        with self._connection() as connection:
            if self.server.database_url:
                statement = statement.replace("?", "%s")
            cursor = connection.execute(statement, *([values] if values else []))
            return list(cursor.fetchall()) if cursor.description else []

    def count(self, *states: str) -> int:
        places = ", ".join("?" * len(states))
        ((count,),) = self.ask(f"SELECT count(*) FROM {ROWS} WHERE state IN ({places})", *states)
        return int(count)

    def tokens(self) -> set[str]:
        """Return the tokens of the running analyses."""
        return {token for (token,) in self.ask(f"SELECT token FROM {ROWS} WHERE state = 'running'")}

    def rows(self, condition: str = "true", *values: Any) -> list[Row]:
        found = self.ask(
            "SELECT id, clip_id, state, token, attempts, error_code, error_detail "
            f"FROM {ROWS} WHERE {condition}",
            *values,
        )
        return [Row(UUID(str(pk)), UUID(str(clip)), *rest) for pk, clip, *rest in found]

    def row(self, analysis: UUID) -> Row:
        (row,) = self.rows("id = ?", self.key(analysis))
        return row

    def key(self, pk: UUID) -> str:
        """Return the id as the database stores it."""
        return str(pk) if self.server.database_url else pk.hex

    def clips(self) -> dict[UUID, str]:
        """Return each clip's file key."""
        found = self.ask("SELECT id, file_key FROM classifier_clip")
        return {UUID(str(pk)): key for pk, key in found}

    def ends(self) -> Counter[UUID]:
        """Return how often each analysis ended."""
        return Counter(UUID(pk) for (pk,) in self.ask("SELECT analysis FROM chaos_ends"))

    def ended_at_s(self) -> list[float]:
        """Return the Unix times of all ends, in order."""
        return [at for (at,) in self.ask("SELECT at_s FROM chaos_ends ORDER BY at_s")]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold SQLite's write lock."""
        with closing(self._sqlite()) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield
            connection.execute("ROLLBACK")

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        if self.server.database_url:
            with psycopg.connect(self.server.database_url, autocommit=True) as connection:
                yield connection
        else:
            with closing(self._sqlite()) as connection:
                yield connection

    def _sqlite(self) -> sqlite3.Connection:
        path = self.server.data / "sonoscope.sqlite3"
        return sqlite3.connect(path, timeout=60, isolation_level=None)
