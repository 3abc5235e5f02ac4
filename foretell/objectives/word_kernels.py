"""word2vec's inner loop, compiled, without the interpreter's lock.

One kernel serves both models and both losses. For each centre word there are some input vectors (skip-gram: those of its
neighbours; CBOW: their mean) and some output vectors (negative sampling: the centre's and those of the negatives, which
all inputs of the centre share; hierarchical softmax: the inner nodes on its path). Their scores are one small matrix
product, and the gradients two more (Ji, Satish, Li and Dubey, arXiv 1604.04661).

Sampling follows the authors' code: frequent words leave the text before windows are formed, a window's radius is uniform on
1 to ``window``, a negative that is the target is left out. Other than there, the logistic function is computed, not looked
up, and no score is cut off.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

MOST = 1000  # words of a sentence; a longer one is cut
DEEPEST = 40  # nodes on a path of the tree
LANES = 16  # rows are padded to a multiple of this many floats

# what may be reordered or fused; values that are not finite keep their meaning
FAST = {"contract", "reassoc", "nsz", "arcp", "afn"}

_U = np.uint64
_UNIT = np.float32(2.0**-24)
# 2 ** x on [0, 1) as a polynomial, to 1e-8
_EXP2 = [
    np.float32(value)
    for value in np.polynomial.Chebyshev.interpolate(np.exp2, 6, domain=[0, 1])
    .convert(kind=np.polynomial.Polynomial)
    .coef
]


def _prefetch_line(typing: Any, rows: Any, row: Any, column: Any) -> Any:
    """Ask for a line of memory that is soon to be read."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        held = context.make_array(kind)(context, builder, arguments[0])
        index = [context.cast(builder, arguments[i], signature.args[i], types.intp) for i in (1, 2)]
        place = cgutils.get_item_pointer(context, builder, kind, held, index, wraparound=False)  # type: ignore[no-untyped-call]
        byte, whole = ir.IntType(8).as_pointer(), ir.IntType(32)
        form = ir.FunctionType(ir.VoidType(), [byte, whole, whole, whole])
        function = cgutils.get_or_insert_function(builder.module, form, "llvm.prefetch.p0")  # type: ignore[no-untyped-call]
        builder.call(function, [builder.bitcast(place, byte), whole(1), whole(2), whole(1)])
        return context.get_dummy_value()

    return types.void(rows, row, column), generate


_prefetch: Any = intrinsic(_prefetch_line)


@numba.njit(inline="always", cache=False)
def draw(state: Any) -> Any:
    """The next 64 random bits (SplitMix64: Steele, Lea and Flood 2014); ``state`` is a uint64 array of one."""
    state[0] += _U(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> _U(30))) * _U(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> _U(27))) * _U(0x94D049BB133111EB)
    return z ^ (z >> _U(31))


@numba.njit(inline="always", cache=False)
def below(state: Any, bound: Any) -> Any:
    """Uniform on 0 to ``bound`` - 1, for bounds far below 2 ** 32."""
    return np.int64(((draw(state) >> _U(32)) * _U(bound)) >> _U(32))


@numba.njit(inline="always", cache=False)
def noise_word(state: Any, share: Any, other: Any) -> Any:
    """A word of the noise distribution by its alias table (Walker 1977)."""
    bits = draw(state)
    word = np.int64(((bits >> _U(32)) * _U(share.shape[0])) >> _U(32))
    return word if np.float32(bits & _U(0xFFFFFF)) * _UNIT < share[word] else np.int64(other[word])


@numba.njit(inline="always", cache=False)
def sentence(ids: Any, at: Any, end: Any, keep: Any, kept: Any, state: Any) -> Any:
    """(words that stay of the sentence at ``at``, where the next one begins); they are put into ``kept``."""
    count = 0
    while at < end and count < MOST:
        word = ids[at]
        at += 1
        if word < 0:
            break
        if np.float32(draw(state) >> _U(40)) * _UNIT < keep[word]:
            kept[count] = word
            count += 1
    return count, at


