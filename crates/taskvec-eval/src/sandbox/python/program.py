"""The program's side: runs the untrusted text and answers calls of its entry point.

Nothing here is trusted: the text shares this interpreter. What it can do with that is to answer the judge with
bytes of its choice, and the judge believes no more of them than that they are the program's answers.
"""

REQUESTS, ANSWERS = 3, 4
LIMIT = 1 << 30


# What openai/human-eval takes away before it runs a program, so that the same programs fail.
TAKEN = {
    "builtins": ("exit", "quit", "help"),
    "os": (
        "kill killpg system putenv remove removedirs rmdir unlink rename renames replace truncate fork forkpty setuid "
        "chmod fchmod lchmod chown fchown lchown lchflags chroot chdir fchdir getcwd"
    ).split(),
    "shutil": ("rmtree", "move", "chown"),
    "subprocess": ("Popen",),
}
BLOCKED = ("ipdb", "joblib", "resource", "psutil", "tkinter")


def take(module):
    for name in TAKEN[module.__name__]:
        setattr(module, name, None)


class TakingFinder:
    """Takes from a module when it is imported: importing two seldom used ones for it doubles the time to start."""

    def find_spec(self, name, path=None, target=None):
        if name not in TAKEN:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                execute = spec.loader.exec_module

                def exec_module(module):
                    execute(module)
                    take(module)

                spec.loader.exec_module = exec_module
                return spec
        return None


def guard():
    import io

    for name in TAKEN:
        if name in sys.modules:
            take(sys.modules[name])
    sys.meta_path.insert(0, TakingFinder())
    for name in BLOCKED:
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
