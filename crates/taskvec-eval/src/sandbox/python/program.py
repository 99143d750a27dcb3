"""The program's side: runs the untrusted text and answers calls of its entry point.

Nothing here is trusted: the text shares this interpreter. What it can do with that is to answer the judge with
bytes of its choice, and the judge believes no more of them than that they are the program's answers.
"""

REQUESTS, ANSWERS = 3, 4
LIMIT = 1 << 30


def guard():
    """What openai/human-eval takes away before it runs a program, so that the same programs fail."""
    import builtins
    import io
    import shutil
    import subprocess

    for name in ("exit", "quit", "help"):
        setattr(builtins, name, None)
    names = (
        "kill killpg system putenv remove removedirs rmdir unlink rename renames replace truncate fork forkpty setuid "
        "chmod fchmod lchmod chown fchown lchown lchflags chroot chdir fchdir getcwd"
    )
    for name in names.split():
        setattr(os, name, None)
    for name in ("rmtree", "move", "chown"):
        setattr(shutil, name, None)
    subprocess.Popen = None
    for name in ("ipdb", "joblib", "resource", "psutil", "tkinter"):
        sys.modules[name] = None

    class Unreadable(io.StringIO):
        def read(self, *_):
            raise OSError

        readline = readlines = read

        def readable(self, *_):
            return False

    sys.stdin = Unreadable()


def failure(error):
    try:
        text = str(error)
    except BaseException:
        text = ""
    return {"error": [type(error).__name__, text[:2000]]}


def answer(function, request):
    arguments = decode(request["arguments"])
    keywords = dict(decode(request["keywords"]))
    try:
        value = encode(function(*arguments, **keywords))
        reply = {"value": value}
    except BaseException as error:
        reply = failure(error)
    # The reference passes objects, not copies: a program that changes its arguments changes the test's.
    after = encode(arguments)
    if after != request["arguments"]:
        reply["arguments"] = after
    return reply


def main():
    guard()
    send(ANSWERS, {"up": True})
    request = receive(REQUESTS, LIMIT)
    namespace = {}
    try:
        exec(request["program"], namespace)
        function = namespace[request["entry_point"]]
        reply = {"defined": True}
    except KeyError as error:
        reply = {"error": ["NameError", "name " + str(error) + " is not defined"]}
    except BaseException as error:
        reply = failure(error)
    send(ANSWERS, reply)
    while True:
        try:
            request = receive(REQUESTS, LIMIT)
        except Closed:
            os._exit(0)
        send(ANSWERS, answer(function, request))
