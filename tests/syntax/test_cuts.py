"""One token left out: of every example and page, each token in turn. What is refused then is told at the right place and
names what was expected, for at least 95 in 100; the texts of the pages' rest stand in a golden."""

import random
import re
from pathlib import Path

import pytest

from symml.errors import SymmlErrors
from symml.source import Source
from symml.syntax import words
from symml.syntax.parse import grammar, parse
from symml.syntax.pieces import pieces
from symml.syntax.run import Run, Stop

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted(Path(__file__).parent.glob("pages/*.symml"))
EXAMPLES = sorted(ROOT.glob("examples/*.symml"))
TOKEN = re.compile(r'#[^\n]*|"[^"\n]*"|\|\||[A-Za-z_]\w*|[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?\d+)?|<=|>=|<-|\.\.|[^\s\w]')
PARTNERS = {"(": ")", "[": "]", "{": "}"}
# What an error may call the token that is missing
OPERAND = (
    "expression", "name", "number", "side", "body", "argument", "domain", "method", "index", "a statement begins with",
    "empty brackets", "text", "what follows", "factor", "call",
)  # fmt: skip
SOFT_WORDS = {"label", "columns", "seed", "stratified", "subset", "of", "chosen"}
NAMED = {
    **dict.fromkeys("+-*/^@", ("operator",)),
    **dict.fromkeys(("<", ">", "<=", ">=", "="), ("comparison", "compares", "=")),
    ",": ("comma", "','"),
    ".": ("'.'",),
    "'": ("'",),
    **{c: (c, p) for o, p in PARTNERS.items() for c, p in ((o, p), (p, o))},
}


def mistakes(text):
    try:
        parse(Source("m", text))
    except SymmlErrors as caught:
        return caught.errors
    return ()


def place(text, position):
    return text[:position].count("\n") + 1, position - text.rfind("\n", 0, position)


def flat(text):
    """All pieces of a page, those of a tree too."""
    found = pieces(Source("m", text), [])[0]
    return [p for piece in found for p in (piece, *piece.children)]


def unmatched(text):
    """The places of brackets without a partner, statement by statement."""
    found = set()
    for piece in flat(text):
        stack, bars = [], {"|": [], "||": []}
        for match in TOKEN.finditer(piece.text):
            line, column = place(piece.text, match.start())
            at = (piece.line + line - 1, column)
            if match[0] in bars:
                bars[match[0]].append(at)
            if match[0] in PARTNERS:
                stack.append((match[0], at))
            elif match[0] in PARTNERS.values():
                if any(PARTNERS[o] == match[0] for o, _ in stack):
                    while PARTNERS[stack[-1][0]] != match[0]:
                        found.add(stack.pop()[1])
                    stack.pop()
                else:
                    found.add(at)
        found |= {at for _, at in stack} | {at for known in bars.values() if len(known) % 2 for at in known}
    return found


def stops_making_sense(text, line, column):
    """Whether everything before a place may still go on, and no longer with what stands there."""
    for piece in flat(text):
        if piece.line <= line < piece.line + len(piece.lines):
            lines = piece.lines[: line - piece.line + 1]
            before = "\n".join([*lines[:-1], lines[-1][: column - 1]])
            word = TOKEN.match(lines[-1], column - 1)
            behind = before + (word[0] if word else "")
            return goes_on(before) and not (word and goes_on(behind))
    return False


def goes_on(text):
    stop = Run(grammar(), text, "statement").finish()
    return not isinstance(stop, Stop) or stop.token is None or "never closed" in stop.message


def right_place(text, gap, errors):
    before = [m for m in TOKEN.finditer(text[:gap])]
    near = {gap, gap + len(text[gap:]) - len(text[gap:].lstrip())}
    near |= {before[-1].start(), before[-1].end()} if before else set()
    allowed = {place(text, p) for p in near} | unmatched(text)
    at = (errors[0].span.line, errors[0].span.column)
    return at in allowed or stops_making_sense(text, *at)


def names_it(token, errors):
    said = f"{errors[0].message} {errors[0].fix}"
    if token in words.RESERVED or (token in SOFT_WORDS and token in said):
        return re.search(rf"\b{token}\b", said) is not None
    if re.match(r'[\w"]', token):
        return any(w in said for w in OPERAND)
    return any(w in said for w in NAMED.get(token, (token,)))


def cuts(path, every=1):
    """(the token, the text without it, the place of the gap, the errors) for the tokens of a page, or one in `every`."""
    text = path.read_text()
    for k, match in enumerate(TOKEN.finditer(text)):
        if not match[0].startswith("#") and k % every == 0:
            cut = text[: match.start()] + text[match.end() :]
            yield match[0], cut, match.start(), mistakes(cut)


def told(pages, every):
    """(refused texts, those told amiss, those with more than one error) of pages; one token in `every` is left out."""
    wrong, rest, spurious = 0, [], 0
    for path in pages:
        for token, text, gap, errors in cuts(path, every):
            if not errors:
                continue
            wrong += 1
            spurious += len(errors) > 1
            at, named = right_place(text, gap, errors), names_it(token, errors)
            if not (at and named):
                e = errors[0]
                why = "place" if not at else "name"
                line = text.splitlines()[place(text, gap)[0] - 1].strip()
                rest.append(f"{why}: without {token} | {line} | {e.span.line}:{e.span.column} {e.message} | {e.fix}")
    return wrong, rest, spurious


