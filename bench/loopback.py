"""Measures /v1/verify and the gateway over loopback with wrk, beside servers that do the same without deciding, and
with limits beside without, and beside the proxies that people have (peers.py).

Starts everything on 127.0.0.1 in a temporary folder, gives Keyward and nginx the same keys, measures all in turn in
several rounds, and prints one Markdown table. Called by run.sh; what the numbers mean stands in README.md.
"""

import argparse
import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import peers

HERE = pathlib.Path(__file__).resolve().parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target")) / "release"
TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def family(pid):
    """A process and all that came of it."""
    children = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            children.setdefault(int(entry.read_text().rsplit(")", 1)[1].split()[1]), []).append(int(entry.parent.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def cpu_seconds(pids):
    """User and system time that processes and their children used so far."""
    ticks = 0
    for one in [one for pid in pids for one in family(pid)]:
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


def memory_mib(pids):
    """Proportional set size: what several processes share counts once."""
    kib = 0
    for one in [one for pid in pids for one in family(pid)]:
        with contextlib.suppress(OSError):
            kib += int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{one}/smaps_rollup").read_text(), re.M)[1])
    return kib / 1024


def stolen():
    """Time that the machine's host gave to others, and all time."""
    fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return fields[7], sum(fields)


class Bench:
    def __init__(self, folder, options):
        self.folder, self.options, self.processes = folder, options, []

    def log_of(self, process):
        return (self.folder / f"{self.processes.index(process)}.log").read_text()

    def start(self, *command, **more):
        log = open(self.folder / f"{len(self.processes)}.log", "wb")
        process = subprocess.Popen([str(part) for part in command], stderr=log, cwd=self.folder, **more)
        self.processes.append(process)
        return process

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def nginx(self, name, body):
        """An nginx with two workers and these http directives."""
        conf = self.folder / f"{name}.conf"
        paths = "".join(f"{kind}_temp_path {self.folder}/{name}-{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        conf.write_text(
            f"daemon off; worker_processes 2; pid {self.folder}/{name}.pid; error_log {self.folder}/{name}.log warn;\n"
            "events { worker_connections 4096; }\n"
            f"http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 300s;\n{paths}{body}\n}}\n"
        )
        return self.start("nginx", "-p", self.folder, "-c", conf, "-e", self.folder / f"{name}-start.log")

    def wrk(self, seconds, url, script):
        """The command of a load."""
        return ["wrk", "-t2", f"-c{self.options.connections}", f"-d{seconds}s", "--timeout", "10s", "-s", HERE / script, url]

    def load(self, seconds, url, environment):
        """Runs a load to its end."""
        command = self.wrk(seconds, url, "keys.lua")
        done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"wrk failed: {done.stdout}{done.stderr}")
        return done


def wait_for(port):
    for _ in range(2000):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.01)
    raise SystemExit(f"nothing listens on {port}")


