"""Makes the mutants of a Python file: mutmut's operators on every line that runs.

Rules of this file:
  1. Types, docstrings, imports and `__all__` are no code. Module level, defaults and decorated
     functions are: constants are what limits are made of.
  2. `strict` of zip is an assertion: what it would catch is caught before. It stays.
  3. A text becomes empty, once, where mutmut makes three of other letters; an argument becomes
     None, or goes when it has a name. To drop a positional one is a TypeError anybody sees.
"""

from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import NamedTuple

import libcst as cst
from mutmut.mutation import mutators


class Mutant(NamedTuple):
    function: str  # "Class.method", "function", or "" when it is not inside of one
    change: str  # "the lines as they are -> as they become"
    source: str  # of its top-level statement for a function, else of the whole file

    def code(self) -> CodeType:
        """The mutated function's code."""
        code = compile(self.source, "mutant", "exec", dont_inherit=True)
        for name in self.function.split("."):
            code = next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name)
        return code


def mutants_of(path: Path) -> Iterator[Mutant]:
    """Every mutant of a file, from its first line to its last."""
    module = cst.parse_module(path.read_text())
    for statement in module.body:
        before = module.code_for_node(statement)
        found = Finder()
        statement.visit(found)
        for function, node, mutated in found.pairs:
            changed = statement.deep_replace(node, mutated)
            after = module.code_for_node(changed)
            if after != before:
                source = after if function else module.deep_replace(statement, changed).code
                yield Mutant(function, difference(before, after), source)


class Finder(cst.CSTVisitor):
    """Collects (function, node, what it becomes) wherever code runs."""

    def __init__(self) -> None:
        self.pairs: list[tuple[str, cst.CSTNode, cst.CSTNode]] = []
        self.classes: list[str] = []
        self.function: list[str] = []  # the outermost function that runs this

    def on_visit(self, node: cst.CSTNode) -> bool:
        if is_no_code(node):
            return False
        if isinstance(node, cst.FunctionDef) and not self.function:
            for part in (*node.decorators, node.params):
                part.visit(self)
            self.function.append(".".join((*self.classes, node.name.value)))
            node.body.visit(self)
            self.function.pop()
            return False
        if isinstance(node, cst.ClassDef):
            self.classes.append(node.name.value)
        where = "".join(self.function)
        self.pairs += [(where, node, mutated) for mutated in mutations(node)]
        return True

    def on_leave(self, node: cst.CSTNode) -> None:
        if isinstance(node, cst.ClassDef):
            self.classes.pop()


def mutations(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    for kind, operator in mutators.mutation_operators:
        if isinstance(node, kind):
            yield from OURS.get(operator, operator)(node)


def emptied(node: cst.BaseString) -> Iterator[cst.BaseString]:
    if isinstance(node, cst.SimpleString):
        text = "" if node.raw_value else "x"
        yield node.with_changes(value=f"{node.prefix}{node.quote}{text}{node.quote}")


def without_arguments(node: cst.Call) -> Iterator[cst.Call]:
    args = node.args
    for i, arg in enumerate(args):
        if is_no_code(arg):
            continue
        if not arg.star and not (isinstance(arg.value, cst.Name) and arg.value.value == "None"):
            none = arg.with_changes(value=cst.Name("None"))
            yield node.with_changes(args=[*args[:i], none, *args[i + 1 :]])
        if arg.keyword:
            yield node.with_changes(args=[*args[:i], *args[i + 1 :]])


OURS = {mutators.operator_string: emptied, mutators.operator_arg_removal: without_arguments}


def is_no_code(node: cst.CSTNode) -> bool:
    match node:
        case cst.Annotation() | cst.Import() | cst.ImportFrom():
            return True
        case cst.If(test=cst.Name("TYPE_CHECKING")) | cst.Expr(value=cst.SimpleString()):
            return True
        case cst.AnnAssign(annotation=cst.Annotation(annotation=cst.Name("TypeAlias"))):
            return True
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name("__all__"))]):
            return True
        case cst.Assign(value=cst.Call(func=cst.Name("TypeVar"))):
            return True
        case cst.Arg(value=cst.SimpleString(value)) if "[" in value or " | " in value:
            return True  # the type that `cast` is told
        case cst.Arg(keyword=cst.Name("strict"), value=cst.Name("True")):
            return True
    return False


def difference(before: str, after: str) -> str:
    """The lines that differ, between what the two begin and end with."""
    old, new = (text.splitlines() for text in (before, after))
    for end in (0, -1):
        while old and new and old[end] == new[end]:
            del old[end], new[end]
    return " -> ".join(" ".join(" ".join(lines).split()) for lines in (old, new))
