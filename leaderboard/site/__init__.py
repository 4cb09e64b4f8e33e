"""The board as a static page that works from a file, without a network and without a server."""

from leaderboard.site.writing import check_folder, write_site

__all__ = ["check_folder", "write_site"]
