"""The small changes of a module's source, each of which a test should notice."""

import ast
import collections
import copy

_OTHER = {
    ast.Lt: [ast.LtE, ast.GtE], ast.LtE: [ast.Lt, ast.Gt], ast.Gt: [ast.GtE, ast.LtE],
    ast.GtE: [ast.Gt, ast.Lt], ast.Eq: [ast.NotEq], ast.NotEq: [ast.Eq], ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is], ast.In: [ast.NotIn], ast.NotIn: [ast.In], ast.And: [ast.Or],
    ast.Or: [ast.And], ast.Add: [ast.Sub], ast.Sub: [ast.Add], ast.Mult: [ast.FloorDiv],
    ast.Div: [ast.Mult], ast.FloorDiv: [ast.Mult], ast.Mod: [ast.FloorDiv], ast.BitOr: [ast.BitAnd],
    ast.BitAnd: [ast.BitOr], ast.BitXor: [ast.BitOr], ast.LShift: [ast.RShift],
}  # fmt: skip

#: ``key`` is (module, original line, change), as in equal.txt; ``source`` is the changed module.
Mutant = collections.namedtuple("Mutant", "module line key source")


class Mutator:
    """Collects the changes of one module as (node, replacement, description, place)."""

    def __init__(self, tree):
        self.found = []
        self.stored = collections.Counter()  # the names that the current function assigns
        self.visit(tree)

    def visit(self, node):
        getattr(self, "on_" + type(node).__name__, lambda node: None)(node)
        for name, value in ast.iter_fields(node):
            # Annotations and cache sizes have no behaviour that a test can see.
            if name not in ("annotation", "returns", "decorator_list"):
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST):
                        self.visit(child)

    def note(self, node, new, words, where=None):
        self.found.append((node, new, words, where or node))

    def changed(self, node, words, where=None, **fields):
        new = copy.copy(node)
        vars(new).update(fields)
        self.note(node, new, words, where)

    def on_FunctionDef(self, node):
        inside = list(ast.walk(node))
        names = [one for one in inside if isinstance(one, ast.Name)]
        self.stored = collections.Counter(
            [name.id for name in names if isinstance(name.ctx, ast.Store)]
            + [one.arg for one in inside if isinstance(one, ast.arg)]
        )
        for default in node.args.defaults + node.args.kw_defaults:
            if isinstance(default, ast.Constant) and default.value is None:
                self.note(default, ast.Constant(...), "None -> ...")

    def on_Compare(self, node):
        for at, op in enumerate(node.ops):
            for other in _OTHER[type(op)]:
                ops = node.ops[:at] + [other()] + node.ops[at + 1 :]
                self.changed(node, _swapped(op, other), node.comparators[at], ops=ops)

    def on_BoolOp(self, node):
        for other in _OTHER[type(node.op)]:
            self.changed(node, _swapped(node.op, other), op=other())
        for at, value in enumerate(node.values):
            left = node.values[:at] + node.values[at + 1 :]
            new = left[0] if len(left) == 1 else ast.BoolOp(node.op, left)
            self.note(node, new, "without " + _short(value), value)

    def on_BinOp(self, node):
        text = isinstance(node.left, ast.Constant) and isinstance(node.left.value, str)
        for other in [] if text else _OTHER.get(type(node.op), []):
            self.changed(node, _swapped(node.op, other), op=other())

    def on_UnaryOp(self, node):
        self.note(node, node.operand, "without " + type(node.op).__name__.lower())

    def on_If(self, node):
        if not isinstance(node.test, (ast.UnaryOp, ast.Compare)):
            self.note(node.test, ast.UnaryOp(ast.Not(), node.test), "not added")

    on_IfExp = on_If

    def on_Constant(self, node):
        value, others = node.value, []
        if isinstance(value, bool):
            others = [not value]
        elif isinstance(value, (int, float)):
            others = [value + 1, value - 1] if value > 0 else [value + 1]
        elif isinstance(value, bytes):
            others = [value + b"x"]
        elif isinstance(value, str) and " " not in value:  # others are messages
            others = [value + "x"]
        for other in others:
            self.note(node, ast.Constant(other), "%s -> %s" % (_short(node), _short(other)))

    def on_Call(self, node):
        for keyword in node.keywords:
            if keyword.arg:
                left = [one for one in node.keywords if one is not keyword]
                self.changed(node, "without %s=" % keyword.arg, keyword.value, keywords=left)

    def deleted(self, node):
        self.note(node, ast.Pass(), "deleted")

    on_AugAssign = on_Raise = on_Delete = on_Continue = on_Break = deleted

    def on_Expr(self, node):
        if not isinstance(node.value, (ast.Constant, ast.Yield)):
            self.deleted(node)

    def on_Assign(self, node):
        # Every test notices when a name's only assignment is missing.
        names = [one.id for one in node.targets if isinstance(one, ast.Name)]
        if all(self.stored[name] > 1 for name in names):
            self.deleted(node)

    def on_Return(self, node):
        if node.value is None:
            self.deleted(node)
        elif not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self.note(node, ast.Return(ast.Constant(None)), "return None")


def _swapped(op, other):
    return "%s -> %s" % (type(op).__name__, other.__name__)


def _short(thing):
    text = ast.unparse(thing) if isinstance(thing, ast.AST) else repr(thing)
    return text if len(text) <= 50 else text[:24] + "..." + text[-23:]


def mutants(module, source):
    """Return all mutants of a module, in the order of its lines."""
    lines = source.encode("utf-8").splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    raw, made, seen = b"".join(lines), [], collections.Counter()
    for node, new, words, where in Mutator(ast.parse(source)).found:
        text = ast.unparse(ast.fix_missing_locations(new))
        text = "(%s)" % text if isinstance(node, ast.expr) else text
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        changed = raw[:start] + text.encode("utf-8", "surrogatepass") + raw[end:]
        line = lines[where.lineno - 1].decode("utf-8").strip()
        seen[line, words] += 1
        words += " (%d)" % seen[line, words] if seen[line, words] > 1 else ""
        made.append(Mutant(module, where.lineno, (module, line, words), changed))
    return sorted(made, key=lambda mutant: mutant.line)
