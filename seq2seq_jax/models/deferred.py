"""A scan that forms weight gradients behind its backward loop.

Plain reverse mode adds `x_t^T g_t` to every weight's gradient at every step.
Here the loop only keeps x_t and g_t, and each gradient is one product that
contracts time as well. It serves any body, modules of others included: the
body is traced, and its products with a loop-invariant operand are found there.
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


@jax.custom_jvp
def _tap(y, t):
  """y, with the tangent of y + t: t is never read."""
  del t
  return y


@_tap.defjvp
def _tap_jvp(primals, tangents):
  return primals[0], tangents[0] + tangents[1]


def _step(program: Program, weights, others, carry, x, taps=None):
  """One step. (carry, ys, the other operands of tapped products)."""
  known = dict(zip(program.other_vars, others))
  known |= dict(zip(program.invars, [*carry, *x]))
  saved = []
  for n, (eqn, function) in enumerate(
    zip(program.equations, program.functions)
  ):
    if n not in program.taps:
      known.update(zip(eqn.outvars, function(known)))
      continue
    # Elsewhere the same variable may be differentiated as usual.
    place, w, index = program.taps[n]
    (value,) = function(known | {eqn.invars[w]: weights[index]})
    if taps is not None:
      value = _tap(value, taps[len(saved)])
      saved.append(known[eqn.invars[place]])
    known[eqn.outvars[0]] = value
  read = lambda v: v.val if isinstance(v, jex.Literal) else known[v]
  out = [jnp.asarray(read(v)) for v in program.outvars]
  return out[: program.carries], out[program.carries :], saved


def _differentiable(program: Program, reverse: bool):
  """`run(weights, others, carry, inputs) -> carry, ys` with its gradient."""

  def plain(weights, others, carry, inputs):
    def body(carry, x):
      return _step(program, weights, others, carry, x)[:2]

    return jax.lax.scan(body, carry, inputs, reverse=reverse)

  def tapped(weights, others, taps, carry, inputs):
    def body(carry, xs):
      x, taps = xs
      carry, ys, saved = _step(program, weights, others, carry, x, taps)
      return carry, (ys, saved)

    carry, (ys, saved) = jax.lax.scan(
      body, carry, (inputs, taps), reverse=reverse
    )
    return (carry, ys), saved

  def forward(weights, others, carry, inputs):
    length = inputs[0].shape[0]
    shapes = [program.equations[n].outvars[0].aval for n in program.taps]
    taps = [jnp.zeros((length, *s.shape), s.dtype) for s in shapes]
    out, back, saved = jax.vjp(
      functools.partial(tapped, weights),
      others,
      taps,
      carry,
      inputs,
      has_aux=True,
    )
    return out, (back, saved, weights)

  def backward(residuals, cotangents):
    back, saved, weights = residuals
    others, taps, carry, inputs = back(cotangents)
    grads = [None] * len(weights)
    for (n, (_, place, index)), x, g in zip(
      program.taps.items(), saved, taps, strict=True
    ):
      new = _weight_gradient(program.equations[n], place, weights[index], x, g)
      grads[index] = new if grads[index] is None else grads[index] + new
    return grads, others, carry, inputs

  run = jax.custom_vjp(plain)
  run.defvjp(forward, backward)
  return run if program.taps else plain


def _weight_gradient(eqn, place: int, weight, x, g):
  """One product over time and rows. x, g [T, ...] -> like `weight`."""
  params = {
    k: eqn.params[k]
    for k in ("dimension_numbers", "precision", "preferred_element_type")
  }

  def product(w):
    order = (lambda x: (x, w)) if place == 1 else (lambda x: (w, x))
    return jax.vmap(lambda x: jax.lax.dot_general(*order(x), **params))(x)

  (out,) = jax.linear_transpose(product, weight)(g)
  return out
