"""Tree to Model to Program: names, shapes, free indices and domains are checked here, with places.

model = check(parse(source));  program = lower(model)
"""
