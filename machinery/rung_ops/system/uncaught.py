"""Say without a traceback that Ctrl-C or a full disk ended the process: to import this is enough.

After Ctrl-C Python ends the process by the signal, as the programs that started it expect.
"""

import sys
from types import TracebackType

from rung_ops.system.files import is_full
from rung_ops.system.printable import printable

_other_errors = sys.excepthook


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, KeyboardInterrupt):
        print("Interrupted. Type it again to go on.", file=sys.stderr)
    elif isinstance(error, Exception) and is_full(error):
        file = getattr(error, "filename", None)
        unwritten = f", and {printable(str(file))} was not written" if file else ""
        print(f"The disk is full{unwritten}. Make room, and type it again.", file=sys.stderr)
    else:
        _other_errors(kind, error, trace)


sys.excepthook = _hook
