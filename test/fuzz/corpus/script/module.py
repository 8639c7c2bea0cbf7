"""doc"""
from __future__ import annotations
import os, sys as s, a.b.c
from . import (x, y as z,
               w)
from ..p.q import *
if True: import cond; from t import u
try:
    import maybe
except ImportError:
    maybe = None
def f():
    import late; r'''text
import no'''
