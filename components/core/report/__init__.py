"""Self-contained HTML reports: a page shell, small pieces to fill it with, and SVG charts.

No script, no network: one file that reads well on a desktop, a phone and paper, light or dark.
"""