def ask(url, method, target, key, body=None, kind="application/json"):
    """One request; status, headers and body."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    headers = {"Authorization": f"Bearer {key}"}
    if body is not None:
        headers["Content-Type"] = kind
    connection.request(method, target, body, headers)
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read()


def mint(bench, started):
    """So many keys, made over REST; the file that holds them."""
    count, control = bench.options.keys, started["control_url"]
    path = f"/v1/projects/{started['project']}"
    limit = json.dumps({"active_key_limit": count + 1000})
    status, _, body = ask(control, "PATCH", path, started["management_key"], limit)
    assert status == 200, body
    began = time.monotonic()
    environment = {
        "COUNT": str(count // 2), "OUT": str(bench.folder / "minted"), "BEARER": started["management_key"], "TARGET": f"{path}/keys",
    }
    wrk = bench.start(*bench.wrk(900, control, "mint.lua"), env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    parts = [bench.folder / f"minted.{number}" for number in (0, 1)]
    made = lambda part: part.read_text().count("\n") if part.exists() else 0
    # wrk itself always runs to the end of its time.
    while sum(map(made, parts)) < count // 2 * 2:
        if wrk.poll() is not None:
            raise SystemExit(f"keys were not made: {bench.log_of(wrk)}")
        time.sleep(0.2)
    wrk.terminate()
    keys = [key for part in parts for key in part.read_text().split()]
    took = time.monotonic() - began
    print(f"{len(keys)} keys made over REST in {took:.0f} s ({len(keys) / took:.0f}/s)", file=sys.stderr)
    file = bench.folder / "keys.txt"
    file.write_text("".join(f"{key}\n" for key in keys))
    return file, keys


# Never reached, but met by every request: three rates and two quotas.
LIMITED = """
schema = 1
extends = "standard"
[plans.limited.rates]
each = { limit = 1_000_000_000, per = "1m", by = "key" }
all = { limit = 1_000_000_000, per = "1m", by = "project" }
everybody = { limit = 1_000_000_000, per = "1m", by = "organization" }
[plans.limited.quotas]
daily = { limit = 1_000_000_000_000, per = "day", by = "project" }
monthly = { limit = 1_000_000_000_000, per = "month", by = "organization" }
"""


def put_plan(started, plan):
    """Puts the project on a plan; in force when this returns."""
    path, key = f"/v1/projects/{started['project']}", started["management_key"]
    status, _, body = ask(started["control_url"], "PATCH", path, key, json.dumps({"plan": plan}))
    assert status == 200, body


def serve_all(bench):
    """Starts everything. Gives the targets: name, what it is compared with, pid, url, and wrk's environment."""
    ports = {name: free_port() for name in ("upstream", "map", "proxy", "noop", "bare", "timed", "static", "asks_static", "asks_keyward")}
    bench.nginx("upstream", f"server {{ listen 127.0.0.1:{ports['upstream']}; location / {{ return 200 \"ok\\n\"; }} }}")
    wait_for(ports["upstream"])
    any_port = "127.0.0.1:0"
    keyward = bench.start(
        TARGET / "keyward", "dev", "--json", "--dir", bench.folder / "keyward", "--preset", "standard", "--log-level", "warn",
        "--upstream", f"http://127.0.0.1:{ports['upstream']}", "--listen", any_port, "--check-listen", any_port,
        "--gateway-listen", any_port, stdout=subprocess.PIPE,
        # The nginx beside it asks by forward-auth.
        env={**os.environ, "KEYWARD_CHECK_ASKING_PROXIES": "127.0.0.1/32"},
    )
    line = keyward.stdout.readline()
    if not line:
        raise SystemExit(f"keyward did not start: {bench.log_of(keyward)}")
    started = json.loads(line)
    path = f"/v1/apis/{started['api']}"
    status, _, body = ask(started["control_url"], "PUT", path, started["management_key"], LIMITED, "text/plain")
    assert status in (200, 201), body
    file, keys = mint(bench, started)

    entries = "".join(f'"Bearer {key}" 1;\n' for key in keys)
    (bench.folder / "keys.map").write_text(entries)
    nginx = bench.nginx(
        "map",
        "map_hash_max_size 1048576; map_hash_bucket_size 512;\n"
        f"map $http_authorization $known {{ default 0; include {bench.folder}/keys.map; }}\n"
        f"upstream api {{ server 127.0.0.1:{ports['upstream']}; keepalive 128; }}\n"
        "proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Authorization \"\";\n"
        f"server {{ listen 127.0.0.1:{ports['map']}; location / {{ if ($known = 0) {{ return 401; }} return 200 \"ok\\n\"; }} }}\n"
        f"server {{ listen 127.0.0.1:{ports['proxy']}; location / {{ if ($known = 0) {{ return 401; }} proxy_pass http://api; }} }}",
    )
    asked = started["check_url"].removeprefix("http://")
    subrequest = f"/v1/forward-auth/{started['api']}?proxy=nginx"
    asking = bench.nginx(
        "asks",
        f"server {{ listen 127.0.0.1:{ports['static']}; location / {{ return 204; }} }}\n"
        + peers.nginx_asks(ports["asks_static"], ports["upstream"], f"127.0.0.1:{ports['static']}", "/")
        + peers.nginx_asks(ports["asks_keyward"], ports["upstream"], asked, subrequest),
    )
    question = '{"key":"@"}'
    body = question.replace("@", keys[0])
    status, headers, answer = ask(started["check_url"], "POST", "/v1/verify", started["management_key"], body)
    assert status == 200 and json.loads(answer)["valid"], answer
    (bench.folder / "answer.json").write_bytes(answer)
    noop = bench.start(TARGET / "examples/noop_verify", f"127.0.0.1:{ports['noop']}", bench.folder / "answer.json")
    bare = bench.start(TARGET / "examples/bare_proxy", f"127.0.0.1:{ports['bare']}", f"127.0.0.1:{ports['upstream']}")
    timed = bench.start(
        TARGET / "examples/bare_proxy", f"127.0.0.1:{ports['timed']}", f"127.0.0.1:{ports['upstream']}", "header-timer"
    )
    theirs = proxies(bench, ports, keys)
    for port in ports.values():
        wait_for(port)
    same = ask(f"http://127.0.0.1:{ports['noop']}", "POST", "/v1/verify", "x", body)
    assert same[2] == answer and sorted(map(str.lower, same[1])) == sorted(map(str.lower, headers)), (same, headers)

    verify = {"KEYS": str(file), "TARGET": "/v1/verify", "BODY": question, "BEARER": started["management_key"]}
    call = {"KEYS": str(file), "TARGET": "/v1/hello"}
    limited = lambda plan: put_plan(started, plan)
    at = lambda name: f"http://127.0.0.1:{ports[name]}"
    gateway, before, bare_timed = "**Keyward gateway**", "nginx map + proxy_pass", "hyper proxy, header timer"
    asks_static, full = "nginx auth_request, static answer", "gateway with five limits"
    return [
        Target("axum, no look", [noop.pid], at("noop"), verify),
        Target("**Keyward /v1/verify**", [keyward.pid], started["check_url"], verify, ["axum, no look"]),
        Target("the same with five limits", [keyward.pid], started["check_url"], verify, ["**Keyward /v1/verify**"], limited),
        Target("nginx map", [nginx.pid], at("map"), call),
        Target(before, [nginx.pid], at("proxy"), call),
        Target("hyper proxy, no decision", [bare.pid], at("bare"), call, [before]),
        Target(bare_timed, [timed.pid], at("timed"), call, [before]),
        *(Target(name, [process.pid], at(port), call) for name, process, port in theirs),
        Target(gateway, [keyward.pid], started["gateway_url"], call, [before, bare_timed]),
        Target(full, [keyward.pid], started["gateway_url"], call, [gateway, bare_timed, before, *(name for name, *_ in theirs)], limited),
        Target(asks_static, [asking.pid], at("asks_static"), call),
        Target("**nginx auth_request, Keyward**", [asking.pid, keyward.pid], at("asks_keyward"), call, [asks_static]),
    ]


