"""The forward process: schedules, predictions, training times, weightings, objective."""
