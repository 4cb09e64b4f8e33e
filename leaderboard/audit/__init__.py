"""What is wrong with somebody's predictions, table of results or run: a sentence for each fault (``docs/audit.md``).

Nothing is stored, no number of a claim becomes a row of the board, and what could not be checked is said too.
"""

from __future__ import annotations

from leaderboard.audit.files import audit_file
from leaderboard.audit.findings import Audit, Finding

__all__ = ["Audit", "Finding", "audit_file"]
