"""Tables as text: each becomes a :class:`leaderboard.render.cells.Report`, which one writer for each format writes.

``board``, ``paper`` and ``run`` make reports; ``terminal``, ``markdown``, ``latex``, ``csv`` and ``html`` write them.
"""
