"""What samples and denoisers are worth: distances, rates, held-out errors, and their intervals."""
