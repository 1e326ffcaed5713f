"""Paint a live source: the session, its loop, its keys, its recordings and its statistics."""
