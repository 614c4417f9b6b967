"""The body of a loop taken apart: which of its products have a fixed operand.

`analyse` traces a body once and walks over its jaxpr, the list of equations
that JAX traces a function to. Everything here is done while tracing; nothing of
it runs on a device. `docs/deferred_scan.md` explains what it is for.

Only public names of JAX are used (`jax.extend.core`), and no equation's
parameters are interpreted but those of `dot_general` and of `jit`: parameters
change between versions of JAX.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.extend.core as jex
import jax.numpy as jnp

from seq2seq_jax import types

Values = dict[jex.Var, Any]


class WeightProduct(NamedTuple):
  """An equation x @ w of which w does not change from step to step."""

  x: int  # place of the changing operand: 0 or 1
  weight: int  # index of w among `Body.weights`


class Body(NamedTuple):
  """A traced body, sorted by what depends on what."""

  equations: list[jex.JaxprEqn]
  """Those that depend on carry or inputs, in order."""
  functions: list[Callable[[Values], list]]
  """They as functions of all values known so far."""
  weight_products: dict[int, WeightProduct]
  """Which of the equations have a loop-invariant weight."""
  invars: list[jex.Var]
  """The carry's leaves, then the inputs'."""
  outvars: list[Any]
  """The new carry's leaves, then the outputs'; variables or literals."""
  carries: int
  """Leaves of the carry."""
  weight_vars: list[jex.Var]
  weights: list[types.Array]
  """Values of loop-invariant operands of products."""
  other_vars: list[jex.Var]
  others: list[types.Array]
  """Values of all else that is loop-invariant."""


def analyse(closed: jex.ClosedJaxpr, carries: int) -> Body:
  """Takes apart the jaxpr of a body with so many leaves of the carry."""
  jaxpr = closed.jaxpr
  info = jaxpr.debug_info.with_unknown_names()
  # 1. Split the equations. What depends on nothing but constants (what the body
  # closes over) is the same in each step: it is computed here, once, and
  # differentiated as usual. The rest has to stay in the loop.
  names: dict[jex.Var, Any] = {}
  invariant = dict(zip(jaxpr.constvars, closed.consts))
  changing, equations = set(jaxpr.invars), []
  for eqn in _inlined(jaxpr, names):
    if any(v in changing for v in _variables(eqn.invars)):
      changing.update(eqn.outvars)
      equations.append(eqn)
    else:
      invariant.update(zip(eqn.outvars, _function(eqn, info)(invariant)))
  outvars = [_read(v, names) for v in jaxpr.outvars]

  # 2. Find what the loop needs from outside: weights of products, and others
  # (biases, attention keys that are added, masks ...). A variable may be both;
  # each use then has its own gradient, and the two are summed.
  products: dict[int, WeightProduct] = {}
  weight_vars: list[Any] = []
  other_vars: list[Any] = []
  for n, eqn in enumerate(equations):
    place = _weight_place(eqn, changing)
    for i, v in enumerate(eqn.invars):
      if isinstance(v, jex.Literal) or v in changing:
        continue
      group = weight_vars if i == place else other_vars
      if v not in group:
        group.append(v)
    if place is not None:
      weight = weight_vars.index(eqn.invars[place])
      products[n] = WeightProduct(1 - place, weight)
  # A body may also return a constant as it is.
  for v in _variables(outvars):
    if v not in changing and v not in other_vars:
      other_vars.append(v)

  return Body(
    equations,
    [_function(eqn, info) for eqn in equations],
    products,
    list(jaxpr.invars),
    outvars,
    carries,
    weight_vars,
    [invariant[v] for v in weight_vars],
    other_vars,
    [invariant[v] for v in other_vars],
  )


def _variables(atoms: Sequence[Any]) -> list[jex.Var]:
  """Those of an equation's operands that are not literals."""
  return [v for v in atoms if not isinstance(v, jex.Literal)]


def _aval(v: Any) -> Any:
  """Shape and type of an operand."""
  return v.aval


def _read(v: Any, names: dict[jex.Var, Any]) -> Any:
  """What a variable stands for after inlining."""
  return v if isinstance(v, jex.Literal) else names.get(v, v)


def _inlined(
  jaxpr: jex.Jaxpr, names: dict[jex.Var, Any]
) -> Iterator[jex.JaxprEqn]:
  """The equations, calls of `jit` with a product replaced by their bodies.

  `jnp.matmul` and the like are such calls; their products would not be found
  inside. A call without a product stays as it is.

  Args:
    jaxpr: the equations.
    names: filled with what each result of a replaced call stands for.
  """
  for eqn in jaxpr.eqns:
    invars = [_read(v, names) for v in eqn.invars]
    inner = eqn.params.get("jaxpr") if _is_jit(eqn) else None
    if inner is None or not _holds_product(inner.jaxpr) or inner.consts:
      yield eqn.replace(invars=invars)
      continue
    # JAX shares the jaxpr of two equal calls, so its variables may be defined
    # twice in the flat list: each call's get new ones.
    scope = dict(zip(inner.jaxpr.invars, invars))
    for sub in _inlined(inner.jaxpr, scope):
      fresh = [jex.Var(v.aval) for v in sub.outvars]
      scope.update(zip(sub.outvars, fresh))
      yield sub.replace(outvars=fresh)
    for outer, result in zip(eqn.outvars, inner.jaxpr.outvars):
      names[outer] = _read(result, scope)


