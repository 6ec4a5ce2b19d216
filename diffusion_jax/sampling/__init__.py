"""The reverse process: denoisers, guidance, grids, solvers, and the loop that runs them."""
