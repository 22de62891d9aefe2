"""For a slot: the smallest application; what kind it is, its version says (`KIND` is replaced)."""

from qytet_node import VERSION

KIND = "good"
if KIND == "import":
    raise ValueError("broken at import")


def main(root, named="node.json"):
    import world

    world.live(VERSION, root, named, KIND)
