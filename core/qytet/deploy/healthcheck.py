"""Whether a service says that it is well: `python -m qytet.deploy.healthcheck URL`, exit code 0 or 1.

For health checks in containers, which have no curl; imports nothing heavy, as it runs every few seconds.
"""

import sys
import urllib.error
import urllib.request

__all__ = ["main"]

_TIMEOUT = 4.0  # s; below the health check's own


def main(arguments: list[str]) -> int:
    """Ask one URL on this host; 0 for an answer of 200, else 1 with the reason on standard error."""
    if len(arguments) != 1 or not arguments[0].startswith("http://127.0.0.1:"):
        sys.stderr.write("usage: python -m qytet.deploy.healthcheck http://127.0.0.1:PORT/PATH\n")
        return 2
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(arguments[0], timeout=_TIMEOUT) as answer:
            if answer.status == 200:
                return 0
            reason = f"status {answer.status}"
    except urllib.error.HTTPError as error:
        reason = f"status {error.code}: {error.read(500).decode('utf-8', 'replace')}"
    except OSError as error:
        reason = str(error)
    sys.stderr.write(reason + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
