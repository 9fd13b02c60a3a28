"""The Program: grammar and data (`program`, `functions`, `reducers`), legality, printer, interpreter."""
