"""SELECT: what a term takes, and what is said where it takes nothing."""

from __future__ import annotations

import pytest
from hubstack.errors import UsageError
from hubstack.graph import resolve
from hubstack.graph.select import Selection, complete, select

from tests.tree import tree

FILES = {
    "base/debian": "variables: {release: {type: version, default: trixie}}",
    "base/upstream": "draft: needs quay.io",
    "layers/python": "",
    "layers/nodejs": "",
    "layers/jupyterlab": "requires: [python]\ncopy_from: [nodejs]",
    "layers/scipy": "requires: [jupyterlab]",
    "layers/dask": "requires: [scipy]",
    "layers/octave": "requires: [jupyterlab]",
    "layers/conda": "draft: needs conda-forge",
    "layers/torch": "variables: {cuda: {type: version}}",
    "stacks/minimal.yaml": "base: debian\nlayers: [jupyterlab]",
    "stacks/scipy.yaml": "base: debian\nlayers: [scipy]\nmatrix: {release: [bookworm, trixie]}",
    "stacks/dask.yaml": "base: debian\nlayers: [dask]",
    "stacks/mixed.yaml": "layers: [python]\nmatrix: {base: [debian, upstream]}",
    "stacks/conda.yaml": "base: debian\nlayers: [conda]",
    "stacks/later.yaml": "base: debian\nlayers: [scipy]\ndraft: not asked for",
}
PROJECT = tree({**FILES, "hubstack.yaml": "base: debian"})
GRAPH = resolve(PROJECT)


def chosen(*terms: str, drafts: bool = False) -> Selection:
    return select(PROJECT, GRAPH, terms, drafts=drafts)


def layers(selection: Selection) -> str:
    """Of the nodes, in their order; with the release where that is not the default one."""
    return " ".join(
        f"{node.layer}@bookworm" if node.values.get("release") == "bookworm" else node.layer
        for node in (GRAPH.nodes[name] for name in selection.nodes)
    )


def images(selection: Selection) -> str:
    return " ".join(image.variant.id for image in selection.images)


@pytest.mark.parametrize(
    ("terms", "nodes", "published"),
    [
        ("minimal", "jupyterlab", "minimal/default"),
        ("scipy", "scipy scipy@bookworm", "scipy/bookworm scipy/trixie"),
        ("scipy/bookworm", "scipy@bookworm", "scipy/bookworm"),
        ("scipy/b*", "scipy@bookworm", "scipy/bookworm"),
        ("*/default", "dask jupyterlab", "dask/default minimal/default"),
        ("[ms]*", "jupyterlab python scipy scipy@bookworm", "minimal/default mixed/debian scipy/bookworm scipy/trixie"),
        ("scipy/trixie dask", "dask scipy", "dask/default scipy/trixie"),
        ("dask dask", "dask", "dask/default"),
        ("layer:octave", "octave", ""),
        ("layer:scipy", "scipy", ""),
        ("layer:[sd]*", "debian dask scipy", ""),
        ("+layer:octave", "debian nodejs python jupyterlab octave", "minimal/default mixed/debian"),
        ("+layer:jupyterlab", "debian nodejs python jupyterlab", "mixed/debian"),
        ("+minimal", "debian nodejs python jupyterlab", "minimal/default mixed/debian"),
        ("scipy/trixie+", "scipy dask", "dask/default scipy/trixie"),
        ("layer:scipy+", "scipy dask scipy@bookworm", "dask/default scipy/bookworm scipy/trixie"),
        ("layer:octave+", "octave", ""),
        ("layer:nodejs+", "nodejs jupyterlab scipy dask nodejs@bookworm jupyterlab@bookworm scipy@bookworm",
         "dask/default minimal/default scipy/bookworm scipy/trixie"),
        ("+layer:dask+", "debian nodejs python jupyterlab scipy dask",
         "dask/default minimal/default mixed/debian scipy/trixie"),
    ],
)  # fmt: skip
def test_what_a_term_takes(terms: str, nodes: str, published: str) -> None:
    selection = chosen(*terms.split())
    assert sorted(layers(selection).split()) == sorted(nodes.split())
    assert images(selection) == published


def test_nodes_stand_in_build_order() -> None:
    nodes = chosen("+dask", "layer:octave", "scipy").nodes
    assert list(nodes) == [node for node in GRAPH.nodes if node in nodes]


def test_no_term_takes_every_image_that_is_no_draft() -> None:
    assert images(chosen()) == "dask/default minimal/default mixed/debian scipy/bookworm scipy/trixie"
    assert set(chosen().nodes) == {image.node for image in chosen().images}


def test_a_layer_by_itself_is_taken_whatever_stacks_put_below_it() -> None:
    files = {
        **FILES,
        "stacks/minimal.yaml": "base: debian\nlayers: [octave, jupyterlab]",
        "hubstack.yaml": "base: debian",
    }
    project = tree({**files, "layers/jupyterlab": "requires: [python]\nafter: [octave]", "layers/octave": ""})
    graph = resolve(project)
    selection = select(project, graph, ["layer:jupyterlab"])
    assert [[graph.nodes[one].layer for one in graph.lineage[node]] for node in selection.nodes] == [
        ["debian", "python", "jupyterlab"]
    ]
    assert len(select(project, graph, ["layer:jupyterlab+"]).nodes) > len(selection.nodes)


# --- nodes -------------------------------------------------------------------------------------------------------------