def test_one_token_left_out(golden):
    wrong, rest, spurious = told(PAGES, 1)
    assert wrong > 700
    golden(f"{len(rest)} of {wrong} refused texts are told amiss\n" + "\n".join(rest))
    assert len(rest) <= 0.05 * wrong
    assert spurious <= 0.005 * wrong


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.full)])
def test_one_token_left_out_of_the_examples(every):
    wrong, rest, spurious = told(EXAMPLES, every)
    assert wrong > 1200 / every
    assert len(rest) <= 0.05 * wrong, "\n".join(rest)
    assert spurious <= 0.01 * wrong


def seeded(seed, many):
    """(page, text without three tokens, whether these stand in three statements) for random choices."""
    chance = random.Random(seed)
    for path in PAGES:
        text = path.read_text()
        first = {m.end() - 1 for m in re.finditer(r"^ *\S", text, re.M)}  # without it a line joins the one above
        wrong = [(gap, gap + len(token)) for token, _, gap, errors in cuts(path) if errors and gap not in first]
        starts = [sum(len(line) + 1 for line in text.split("\n")[: p.line - 1]) for p in flat(text)]
        for _ in range(many):
            three = sorted(chance.sample(wrong, 3))
            cut = text
            for start, stop in reversed(three):
                cut = cut[:start] + cut[stop:]
            yield path, cut, len({sum(s <= start for s in starts) for start, _ in three}) == 3


def test_three_mistakes_are_three_errors():
    """Never more than three; exactly three where they stand in three statements, but for 5 in 100: there an open
    bracket takes in a next line that has lost its own mark."""
    apart = [(len(mistakes(text)), three, text) for _, text, three in seeded(3, 25)]
    assert max(found for found, *_ in apart) <= 3
    of_three = [found for found, three, _ in apart if three]
    assert len(of_three) > 100
    assert sum(found != 3 for found in of_three) <= 0.05 * len(of_three)


SEEDED = [
    ("model m\nparam w[d b\np = sigmoid(X w + )\nminimize over w  p^\n", [(2, 8), (3, 19), (4, 20)]),
    ("model m\ndims n,\np = log a b\ntrain with sgd untl x < 1\n", [(2, 8), (3, 11), (4, 16)]),
    ('model m\ndata X[n, d] form "a.csv"\nhyper lam > = 1\nq = a / b c\n', [(2, 14), (3, 13), (4, 11)]),
    ("p = a + * b + f(c, ) + d + e * / g h i j", [(1, 9), (1, 20), (1, 32)]),
    ("param w[d] init , b[k,] > 0, c in , e[n]", [(1, 17), (1, 23), (1, 35)]),
    ("minimize over w, 1/n sum[] x[i] + ||y - z|| + log log k\n", [(1, 18), (1, 26), (1, 51)]),
]


@pytest.mark.parametrize(("text", "found"), SEEDED)
def test_three_mistakes_where_they_stand(text, found):
    assert [(e.span.line, e.span.column) for e in mistakes(text)] == found


def typos(word):
    """A word with one letter left out, doubled, or exchanged with the next."""
    for k in range(len(word)):
        yield word[:k] + word[k + 1 :]
        yield word[: k + 1] + word[k:]
        yield word[:k] + word[k + 1 : k + 2] + word[k] + word[k + 2 :]


def test_a_word_with_a_wrong_letter_is_offered_right():
    """Of the words of the language; those of two letters are too short to be known again."""
    told, wrong, rest = 0, 0, []
    for path in PAGES:
        text = path.read_text()
        for match in TOKEN.finditer(text):
            if match[0] not in words.RESERVED | SOFT_WORDS or len(match[0]) < 4:
                continue
            for typo in {*typos(match[0])} - {match[0]}:
                errors = mistakes(text[: match.start()] + typo + text[match.end() :])
                if errors:
                    wrong += 1
                    offered = match[0] in f"{errors[0].message} {errors[0].fix}"
                    told += offered
                    rest += [] if offered else [f"{typo} | {errors[0].message} | {errors[0].fix}"]
    assert wrong > 1000
    assert told >= 0.95 * wrong, "\n".join(rest)


def test_one_token_exchanged():
    """Each token for another of its page: nothing but SymmlErrors, and the first stands on the line that is wrong."""
    chance, wrong, line_told = random.Random(4), 0, 0
    for path in PAGES:
        text = path.read_text()
        tokens = [m for m in TOKEN.finditer(text) if not m[0].startswith("#")]
        for match in tokens:
            other = chance.choice(tokens)[0]
            changed = f"{text[: match.start()]}{other}{text[match.end() :]}"
            errors = mistakes(changed)
            if errors:
                wrong += 1
                line_told += errors[0].span.line == place(text, match.start())[0]
    assert wrong > 500
    assert line_told >= 0.97 * wrong
