import configparser
import json
import pickle
import re

import pytest
from conftest import ROOT

pytest.importorskip("click", reason="the command line is the extra `cli`")
import catalogues  # noqa: E402
from facecert.locale import Text, choose, shown  # noqa: E402

PATHS = list(catalogues.wanted())
PLACEHOLDERS = r"%(?:\(\w+\))?[-\d.]*[a-zA-Z%]|\{\w*\}"
REMEDY = "run python tests/catalogues.py, and translate what is empty"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_every_text_of_the_source_is_translated_and_no_other(path):
    found = catalogues.read(path)
    assert set(found) - {(None, "")} == set(catalogues.wanted()[path]), REMEDY
    assert [key for key, text in found.items() if not text.strip()] == [], REMEDY


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_the_compiled_catalogue_is_new(path):
    compiled = catalogues.compiled(catalogues.read(path))
    assert path.with_suffix(".mo").read_bytes() == compiled, "run python tests/catalogues.py"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_a_translation_keeps_the_form(path):
    for (_, text), translation in catalogues.read(path).items():
        # In the same order, because most are without names.
        assert re.findall(PLACEHOLDERS, text) == re.findall(PLACEHOLDERS, translation), text
        for kept in (r"--[a-z-]+", r"FACECERT_[A-Z_0-9]+", r"\A\s*\n", r"\n\Z"):
            missing = set(re.findall(kept, text)) - set(re.findall(kept, translation))
            assert not missing, (text, missing)
        assert translation.encode("gbk").decode("gbk") == translation
        assert re.search("[\u4e00-\u9fff]", translation) or not re.search("[a-z]{3}", text), text


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_compiled_catalogues_are_shipped(path):
    config = configparser.ConfigParser()
    config.read(str(ROOT / "setup.cfg"), encoding="utf-8")
    shipped = [
        file
        for package, pattern in config.items("options.package_data")
        for file in ROOT.joinpath(*package.split(".")).glob(pattern)
    ]
    assert path.with_suffix(".mo") in shipped


def test_a_fuzzy_entry_is_refused(tmp_path):
    file = tmp_path / "one.po"
    file.write_text('#, fuzzy\nmsgid "a"\nmsgstr "b"\n')
    with pytest.raises(AssertionError, match="fuzzy"):
        catalogues.read(file)


@pytest.mark.parametrize(
    "environ, expected",
    [
        ({"LANGUAGE": "zh_CN"}, "已通过"),
        ({"LANGUAGE": "fr:zh_CN", "LANG": "C"}, "已通过"),
        ({"LC_ALL": "zh_CN.UTF-8", "LANG": "C"}, "已通过"),
        ({"LC_MESSAGES": "zh_CN"}, "已通过"),
        ({"LANG": "zh_CN.GB18030"}, "已通过"),
        ({"LANG": "C"}, "passed"),
        ({"LANG": "C.UTF-8"}, "passed"),
        ({"LANG": "de_DE.UTF-8"}, "passed"),
        ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "passed"),
        ({}, "passed"),
    ],
    ids=str,
)
def test_the_environment_chooses_the_language(monkeypatch, environ, expected):
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    choose()
    assert shown(Text("passed")) == expected


@pytest.mark.parametrize(
    "encoding, expected",
    [("utf-8", "已通过"), ("gbk", "已通过"), ("latin-1", "passed"), ("ascii", "passed"),
     (None, "已通过")],
)  # fmt: skip
def test_an_output_that_lacks_the_characters_is_english(monkeypatch, encoding, expected):
    class Stream:
        def __init__(self):
            self.encoding = encoding

    monkeypatch.setenv("LANGUAGE", "zh_CN")
    monkeypatch.setattr("sys.stdout", Stream())
    choose()
    assert shown(Text("passed")) == expected


def test_a_text_is_english_until_it_is_shown(monkeypatch):
    monkeypatch.setenv("LANGUAGE", "zh_CN")
    choose()
    text = Text("interrupted; last result: %s") % Text("passed") + Text(" Trying again.") + "!"
    english = "interrupted; last result: passed Trying again.!"
    assert text == english and json.dumps(text) == '"%s"' % english and "%s" % text == english
    chinese = "已中断；最近一次结果：已通过 正在重试。!"
    assert shown(text) == shown(pickle.loads(pickle.dumps(text))) == chinese
    assert shown(Text("%(a)s, %(b)d") % {"a": Text("passed"), "b": 1}) == "已通过, 1"
    assert shown("passed") == "passed"
