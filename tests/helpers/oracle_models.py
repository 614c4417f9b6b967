"""Independent float64 NumPy oracle: one sentence, plain loops, no jax."""

import itertools
import math

import numpy as np

LN_EPSILON = 1e-5


def f64(x):
  """Any array-like as a float64 array (shared, not copied, if it is one)."""
  return np.asarray(x, np.float64)


def sigmoid(x):
  """σ(x) = 1 / (1 + exp(-x)) = exp(-log(1 + exp(-x))), no overflow."""
  return np.exp(-np.logaddexp(0.0, -f64(x)))


def softmax(e):
  """exp(e_i) / sum_j exp(e_j) of one vector."""
  e = f64(e)
  w = np.exp(e - e.max())
  return w / w.sum()


def layer_norm(v):
  """(v - mean) / sqrt(var + 1e-5), biased variance (Ba et al. 2016)."""
  v = f64(v)
  mean = v.sum() / v.size
  var = ((v - mean) ** 2).sum() / v.size
  return (v - mean) / math.sqrt(var + LN_EPSILON)


def blocks(v, n):
  """The n equal contiguous blocks of the vector v."""
  v = f64(v)
  assert v.size % n == 0, (v.size, n)
  w = v.size // n
  return [v[g * w : (g + 1) * w] for g in range(n)]


# 1. Cells

GATES = dict(
  lstm=4,
  gru=3,
  gru_bahdanau=3,
  gru_cho=3,
  elman=1,
  ln_lstm=4,
  rnmt_lstm=4,
  ln_gru=3,
  sru=4,
)


def _input(p, x, feeds, width):
  """Input product x @ kernel (nothing for x None) + sum of the feeds'."""
  a = np.zeros(width)
  if x is not None:
    a = a + f64(x) @ f64(p["kernel"])
  for i, feed in enumerate(feeds):
    a = a + f64(feed) @ f64(p[f"feed_{i}"])
  return a


def _lstm(a, u, p, c, m):
  """LSTM without peepholes, gates (i,f,g,o) (Zaremba et al. 2014)."""
  i, f, g, o = blocks(a + u + f64(p["bias"]), 4)
  c_new = sigmoid(f) * c + sigmoid(i) * m * np.tanh(g)
  return c_new, sigmoid(o) * np.tanh(c_new)


def _ln_lstm(a, u, p, c, m):
  """Layer-normalised LSTM (Ba, Kiros & Hinton 2016)."""
  a, u = blocks(a, 4), blocks(u, 4)
  si, sr = blocks(p["scale_input"], 4), blocks(p["scale_recurrent"], 4)
  b = blocks(p["bias"], 4)
  i, f, g, o = [
    layer_norm(a[k]) * si[k] + layer_norm(u[k]) * sr[k] + b[k] for k in range(4)
  ]
  c_new = sigmoid(f) * c + sigmoid(i) * m * np.tanh(g)
  inner = layer_norm(c_new) * f64(p["scale_cell"]) + f64(p["bias_cell"])
  return c_new, sigmoid(o) * np.tanh(inner)


def _rnmt_lstm(a, u, p, c, m):
  """RNMT+ LSTM: norm per gate, no output tanh (Chen et al. 2018)."""
  z, s, b = blocks(a + u, 4), blocks(p["scale"], 4), blocks(p["bias"], 4)
  i, f, g, o = [layer_norm(z[k]) * s[k] + b[k] for k in range(4)]
  c_new = sigmoid(f) * c + sigmoid(i) * m * np.tanh(g)
  return c_new, sigmoid(o) * c_new


def _gru(a, u, p, h, m):
  """GRU, reset after the product, h' = (1-z)n + zh (cuDNN convention)."""
  a, u, b = blocks(a, 3), blocks(u, 3), blocks(p["bias"], 3)
  r = sigmoid(a[0] + u[0] + b[0])
  z = sigmoid(a[1] + u[1] + b[1])
  n = m * np.tanh(a[2] + b[2] + r * (u[2] + f64(p["bias_hn"])))
  return (1.0 - z) * n + z * h


