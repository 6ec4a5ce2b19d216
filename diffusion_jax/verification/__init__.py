"""What solvers are proven by: exact oracles, exact moments, measured orders."""
