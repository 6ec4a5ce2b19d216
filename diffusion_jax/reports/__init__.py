"""Reports: pictures, plots, tables, and one self-contained HTML page."""
