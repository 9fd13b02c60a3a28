"""Program in, pieces of a problem out, each with its reason (so far: a convexity certificate)."""
