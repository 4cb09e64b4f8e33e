"""The pages of the documentation site that are made from the code, whenever the site is built.

``mkdocs.yml`` names :mod:`site_pages.hook`, which adds them to the pages of this folder; none is kept in a file.
"""
