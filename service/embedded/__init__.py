"""`gradus up`: the whole stack on one machine."""
