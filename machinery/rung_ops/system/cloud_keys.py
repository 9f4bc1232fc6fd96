"""Variables with the keys and addresses of clouds."""

import os
import re

NAMES = ("AWS_", "AZURE_", "GOOGLE_")  # how they begin


def drop_unset() -> None:
    """Remove the names that a CI handed on without a value.

    GitHub makes them empty, and Azure the text `$(NAME)`. obstore and Polars would sign with an
    empty key instead of asking for the role of the machine, and panic at an empty address.
    """
    for name in filter(lambda name: name.startswith(NAMES), list(os.environ)):
        # Another thread may have removed it.
        if re.fullmatch(r"(\$\(\w+\))?", os.environ.get(name, "")):
            os.environ.pop(name, None)
    if "AWS_ACCESS_KEY_ID" not in os.environ:
        os.environ.pop("AWS_SECRET_ACCESS_KEY", None)
