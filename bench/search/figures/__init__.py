"""Figures of studies: plain values (``data``, ``importance``) and their forms (``draw``, ``html``, ``text``).

Everything begins with :func:`bench.search.figures.reading.figure_of`, which reads Optuna studies; nothing after it
knows Optuna. :func:`bench.search.figures.render.render` writes any of the formats.
"""
