"""Statements behind the fences of the kernel and of DuckDB, with the parser's fence taken away.

`python attacker.py < FILE`: a line with the setting, then a line of JSON a statement; a line of
JSON answers each, and last what the process itself can still do. Each runs as it was typed in a
process of its own that inherits the fences and the open lake.
"""

import json
import os
import signal
import socket
import sys
from pathlib import Path

from warehouse import sandbox


def main():
    setting = sandbox.Setting(**json.loads(sys.stdin.readline()))
    missing = sandbox.fence_in(setting.location)
    connection = sandbox.open_lake(setting, missing)
    say(missing)
    for line in sys.stdin:
        what = json.loads(line)
        ask = reach if isinstance(what, dict) else (lambda sql: run(connection, sql))
        say(forked(ask, what))


def say(what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def forked(ask, what):
    receiver, sender = os.pipe()
    if not (child := os.fork()):
        signal.alarm(30)
        os.write(sender, repr(ask(what)).encode()[:60_000])
        os._exit(0)
    os.close(sender)
    with os.fdopen(receiver, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    return said or f"ended by signal {status}"


def run(connection, sql):
    try:
        return connection.execute(sql).fetchall()[:100]
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return str(error)


def reach(what):
    """What code in the process could do, if a statement could run any: {"do": ..., "path": ...}."""
    path = Path(what["path"])
    try:
        if what["do"] == "read":
            return path.read_bytes()[:1000]
        if what["do"] == "write":
            return path.write_bytes(b"x")
        if what["do"] == "append":
            with path.open("ab") as file:
                return file.write(b"x")
        if what["do"] == "truncate":
            return os.truncate(path, 0)
        if what["do"] == "delete":
            return path.unlink()
        if what["do"] == "rename":
            return path.rename(f"{path}.moved")
        if what["do"] == "mkdir":
            return path.mkdir()
        if what["do"] == "link":
            return os.symlink("/", path)
        if what["do"] == "list":
            return sorted(os.listdir(path))
        if what["do"] == "execute":
            return os.execv(path, [str(path)])
        if what["do"] == "signal":
            return os.kill(what["pid"], 0)
        with socket.create_connection(("127.0.0.1", what["port"]), timeout=5):
            return "connected"
    except OSError as error:
        return f"OSError {error.strerror}"


if __name__ == "__main__":
    main()
