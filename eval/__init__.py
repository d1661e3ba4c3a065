"""Programs that judge a checkpoint."""
