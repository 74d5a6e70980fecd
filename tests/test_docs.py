"""The pages for readers: both languages are equal, links lead somewhere, nothing is left out."""

import functools
import inspect
import os
import re
import runpy
import subprocess
import sys

import guides
import pytest
from conftest import NAME, NUMBER, ROOT

import facecert
from facecert.lifecycle import STATES
from facecert.settings import VARIABLES
from facecert.transport.credentials import ID, SECRET

core = pytest.importorskip("docutils.core", reason="the pages are the same for every Python")
from docutils import nodes  # noqa: E402

PAGES = sorted(
    page
    for pattern in ("*.rst", "tests/*.rst", "examples/*/*.rst")
    for page in ROOT.glob(pattern)
    if page.name != "CHANGELOG.rst"
)
ENGLISH = [page for page in PAGES if not page.name.endswith(".zh.rst")]
CHINESE = [page for page in PAGES if page not in ENGLISH]
README = ROOT / "README.rst"


def relative(path):
    return str(path.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", PAGES, ids=relative)
every_pair = pytest.mark.parametrize("page", ENGLISH, ids=relative)
both_languages = pytest.mark.parametrize("pages", [ENGLISH, CHINESE], ids=["English", "Chinese"])


def twin(page):
    english = page.name.replace(".zh.rst", ".rst")
    return page.with_name(english if english != page.name else page.stem + ".zh.rst")


@functools.lru_cache(maxsize=None)
def parsed(page):
    """Return a page's document; raise what docutils has to say about it."""
    settings = {
        "report_level": 2, "halt_level": 1, "traceback": True, "syntax_highlight": "none",
    }  # fmt: skip
    text = page.read_text(encoding="utf-8")
    return core.publish_doctree(text, source_path=str(page), settings_overrides=settings)


def outline(page):
    """Return what a page shows in any language, in its order."""
    found = []
    for node in parsed(page).findall():
        if isinstance(node, nodes.title):
            depth, above = 0, node.parent
            while above is not None:
                depth, above = depth + isinstance(above, nodes.section), above.parent
            found.append(("heading", depth))
        elif isinstance(node, nodes.table):
            rows = [len(row.children) for row in node.findall(nodes.row)]
            found.append(("table", rows))
        elif isinstance(node, nodes.literal_block):
            found.append(("code", node["classes"], node.astext()))
        elif isinstance(node, (nodes.bullet_list, nodes.enumerated_list)):
            found.append(("list", len(node.children)))
        elif isinstance(node, nodes.image):
            found.append(("image", node["uri"]))
    return found


def links(page):
    """Return where a page's links and pictures lead on this disk."""
    document = parsed(page)
    targets = [node["refuri"] for node in document.findall(nodes.reference) if "refuri" in node]
    targets += [node["uri"] for node in document.findall(nodes.image)]
    return [page.parent / target for target in targets if not re.match("[a-z]+:", target)]


def code(page, language):
    blocks = parsed(page).findall(nodes.literal_block)
    return [block.astext() for block in blocks if language in block["classes"]]


def literals(pages):
    return {node.astext() for page in pages for node in parsed(page).findall(nodes.literal)}


def written(pages):
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


@every_pair
def test_both_languages_have_the_same_headings_tables_lists_and_code(page):
    assert outline(twin(page)) == outline(page)
    assert literals([twin(page)]) == literals([page])


def test_every_chinese_page_has_an_english_one():
    assert [twin(page) for page in CHINESE] == ENGLISH


@every_page
def test_every_link_and_path_leads_somewhere(page):
    found = [path.resolve() for path in links(page)]
    assert [path for path in found if not path.exists()] == []
    # A reader stays in the language of the page, except for the one link to the other language.
    others = [path for path in found if path in (CHINESE if page in ENGLISH else ENGLISH)]
    assert others == [twin(page)]
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"(?<![\w./-])(?:examples|tests|facecert|\.ci)/[\w./-]*\w", text)
    assert [path for path in named if not (ROOT / path).exists()] == []
    typed = "\n".join(node.astext() for node in parsed(page).findall(nodes.literal_block))
    for name in literals([page]):
        if re.fullmatch(r"[\w-]+\.(py|rst|sh|html|svg|zip|pem)", name):
            assert any(page.parent.rglob(name)) or name in typed, name


@pytest.mark.parametrize("page", PAGES + [ROOT / "CHANGELOG.rst"], ids=relative)
def test_every_page_is_valid_and_its_python_compiles(page):
    for block in code(page, "python"):
        compile(block, page.name, "exec")
    # Next to Chinese characters markup needs a space, or it is shown as it stands.
    shown = list(parsed(page).findall(nodes.literal))
    assert len(shown) == len(guides.literals(page))


@both_languages
def test_the_pages_have_every_error_state_and_exit_code(pages):
    known = literals(pages)
    errors = [
        name for name, value in vars(facecert).items()
        if inspect.isclass(value) and issubclass(value, facecert.FacecertError)
    ]  # fmt: skip
    assert len(errors) > 10
    assert [name for name in errors + list(STATES) if name not in known] == []
    pytest.importorskip("click", reason="the command line is the extra `cli`")
    from facecert.cli import output

    codes = [
        str(value) for name, value in vars(output).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, int)
    ]  # fmt: skip
    first_cells = [
        [row.children[0].astext() for row in body.children]
        for page in pages for body in parsed(page).findall(nodes.tbody)
    ]  # fmt: skip
    assert codes in first_cells


