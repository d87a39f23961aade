"""The tests' own PostgreSQL server (tests/postgres.py)."""

import sqlalchemy as sa

from tests.postgres import PostgresServer


def test_a_fresh_database_is_empty_and_recent(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url)
    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == []
        assert connection.dialect.server_version_info >= (16,)
    engine.dispose()


def test_lower_knows_letters_beyond_ascii(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT lower('ÉLODIE ŁUKASZ')")) == "élodie łukasz"
    engine.dispose()


def test_copies_of_a_template_do_not_see_each_other(postgres_databases: PostgresServer) -> None:
    built = []

    def build(url: str) -> None:
        built.append(url)
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE thing (id integer)"))
        engine.dispose()

    urls = [postgres_databases.create_database(template="things", build=build) for _ in range(2)]
    first, second = (sa.create_engine(url) for url in urls)
    with first.begin() as connection:
        connection.execute(sa.text("INSERT INTO thing VALUES (1)"))
    with second.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM thing")) == 0
    assert len(built) == 1
    for engine, url in ((first, urls[0]), (second, urls[1])):
        engine.dispose()
        postgres_databases.drop_database(url)


def test_dropping_ends_connections_that_were_left_open(postgres_databases: PostgresServer) -> None:
    url = postgres_databases.create_database()
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    connection = engine.connect()
    postgres_databases.drop_database(url)
    connection.invalidate()
    connection.close()
    engine.dispose()


def test_a_lent_database_comes_back_empty_under_another_name_or_not_at_all(
    postgres_databases: PostgresServer,
) -> None:
    built = []

    def build(url: str) -> None:
        built.append(url)
        execute(url, "CREATE TABLE place (id integer)")
        execute(url, "CREATE TABLE person (id serial, place serial)")

    lent = []
    for change in ("INSERT INTO person DEFAULT VALUES", "CREATE INDEX one ON person (id)", "SELECT 1"):
        with postgres_databases.lend("people", build) as url:
            lent.append(url)
            engine = sa.create_engine(url)
            left_open = engine.connect()
            left_open.execute(sa.text("LOCK TABLE person"))
            assert left_open.scalar(sa.text("SELECT count(*) FROM person")) == 0
            assert left_open.scalar(sa.text("SELECT nextval('person_id_seq')")) == 1
            assert sa.inspect(left_open).get_indexes("person") == []
            left_open.rollback()
            execute(url, change)
            left_open.execute(sa.text("LOCK TABLE person"))
        left_open.invalidate()
        left_open.close()
        engine.dispose()
    assert (len(set(lent)), len(built)) == (3, 1)


def execute(url: str, statement: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text(statement))
    engine.dispose()