def _gru_before(name, a, p, h, masked, m):
  """GRU, reset before the product (Cho 2014; Bahdanau 2015)."""
  width = h.size
  recurrent = f64(p["recurrent"])
  a, b = blocks(a, 3), blocks(p["bias"], 3)
  u_r = recurrent[:, :width]
  u_z = recurrent[:, width : 2 * width]
  u_n = recurrent[:, 2 * width :]
  r = sigmoid(a[0] + masked @ u_r + b[0])
  z = sigmoid(a[1] + masked @ u_z + b[1])
  n = m * np.tanh(a[2] + (r * masked) @ u_n + b[2])
  if name == "gru_cho":
    return z * h + (1.0 - z) * n
  return (1.0 - z) * h + z * n


def _ln_gru(a, u, p, h, m):
  """Layer-normalised GRU, reset after the norm (Ba et al. 2016)."""
  a, u = blocks(a, 3), blocks(u, 3)
  si, sr = blocks(p["scale_input"], 3), blocks(p["scale_recurrent"], 3)
  b = blocks(p["bias"], 3)
  a = [layer_norm(a[k]) * si[k] for k in range(3)]
  u = [layer_norm(u[k]) * sr[k] for k in range(3)]
  r = sigmoid(a[0] + u[0] + b[0])
  z = sigmoid(a[1] + u[1] + b[1])
  n = m * np.tanh(a[2] + b[2] + r * u[2])
  return (1.0 - z) * n + z * h


def _sru(a, p, c, m):
  """Simple recurrent unit, blocks (x~,f,r,highway) (Lei et al. 2018)."""
  candidate, f, r, highway = blocks(a, 4)
  b, v = blocks(p["bias"], 2), blocks(p["peephole"], 2)
  f = sigmoid(f + v[0] * c + b[0])
  r = sigmoid(r + v[1] * c + b[1])
  c_new = f * c + (1.0 - f) * m * candidate
  return c_new, r * c_new + (1.0 - r) * highway


def _raw(name, p, x, carry, feeds, masks):
  """One step of the cell with its masks, before zoneout."""
  masks = masks or {}
  h = carry[-1]
  a = _input(p, x, feeds, GATES[name] * h.size)
  m = f64(masks.get("update", np.ones(h.size)))  # Semeniuta 2016
  if name == "sru":
    return _sru(a, p, carry[0], m)
  masked = h * f64(masks.get("state", np.ones(h.size)))  # Gal 2016
  if name in ("gru_bahdanau", "gru_cho"):
    return (_gru_before(name, a, p, h, masked, m),)
  u = masked @ f64(p["recurrent"])
  if name == "lstm":
    return _lstm(a, u, p, carry[0], m)
  if name == "ln_lstm":
    return _ln_lstm(a, u, p, carry[0], m)
  if name == "rnmt_lstm":
    return _rnmt_lstm(a, u, p, carry[0], m)
  if name == "gru":
    return (_gru(a, u, p, h, m),)
  if name == "ln_gru":
    return (_ln_gru(a, u, p, h, m),)
  if name == "elman":  # h' = tanh(Wx + Uh + b) (Elman 1990)
    return (m * np.tanh(a + u + f64(p["bias"])),)
  raise ValueError(name)


def _zone(old, new, masks, zoneout):
  """leaf' = prev + k (new - prev), k mask or 1-r (Krueger et al. 2017)."""
  if zoneout == 0.0:
    return tuple(new)
  masks = masks or {}
  out = []
  for i in range(len(new)):
    keep = f64(masks.get(f"zone_{i}", 1.0 - zoneout))
    out.append(old[i] + keep * (new[i] - old[i]))
  return tuple(out)


def cell(name, p, x, carry, feeds=(), masks=None, zoneout=0.0):
  """One step carry -> carry of the named cell; the last leaf is h."""
  return deep(name, p, x, carry, 1, feeds, masks, zoneout)


