"""A scan whose backward loop holds only what must be in it.

Plain reverse mode stores every intermediate value of every step, and adds
`x_t^T g_t` to every weight's gradient at every step. Here the forward loop
stores the carry and the results of products; the backward loop computes the
rest again, which costs less than to store it, but no product twice; and each
weight's gradient is one product after the loop that contracts time as well. It
serves any body, modules of others included: the body is traced, and its
products with a loop-invariant operand are found there (`scan_body.py`).

`docs/deferred_scan.md` derives it.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.extend.core as jex
import jax.numpy as jnp

from seq2seq_jax import types
from seq2seq_jax.models import scan_body

Leaves = list[types.Array]


def scan(
  body: Callable, carry: Any, inputs: Any, *, reverse: bool = False
) -> tuple[Any, Any]:
  """`jax.lax.scan(body, carry, inputs, reverse=reverse)`, for reverse mode.

  Args:
    body: `carry, y = body(carry, x)`. What it closes over may be traced values
      of any transformation; gradients flow to them too.
    carry: pytree of arrays.
    inputs: pytree of arrays [T, ...].
    reverse: True to go from the last step to the first.
  """
  carry = jax.tree.map(jnp.asarray, carry)
  flat_carry, carry_tree = jax.tree.flatten(carry)
  flat_inputs, inputs_tree = jax.tree.flatten(inputs)
  out_tree: Any = None

  def flat_body(carry: Leaves, x: Leaves) -> tuple[Leaves, Leaves]:
    nonlocal out_tree
    carry, y = body(
      jax.tree.unflatten(carry_tree, carry), jax.tree.unflatten(inputs_tree, x)
    )
    y, out_tree = jax.tree.flatten(y)
    return jax.tree.leaves(carry), y

  # The values that the body closes over become the jaxpr's constants.
  slices = [jax.ShapeDtypeStruct(x.shape[1:], x.dtype) for x in flat_inputs]
  closed = jax.make_jaxpr(flat_body)(flat_carry, slices)
  taken = scan_body.analyse(closed, len(flat_carry))
  run = _differentiable(taken, reverse)
  flat_carry, ys = run(taken.weights, taken.others, flat_carry, flat_inputs)
  return (
    jax.tree.unflatten(carry_tree, flat_carry),
    jax.tree.unflatten(out_tree, ys),
  )


def _differentiable(body: scan_body.Body, reverse: bool) -> Callable:
  """`run(weights, others, carry, inputs) -> carry, ys` with its gradient."""

  def plain(
    weights: Leaves, others: Leaves, carry: Leaves, inputs: Leaves
  ) -> tuple[Leaves, Leaves]:
    def step(carry: Leaves, x: Leaves) -> tuple[Any, Any]:
      return _step(body, weights, others, carry, x)[:2]

    return jax.lax.scan(step, carry, inputs, reverse=reverse)

  def forward(
    weights: Leaves, others: Leaves, carry: Leaves, inputs: Leaves
  ) -> tuple[tuple[Leaves, Leaves], Any]:
    # Saved for the backward loop: each step's carry and its products.
    def step(carry: Leaves, x: Leaves) -> tuple[Any, Any]:
      new, ys, results, _ = _step(body, weights, others, carry, x)
      return new, (ys, carry, results)

    last, (ys, carries, results) = jax.lax.scan(
      step, carry, inputs, reverse=reverse
    )
    return (last, ys), (weights, others, inputs, carries, results)

  def backward(
    residuals: Any, cotangents: Any
  ) -> tuple[list, list, list, list]:
    weights, others, inputs, carries, results = residuals
    d_last, d_ys = cotangents
    d_results, d_others, d_carry, d_inputs = _backward_loop(
      body, residuals, d_last, d_ys, not reverse
    )

    # The products' other operands x_t, of all steps at once: elementwise work
    # from saved values, so no loop is needed.
    def operands_of(carry: Leaves, x: Leaves, known: Leaves) -> Leaves:
      taps = [jnp.zeros_like(y) for y in known]
      return _step(body, weights, others, carry, x, known, taps)[3]

    operands = jax.vmap(operands_of)(carries, inputs, results)
    d_weights: list[Any] = [None] * len(weights)
    for (n, where), x, g in zip(
      body.weight_products.items(), operands, d_results, strict=True
    ):
      weight = weights[where.weight]
      new = scan_body.weight_gradient(body.equations[n], where.x, weight, x, g)
      # One weight may have several products (a deep transition).
      total = d_weights[where.weight]
      d_weights[where.weight] = new if total is None else total + new
    return d_weights, d_others, d_carry, d_inputs

  run = jax.custom_vjp(plain)
  run.defvjp(forward, backward)
  return run


def _backward_loop(
  body: scan_body.Body,
  residuals: Any,
  d_last: Leaves,
  d_ys: Leaves,
  reverse: bool,
) -> tuple[Leaves, list, list, list]:
  """Cotangents of products' results [T, ...], others, carry and inputs.

  Each step is differentiated by itself, with its products' results given. Their
  cotangents leave the loop: the weights' gradients are made of them later.
  """
  weights, others, inputs, carries, results = residuals
  # Integers (step counters, tokens) have no cotangents: they stay out of `vjp`.
  with_carry, with_x = _floats(carries), _floats(inputs)
  with_others, with_y = _floats(others), _floats(_like_ys(body))

  def step(state: Any, saved: Any) -> tuple[Any, Any]:
    d_carry, d_others = state
    carry, x, known, d_y = saved
    taps = [jnp.zeros_like(y) for y in known]

    def again(
      others_: Leaves, carry_: Leaves, x_: Leaves, taps: Leaves
    ) -> tuple[Leaves, Leaves]:
      new, ys, *_ = _step(
        body,
        weights,
        with_others.put(others, others_),
        with_carry.put(carry, carry_),
        with_x.put(x, x_),
        known,
        taps,
      )
      return with_carry.take(new), with_y.take(ys)

    _, vjp = jax.vjp(
      again,
      with_others.take(others),
      with_carry.take(carry),
      with_x.take(x),
      taps,
    )
    new, d_carry, d_x, d_results = vjp((d_carry, d_y))
    d_others = jax.tree.map(jnp.add, d_others, new)
    return (d_carry, d_others), (d_results, d_x)

  zeros = [jnp.zeros_like(x) for x in with_others.take(others)]
  (d_carry, d_others), (d_results, d_x) = jax.lax.scan(
    step,
    (with_carry.take(d_last), zeros),
    (carries, inputs, results, with_y.take(d_ys)),
    reverse=reverse,
  )
  return (
    d_results,
    with_others.put([None] * len(others), d_others),
    with_carry.put([None] * len(carries), d_carry),
    with_x.put([None] * len(inputs), d_x),
  )


def _step(
  body: scan_body.Body,
  weights: Leaves,
  others: Leaves,
  carry: Leaves,
  x: Leaves,
  known: Leaves | None = None,
  taps: Leaves | None = None,
) -> tuple[Leaves, Leaves, Leaves, Leaves]:
  """One step: carry, ys, products' results, and their changing operands.

  Args:
    body: the equations.
    weights: loop-invariant operands of products.
    others: other loop-invariant values.
    carry: of the step before.
    x: the step's inputs.
    known: results of the products, if they are known already; they are then
      used instead of being computed.
    taps: zeros of their shapes, whose cotangents are those of the results.
  """
  values: dict[Any, Any] = dict(zip(body.other_vars, others))
  values |= dict(zip(body.invars, [*carry, *x]))
  results: Leaves = []
  operands: Leaves = []
  for n, (eqn, function) in enumerate(zip(body.equations, body.functions)):
    where = body.weight_products.get(n)
    if where is None:
      values.update(zip(eqn.outvars, function(values)))
      continue
    # The weight is read from `weights` and not from `values`: elsewhere the
    # same variable may be differentiated as usual.
    operand, weight = values[eqn.invars[where.x]], weights[where.weight]
    if known is None:
      y = scan_body.product(eqn, where.x)(operand, weight)
    else:
      assert taps is not None
      i = len(results)
      transpose = scan_body.product_transpose(eqn, where.x)
      y = _saved_product(transpose, operand, known[i], taps[i], weight)
    results.append(y)
    operands.append(operand)
    values[eqn.outvars[0]] = y

  def read(v: Any) -> types.Array:
    return jnp.asarray(v.val if isinstance(v, jex.Literal) else values[v])

  out = [read(v) for v in body.outvars]
  return out[: body.carries], out[body.carries :], results, operands


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _saved_product(
  transpose: Callable,
  x: types.Array,
  y: types.Array,
  tap: types.Array,
  w: types.Array,
) -> types.Array:
  """The saved y = x @ w.

  Its VJP sends the cotangent g to x (as g w^T, by `transpose`) and to `tap` as
  it is, never to w. Neither x nor tap is read: the product is not computed
  again, and a tap of zeros costs nothing.
  """
  del transpose, x, tap, w
  return y


def _saved_product_forward(
  transpose: Callable,
  x: types.Array,
  y: types.Array,
  tap: types.Array,
  w: types.Array,
) -> tuple[types.Array, types.Array]:
  del transpose, x, tap
  return y, w


def _saved_product_backward(
  transpose: Callable, w: types.Array, g: types.Array
) -> tuple[types.Array, None, types.Array, None]:
  return transpose(w, g), None, g, None


_saved_product.defvjp(_saved_product_forward, _saved_product_backward)


class _Floats(NamedTuple):
  """Which leaves of a list have gradients."""

  mask: tuple[bool, ...]

  def take(self, leaves: Sequence) -> list:
    """Those leaves."""
    return [x for x, ok in zip(leaves, self.mask, strict=True) if ok]

  def put(self, leaves: Sequence, floats: Sequence) -> list:
    """`leaves` with those that have gradients taken from `floats`."""
    new = iter(floats)
    return [next(new) if ok else x for x, ok in zip(leaves, self.mask)]


def _floats(leaves: Sequence) -> _Floats:
  return _Floats(tuple(jnp.issubdtype(x.dtype, jnp.inexact) for x in leaves))


def _like_ys(body: scan_body.Body) -> list:
  """Shapes of a step's outputs beside the carry."""
  return [
    jnp.asarray(v.val) if isinstance(v, jex.Literal) else v.aval
    for v in body.outvars[body.carries :]
  ]
