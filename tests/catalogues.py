"""Catalogues of translations: what the source needs, what a .po file has, and how it is compiled.

    python tests/catalogues.py

adds missing texts to the .po files without a translation, drops the texts that no source has, and
writes the .mo files.
"""

import ast
import pathlib
import re
import struct

from facecert.cli.help import paragraphs
from facecert.lifecycle import STATES

ROOT = pathlib.Path(__file__).resolve().parent.parent / "facecert"
CLI = ROOT / "locale" / "zh_CN" / "LC_MESSAGES" / "facecert.po"
DJANGO = ROOT / "contrib" / "django" / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"

#: What click 8 itself writes on a help page.
CLICK = (
    "Usage:", "Options", "Show this message and exit.", "Show the version and exit.",
    "default: {default}", "required",
)  # fmt: skip

HEADER = (
    "Project-Id-Version: facecert\nLanguage: %s\nMIME-Version: 1.0\n"
    "Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n"
)


def texts(folder):
    """Return the texts of a folder's modules that are translated, each once."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for node in sorted(nodes, key=lambda node: getattr(node, "lineno", 0)):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                given = node.args[:1] if name == "_" else []
                if name == "option":
                    given = [one.value for one in node.keywords if one.arg == "help"]
                found.update((ast.literal_eval(one), 1) for one in given if is_text(one))
            elif isinstance(node, ast.FunctionDef) and any(map(is_command, node.decorator_list)):
                for text in paragraphs(ast.get_docstring(node)):
                    found[str(text._parts[1] if text._parts else text)] = 1
    return list(found)


def is_text(node):
    try:
        return isinstance(ast.literal_eval(node), str)
    except ValueError:
        return False


def is_command(decorator):
    name = getattr(getattr(decorator, "func", None), "attr", "")
    return name in ("command", "group")


def wanted():
    """Return the texts that each .po file must have, with their context."""
    cli = texts(ROOT / "cli") + texts(ROOT / "doctor") + list(CLICK)
    django = texts(ROOT / "contrib" / "django") + list(STATES)
    return {
        CLI: [(None, text) for text in dict.fromkeys(cli)],
        DJANGO: [("facecert", text) for text in dict.fromkeys(django)],
    }


def read(path):
    """Return {(context, text): translation} of a .po file; comments are not allowed in it."""
    found, entry, field = {}, {}, None
    for line in path.read_text(encoding="utf-8").splitlines() + [""]:
        match = re.match('(?:(msgctxt|msgid|msgstr) )?(".*")$', line)
        if match:
            field = match.group(1) or field
            entry[field] = entry.get(field, "") + ast.literal_eval(match.group(2))
        else:
            assert not line, "%s: neither a text nor a blank line: %s" % (path.name, line)
            if entry:
                key = (entry.get("msgctxt"), entry["msgid"])
                assert key not in found, "%s: twice: %s" % (path.name, key)
                found[key] = entry["msgstr"]
            entry = {}
    return found


def written(entries):
    """Return the text of a .po file."""
    parts = []
    for (context, text), translation in entries.items():
        fields = [("msgctxt", context)] * (context is not None)
        fields += [("msgid", text), ("msgstr", translation)]
        parts.append("".join("%s %s\n" % (name, quoted(value)) for name, value in fields))
    return "\n".join(parts)


def quoted(text):
    escaped = [
        '"%s"' % line.replace("\\", r"\\").replace('"', r"\"").replace("\b", r"\b")
        .replace("\n", r"\n") for line in text.splitlines(True)
    ]  # fmt: skip
    return "\n".join(['""'] * (len(escaped) != 1) + escaped)


def compiled(entries):
    """Return the .mo file of the entries (gettext's manual, "The Format of GNU MO Files")."""
    pairs = sorted(
        (("%s\4%s" % key if key[0] else key[1]).encode("utf-8"), text.encode("utf-8"))
        for key, text in entries.items()
    )
    count = len(pairs)
    start, table, data = 28 + 16 * count, b"", b""
    for column in (0, 1):
        for pair in pairs:
            table += struct.pack("<II", len(pair[column]), start + len(data))
            data += pair[column] + b"\0"
    return struct.pack("<7I", 0x950412DE, 0, count, 28, 28 + 8 * count, 0, 0) + table + data


def main():
    for path, keys in wanted().items():
        had = read(path) if path.exists() else {}
        entries = {(None, ""): had.get((None, ""), HEADER % path.parent.parent.name)}
        entries.update((key, had.get(key, "")) for key in keys)
        path.write_text(written(entries), encoding="utf-8")
        path.with_suffix(".mo").write_bytes(compiled(entries))
        missing = sum(not text for text in entries.values())
        print("%s: %d texts, %d of them untranslated" % (path.name, len(keys), missing))


if __name__ == "__main__":
    main()