def deep(name, p, x, carry, depth, feeds=(), masks=None, zoneout=0.0):
  """Deep transition, zoneout over the whole step (Miceli Barone 2017)."""
  first = tuple(f64(leaf) for leaf in carry)
  new = _raw(name, p, x, first, feeds, masks)
  for k in range(1, depth):
    new = _raw(name, p[f"transition_{k}"], None, new, (), masks)
  return _zone(first, new, masks, zoneout)


# 2. Attention

ADDITIVE = (
  "additive",
  "normed_additive",
  "location_aware",
  "coverage",
  "feedback",
  "multi_head_additive",
)


def location_features(p, past):
  """f_j = sum_k filter[k] past[j+k-width//2] (Chorowski et al. 2015)."""
  past, kernel = f64(past), f64(p["filter"])
  width, channels = kernel.shape
  assert width % 2 == 1, width
  out = np.zeros((past.size, channels))
  for j in range(past.size):
    for k in range(width):
      s = j + k - width // 2
      if 0 <= s < past.size:
        out[j] += kernel[k] * past[s]
  return out


def _additive(name, p, q, values, past, heads):
  """v^T tanh(Wq + Uh + b [+ memory]) (Bahdanau et al. 2015)."""
  v = f64(p["v"])[:, 0]
  if name == "normed_additive":  # g (v/|v|)^T (Salimans & Kingma 2016)
    v = float(f64(p["g"]).reshape(())) * v / math.sqrt((v * v).sum())
  features = None
  if name == "location_aware":
    features = location_features(p, past)
  out = np.zeros((heads, len(values)))
  for j, h in enumerate(values):
    pre = q @ f64(p["query"]) + h @ f64(p["key"]) + f64(p["bias"])
    if name == "location_aware":
      pre = pre + features[j] @ f64(p["location"])
    elif name == "coverage":  # See et al. 2017
      pre = pre + f64(p["coverage"]) * past[j]
    elif name == "feedback":  # Zeyer et al. 2018 (RETURNN)
      pre = pre + f64(p["feedback"]) * past[j]
    terms = blocks(v * np.tanh(pre), heads)
    for k in range(heads):
      out[k, j] = terms[k].sum()
  return out


def _multi_head_dot(p, q, values, heads):
  """q_h . k_h / sqrt(A/heads) per block (Vaswani et al. 2017)."""
  query = blocks(q @ f64(p["query"]), heads)
  out = np.zeros((heads, len(values)))
  for j, h in enumerate(values):
    key = blocks(h @ f64(p["key"]), heads)
    for k in range(heads):
      out[k, j] = query[k] @ key[k] / math.sqrt(query[k].size)
  return out


def scores(name, p, q, values, past=None, heads=1):
  """Scores [S], or [heads,S] multi-head (Bahdanau 2015; Luong 2015)."""
  q, values = f64(q), f64(values)
  past = np.zeros(len(values)) if past is None else f64(past)
  if name in ADDITIVE:
    multi = name == "multi_head_additive"
    out = _additive(name, p, q, values, past, heads if multi else 1)
    return out if multi else out[0]
  if name == "multi_head_dot":
    return _multi_head_dot(p, q, values, heads)
  if name == "location":
    return (q @ f64(p["weight"]))[: len(values)]
  out = np.zeros(len(values))
  for j, h in enumerate(values):
    if name == "dot":
      out[j] = q @ h
    elif name == "scaled_dot":
      out[j] = q @ h / math.sqrt(q.size)
    elif name == "general":
      out[j] = h @ f64(p["key"]) @ q
    elif name == "scaled_general":
      out[j] = float(f64(p["g"]).reshape(())) * (h @ f64(p["key"]) @ q)
    elif name == "multiplicative":  # Britz et al. 2017
      out[j] = (q @ f64(p["query"])) @ (h @ f64(p["key"]))
    elif name == "concat":
      pre = np.concatenate([q, h]) @ f64(p["weight"])
      out[j] = np.tanh(pre) @ f64(p["v"])[:, 0]
    else:
      raise ValueError(name)
  return out


