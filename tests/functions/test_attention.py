"""Attention as a function: PyTorch's numbers, queries without keys, and messages."""

import numpy as np
import pytest
from arrays import host
from oracle import assert_pytorch, assert_still_stored

import scratchnet as sn
from backends import to_device

ROOM = "functions_attention"
LEFT_OUT = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0]], bool)
"""A mask of three queries and five keys. The second query has no key."""

CASES = {
    "matrices": ((3, 4), (5, 4), (5, 6), {}),
    "stacks": ((2, 3, 3, 4), (2, 3, 5, 4), (2, 3, 5, 6), {}),
    "leading axes that broadcast": ((2, 1, 3, 4), (3, 5, 4), (1, 5, 2), {}),
    "another scale": ((2, 3, 4), (2, 5, 4), (2, 5, 6), {"scale": 0.1}),
    "causal": ((2, 4, 4), (2, 4, 4), (2, 4, 6), {"is_causal": True}),
    "causal, more keys": ((2, 3, 4), (2, 5, 4), (2, 5, 6), {"is_causal": True}),
    "causal, more queries": ((2, 5, 4), (2, 3, 4), (2, 3, 6), {"is_causal": True}),
    "booleans": ((2, 3, 4), (2, 5, 4), (2, 5, 6), {"attn_mask": LEFT_OUT}),
    "booleans of each": ((2, 3, 4), (2, 1, 4), (2, 1, 6), {"attn_mask": LEFT_OUT.T[None, :3, 1:2]}),
    "numbers": ((2, 3, 4), (2, 5, 4), (2, 5, 6), {"attn_mask": LEFT_OUT * 3.0 - 1}),
    "-inf": ((2, 3, 4), (2, 5, 4), (2, 5, 6), {"attn_mask": np.where(LEFT_OUT, 0.5, -np.inf)}),
}


def drawn(case):
    rng = np.random.default_rng(sum(map(ord, case)))
    *shapes, options = CASES[case]
    return [rng.standard_normal(each) for each in shapes], options


def derivatives(function, grad, variable, operands, options):
    """The result, and the first and second gradients at the operands and at a floating mask."""
    operands, options = [variable(each) for each in operands], dict(options)
    if (mask := options.get("attn_mask")) is not None:
        options["attn_mask"] = variable(mask)
    y = function(*operands, **options)
    g = variable(np.cos(np.arange(np.prod(y.shape)).reshape(tuple(y.shape))))
    if mask is not None and mask.dtype.kind == "f":
        operands.append(options["attn_mask"])
    first = grad(y, operands, g, create_graph=True)
    second = grad((first[0] ** 2).sum(), [*operands[:2], g])
    names = [*(f"gradient {i}" for i in range(len(first))), "second at q", "second at k", "second at g"]
    return {"y": y} | dict(zip(names, [*first, *second], strict=True))


def by_pytorch(torch, case):
    def variable(array):
        return torch.tensor(array, requires_grad=array.dtype.kind == "f")

    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        function = torch.nn.functional.scaled_dot_product_attention
        found = derivatives(function, torch.autograd.grad, variable, *drawn(case))
    return {name: each.detach().numpy() for name, each in found.items()}


def ours(case, dtype="float64"):
    def variable(array):
        return sn.Variable(to_device(array if array.dtype == bool else array.astype(dtype)))

    return derivatives(sn.scaled_dot_product_attention, sn.grad, variable, *drawn(case))


