"""From stored runs to answers."""
