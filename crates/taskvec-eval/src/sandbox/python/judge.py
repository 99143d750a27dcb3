"""The judge's side: runs the test, in an interpreter that holds no line of the program under test.

`check` is given a function that asks the program's interpreter for each answer. Whether the test came to its end is
therefore known here, where the program cannot reach, and reported on a descriptor that the program does not have.
"""

JOB, ANSWERS, REQUESTS, VERDICT = 0, 3, 4, 5


def finish(verdict):
    write(VERDICT, json.dumps(verdict).encode("ascii") + b"\n")
    os._exit(0)


def rebuild(error):
    """The program's exception, as the built-in one of its name, or one that no test expects."""
    import builtins

    if type(error) is not list or [type(part) for part in error] != [str, str]:
        raise Malformed("an error of no known form")
    name, text = error
    kind = getattr(builtins, name, None)
    if not (isinstance(kind, type) and issubclass(kind, BaseException)):
        kind = type(name[:100], (Exception,), {})
    try:
        exception = kind(text)
    except TypeError:  # the Unicode errors take five arguments
        exception = Exception(text)
    exception.from_program = True
    return exception


def restore(arguments, changed):
    if type(changed) is not list or len(changed) != len(arguments):
        raise Malformed("arguments of another number")
    for old, new in zip(arguments, changed):
        if type(old) is not type(new):
            continue
        if type(old) in (list, bytearray):
            old[:] = new
        elif type(old) in (dict, set):
            old.clear()
            old.update(new)


def ask(limit):
    try:
        reply = receive(ANSWERS, limit)
    except Closed:
        finish("ended")
    if type(reply) is not dict:
        raise Malformed("an answer of no known form")
    return reply


def proxy(limit):
    def candidate(*arguments, **keywords):
        wire = [encode(argument) for argument in arguments]
        named = encode(list(keywords.items()))
        if "opaque" in json.dumps([wire, named]) and any(map(has_opaque, [wire, named])):
            finish({"defect": "the test passes an argument that cannot travel to the program"})
        # Nothing that goes wrong with an answer may reach the test, which might expect an exception.
        try:
            send(REQUESTS, {"arguments": wire, "keywords": named})
            reply = ask(limit)
            if "arguments" in reply:
                restore(arguments, decode(reply["arguments"]))
            if "error" in reply:
                exception = rebuild(reply["error"])
            elif "value" in reply:
                return decode(reply["value"])
            else:
                raise Malformed("an answer without a value")
        except BrokenPipeError:
            finish("ended")
        except Malformed as error:
            finish({"failed": "the program's answer is malformed: " + str(error)[:500]})
        except MemoryError:
            finish({"failed": "the program's answer is too large for the judge"})
        raise exception

    return candidate


def has_opaque(wire):
    if type(wire) is dict:
        return "opaque" in wire or any(map(has_opaque, wire.values()))
    return type(wire) is list and any(map(has_opaque, wire))


def describe(error, test):
    """`AssertionError: assert candidate(2) == 4`: the exception, or the line of the test where it has no text."""
    try:
        text = str(error)
    except Exception:
        text = ""
    trace, line = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<test>":
            line = trace.tb_lineno
        trace = trace.tb_next
    lines = test.split("\n")
    if not text and line is not None and 0 < line <= len(lines):
        text = lines[line - 1].strip()
    return (type(error).__name__ + (": " + text if text else ""))[:1000]


def main():
    parts = []
    while part := os.read(JOB, 1 << 16):
        parts.append(part)
    job = json.loads(b"".join(parts))
    limit = job["answer_bytes"]
    namespace = {}
    try:
        exec(compile(job["prelude"], "<prelude>", "exec"), namespace)
        test = compile(job["test"], "<test>", "exec")
        check = compile("check(" + job["entry_point"] + ")", "<check>", "exec")
    except BaseException as error:
        finish({"defect": "the benchmark's own code fails: " + describe(error, "")})
    try:
        ask(limit)
        # The clock runs from here: the program's text has not been seen by its interpreter before.
        write(VERDICT, b'"started"\n')
        send(REQUESTS, {"program": job["program"], "entry_point": job["entry_point"]})
        reply = ask(limit)
        error = rebuild(reply["error"]) if "error" in reply else None
    except BrokenPipeError:
        finish("ended")
    except Malformed as malformed:
        finish({"failed": "the program's answer is malformed: " + str(malformed)[:500]})
    try:
        if error is not None:
            raise error
        namespace[job["entry_point"]] = proxy(limit)
        exec(test, namespace)
        exec(check, namespace)
    except MemoryError as error:
        if getattr(error, "from_program", False):
            finish("memory")
        finish({"failed": describe(error, job["test"])})
    except BaseException as error:
        finish({"failed": describe(error, job["test"])})
    finish("passed")