def remember(name, p, past, weights, values):
  """The next `past` (Chorowski 2015; See 2017; Zeyer et al. 2018)."""
  weights, values = f64(weights), f64(values)
  past = np.zeros(len(values)) if past is None else f64(past)
  if name == "location_aware":
    return weights.copy()
  if name == "coverage":
    return past + weights
  if name == "feedback":
    out = np.zeros(len(values))
    for j, h in enumerate(values):
      fertility = sigmoid(h @ f64(p["fertility"])[:, 0])
      out[j] = past[j] + 0.5 * weights[j] * fertility
    return out
  raise ValueError(name)


def sparsemax(e):
  """Euclidean projection on the simplex (Martins & Astudillo 2016)."""
  e = f64(e)
  z = np.sort(e)[::-1]
  support, total, running = 0, 0.0, 0.0
  for k in range(1, z.size + 1):
    running += z[k - 1]
    if 1.0 + k * z[k - 1] > running:
      support, total = k, running
  tau = (total - 1.0) / support
  return np.maximum(e - tau, 0.0)


def normalise(kind, e):
  """softmax or sparsemax of one score vector (M. & Astudillo 2016)."""
  return dict(softmax=softmax, sparsemax=sparsemax)[kind](e)


def attend(
  name,
  p,
  q,
  values,
  past=None,
  norm="softmax",
  window=None,
  t=0,
  D=10,
  pw=None,
  heads=1,
):
  """Context [Dv] and weights [S], local windows of Luong et al. 2015."""
  q, values = f64(q), f64(values)
  size = len(values)
  e = scores(name, p, q, values, past, heads)
  if e.ndim == 1:
    assert heads == 1, (name, heads)
    e = e[None]
  inside, gauss = list(range(size)), np.ones(size)
  if window is not None:
    if window == "monotonic":
      centre = float(t)
    elif window == "predictive":
      hidden = np.tanh(q @ f64(pw["weight"]))
      centre = size * float(sigmoid(hidden @ f64(pw["v"])[:, 0]))
    else:
      raise ValueError(window)
    inside = [s for s in range(size) if abs(s - centre) <= D]
    if not inside:
      assert window == "monotonic", (centre, D)
      centre = float(size - 1)
      inside = [s for s in range(size) if abs(s - centre) <= D]
    if window == "predictive":
      deviation = D / 2.0
      for s in range(size):
        gauss[s] = math.exp(-((s - centre) ** 2) / (2.0 * deviation**2))
  width = values.shape[1] // heads
  assert width * heads == values.shape[1], (values.shape, heads)
  context, mean = np.zeros(values.shape[1]), np.zeros(size)
  for k in range(heads):
    w = np.zeros(size)
    w[inside] = normalise(norm, e[k][inside])
    w = w * gauss
    for s in range(size):
      block = slice(k * width, (k + 1) * width)
      context[block] += w[s] * values[s, block]
    mean += w / heads
  return context, mean


# 3. Bridges


def relu_rows(p, states, layers, leaves):
  """ReLU over rows of the states, one number after the other (OpenNMT-py)."""
  out = [[] for _ in range(layers)]
  for i in range(leaves):
    kernel, bias = f64(p[f"leaf_{i}"]["kernel"]), f64(p[f"leaf_{i}"]["bias"])
    size = len(kernel)
    flat = []
    for l in range(layers):
      source = states[max(0, l + len(states) - layers)]
      flat += list(source[i] if len(source) == leaves else source[-1])
    made = []
    for start in range(0, len(flat), size):
      row = np.array(flat[start : start + size]) @ kernel + bias
      made += [max(0.0, x) for x in row]
    for l, leaf in enumerate(blocks(np.array(made), layers)):
      out[l].append(leaf)
  return [tuple(row) for row in out]


