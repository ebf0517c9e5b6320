"""The paper's equations in plain loops, sharing no code with the package."""

import math

import numpy as np


def squared_distance(a, b):
    return sum((float(p) - float(q)) ** 2 for p, q in zip(a, b, strict=True))


def loss_f(f, slots):  # (3)
    return sum(squared_distance(f, v) for v in slots)


def rho(f, slots):  # (5)
    terms = [math.exp(-squared_distance(f, v)) for v in slots]
    return [t / sum(terms) for t in terms]


def loss_g(f, slots, cross_entropies):  # (4)
    return sum(
        r * float(h) for r, h in zip(rho(f, slots), cross_entropies, strict=True)
    )


def weighted_loss_f(f, slots, w, unit=1.0):  # (8)
    return sum(
        float(wi) * squared_distance(f, v) / unit
        for wi, v in zip(w, slots, strict=True)
    )


def weighted_rho(f, slots, w, unit=1.0):  # (10)
    terms = [
        math.exp(-float(wi) * squared_distance(f, v) / unit)
        for wi, v in zip(w, slots, strict=True)
    ]
    return [t / sum(terms) for t in terms]


def weighted_loss_g(f, slots, w, cross_entropies, unit=1.0):  # (9)
    return sum(
        r * float(h)
        for r, h in zip(weighted_rho(f, slots, w, unit), cross_entropies, strict=True)
    )


def nearest_in_class(x, y, i, k):
    """Ids of the k in-class neighbors of sample i (1), nearest first, ties by id."""
    others = [j for j in range(len(x)) if y[j] == y[i] and j != i]
    return sorted(others, key=lambda j: (squared_distance(x[i], x[j]), j))[:k]


def cross_entropy(p, label):
    return -math.log(float(p[label]))


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()
