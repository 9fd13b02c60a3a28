"""Text to Tree: the words, the lexer and layout, the grammar, the messages.

parse(Source("page.symml", text))  ->  Tree
"""
