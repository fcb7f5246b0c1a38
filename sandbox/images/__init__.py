"""The images that the lab's registry serves: real software, built here from packages.

Each is the base's layer, which all share, and thin ones of its own. Its tag is the software's
version and a digest of its recipe, so that a changed recipe is a new image.

    recipe       what a recipe is
    gateway, ai, data, monitoring, web, python, cluster
                 the recipes by subject
    catalogue    all of them by kind
    build        layers packed, images published
"""

from sandbox.images.build import TAG, build_all, references, root
from sandbox.images.catalogue import kinds_of, need_jars

__all__ = ["TAG", "build_all", "kinds_of", "need_jars", "references", "root"]
