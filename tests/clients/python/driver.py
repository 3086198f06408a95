"""What every Python driver shares: for each line of JSON on standard input one call and one line of JSON out.

A driver makes one documented call with its vendor's published client and reports what an application
would see. How a client is built and which call it makes stay in the drivers; ../README.md has the protocol.
"""

import json
import sys


def run(client, call):
    """Makes one call a line until standard input ends; exits 2 when the driver itself cannot work."""
    for text in sys.stdin:
        try:
            given = json.loads(text)
        except ValueError as error:
            stop(f"{client}: each line of standard input must be a JSON object (tests/clients/README.md): {error}")
        line = {"client": client, "ok": False, "status": None, "error_class": None, "message": None, "data": None}
        line.update(call(given))
        print(json.dumps(line, default=str, ensure_ascii=False), flush=True)


def refused(error):
    """What an application can read of a client's exception: its class, status and decoded body."""
    return {
        "status": getattr(error, "status_code", None),
        "error_class": type(error).__name__,
        "message": getattr(error, "message", None) or str(error),
        "data": getattr(error, "body", None),
    }


def only_given(**arguments):
    """The arguments that were given: a client reads its environment variable for the others."""
    return {name: value for name, value in arguments.items() if value is not None}


def unknown_call(client, call):
    stop(f"{client}: no call named {call!r}; tests/clients/README.md lists them")


def stop(why):
    print(why, file=sys.stderr)
    sys.exit(2)
