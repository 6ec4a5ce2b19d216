"""From trained arms to samples, restorations and measured results."""