@lru_cache(maxsize=16)
def kernel(width: int, window: int, negatives: int, cbow: bool, tree: bool) -> Any:
    """The compiled kernel for rows of ``width`` floats (a multiple of ``LANES``).

    Called as ``run(ids, begin, end, keep, share, other, starts, nodes, bits, inputs, outputs, rate, seed, sums)``:
    ``keep`` (V,) the chance that a word stays; ``share``, ``other`` (V,) the alias table of the noise; ``starts`` (V + 1,),
    ``nodes`` and ``bits`` the paths of the tree; ``inputs`` and ``outputs`` (rows, width) float32, changed in place;
    ``sums`` (2,) float64 gets the loss and how many predictions it is the sum of.
    """
    D, LINES = width, width // LANES
    INPUTS = 1 if cbow else 2 * window
    OUTPUTS = DEEPEST if tree else negatives + 1
    SCORES = INPUTS * OUTPUTS
    LOG2E = np.float32(math.log2(math.e))
    LIMIT = np.float32(30.0)  # e ** -30 is lost beside 1 in float32
    ZERO, ONE = np.float32(0), np.float32(1)
    c0, c1, c2, c3, c4, c5, c6 = _EXP2

    @numba.njit(nogil=True, cache=True, fastmath=FAST, boundscheck=False, error_model="numpy")
    def run(ids, begin, end, keep, share, other, starts, nodes, bits, inputs, outputs, rate, seed, sums):  # type: ignore[no-untyped-def]
        state = np.empty(1, np.uint64)
        state[0] = seed
        kept = np.empty(MOST, np.int32)
        drawn = np.empty((2, negatives + 1), np.int64)
        rows = np.empty(OUTPUTS, np.int64)
        sign = np.empty(OUTPUTS, np.float32)  # 1 where the answer is yes, -1 where it is no
        H = np.empty((INPUTS, D), np.float32)
        V = np.empty((OUTPUTS, D), np.float32)
        X = np.empty(SCORES, np.float32)
        fraction = np.empty(SCORES, np.float32)
        exponent = np.empty(SCORES, np.int32)
        power = exponent.view(np.float32)
        loss = 0.0
        predictions = 0
        at = begin
        while at < end:
            count, at = sentence(ids, at, end, keep, kept, state)
            for k in range(negatives):
                drawn[0, k] = noise_word(state, share, other)
            for i in range(count):
                centre = kept[i]
                now, then = i & 1, 1 - (i & 1)
                if not tree:
                    # the next word's negatives already: by then their vectors have come from memory
                    for k in range(negatives):
                        word = noise_word(state, share, other)
                        drawn[then, k] = word
                        for line in range(LINES):
                            _prefetch(outputs, word, line * LANES)
                radius = window - below(state, window)
                low, high = max(0, i - radius), min(count, i + radius + 1)
                m = high - low - 1
                if m <= 0:
                    continue
                # output vectors
                n = 0
                if tree:
                    for p in range(starts[centre], starts[centre + 1]):
                        rows[n] = nodes[p]
                        sign[n] = -ONE if bits[p] else ONE
                        n += 1
                else:
                    rows[0] = centre
                    sign[0] = ONE
                    n = 1
                    for k in range(negatives):
                        if drawn[now, k] != centre:
                            rows[n] = drawn[now, k]
                            sign[n] = -ONE
                            n += 1
                for q in range(n):
                    row = rows[q]
                    for d in range(D):
                        V[q, d] = outputs[row, d]
                # input vectors
                if cbow:
                    for d in range(D):
                        H[0, d] = ZERO
                    for c in range(low, high):
                        if c != i:
                            word = kept[c]
                            for d in range(D):
                                H[0, d] += inputs[word, d]
                    share_of = ONE / np.float32(m)
                    for d in range(D):
                        H[0, d] *= share_of
                    m = 1
                else:
                    a = 0
                    for c in range(low, high):
                        if c != i:
                            word = kept[c]
                            for d in range(D):
                                H[a, d] = inputs[word, d]
                            a += 1
                # scores, m x n
                a = 0
                while a + 1 < m:
                    q = 0
                    while q + 2 < n:
                        s0 = s1 = s2 = t0 = t1 = t2 = ZERO
                        for d in range(D):
                            s0 += H[a, d] * V[q, d]
                            s1 += H[a, d] * V[q + 1, d]
                            s2 += H[a, d] * V[q + 2, d]
                            t0 += H[a + 1, d] * V[q, d]
                            t1 += H[a + 1, d] * V[q + 1, d]
                            t2 += H[a + 1, d] * V[q + 2, d]
                        X[a * n + q], X[a * n + q + 1], X[a * n + q + 2] = s0, s1, s2
                        X[a * n + n + q], X[a * n + n + q + 1], X[a * n + n + q + 2] = t0, t1, t2
                        q += 3
                    while q < n:
                        s0 = t0 = ZERO
                        for d in range(D):
                            s0 += H[a, d] * V[q, d]
                            t0 += H[a + 1, d] * V[q, d]
                        X[a * n + q], X[a * n + n + q] = s0, t0
                        q += 1
                    a += 2
                if a < m:
                    for q in range(n):
                        s0 = ZERO
                        for d in range(D):
                            s0 += H[a, d] * V[q, d]
                        X[a * n + q] = s0
                # the probability p of the right answer, and rate * (1 - p)
                total = m * n
                for a in range(m):
                    for q in range(n):
                        X[a * n + q] *= -sign[q]
                for x in range(total):
                    y = min(max(X[x], -LIMIT), LIMIT) * LOG2E
                    whole = math.floor(y)
                    fraction[x] = y - whole
                    exponent[x] = (np.int32(whole) + np.int32(127)) << np.int32(23)
                for x in range(total):
                    f = fraction[x]
                    e = ((((((c6 * f + c5) * f + c4) * f + c3) * f + c2) * f + c1) * f + c0) * power[x]
                    p = ONE / (ONE + e)
                    X[x] = p
                    fraction[x] = rate * e * p
                x = 0
                while x < total:
                    product = 1.0  # of 20 numbers above e ** -30: far from underflow, and one logarithm for all
                    for y in range(x, min(x + 20, total)):
                        product *= np.float64(X[y])
                    loss -= math.log(product)
                    x += 20
                predictions += m
                for a in range(m):
                    for q in range(n):
                        X[a * n + q] = fraction[a * n + q] * sign[q]
                # learn: outputs by the inputs, inputs by the outputs as they were
                for q in range(n):
                    row = rows[q]
                    a = 0
                    while a + 3 < m:
                        g0, g1, g2, g3 = X[a * n + q], X[a * n + n + q], X[a * n + 2 * n + q], X[a * n + 3 * n + q]
                        for d in range(D):
                            outputs[row, d] += g0 * H[a, d] + g1 * H[a + 1, d] + g2 * H[a + 2, d] + g3 * H[a + 3, d]
                        a += 4
                    if a + 1 < m:
                        g0, g1 = X[a * n + q], X[a * n + n + q]
                        for d in range(D):
                            outputs[row, d] += g0 * H[a, d] + g1 * H[a + 1, d]
                        a += 2
                    if a < m:
                        g0 = X[a * n + q]
                        for d in range(D):
                            outputs[row, d] += g0 * H[a, d]
                if cbow:
                    for d in range(D):
                        H[0, d] = ZERO
                    for q in range(n):
                        g0 = X[q]
                        for d in range(D):
                            H[0, d] += g0 * V[q, d]
                    for c in range(low, high):
                        if c != i:
                            word = kept[c]
                            for d in range(D):
                                inputs[word, d] += H[0, d]  # the whole error, as the authors' code does, not its share
                else:
                    a = 0
                    for c in range(low, high):
                        if c == i:
                            continue
                        word = kept[c]
                        q = 0
                        while q + 2 < n:
                            g0, g1, g2 = X[a * n + q], X[a * n + q + 1], X[a * n + q + 2]
                            for d in range(D):
                                inputs[word, d] += g0 * V[q, d] + g1 * V[q + 1, d] + g2 * V[q + 2, d]
                            q += 3
                        while q < n:
                            g0 = X[a * n + q]
                            for d in range(D):
                                inputs[word, d] += g0 * V[q, d]
                            q += 1
                        a += 1
        sums[0] = loss
        sums[1] = predictions

    return run
