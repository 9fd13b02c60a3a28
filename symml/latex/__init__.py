"""Programs as formulas: one tree for matrix form with two visitors (print, evaluate), and index form."""