@dataclasses.dataclass
class Target:
    """What is measured: the processes whose time counts, where wrk goes and with what, what it is compared with."""

    name: str
    pids: list
    url: str
    environment: dict
    bases: list = dataclasses.field(default_factory=list)
    put_plan: object = None


def proxies(bench, ports, keys):
    """Envoy and Caddy, where their programs were given: name, process, and the name of the port."""
    found = []
    if bench.options.envoy:
        ports["envoy"] = free_port()
        path = peers.envoy_api_keys(bench.folder, ports["envoy"], ports["upstream"], keys)
        process = bench.start(bench.options.envoy, "-c", path, "--concurrency", "2", "--use-dynamic-base-id", "-l", "error")
        found.append(("Envoy api_key_auth + route", process, "envoy"))
    if bench.options.caddy:
        ports["caddy"] = free_port()
        path = peers.caddy_map(bench.folder, ports["caddy"], ports["upstream"], keys)
        process = bench.start(bench.options.caddy, "run", "--config", path, "--adapter", "caddyfile", env={**os.environ, "HOME": str(bench.folder)})
        found.append(("Caddy map + reverse_proxy", process, "caddy"))
    if len(found) < 2:
        print("without --envoy and --caddy their rows are left out", file=sys.stderr)
    return found


def measure(bench, target, seconds):
    if target.put_plan:
        target.put_plan("limited")
    before, (steal, total) = cpu_seconds(target.pids), stolen()
    done = bench.load(seconds, target.url, target.environment)
    used, (steal_after, total_after) = cpu_seconds(target.pids) - before, stolen()
    if target.put_plan:
        target.put_plan("standard")
    result = json.loads(re.search(r"^RESULT (.*)$", done.stdout, re.M)[1])
    if result["refused"] or result["broken"]:
        raise SystemExit(f"{target.name}: {result['refused']} refused, {result['broken']} broken")
    return {
        "rps": result["requests"] / result["micros"] * 1e6, "cpu": used / result["requests"] * 1e6, "p50": result["p50"] / 1000,
        "p99": result["p99"] / 1000, "steal": (steal_after - steal) / max(1, total_after - total), "memory": memory_mib(target.pids),
    }