def bridge(kind, p, states, values, layers, leaves, features=None):
  """Decoder start [layer][leaf] from the encoder (Bahdanau; Britz 2017)."""
  states = [tuple(f64(leaf) for leaf in s) for s in states]
  if kind == "relu_rows":
    return relu_rows(p, states, layers, leaves)
  out = []
  for l in range(layers):
    source = states[max(0, l + len(states) - layers)]
    row = []
    for i in range(leaves):
      same = len(source) == leaves
      leaf = source[i] if same else source[-1]
      if kind == "zero":
        row.append(np.zeros_like(leaf))
      elif kind == "last":
        missing = not same and i < leaves - 1
        row.append(np.zeros_like(leaf) if missing else leaf.copy())
      elif kind in ("mean", "dense", "relu"):
        if kind == "mean":
          leaf = f64(values).sum(0) / len(values)
        own = p.get(f"layer_{l}_{i}", p)
        pre = leaf @ f64(own["kernel"]) + f64(own["bias"])
        row.append(np.maximum(pre, 0.0) if kind == "relu" else np.tanh(pre))
      elif kind == "linear":  # fairseq
        own = p[f"leaf_{i}"]
        row.append(leaf @ f64(own["kernel"]) + f64(own["bias"]))
      elif kind == "top":  # JoeyNMT's last: the forward half
        row.append(states[-1][-1][:features].copy())
      elif kind == "dense_top":  # JoeyNMT's bridge
        own = p["layer"]
        pre = states[-1][-1] @ f64(own["kernel"]) + f64(own["bias"])
        row.append(np.tanh(pre))
      else:
        raise ValueError(kind)
    out.append(tuple(row))
  return out


# 4. Readouts


