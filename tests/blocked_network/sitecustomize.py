"""With this folder on PYTHONPATH, a Python process and its Python children reach nothing but the machine itself.

Python imports `sitecustomize` at its start, so kernels and their children are covered without knowing of it.
Loopback and Unix sockets stay open: Jupyter's kernels and the Chroma server need them. Each refusal is a line in the
file that KIT_BLOCKED_LOG names, so that an attempt whose error a library swallows is seen as well. Programs that are no
Python are not covered.
"""

import ipaddress
import os
import socket

REFUSAL = "network blocked by the test"
LOG = os.environ.get("KIT_BLOCKED_LOG")


def _refuse_unless_local(host: object) -> None:
    """Raises OSError unless `host` (a name, an address or None) means this machine."""
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if name in (None, "", "localhost", "0.0.0.0", "::"):
        return
    try:
        local = ipaddress.ip_address(str(name).partition("%")[0]).is_loopback
    except ValueError:
        local = False
    if not local:
        if LOG:
            with open(LOG, "a", encoding="utf-8") as log:
                log.write(f"{name}\n")
        raise OSError(f"{REFUSAL}: {name!r}")


def _guard_method(name: str, find_address) -> None:
    original = getattr(socket.socket, name)

    def guarded(self, *arguments):
        address = find_address(arguments)
        if self.family in (socket.AF_INET, socket.AF_INET6) and address:
            _refuse_unless_local(address[0])
        return original(self, *arguments)

    setattr(socket.socket, name, guarded)


def _guard_function(name: str, find_host) -> None:
    original = getattr(socket, name)

    def guarded(*arguments, **options):
        _refuse_unless_local(find_host(arguments, options))
        return original(*arguments, **options)

    setattr(socket, name, guarded)


_guard_method("connect", lambda arguments: arguments[0])
_guard_method("connect_ex", lambda arguments: arguments[0])
_guard_method("sendto", lambda arguments: arguments[-1])
_guard_method("sendmsg", lambda arguments: arguments[3] if len(arguments) > 3 else None)
_guard_function("getaddrinfo", lambda arguments, options: arguments[0] if arguments else options.get("host"))
_guard_function("gethostbyname", lambda arguments, options: arguments[0])
_guard_function("gethostbyname_ex", lambda arguments, options: arguments[0])
_guard_function("create_connection", lambda arguments, options: (arguments or [options["address"]])[0][0])
