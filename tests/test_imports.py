"""Imports go in no circle."""

from graphlib import TopologicalSorter

import grimp


def test_no_module_imports_itself_by_way_of_others() -> None:
    """import-linter compares siblings, and a package is none of the modules in it."""
    graph = grimp.build_graph("rung", "rung_governance", "rung_ops", cache_dir=None)

    TopologicalSorter(
        {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    ).prepare()
