"""A scan whose backward loop holds only what must be in it.

Plain reverse mode stores every intermediate value of every step, and adds
`x_t^T g_t` to every weight's gradient at every step. Here the forward loop
stores the carry and the results of products; the backward loop makes the rest
again, which costs less than to store it, but no product twice; and each
weight's gradient is one product behind the loop that contracts time as well. It
serves any body, modules of others included: the body is traced, and its
products with a loop-invariant operand are found there.
"""

import functools
from typing import NamedTuple

import jax
import jax.extend.core as jex
import jax.numpy as jnp


def scan(body, carry, inputs, *, reverse=False):
  """`jax.lax.scan(body, carry, inputs, reverse=reverse)`, for reverse mode."""
  carry = jax.tree.map(jnp.asarray, carry)
  flat_carry, carry_tree = jax.tree.flatten(carry)
  flat_inputs, inputs_tree = jax.tree.flatten(inputs)
  out_tree = None

  def flat_body(carry, x):
    nonlocal out_tree
    carry, y = body(carry_tree.unflatten(carry), inputs_tree.unflatten(x))
    y, out_tree = jax.tree.flatten(y)
    return jax.tree.leaves(carry), y

  slices = [jax.ShapeDtypeStruct(x.shape[1:], x.dtype) for x in flat_inputs]
  closed = jax.make_jaxpr(flat_body)(flat_carry, slices)
  program = _analyse(closed, len(flat_carry))
  run = _differentiable(program, reverse)
  flat_carry, ys = run(program.weights, program.others, flat_carry, flat_inputs)
  return carry_tree.unflatten(flat_carry), out_tree.unflatten(ys)


class Program(NamedTuple):
  """A body taken apart."""

  equations: list  # that depend on carry or inputs, in order
  functions: list  # of them
  taps: dict[int, tuple]  # equation -> (place of x, place of w, index of w)
  invars: list
  outvars: list
  carries: int
  weight_vars: list
  weights: list  # their values: loop-invariant operands of products
  other_vars: list
  others: list  # values of what else is loop-invariant


def _inlined(jaxpr, names: dict):
  """Equations with the bodies of `jit` calls that hold a product."""
  read = lambda v: v if isinstance(v, jex.Literal) else names.get(v, v)
  for eqn in jaxpr.eqns:
    inner = eqn.params.get("jaxpr") if _is_jit(eqn) else None
    if inner is None or not _holds_product(inner.jaxpr) or inner.consts:
      yield eqn.replace(invars=[read(v) for v in eqn.invars])
      continue
    # A body may be called twice: its variables get new names each time.
    scope = dict(zip(inner.jaxpr.invars, [read(v) for v in eqn.invars]))
    for sub in _inlined(inner.jaxpr, scope):
      fresh = [_fresh(v) for v in sub.outvars]
      scope.update(zip(sub.outvars, fresh))
      yield sub.replace(outvars=fresh)
    for outer, own in zip(eqn.outvars, inner.jaxpr.outvars):
      names[outer] = own if isinstance(own, jex.Literal) else scope[own]


def _fresh(var):
  return jex.Var(var.aval)


def _is_jit(eqn) -> bool:
  return eqn.primitive.name in ("jit", "pjit")


def _holds_product(jaxpr) -> bool:
  return any(
    eqn.primitive.name == "dot_general"
    or (_is_jit(eqn) and _holds_product(eqn.params["jaxpr"].jaxpr))
    for eqn in jaxpr.eqns
  )


def _analyse(closed, carries: int) -> Program:
  jaxpr, names = closed.jaxpr, {}
  info = jaxpr.debug_info.with_unknown_names()
  known = dict(zip(jaxpr.constvars, closed.consts))
  looped, equations = set(jaxpr.invars), []
  for eqn in _inlined(jaxpr, names):
    variables = [v for v in eqn.invars if not isinstance(v, jex.Literal)]
    if any(v in looped for v in variables):
      looped.update(eqn.outvars)
      equations.append(eqn)
    else:
      known.update(zip(eqn.outvars, _function(eqn, info)(known)))
  outvars = [
    v if isinstance(v, jex.Literal) else names.get(v, v) for v in jaxpr.outvars
  ]
  taps, weight_vars, other_vars = {}, [], []
  for n, eqn in enumerate(equations):
    w = _weight(eqn, looped)
    for place, v in enumerate(eqn.invars):
      if isinstance(v, jex.Literal) or v in looped:
        continue
      group = weight_vars if place == w else other_vars
      if v not in group:
        group.append(v)
    if w is not None:
      taps[n] = (1 - w, w, weight_vars.index(eqn.invars[w]))
  for v in outvars:
    free = not isinstance(v, jex.Literal) and v not in looped
    if free and v not in other_vars:
      other_vars.append(v)
  return Program(
    equations,
    [_function(eqn, info) for eqn in equations],
    taps,
    list(jaxpr.invars),
    outvars,
    carries,
    weight_vars,
    [known[v] for v in weight_vars],
    other_vars,
    [known[v] for v in other_vars],
  )


