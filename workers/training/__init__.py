"""One tile, from claim to commit."""
