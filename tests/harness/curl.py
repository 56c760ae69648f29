"""A stand-in for curl where the machine has none: the few options README.md uses."""

from __future__ import annotations

import argparse
import sys
import urllib.error
import urllib.request


def main(argv: list[str]) -> None:
    """Send one request and print the answer, with its head under `-i`."""
    parser = argparse.ArgumentParser(prog="curl")
    parser.add_argument("url")
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-i", action="store_true")
    parser.add_argument("-X", default=None)
    parser.add_argument("-H", action="append", default=[])
    parser.add_argument("-d", default=None)
    args = parser.parse_args(argv)
    request = urllib.request.Request(  # noqa: S310 # the README's own addresses
        args.url,
        data=None if args.d is None else args.d.encode(),
        headers=dict(header.split(": ", 1) for header in args.H),
        method=args.X,
    )
    try:
        answer = urllib.request.urlopen(request)  # noqa: S310
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        if args.i:
            sys.stdout.write(f"HTTP/1.1 {answer.status} {answer.reason}\n")
            sys.stdout.write(str(answer.headers))
        sys.stdout.write(answer.read().decode())


if __name__ == "__main__":
    main(sys.argv[1:])
