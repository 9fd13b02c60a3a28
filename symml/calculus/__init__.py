"""Pure derivatives of Programs: what comes out is a Program again."""