def _is_jit(eqn: jex.JaxprEqn) -> bool:
  return eqn.primitive.name in ("jit", "pjit")


def _holds_product(jaxpr: jex.Jaxpr) -> bool:
  return any(
    eqn.primitive.name == "dot_general"
    or (_is_jit(eqn) and _holds_product(eqn.params["jaxpr"].jaxpr))
    for eqn in jaxpr.eqns
  )


def _weight_place(eqn: jex.JaxprEqn, changing: set[jex.Var]) -> int | None:
  """Which operand of a product is loop-invariant, if one is."""
  if eqn.primitive.name != "dot_general":
    return None
  fixed = [
    not isinstance(v, jex.Literal) and v not in changing for v in eqn.invars
  ]
  # Products of integers have no gradient.
  real = jnp.issubdtype(_aval(eqn.outvars[0]).dtype, jnp.floating)
  return fixed.index(True) if real and any(fixed) else None


def _function(eqn: jex.JaxprEqn, debug_info: Any) -> Callable[[Values], list]:
  """An equation as a function of values by variable.

  It is run as a jaxpr of one equation: to bind the primitive by hand would need
  to know what its parameters mean in each version of JAX.
  """
  invars = list(dict.fromkeys(_variables(eqn.invars)))
  jaxpr = jex.Jaxpr(
    [], invars, eqn.outvars, [eqn], eqn.effects, debug_info=debug_info
  )
  function = jex.jaxpr_as_fun(jex.ClosedJaxpr(jaxpr, []))
  return lambda values: function(*[values[v] for v in invars])


# A weight product as functions of its operands.


def product(eqn: jex.JaxprEqn, x_place: int) -> Callable:
  """The product as a function of (x, w)."""
  params = {
    k: eqn.params[k]
    for k in ("dimension_numbers", "precision", "preferred_element_type")
  }
  if x_place == 0:
    return lambda x, w: jax.lax.dot_general(x, w, **params)
  return lambda x, w: jax.lax.dot_general(w, x, **params)


def product_transpose(eqn: jex.JaxprEqn, x_place: int) -> Callable:
  """From w and the product's cotangent to that of x: g w^T."""
  forward, x_aval = product(eqn, x_place), _aval(eqn.invars[x_place])

  def transpose(w: types.Array, g: types.Array) -> types.Array:
    if _is_rows_by_matrix(eqn, x_place, x_aval.ndim, w.ndim):
      # Contract g with w's columns as they lie. The general transpose below
      # gives the same numbers through a transposed product, which is slower.
      contract = (((g.ndim - 1,), (1,)), ((), ()))
      return _dot(eqn, g, w, contract).astype(x_aval.dtype)
    return jax.linear_transpose(lambda x: forward(x, w), x_aval)(g)[0]

  return transpose


def weight_gradient(
  eqn: jex.JaxprEqn,
  x_place: int,
  weight: types.Array,
  x: types.Array,
  g: types.Array,
) -> types.Array:
  """The gradient of w: one product over time and rows.

  Args:
    eqn: the product.
    x_place: place of x.
    weight: w, whose shape and type the gradient has.
    x: the operands of all steps [T, ...].
    g: the cotangents of the products of all steps [T, ...].
  """
  if _is_rows_by_matrix(eqn, x_place, x.ndim - 1, weight.ndim):

    def rows(a: types.Array) -> types.Array:
      return a.reshape(-1, a.shape[-1])

    contract = (((0,), (0,)), ((), ()))
    return _dot(eqn, rows(x), rows(g), contract).astype(weight.dtype)
  # Any other layout: the transpose of all steps' products, linear in w.
  forward = product(eqn, x_place)

  def all_steps(w: types.Array) -> types.Array:
    return jax.vmap(lambda x: forward(x, w))(x)

  (gradient,) = jax.linear_transpose(all_steps, weight)(g)
  return gradient


def _is_rows_by_matrix(
  eqn: jex.JaxprEqn, x_place: int, x_ndim: int, w_ndim: int
) -> bool:
  """True if the product is `x @ w` of rows and a matrix."""
  ((x_contract, w_contract), (x_batch, _)) = eqn.params["dimension_numbers"]
  last_by_first = x_contract == (x_ndim - 1,) and w_contract == (0,)
  return x_place == 0 and w_ndim == 2 and last_by_first and not x_batch


def _dot(
  eqn: jex.JaxprEqn, a: types.Array, b: types.Array, dimensions: Any
) -> types.Array:
  """A product with operands as narrow as the forward product's, and a sum as
  wide as its: bfloat16 stays bfloat16 with float32 accumulation."""
  narrow = _aval(eqn.invars[0]).dtype
  return jax.lax.dot_general(
    a.astype(narrow),
    b.astype(narrow),
    dimensions,
    precision=eqn.params["precision"],
    preferred_element_type=_aval(eqn.outvars[0]).dtype,
  )
