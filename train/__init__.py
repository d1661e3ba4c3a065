"""Programs that make a checkpoint."""
