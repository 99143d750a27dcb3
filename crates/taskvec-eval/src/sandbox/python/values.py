"""Values on the wire: what the judge asks with and what the program answers with, as JSON.

Only plain values travel. Subclasses arrive as the plain type they extend, so that no method of the program's own
(an `__eq__` that is always true, say) ever runs in the judge; anything else arrives as an `Opaque`, which equals
nothing but itself.
"""

import json
import os
import sys

DEPTH = 200  # of nesting: deeper and cyclic values are opaque
ITEMS = 100_000  # of an iterator, which may have no end
SMALL = 1 << 62  # integers beyond travel in hexadecimal: Python limits the decimal digits that it reads


class Closed(Exception):
    """The other side closed the channel."""


class Malformed(Exception):
    """A message that is none."""


class Opaque:
    """A value of a type that does not travel."""

    def __init__(self, name, truth):
        self.name = name
        self.truth = truth

    def __bool__(self):
        return self.truth

    def __repr__(self):
        return "<" + self.name + ">"


def encode(value, depth=DEPTH):
    if value is None or value is True or value is False:
        return value
    kind = type(value)
    if depth == 0:
        return {"opaque": [kind.__name__, True]}
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        number = int.__int__(value)
        return number if -SMALL < number < SMALL else {"int": hex(number)}
    if isinstance(value, float):
        number = float.__float__(value)
        return number if number - number == 0.0 else {"float": repr(number)}
    inner = depth - 1
    if isinstance(value, list):
        return [encode(item, inner) for item in list.__iter__(value)]
    if isinstance(value, tuple):
        return {"tuple": [encode(item, inner) for item in tuple.__iter__(value)]}
    if isinstance(value, dict):
        return {"dict": [[encode(k, inner), encode(v, inner)] for k, v in dict.items(value)]}
    if isinstance(value, (set, frozenset)):
        name = "set" if isinstance(value, set) else "frozenset"
        return {name: [encode(item, inner) for item in value]}
    if isinstance(value, (bytes, bytearray)):
        return {"bytes" if isinstance(value, bytes) else "bytearray": value.hex()}
    if isinstance(value, complex):
        return {"complex": [encode(value.real), encode(value.imag)]}
    if kind is range:
        return {"range": [encode(value.start), encode(value.stop), encode(value.step)]}
    if kind is type({}.keys()) or kind is type({}.values()):
        name = "keys" if kind is type({}.keys()) else "values"
        return {name: [encode(item, inner) for item in value]}
    name = (kind.__module__, kind.__qualname__)
    if name == ("fractions", "Fraction"):
        return {"fraction": [encode(value.numerator), encode(value.denominator)]}
    if name == ("decimal", "Decimal"):
        return {"decimal": str(value)}
    if name == ("collections", "deque"):
        return {"deque": [encode(item, inner) for item in value]}
    if hasattr(kind, "__next__"):
        items = []
        for item in value:
            items.append(encode(item, inner))
            if len(items) == ITEMS:
                break
        return {"iterator": items}
    try:
        truth = bool(value)
    except Exception:
        truth = True
    return {"opaque": [kind.__name__, truth]}


def decode(wire):
    """The value; raises `Malformed`, whatever the bytes were."""
    try:
        return build(wire)
    except Malformed:
        raise
    except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise Malformed(type(error).__name__ + ": " + str(error)) from None


def build(wire):
    if wire is None or type(wire) in (bool, int, float, str):
        return wire
    if type(wire) is list:
        return [build(item) for item in wire]
    if type(wire) is not dict or len(wire) != 1:
        raise Malformed("a value of no known form")
    ((name, content),) = wire.items()
    if name in ("int", "float", "bytes", "bytearray", "decimal"):
        if type(content) is not str:
            raise Malformed("a `" + name + "` that is no text")
        if name == "int":
            return int(content, 16)
        if name == "float":
            return float(content)
        if name == "bytes":
            return bytes.fromhex(content)
        if name == "bytearray":
            return bytearray.fromhex(content)
        import decimal

        return decimal.Decimal(content)
    if type(content) is not list:
        raise Malformed("a `" + name + "` that is no list")
    if name == "dict":
        return {build(key): build(value) for key, value in content}
    if name == "opaque":
        kind, truth = content
        return Opaque(str(kind)[:100], truth is True)
    items = [build(item) for item in content]
    if name == "tuple":
        return tuple(items)
    if name == "set":
        return set(items)
    if name == "frozenset":
        return frozenset(items)
    if name == "complex":
        real, imaginary = items
        return complex(float(real), float(imaginary))
    if name == "range":
        start, stop, step = items
        return range(start, stop, step)
    if name == "keys":
        return dict.fromkeys(items).keys()
    if name == "values":
        return dict(enumerate(items)).values()
    if name == "iterator":
        return iter(items)
    if name == "deque":
        import collections

        return collections.deque(items)
    if name == "fraction":
        import fractions

        numerator, denominator = items
        return fractions.Fraction(numerator, denominator)
    raise Malformed("a value of no known form")


def write(descriptor, content):
    while content:
        content = content[os.write(descriptor, content) :]


def send(descriptor, message):
    content = json.dumps(message).encode("ascii")
    write(descriptor, len(content).to_bytes(8, "big") + content)


def read(descriptor, count):
    parts = []
    while count:
        part = os.read(descriptor, min(count, 1 << 16))
        if not part:
            raise Closed
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def receive(descriptor, limit):
    count = int.from_bytes(read(descriptor, 8), "big")
    if count > limit:
        raise Malformed("a message of %d bytes, the limit is %d" % (count, limit))
    content = read(descriptor, count)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Malformed("no JSON: " + str(error)[:200]) from None