def table(targets, rounds):
    middle = {target.name: {field: statistics.median(r[field] for r in rounds[target.name]) for field in rounds[target.name][0]} for target in targets}
    lines = ["| server | requests/s | CPU µs/request | p50 ms | p99 ms | memory MiB |", "|---|---|---|---|---|---|"]
    for name, own in middle.items():
        lines.append(f"| {name} | {own['rps']:,.0f} | {own['cpu']:.1f} | {own['p50']:.2f} | {own['p99']:.2f} | {own['memory']:.0f} |")
    lines += ["", "| compared | with | CPU | requests/s |", "|---|---|---|---|"]
    for target in targets:
        for base in (base for base in target.bases if base in rounds):
            # A ratio of each round, then their median: what drifts over minutes drifts for both.
            of = lambda field: statistics.median(a[field] / b[field] for a, b in zip(rounds[target.name], rounds[base]))
            lines.append(f"| {target.name} | {base} | {of('cpu'):.2f} × | {of('rps'):.2f} × |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=100_000, help="how many keys there are, all of them in use (100000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, each target once in each (5)")
    parser.add_argument("--seconds", type=int, default=6, help="seconds a target and round (6)")
    parser.add_argument("--connections", type=int, default=64, help="connections of wrk (64)")
    parser.add_argument("--envoy", help="Envoy's program, for its rows")
    parser.add_argument("--caddy", help="Caddy's program, for its rows")
    parser.add_argument("--only", default="", help="only targets whose name holds one of these texts, separated by commas, and what they are compared with")
    parser.add_argument("--hold", action="store_true", help="start everything, print where, and wait for a line on standard input")
    options = parser.parse_args()
    # So that whatever runs is stopped here too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="keyward-bench-"))
    # nginx drops its rights where it is started as root; its workers must still get at their folders.
    folder.chmod(0o755)
    bench = Bench(folder, options)
    try:
        targets = serve_all(bench)
        if options.hold:
            for target in targets:
                print(target.name, target.pids, target.url, target.environment)
            sys.stdin.readline()
            return
        wanted = options.only.split(",")
        chosen = [target for target in targets if any(text in target.name for text in wanted)]
        bases = {base for target in chosen for base in target.bases}
        targets = [target for target in targets if target in chosen or target.name in bases]
        for target in targets:
            measure(bench, target, 2)
        rounds = {target.name: [] for target in targets}
        for number in range(options.rounds):
            for target in targets:
                result = measure(bench, target, options.seconds)
                rounds[target.name].append(result)
                print(f"{number + 1} {target.name:34} {result['rps']:9,.0f}/s {result['cpu']:6.1f} µs, steal {result['steal']:.0%}", file=sys.stderr)
        print(table(targets, rounds))
    finally:
        bench.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
