"""Tries each way out and returns the names of those that are open: the sandbox's test of itself, before every use."""

import collections, datetime, decimal, functools, hashlib, heapq, itertools, json, math, random, re, string, typing
import posix
import socket


def fork():
    if posix.fork() == 0:
        posix._exit(0)


WAYS = {
    "reading /etc/passwd": lambda: posix.open("/etc/passwd", posix.O_RDONLY),
    "listing the root directory": lambda: posix.listdir("/"),
    "listing processes": lambda: posix.listdir("/proc"),
    "writing to the root directory": lambda: posix.open("/taskvec-sandbox", posix.O_CREAT | posix.O_WRONLY),
    "writing to the standard library": lambda: posix.open(json.__file__, posix.O_WRONLY),
    "changing modes": lambda: posix.chmod(json.__file__, 0o777),
    "an internet socket": lambda: socket.socket(socket.AF_INET),
    "a local socket": lambda: socket.socket(socket.AF_UNIX),
    "a pair of sockets": lambda: socket.socketpair(),
    "signals to every process": lambda: posix.kill(-1, 0),
    "signals to the parent": lambda: posix.kill(posix.getppid() or 2, 0),
    "another process": fork,
    "higher limits": lambda: posix.setpriority(posix.PRIO_PROCESS, 0, -20),
    "another user": lambda: posix.setuid(0),
    "another root": lambda: posix.chroot("/tmp"),
}


def escapes():
    open_ways = []
    for name, way in WAYS.items():
        try:
            way()
        except OSError:
            continue
        open_ways.append(name)
    return open_ways
