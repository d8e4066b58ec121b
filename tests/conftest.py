"""The whole suite runs with every jaxtyping annotation of the package checked by beartype."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from jaxtyping import install_import_hook

install_import_hook("egorear", "beartype.beartype")
