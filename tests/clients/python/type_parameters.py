"""Lets scrapegraph-py 2.x load on Python 3.11 by leaving out its type parameters.

The client asks for Python 3.12 and uses one thing of it: type parameters of methods, `def f[T](…)`. They
name types in annotations, which the client never evaluates, so a module means the same without them. The
installed files stay as published. Python 3.12 and newer never come here.
"""

import importlib.abc
import importlib.machinery
import re
import sys

METHOD = re.compile(rb"^(\s*(?:async )?def \w+)\[\w+\](?=\()", re.MULTILINE)


class _Loader(importlib.machinery.SourceFileLoader):
    def get_data(self, path):
        data = super().get_data(path)
        return METHOD.sub(rb"\1", data) if path.endswith(".py") else data

    def get_code(self, fullname):
        # Compiled anew each time: no bytecode of the altered source is ever kept.
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, package):
        self.package = package

    def find_spec(self, fullname, path, target=None):
        if fullname != self.package and not fullname.startswith(self.package + "."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def leave_out(package):
    """Loads `package` without type parameters where this Python does not know them."""
    if sys.version_info < (3, 12):
        sys.meta_path.insert(0, _Finder(package))