@both_languages
def test_the_pages_have_every_variable_and_no_other(pages):
    def variables(files):
        return set(re.findall(r"(?<![A-Z_])FACECERT_[A-Z0-9_]*[A-Z0-9]", written(files)))

    needed = variables((ROOT / "facecert").rglob("*.py"))
    assert set(VARIABLES) < needed
    assert needed - variables(pages) == set()
    others = [path for room in ("examples", "tests") for path in (ROOT / room).rglob("*.py")]
    assert variables(pages) - needed - variables(others) == set()


@both_languages
def test_the_pages_have_every_command_and_option(pages):
    click = pytest.importorskip("click", reason="the command line is the extra `cli`")
    from facecert.cli.main import COMMANDS, cli

    text = written(pages)
    commands = {"facecert " + name: cli.get_command(click.Context(cli), name) for name in COMMANDS}
    for name, command in list(commands.items()):
        for below, other in getattr(command, "commands", {}).items():
            commands["%s %s" % (name, below)] = other
    wanted = set(commands)
    for command in commands.values():
        options = [one for one in command.params if isinstance(one, click.Option)]
        wanted.update(max(option.opts, key=len) for option in options)
    assert len(wanted) > 30
    assert [one for one in sorted(wanted) if not re.search(one + r"(?![\w-])", text)] == []


def test_the_front_pages_are_short():
    for page in (README, twin(README)):
        assert len(page.read_text(encoding="utf-8").splitlines()) <= 180


def test_the_package_index_gets_the_front_page_without_relative_links(monkeypatch):
    setuptools = pytest.importorskip("setuptools")
    given = {}
    monkeypatch.setattr(setuptools, "setup", given.update)
    runpy.run_path(str(ROOT / "setup.py"))
    shown = given["long_description"]
    document = core.publish_doctree(shown, settings_overrides={"syntax_highlight": "none"})
    targets = [node["refuri"] for node in document.findall(nodes.reference)]
    assert targets and all(re.match("https?:", target) for target in targets)
    assert not list(document.findall(nodes.image))
    for path in links(README):
        assert "``%s``" % relative(path) in shown


def test_init_and_query_of_the_front_page(sandbox, capsys):
    opening, querying = code(README, "python")[0].split("\n\nresult")
    names = {"name": NAME, "number": NUMBER}
    exec(opening, names)
    sandbox.complete(names["opened"].certify_id)
    exec("result" + querying, names)
    assert capsys.readouterr().out.startswith("verified ")


@pytest.mark.parametrize("method", ["get", "post"])
def test_the_callback_of_the_front_page(method, monkeypatch, request, capsys):
    flask = pytest.importorskip("flask")
    monkeypatch.setenv("FACECERT_CALLBACK_SECRET", "a-secret-of-the-tests")
    monkeypatch.setenv("FACECERT_ATTEMPTS", "1")
    sandbox = request.getfixturevalue("facecert_sandbox")
    names = {"__name__": "app"}
    exec(code(README, "python")[1], names)
    app = names["app"]
    assert isinstance(app, flask.Flask)
    browser = app.test_client()
    assert b"<form" in browser.get("/").data
    assert browser.post("/", data={"name": NAME, "number": NUMBER}).status_code == 302
    sent = sandbox.requests[-1].service_parameters
    url = sent["callbackUrl"].replace(names["SHOP"], "")
    opened = sandbox.verifications()[-1]
    sandbox.complete(opened.certify_id)
    fields = {"certifyId": opened.certify_id, "passed": "T"}
    calls = len(sandbox.requests)
    where = "data" if method == "post" else "query_string"
    query = dict(part.split("=") for part in url.partition("?")[2].split("&"))
    call = functools.partial(getattr(browser, method), url.partition("?")[0])
    assert call(**{where: dict(fields, **query)}).status_code == 403
    assert len(sandbox.requests) == calls
    fields.update(query, CallbackToken=sent["callbackToken"])
    sandbox.fail("code-500")
    assert call(**{where: fields}).status_code == 503
    sandbox.heal()
    assert call(**{where: fields}).status_code == 200
    assert capsys.readouterr().out == "%s True\n" % opened.certify_id


def test_the_three_variables_and_the_packages_of_the_front_page():
    console = "\n".join(code(README, "console"))
    exported = re.findall(r"export (\w+)=(?:\.\.\.|\d+)$", console, re.M)
    assert exported == ["FACECERT_SCENE_ID", ID, SECRET]
    config = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    required = re.search(r"\ninstall_requires =\n((?: .+\n)+)", config).group(1)
    packages = re.findall(r"^ +([\w-]+)", required, re.M)
    assert packages[0] == "aliyun-python-sdk-core-v3"  # Or core, which saf brings.
    installed = re.findall(r"(?:pip install|pip wheel -w wheels) (aliyun.*)", console)
    assert [line.split() for line in installed] == [packages[1:], packages[1:] + ["pip"]]


@pytest.mark.long
def test_the_script_of_the_front_page_runs_with_the_core_as_one_file(tmp_path, sandbox):
    block = next(block for block in code(README, "console") if "facecert.zip" in block)
    lines = [line[2:] for line in block.splitlines() if "pip install" not in line]
    assert len(lines) == 3
    script = "\n".join(lines).replace(".../", "%s/" % ROOT).replace("python ", sys.executable + " ")
    certify_id = facecert.init(cert_name=NAME, cert_no=NUMBER).certify_id
    (tmp_path / "script.py").write_text(
        "import facecert\nprint(facecert.__file__, facecert.query(%r).passed)\n" % certify_id
    )
    done = subprocess.run(
        ["sh", "-e", "-c", script], cwd=str(tmp_path), timeout=120,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    said = done.stdout.decode("utf-8").split()
    assert done.returncode == 0, said
    assert said[0].endswith(os.path.join("facecert.zip", "facecert", "__init__.py"))
    assert said[1:] == ["False"]
