"""What an interpreter needs of the file system: run once, outside of the sandbox, before any untrusted text.

Prints JSON: the executable, the version, the standard library's directories and every shared library that it or one
of its extension modules loads, with the links by which the loader finds them.
"""

import importlib
import json
import os
import sys
import sysconfig

executable = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
paths = sysconfig.get_paths()
library = {os.path.realpath(paths["stdlib"]), os.path.realpath(paths["platstdlib"])}
dynamic = {os.path.realpath(p) for p in sys.path if os.path.basename(p) == "lib-dynload" and os.path.isdir(p)}
# Extension modules pull in shared libraries of the system: load each once and see. Tests and windows are not needed.
skipped = ("_test", "_tkinter", "_xx", "xx", "_ctypes_test", "_curses", "readline", "_dbm", "_gdbm", "nis")
for folder in sorted(dynamic):
    for name in sorted(os.listdir(folder)):
        module = name.split(".")[0]
        if name.endswith(".so") and not module.startswith(skipped):
            try:
                importlib.import_module(module)
            except Exception:
                pass

mapped = set()
with open("/proc/self/maps") as maps:
    for line in maps:
        path = line.rstrip("\n").split(maxsplit=5)[-1]
        if path.startswith("/") and ".so" in os.path.basename(path) and os.path.isfile(path):
            mapped.add(path)
kept = sorted(library | {d for d in dynamic if not any(d.startswith(l + "/") for l in library)})
libraries = sorted(path for path in mapped if not any(path.startswith(folder + "/") for folder in kept))

# `libz.so.1 -> libz.so.1.3`: the name in the executable is the link's.
links = []
top = ["/" + name for name in sorted(os.listdir("/")) if name.startswith("lib") and os.path.isdir("/" + name)]
for folder in sorted({os.path.dirname(path) for path in libraries} | {os.path.realpath(path) for path in top}):
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_symlink() and ".so" in entry.name:
            target = os.path.realpath(entry.path)
            if target in mapped:
                links.append([entry.path, target])
# `/lib -> usr/lib`: the loader's own name goes through it.
for path in top:
    if os.path.islink(path):
        links.append([path, os.path.realpath(path)])

masked = sorted(
    os.path.join(folder, name)
    for folder in kept
    for name in ("site-packages", "dist-packages")
    if os.path.isdir(os.path.join(folder, name))
)
print(
    json.dumps(
        {
            "executable": executable,
            "version": list(sys.version_info[:3]),
            "directories": kept,
            "libraries": libraries,
            "links": links,
            "masked": masked,
        }
    )
)
