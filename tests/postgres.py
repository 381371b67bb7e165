"""Run a command against a PostgreSQL cluster of its own: python -m tests.postgres COMMAND …

The cluster listens on a free port of 127.0.0.1, keeps its data in a temporary folder, is tuned for
being thrown away, and is gone when the command ends. PostgreSQL refuses to run as root, so root
hands it to the `postgres` (or `nobody`) account.
"""

import contextlib
import getpass
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


def find_programs() -> Path:
    """Return the folder of initdb and pg_ctl, installing the server where apt-get can.

    Raises SystemExit with what to do when there is none.
    """
    found = _installed_programs()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(
            ["apt-get", "install", "-qq", "--no-install-recommends", "postgresql"], check=True
        )
        found = _installed_programs()
    if found is None:
        raise SystemExit(
            "No PostgreSQL server programs were found (initdb). Install them, for example with "
            "`apt install postgresql` or `brew install postgresql`, and run this again."
        )
    return found


def _installed_programs() -> Path | None:
    if on_path := shutil.which("initdb"):
        return Path(on_path).parent
    folders = [
        *Path("/usr/lib/postgresql").glob("*/bin"),
        *Path("/opt/homebrew/opt").glob("postgresql*/bin"),
    ]
    return max((folder for folder in folders if (folder / "initdb").exists()), default=None)


@contextlib.contextmanager
def cluster() -> Iterator[str]:
    """Run a PostgreSQL cluster and give its DATABASE_URL."""
    programs = find_programs()
    account = getpass.getuser()
    as_account: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="shotmedia-postgres-") as folder:
        if os.geteuid() == 0:
            account = _account_for_root()
            entry = pwd.getpwnam(account)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
            as_account = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        data = f"{folder}/data"

        def run(program: str, *arguments: str) -> None:
            done = subprocess.run(
                [programs / program, *arguments],
                cwd=folder,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                **as_account,
            )
            if done.returncode:
                raise SystemExit(f"{program} failed:\n{done.stdout}")

        run("initdb", "-D", data, "-U", "shotmedia", "-A", "trust", "-E", "UTF8", "--no-sync")
        port = _free_port()
        options = (
            f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} "
            "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200"
        )
        run("pg_ctl", "-D", data, "-o", options, "-l", f"{folder}/log", "-w", "start")
        try:
            yield f"postgres://shotmedia@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _account_for_root() -> str:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise SystemExit("Run the PostgreSQL tests as another user than root.")


def main() -> int:
    """Run the command in sys.argv with DATABASE_URL set; return its exit code."""
    # Python would end at once, and leave the cluster and the command running.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    with cluster() as url:
        return subprocess.run(sys.argv[1:], env=os.environ | {"DATABASE_URL": url}).returncode


if __name__ == "__main__":
    sys.exit(main())