def _weight(eqn, looped) -> int | None:
  """Which operand of a product is loop-invariant, if one is."""
  if eqn.primitive.name != "dot_general":
    return None
  fixed = [
    not isinstance(v, jex.Literal) and v not in looped for v in eqn.invars
  ]
  real = jnp.issubdtype(eqn.outvars[0].aval.dtype, jnp.floating)
  return fixed.index(True) if real and any(fixed) else None


def _function(eqn, debug_info):
  """An equation as a function, whatever its primitive's parameters mean."""
  variables = [v for v in eqn.invars if not isinstance(v, jex.Literal)]
  invars = list(dict.fromkeys(variables))
  jaxpr = jex.Jaxpr(
    [], invars, eqn.outvars, [eqn], eqn.effects, debug_info=debug_info
  )
  function = jex.jaxpr_as_fun(jex.ClosedJaxpr(jaxpr, []))
  return lambda known: function(*[known[v] for v in invars])


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _recalled(back, x, y, tap, w):
  """y, the known result of a product of x and w; `tap` gets its cotangent."""
  del back, x, tap, w
  return y


def _recalled_forward(back, x, y, tap, w):
  del back, x, tap
  return y, w


def _recalled_backward(back, w, g):
  return back(w, g), None, g, None


_recalled.defvjp(_recalled_forward, _recalled_backward)


def _step(program: Program, weights, others, carry, x, known=None, taps=None):
  """One step: carry, ys, results and the other operands of tapped products.

  Args:
    weights: loop-invariant operands of products.
    known: results of the products, where they are known already.
    taps: zeros of their shapes, whose cotangents are those of the results.
  """
  values = dict(zip(program.other_vars, others))
  values |= dict(zip(program.invars, [*carry, *x]))
  results, operands = [], []
  for n, (eqn, function) in enumerate(
    zip(program.equations, program.functions)
  ):
    if n not in program.taps:
      values.update(zip(eqn.outvars, function(values)))
      continue
    # Elsewhere the same variable may be differentiated as usual.
    place, _, index = program.taps[n]
    operand, weight = values[eqn.invars[place]], weights[index]
    if known is None:
      y = _product(eqn, place)(operand, weight)
    else:
      i = len(results)
      y = _recalled(_back(eqn, place), operand, known[i], taps[i], weight)
    results.append(y)
    operands.append(operand)
    values[eqn.outvars[0]] = y
  read = lambda v: v.val if isinstance(v, jex.Literal) else values[v]
  out = [jnp.asarray(read(v)) for v in program.outvars]
  n = program.carries
  return out[:n], out[n:], results, operands


def _product(eqn, place: int):
  """A tapped product as a function of (x, w)."""
  params = {
    k: eqn.params[k]
    for k in ("dimension_numbers", "precision", "preferred_element_type")
  }
  if place == 0:
    return lambda x, w: jax.lax.dot_general(x, w, **params)
  return lambda x, w: jax.lax.dot_general(w, x, **params)


def _back(eqn, place: int):
  """From w and the cotangent of a tapped product to that of x."""
  product, x = _product(eqn, place), eqn.invars[place].aval

  def back(w, g):
    if _of_rows(eqn, place, x.ndim, w.ndim):
      contract = (((g.ndim - 1,), (1,)), ((), ()))
      return _dot(eqn, g, w, contract).astype(x.dtype)
    return jax.linear_transpose(lambda x: product(x, w), x)(g)[0]

  return back


def _of_rows(eqn, place: int, x_ndim: int, w_ndim: int) -> bool:
  """Whether it is `x @ w` of rows and a matrix."""
  ((cx, cw), (bx, _)) = eqn.params["dimension_numbers"]
  last = cx == (x_ndim - 1,) and cw == (0,) and not bx
  return place == 0 and w_ndim == 2 and last


def _dot(eqn, a, b, dimensions):
  """Of operands as narrow as the forward product's, summed as wide as its."""
  narrow = eqn.invars[0].aval.dtype
  return jax.lax.dot_general(
    a.astype(narrow),
    b.astype(narrow),
    dimensions,
    precision=eqn.params["precision"],
    preferred_element_type=eqn.outvars[0].aval.dtype,
  )


