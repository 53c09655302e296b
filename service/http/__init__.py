"""What every answer over HTTP shares: who asks, bodies, pages of a list, problems."""
