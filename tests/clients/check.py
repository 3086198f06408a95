"""Runs every driver of clients.json against a small recorder and compares what was sent and what came back.

`cargo xtask clients` calls this after an installation: the clients count as installed once it passes. It knows
nothing of Keyward; the end-to-end tests (crates/keyward/tests) put a gateway where the recorder stands here.

Usage: check.py PYTHON NODE DRIVERS [CLIENT…]
    the two interpreters and the folder that holds the Node drivers beside node_modules
"""

import concurrent.futures
import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
KEY = "example_key_from_the_argument"
VENDORS = ("GETPROFILE_", "PROFOUND_", "QANAPI_", "SGAI_")


class Recorder(http.server.BaseHTTPRequestHandler):
    """Keeps each request and answers all of them as `server.answer` says: status, headers, body."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.seen.append(
            {
                "method": self.command,
                "path": self.path,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "body": json.loads(body) if body else None,
            }
        )
        status, headers, sample = self.server.reply
        data = json.dumps(sample).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(data), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, *_):
        pass


class Checker:
    """Collects checks, then runs them side by side, each against a recorder of its own."""

    def __init__(self, python, node, drivers):
        self.commands = {"python": (python, HERE / "python"), "node": (node, pathlib.Path(drivers))}
        self.checks = []

    def add(self, what, client, given, environment, reply, expect, requests=1, sent=None):
        """`{base_url}` in `given` and `environment` becomes the recorder's address."""
        self.checks.append((what, client, given, environment, reply, expect, requests, sent))

    def run(self):
        """The faults found, one text each."""
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            return [fault for fault in pool.map(lambda check: self.fault(*check), self.checks) if fault]

    def fault(self, what, client, given, environment, reply, expect, requests, sent):
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
            server.seen, server.reply = [], reply
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                line = self.drive(client, given, environment, f"http://127.0.0.1:{server.server_port}")
                differs(expect, line, "line")
                if len(server.seen) != requests:
                    raise AssertionError(f"{len(server.seen)} requests were made, {requests} expected")
                if sent:
                    differs(sent, server.seen[0], "request")
            except (AssertionError, ValueError, subprocess.TimeoutExpired) as fault:
                return f"{what}: {fault}"
            finally:
                server.shutdown()

    def drive(self, client, given, environment, base_url):
        """One run of a driver: the line it printed."""
        language, driver = client["run"]
        interpreter, folder = self.commands[language]
        flags = ["--preserve-symlinks", "--preserve-symlinks-main"] if language == "node" else []
        clean = {name: value for name, value in os.environ.items() if not name.startswith(VENDORS)}
        done = subprocess.run(
            [interpreter, *flags, str(folder / driver)],
            input=json.dumps(given).replace("{base_url}", base_url) + "\n",
            env=clean
            | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PYTHONDONTWRITEBYTECODE": "1"}
            | {name: value.replace("{base_url}", base_url) for name, value in environment.items()},
            capture_output=True,
            text=True,
            timeout=120,
        )
        if done.returncode != 0:
            raise AssertionError(f"the driver ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
        return json.loads(done.stdout)


def differs(expected, found, where):
    """Fails unless `found` is `expected`; an object may hold more than is expected of it at the first two levels."""
    if isinstance(expected, dict) and isinstance(found, dict) and where.count(".") < 1:
        for name, value in expected.items():
            differs(value, found.get(name), f"{where}.{name}")
    elif isinstance(expected, dict) and where.endswith(".headers"):
        for name, value in expected.items():
            differs(value, found.get(name), f"{where}.{name}")
    elif expected != found:
        raise AssertionError(f"{where} is {json.dumps(found)}, {json.dumps(expected)} expected")


def with_key(request, key):
    headers = {name: value.replace("{key}", key) for name, value in request["headers"].items()}
    return request | {"headers": headers}


def check_client(checker, name, client):
    given = {"base_url": "{base_url}", "key": KEY}
    for call_name, call in client["calls"].items():
        chosen = given | {"call": call_name} | call.get("input", {})
        reply = (200, {}, call["sample"])
        sent = with_key(call["request"], KEY)
        checker.add(f"{name} {call_name}", client, chosen, {}, reply, call["accepted"], sent=sent)
    for refusal in client["refusals"]:
        reply = (refusal["status"], refusal.get("headers", {}), refusal["body"])
        what = f"{name} refused with {refusal['status']}"
        checker.add(what, client, given, {}, reply, refusal["line"], refusal.get("requests", 1))
    if client["environment"]:
        check_environment(checker, name, client)


def check_environment(checker, name, client):
    """Environment variables alone suffice, and an argument wins over them."""
    names = client["environment"]
    call = next(iter(client["calls"].values()))
    reply = (200, {}, call["sample"])
    from_environment = {names["key"]: "example_key_from_the_environment"}
    base_url = {"base_url": "{base_url}"}
    if names["base_url"]:
        from_environment[names["base_url"]] = "{base_url}" + names["base_url_suffix"]
        base_url = {}
    sent = with_key(call["request"], "example_key_from_the_environment")
    checker.add(f"{name} by environment", client, base_url, from_environment, reply, call["accepted"], sent=sent)
    sent = with_key(call["request"], KEY)
    both = base_url | {"key": KEY}
    checker.add(f"{name} argument wins", client, both, from_environment, reply, call["accepted"], sent=sent)


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    python, node, drivers, *only = sys.argv[1:]
    checker = Checker(python, node, drivers)
    for name, client in json.loads((HERE / "clients.json").read_text()).items():
        if not only or name in only:
            check_client(checker, name, client)
    faults = checker.run()
    for fault in faults:
        print(f"FAILED {fault}", file=sys.stderr)
    print(f"clients: {len(checker.checks) - len(faults)} checks passed, {len(faults)} failed")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