class _Floats(NamedTuple):
  """Which leaves of a list have gradients."""

  mask: tuple[bool, ...]

  def take(self, leaves):
    return [x for x, ok in zip(leaves, self.mask, strict=True) if ok]

  def put(self, leaves, floats):
    """`leaves` with those of gradients from `floats`."""
    floats = iter(floats)
    return [next(floats) if ok else x for x, ok in zip(leaves, self.mask)]


def _floats(leaves) -> _Floats:
  inexact = lambda x: jnp.issubdtype(x.dtype, jnp.inexact)
  return _Floats(tuple(inexact(x) for x in leaves))


def _differentiable(program: Program, reverse: bool):
  """`run(weights, others, carry, inputs) -> carry, ys` with its gradient."""

  def plain(weights, others, carry, inputs):
    def body(carry, x):
      return _step(program, weights, others, carry, x)[:2]

    return jax.lax.scan(body, carry, inputs, reverse=reverse)

  def forward(weights, others, carry, inputs):
    def body(carry, x):
      new, ys, results, _ = _step(program, weights, others, carry, x)
      return new, (ys, carry, results)

    last, (ys, carries, results) = jax.lax.scan(
      body, carry, inputs, reverse=reverse
    )
    return (last, ys), (weights, others, inputs, carries, results)

  def backward(residuals, cotangents):
    weights, others, inputs, carries, results = residuals
    d_last, d_ys = cotangents
    taps, others_, carry_, inputs_ = _backward_loop(
      program, residuals, d_last, d_ys, not reverse
    )

    def operands(carry, x, known):
      taps = [jnp.zeros_like(y) for y in known]
      return _step(program, weights, others, carry, x, known, taps)[3]

    every = jax.vmap(operands)(carries, inputs, results)
    grads = [None] * len(weights)
    for (n, (place, _, index)), x, g in zip(
      program.taps.items(), every, taps, strict=True
    ):
      new = _weight_gradient(program.equations[n], place, weights[index], x, g)
      grads[index] = new if grads[index] is None else grads[index] + new
    return grads, others_, carry_, inputs_

  run = jax.custom_vjp(plain)
  run.defvjp(forward, backward)
  return run


def _backward_loop(program: Program, residuals, d_last, d_ys, reverse):
  """Cotangents of products' results [T, ...], others, carry and inputs."""
  weights, others, inputs, carries, results = residuals
  with_carry, with_x = _floats(carries), _floats(inputs)
  with_others, with_y = _floats(others), _floats(_like_ys(program))

  def body(state, saved):
    d_carry, d_others = state
    carry, x, known, d_y = saved
    taps = [jnp.zeros_like(y) for y in known]

    def again(o, c, x_, taps):
      carry_, x_ = with_carry.put(carry, c), with_x.put(x, x_)
      new, ys, *_ = _step(
        program, weights, with_others.put(others, o), carry_, x_, known, taps
      )
      return with_carry.take(new), with_y.take(ys)

    _, back = jax.vjp(
      again,
      with_others.take(others),
      with_carry.take(carry),
      with_x.take(x),
      taps,
    )
    new, d_carry, d_x, d_results = back((d_carry, d_y))
    d_others = jax.tree.map(jnp.add, d_others, new)
    return (d_carry, d_others), (d_results, d_x)

  zeros = [jnp.zeros_like(x) for x in with_others.take(others)]
  (d_carry, d_others), (d_results, d_x) = jax.lax.scan(
    body,
    (with_carry.take(d_last), zeros),
    (carries, inputs, results, with_y.take(d_ys)),
    reverse=reverse,
  )
  none = lambda leaves: [None] * len(leaves)
  return (
    d_results,
    with_others.put(none(others), d_others),
    with_carry.put(none(carries), d_carry),
    with_x.put(none(inputs), d_x),
  )


def _like_ys(program: Program):
  """Shapes of a step's outputs beside the carry."""
  aval = lambda v: jnp.asarray(v.val) if isinstance(v, jex.Literal) else v.aval
  return [aval(v) for v in program.outvars[program.carries :]]


def _weight_gradient(eqn, place: int, weight, x, g):
  """One product over time and rows. x, g [T, ...] -> like `weight`."""
  if _of_rows(eqn, place, x.ndim - 1, weight.ndim):
    rows = lambda a: a.reshape(-1, a.shape[-1])
    contract = (((0,), (0,)), ((), ()))
    return _dot(eqn, rows(x), rows(g), contract).astype(weight.dtype)
  product = _product(eqn, place)
  every = lambda w: jax.vmap(lambda x: product(x, w))(x)
  (out,) = jax.linear_transpose(every, weight)(g)
  return out