SCIPY = next(image.node for image in GRAPH.images if image.variant.id == "scipy/trixie")
CONDA = next(image.node for image in GRAPH.images if image.variant.id == "conda/default")


@pytest.mark.parametrize(
    ("term", "nodes", "published"),
    [
        (f"node:{SCIPY}", "scipy", ""),
        (f"node:{CONDA}", "conda", ""),
        (f"+node:{SCIPY}", "debian nodejs python jupyterlab scipy", "minimal/default mixed/debian"),
        (f"node:{SCIPY}+", "scipy dask", "dask/default scipy/trixie"),
        (f"node:{SCIPY} minimal", "scipy jupyterlab", "minimal/default"),
    ],
)
def test_a_node_is_taken_by_its_id_and_publishes_nothing(term: str, nodes: str, published: str) -> None:
    selection = chosen(*term.split())
    assert sorted(layers(selection).split()) == sorted(nodes.split())
    assert images(selection) == published


def test_every_node_of_the_graph_can_be_named() -> None:
    for node in GRAPH.nodes:
        assert chosen(f"node:{node}").nodes == (node,)


@pytest.mark.parametrize("term", [f"node:{SCIPY[:-1]}", f"node:{SCIPY.upper()}", f"node:{SCIPY}x"])
def test_a_node_that_is_none_says_which_is_like_it(term: str) -> None:
    with pytest.raises(UsageError) as caught:
        chosen(term)
    assert caught.value.message == f'no node is called "{term[5:]}" (did you mean "{SCIPY}"?)'
    assert caught.value.hint == "`hubstack plan --offline` shows what there is."


# --- drafts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("term", "published"),
    [
        ("conda", "conda/default"),
        ("conda/default", "conda/default"),
        ("later", "later/default"),
        ("mixed", "mixed/debian"),
        ("mixed/upstream", "mixed/upstream"),
        ("mixed/*", "mixed/debian"),
        ("[cm]*", "minimal/default mixed/debian"),
        ("layer:python+", "dask/default minimal/default mixed/debian scipy/bookworm scipy/trixie"),
    ],
)
def test_a_draft_is_taken_where_a_term_without_wildcard_names_it(term: str, published: str) -> None:
    assert images(chosen(term)) == published


def test_a_draft_layer_too() -> None:
    assert layers(chosen("layer:conda")) == "conda"
    assert sorted(layers(chosen("layer:[cd]*")).split()) == ["dask", "debian"]


def test_all_drafts_on_demand() -> None:
    assert len(chosen(drafts=True).images) == len(GRAPH.images) == 8
    assert images(chosen("con*", drafts=True)) == "conda/default"


# --- nothing to take ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("term", "message", "hint"),
    [
        ("scpy", 'no stack is called "scpy" (did you mean "scipy"?)', "`hubstack list` shows what there is."),
        ("scipy/trixi", 'scipy has no variant "trixi" (did you mean "trixie"?)', "It has bookworm and trixie."),
        ("scypi/trixie", 'no stack is called "scypi" (did you mean "scipy"?)', "`hubstack list` shows what there is."),
        ("octave", "octave is a layer, not a stack", "Write layer:octave."),
        ("layer:octav", 'no layer is called "octav" (did you mean "octave"?)', "`hubstack list` shows what there is."),
        ("layer:x*", 'no layer is called "x*"', "`hubstack list` shows what there is."),
        ("layer:", 'no layer is called ""', "`hubstack list` shows what there is."),
        ("x*", '"x*" matches nothing', "`hubstack list` shows what there is."),
        ("", 'no stack is called ""', "`hubstack list` shows what there is."),
        ("+", 'no stack is called ""', "`hubstack list` shows what there is."),
        (
            "con*",
            '"con*" matches only drafts (conda: needs conda-forge)',
            "A draft is taken when it is named without a wildcard.",
        ),
        (
            "layer:con*",
            '"layer:con*" matches only drafts (conda: needs conda-forge)',
            "A draft is taken when it is named without a wildcard.",
        ),
    ],
)
def test_a_term_that_takes_nothing_is_an_error(term: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        chosen("minimal", term)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_layer_that_can_not_stand_by_itself_says_why() -> None:
    with pytest.raises(UsageError) as caught:
        chosen("layer:torch")
    assert caught.value.message.startswith("torch can't be built by itself: the variable cuda has no default")
    assert "layers/torch/layer.yaml" in caught.value.message


# --- completion --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("m", "minimal mixed"),
        ("l", "later layer:"),
        ("n", "node:"),
        (f"node:{SCIPY[:8]}", f"node:{SCIPY}"),
        (f"+node:{SCIPY}", f"+node:{SCIPY}"),
        ("layer:p", "layer:python"),
        ("scipy/", "scipy/bookworm scipy/trixie"),
        ("scipy/t", "scipy/trixie"),
        ("+sc", "+scipy"),
        ("+layer:oc", "+layer:octave"),
        ("nobody/", ""),
        ("x", ""),
    ],
)
def test_completion(prefix: str, words: str) -> None:
    assert " ".join(complete(PROJECT, prefix)) == words


def test_whatever_is_offered_can_be_selected() -> None:
    words = [*complete(PROJECT, ""), *complete(PROJECT, "scipy/")]
    for word in words:
        if not word.endswith(":"):
            assert chosen(word).nodes


def test_completion_works_where_the_graph_has_faults() -> None:
    project = tree({**FILES, "layers/python": "requires: [nobody]"})
    assert complete(project, "scipy/") == ("scipy/bookworm", "scipy/trixie")
    assert complete(project, "node:") == ()