@pytest.mark.parametrize("case", CASES)
def test_the_function_computes_what_pytorch_computes(backend, case):
    assert_pytorch(ROOM, case, {name: host(each) for name, each in ours(case).items()}, rtol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_what_is_stored_is_what_pytorch_computes(case):
    assert_still_stored(ROOM, case, by_pytorch)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("case", ["stacks", "-inf"])
def test_smaller_dtypes(backend, case, dtype):
    wide = ours(case)
    for name, each in ours(case, dtype).items():
        if "second" not in name:
            assert each.dtype == dtype
            np.testing.assert_allclose(host(each), host(wide[name]), atol=30 * np.finfo(dtype).eps)


def test_a_query_without_keys_gets_zeros_and_gives_none(backend):
    rng = np.random.default_rng(1)
    q, k, v = (sn.Variable(to_device(rng.standard_normal((3 if i == 0 else 5, 4)))) for i in range(3))
    y = sn.scaled_dot_product_attention(q, k, v, to_device(LEFT_OUT))
    y.sum().backward()
    assert (host(y)[1] == 0).all()
    assert (host(q.grad)[1] == 0).all()
    assert all(np.isfinite(host(each.grad)).all() for each in (q, k, v))
    y = sn.scaled_dot_product_attention(q, k[:0], v[:0])
    np.testing.assert_array_equal(host(y), np.zeros((3, 4)))


def test_large_scores_do_not_overflow(backend):
    q = to_device(np.array([[1.8e19], [-1.8e19]], "f4"))
    y = sn.scaled_dot_product_attention(q, q, to_device(np.array([[1.0], [2.0]], "f4")), scale=1)
    np.testing.assert_array_equal(host(y), [[1], [2]])


def test_dropout_drops_weights_and_scales_the_others(backend):
    q, k, v = (to_device(np.zeros(shape)) for shape in ((40, 2), (50, 2), (50, 50)))
    v = to_device(np.eye(50))  # so that the result is the weights
    y = host(sn.scaled_dot_product_attention(q, k, v, dropout_p=0.25, rng=1))
    assert np.isclose(y, 0).mean() == pytest.approx(0.25, abs=0.05)
    np.testing.assert_allclose(y[y != 0], 1 / 50 / 0.75)
    np.testing.assert_array_equal(
        y, host(sn.scaled_dot_product_attention(q, k, v, dropout_p=0.25, rng=1))
    )


def attended(*shapes, **options):
    return sn.scaled_dot_product_attention(*(np.ones(shape, "f4") for shape in shapes), **options)


FAULTS = {
    r"scaled_dot_product_attention: query, key and value have shapes \(3, 4\), \(5, 3\) and \(5, 2\); "
    "give query and key of the same last size": lambda: attended((3, 4), (5, 3), (5, 2)),
    r"shapes \(3, 4\), \(5, 4\) and \(6, 2\); give as many keys as values": (
        lambda: attended((3, 4), (5, 4), (6, 2))),
    r"shapes \(4,\), \(5, 4\) and \(5, 2\); give \(..., L, E\), \(..., S, E\) and \(..., S, Ev\)": (
        lambda: attended((4,), (5, 4), (5, 2))),
    r"shapes \(2, 3, 4\), \(3, 5, 4\) and \(5, 2\); give \(..., L, E\)": (
        lambda: attended((2, 3, 4), (3, 5, 4), (5, 2))),
    r"attn_mask has shape \(5, 3\), but the weights have \(2, 3, 5\); give a mask that broadcasts": (
        lambda: attended((2, 3, 4), (2, 5, 4), (2, 5, 4), attn_mask=np.ones((5, 3), bool))),
    r"attn_mask has shape \(2, 1, 3, 5\), but the weights have \(2, 3, 5\)": (
        lambda: attended((2, 3, 4), (2, 5, 4), (2, 5, 4), attn_mask=np.ones((2, 1, 3, 5), bool))),
    r"attn_mask has dtype int64; it must be boolean, .astype\(bool\), or floating": (
        lambda: attended((3, 4), (5, 4), (5, 4), attn_mask=np.ones((3, 5), "i8"))),
    "attn_mask is a list; give an array of booleans": (
        lambda: attended((3, 4), (5, 4), (5, 4), attn_mask=[[True]])),
    "attn_mask is given and is_causal is True; combine both": (
        lambda: attended((3, 4), (5, 4), (5, 4), attn_mask=np.ones((3, 5), bool), is_causal=True)),
    "key is a list; wrap it": lambda: sn.scaled_dot_product_attention(np.ones((2, 3)), [[1.0]], None),
    "query has dtype int64; it must be floating": (
        lambda: sn.scaled_dot_product_attention(*[np.ones((2, 3), "i8")] * 3)),
    "scaled_dot_product_attention: scale is a str; give a number, or None": (
        lambda: attended((3, 4), (5, 4), (5, 4), scale="a")),
    "scaled_dot_product_attention: dropout_p is 2": (
        lambda: attended((3, 4), (5, 4), (5, 4), dropout_p=2)),
}  # fmt: skip


@pytest.mark.parametrize("message", FAULTS)
def test_a_fault_is_one_clear_line(message):
    with pytest.raises(sn.ScratchnetError, match=message) as caught:
        FAULTS[message]()
    assert "\n" not in str(caught.value)


def test_unstack_is_the_inverse_of_stack(backend):
    x = sn.Variable(to_device(np.arange(24.0).reshape(2, 3, 4)))
    parts = sn.unstack(x, 1)
    assert len(parts) == 3
    np.testing.assert_array_equal(host(parts[1]), host(x)[:, 1])
    (parts[1] * 2).sum().backward()
    np.testing.assert_array_equal(host(x.grad), np.broadcast_to([[[0], [2], [0]]], (2, 3, 4)))
    for fault, axis in ((np.ones(()), 0), (np.ones((2, 0)), 1)):
        with pytest.raises(sn.ShapeError, match="has no parts along axis"):
            sn.unstack(fault, axis)
    with pytest.raises(sn.ShapeError, match="unstack: there is no axis 3 of 3"):
        sn.unstack(x, 3)