def readout(kind, p, state=None, context=None, embedding=None):
  """tanh (Luong 2015), maxout (Bahdanau 2015) or plain [s;c;e]."""
  parts = [f64(v) for v in (state, context, embedding) if v is not None]
  joined = np.concatenate(parts)
  if kind == "linear":
    return joined
  pre = joined @ f64(p["kernel"])
  if "bias" in p:
    pre = pre + f64(p["bias"])
  if kind == "tanh":
    return np.tanh(pre)
  if kind == "affine":
    return pre
  if kind == "maxout":
    return np.array(
      [max(pre[2 * j], pre[2 * j + 1]) for j in range(pre.size // 2)]
    )
  raise ValueError(kind)


# 5. Copying outputs


def p_gen(w, b, c, s, x):
  """σ(w . [c;s;x] + b) (See, Liu & Manning 2017)."""
  joined = np.concatenate([f64(c), f64(s), f64(x)])
  return float(sigmoid(f64(w).reshape(-1) @ joined + f64(b).reshape(())))


def readout_gate(p, r):
  """σ(w . r + b), r the readout (OpenNMT-py)."""
  return float(sigmoid(f64(r) @ f64(p["kernel"])[:, 0] + f64(p["bias"])[0]))


def pointer(p_vocab, weights, source_ext, p_gen, X):
  """p_gen P_vocab(w) + (1-p_gen) sum_{x_i=w} a_i [V+X] (See 2017)."""
  p_vocab, weights = f64(p_vocab), f64(weights)
  p_gen = float(f64(p_gen).reshape(()))
  out = np.zeros(p_vocab.size + X)
  for v in range(p_vocab.size):
    out[v] = p_gen * p_vocab[v]
  for j, word in enumerate(source_ext):
    out[int(word)] += (1.0 - p_gen) * weights[j]
  return out


def copy_scores(p, values, s):
  """psi_c(x_j) = tanh(h_j^T W_c) . s (CopyNet, Gu et al. 2016)."""
  values, s = f64(values), f64(s)
  out = np.zeros(len(values))
  for j, h in enumerate(values):
    out[j] = np.tanh(h @ f64(p["copy"])) @ s
  return out


def copynet(psi_g, psi_c, source_ext, X):
  """Generate + copy under one normaliser [V+X] (Gu et al. 2016)."""
  psi_g, psi_c = f64(psi_g), f64(psi_c)
  both = softmax(np.concatenate([psi_g, psi_c]))
  out = np.zeros(psi_g.size + X)
  for v in range(psi_g.size):
    out[v] = both[v]
  for j, word in enumerate(source_ext):
    out[int(word)] += both[psi_g.size + j]
  return out


def selective_read(prev_copy_scores, source_ext, token, values):
  """ζ: mean of the states where x == token by copy (Gu et al. 2016)."""
  values = f64(values)
  hits = [j for j, word in enumerate(source_ext) if int(word) == int(token)]
  out = np.zeros(values.shape[1])
  if hits:
    rho = softmax(f64(prev_copy_scores)[hits])
    for weight, j in zip(rho, hits):
      out += weight * values[j]
  return out


# 6. Losses and schedules


def log_softmax(logits):
  """Log-probabilities of one vector (unchanged if already such)."""
  logits = f64(logits)
  top = logits.max()
  return logits - top - math.log(np.exp(logits - top).sum())


def smoothed_cross_entropy(logits, target, eps, kind="uniform"):
  """-sum_k q_k log p_k, one position (Szegedy 2016; fairseq)."""
  log_p = log_softmax(logits)
  size = log_p.size
  loss = 0.0
  for k in range(size):
    gold = k == int(target)
    if kind == "uniform":  # eps/K on every entry, gold included
      q = eps / size + (1.0 - eps if gold else 0.0)
    elif kind == "others":  # eps/(K-1) on every entry but gold
      q = 1.0 - eps if gold else eps / (size - 1)
    else:
      raise ValueError(kind)
    if q > 0.0:
      loss -= q * log_p[k]
  return float(loss)


def coverage_loss(weights):
  """sum_t sum_i min(a_ti, c_ti), c exclusive sum (See et al. 2017)."""
  weights = f64(weights)
  past, loss = np.zeros(weights.shape[1]), 0.0
  for t in range(len(weights)):
    for i in range(weights.shape[1]):
      loss += min(weights[t, i], past[i])
    past = past + weights[t]
  return float(loss)


def collapse(path, blank=0):
  """CTC's B: merge repeats, then drop blanks (Graves et al. 2006)."""
  merged = [a for i, a in enumerate(path) if i == 0 or a != path[i - 1]]
  return tuple(int(a) for a in merged if a != blank)


def ctc_nll(logits, labels, blank=0):
  """-log sum over all K^T alignments (CTC, Graves et al. 2006)."""
  log_p = [log_softmax(row) for row in f64(logits)]
  labels = tuple(int(a) for a in labels)
  total = -np.inf
  for path in itertools.product(range(log_p[0].size), repeat=len(log_p)):
    if collapse(path, blank) == labels:
      total = np.logaddexp(total, sum(log_p[t][a] for t, a in enumerate(path)))
  return float(-total)


def gold_probability(kind, i, k, c=0.0, e=0.0):
  """Scheduled sampling's ε_i at batch i (Bengio et al. 2015)."""
  if kind == "linear":
    return max(e, k - c * i)
  if kind == "exponential":
    return float(k) ** i
  if kind == "inverse_sigmoid":  # k/(k+exp(i/k)), no overflow at large i
    return float(sigmoid(math.log(k) - i / k))
  raise ValueError(kind)


# 7. Gradients


def difference(f, tree, step=1e-5):
  """Central differences of f(tree) for every entry, same structure."""

  def copy(node):
    if isinstance(node, dict):
      return {key: copy(child) for key, child in node.items()}
    return np.array(node, np.float64)

  tree = copy(tree)

  def walk(node):
    if isinstance(node, dict):
      return {key: walk(child) for key, child in node.items()}
    out = np.zeros(node.shape)
    for index in np.ndindex(*node.shape):
      kept = node[index]
      node[index] = kept + step
      above = float(f(tree))
      node[index] = kept - step
      below = float(f(tree))
      node[index] = kept
      out[index] = (above - below) / (2.0 * step)
    return out

  return walk(tree)
