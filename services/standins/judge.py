"""A few of SonarQube's rules, under their own keys, and the figures it counts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Issue = dict[str, str | int]
_BUG, _SMELL = "BUG", "CODE_SMELL"
_COMMENTS = re.compile(r"^\s*(#|//|--)")
_TODO = re.compile(r"(#|//|--).*\bTODO\b")
_DECIDES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.IfExp, ast.FunctionDef, ast.Lambda)
_SAME_MEANS = (ast.Add, ast.Mult)  # x + x and x * x are meant
_ASKS_FOR_NAN = (ast.Eq, ast.NotEq)  # so is x != x


@dataclass(frozen=True)
class Verdict:
    """What is wrong, and the figures; text, as SonarQube tells them."""

    issues: list[Issue]
    measures: dict[str, str]


def judge(sources: Mapping[str, str]) -> Verdict:
    """Judge sources by path: Python by its syntax, others by their lines."""
    issues: list[Issue] = []
    lines = complexity = 0
    for path, text in sources.items():
        lines += sum(bool(line.strip()) and not _COMMENTS.match(line) for line in text.splitlines())
        found = [*_unfinished(text)]
        if path.endswith(".py"):
            try:
                tree = ast.parse(text)
            except (SyntaxError, ValueError) as error:
                line = getattr(error, "lineno", None) or 1
                message = f"Parse error at line {line}: {getattr(error, 'msg', error)}."
                found.append(_issue("S2260", "MAJOR", _SMELL, line, message))
            else:
                found += _flaws(tree)
                complexity += sum(isinstance(node, _DECIDES) for node in ast.walk(tree))
        issues += [{**issue, "component": path} for issue in found]
    kinds = [issue["type"] for issue in issues]
    figures = {
        "bugs": kinds.count(_BUG),
        "vulnerabilities": 0,
        "code_smells": kinds.count(_SMELL),
        "complexity": complexity,
        "ncloc": lines,
    }
    return Verdict(issues, {name: str(figure) for name, figure in figures.items()})


def _unfinished(text: str) -> Iterator[Issue]:
    for number, line in enumerate(text.splitlines(), 1):
        if _TODO.search(line):
            message = 'Complete the task associated to this "TODO" comment.'
            yield _issue("S1135", "INFO", _SMELL, number, message)


def _flaws(tree: ast.AST) -> Iterator[Issue]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            message = "Specify an exception class to catch or reraise the exception"
            yield _issue("S5754", "CRITICAL", _SMELL, node.lineno, message)
        elif (pair := _operands(node)) and ast.dump(pair[0]) == ast.dump(pair[1]):
            message = "Correct one of the identical sub-expressions on both sides of this operator."
            yield _issue("S1764", "MAJOR", _BUG, pair[0].lineno, message)


def _operands(node: ast.AST) -> tuple[ast.expr, ast.expr] | None:
    """Both sides of an operator that makes no sense with the same on both."""
    if isinstance(node, ast.Compare) and not isinstance(node.ops[0], _ASKS_FOR_NAN):
        return node.left, node.comparators[0]
    if isinstance(node, ast.BinOp) and not isinstance(node.op, _SAME_MEANS):
        return node.left, node.right
    return None


def _issue(rule: str, severity: str, kind: str, line: int, message: str) -> Issue:
    told = {"rule": f"python:{rule}", "severity": severity, "type": kind}
    return {**told, "line": line, "message": message}
