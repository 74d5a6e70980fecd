import json
import os
import re
import subprocess
import sys
import unicodedata
from importlib.util import find_spec

import pytest
from conftest import ROOT, run_cli

pytest.importorskip("click", reason="the command line is the extra `cli`")
from facecert.cli import prompts  # noqa: E402
from facecert.cli.main import COMMANDS  # noqa: E402

ORDER = "0" * 32
LEDGER = ("list", "export", "unsettled", "report", "import-bill")
PAGES = [[]] + [[name] for name in COMMANDS] + [["ledger", name] for name in LEDGER]
SHOW = (
    "import sys\n"
    "from facecert.cli.main import cli\n"
    "for words in eval(sys.argv[1]):\n"
    "    try: cli.main(words + ['--help'], 'facecert')\n"
    "    except SystemExit as end: assert end.code == 0, end.code\n"
    "    print('=' * 79)"
)


@pytest.fixture
def chinese(monkeypatch):
    monkeypatch.setenv("LANGUAGE", "zh_CN")


def cells(line):
    # An ambiguous character takes two cells in some terminals.
    return sum(1 + (unicodedata.east_asian_width(one) in "WFA") for one in line)


def shown(pages, encoding, **more):
    """Return help pages as a terminal of 80 columns gets them, in a process of their own."""
    environ = dict(os.environ, PYTHONPATH=str(ROOT), COLUMNS="80", PYTHONIOENCODING=encoding)
    done = subprocess.run(
        [sys.executable, "-c", SHOW, repr(pages)], env=dict(environ, **more),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.decode(encoding)


def test_help_pages_fit_a_terminal_of_80_columns():
    chinese = shown(PAGES, "utf-8", LANGUAGE="zh_CN")
    for line in chinese.splitlines():
        assert cells(line) <= 80, line
        assert not re.match(" *[，。；：、）]", line), line
    help_option = "^  (-h, )?--help +%s" % re.escape(page_help())
    for page in chinese.split("=" * 79)[:-1]:
        assert "示例：facecert" in page or "退出码：" in page
        assert re.search(help_option, page, re.M)
    english = "".join(run_cli(*page + ["--help"]).stdout for page in PAGES)
    assert not re.search("[\u3000-\uffff]", english)
    for pattern in (r"--[a-z-]+", r"FACECERT_[A-Z_0-9]+", r"^  [a-z-]+(?=  )"):
        found = [set(re.findall(pattern, text, re.M)) for text in (english, chinese)]
        assert found[0] == found[1] and len(found[0]) > 5


def page_help():
    """click 7 translates nothing of its own."""
    return "显示本帮助并退出。" if find_spec("click.shell_completion") else "Show this message"


def test_a_gbk_terminal_gets_gbk():
    page = shown([["query"]], "gbk", LANGUAGE="", LC_ALL="zh_CN.GBK")
    assert "已通过" in page and "场景 ID" in page


def test_an_ascii_terminal_gets_english():
    assert "Ask whether the person passed" in shown([["query"]], "ascii", LANGUAGE="zh_CN")


def test_results_are_chinese_on_a_terminal(commands, chinese, on_a_terminal, client, person):
    certify_id = client.init(**person).certify_id
    assert run_cli("query", certify_id).stdout == "未通过（或尚未完成）\n"
    commands.complete(certify_id)
    assert run_cli("query", certify_id).stdout == "已通过\n"


def test_json_and_exit_codes_are_the_same_in_every_language(commands, client, person, monkeypatch):
    certify_id = client.init(**person).certify_id
    for arguments in (["query", certify_id], ["query", certify_id, "--json"], ["wait", "--json"],
                      ["query", "--json"], ["query", ORDER[1:], "--json"]):  # fmt: skip
        done = []
        for language in ("en", "zh_CN"):
            monkeypatch.setenv("LANGUAGE", language)
            done.append(run_cli(*arguments))
        texts = [re.sub('"request_id": "[^"]*"', "", one.stdout + one.stderr) for one in done]
        assert texts[0] == texts[1] and done[0].exit_code == done[1].exit_code
        json.loads(done[1].stdout or done[1].stderr)


def test_errors_are_chinese_and_exceptions_english(commands, chinese):
    done = run_cli("query")
    assert done.exit_code == 2 and done.stderr.startswith("错误：请从中选择一个：CERTIFY_ID、")
    assert "缺少 CERTIFY_ID。参见：cli wait --help" in run_cli("wait").stderr
    commands.fail("throttled")
    done = run_cli("query", ORDER)
    assert done.exit_code == 5 and re.match("错误：Throttled: [ -~\n]+$", done.stderr)


def test_prompts_are_chinese(commands, chinese, monkeypatch):
    asked = []
    monkeypatch.setattr(prompts, "is_terminal", lambda stream: True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: asked.append(prompt) or "1")
    assert run_cli("init").exit_code == 0
    assert asked == ["姓名：", "证件号："]


def test_the_demo_is_chinese(chinese):
    done = run_cli("demo")
    assert done.exit_code == 0 and "# 请保存：账单按此 ID 出具" in done.stdout
    assert "1. 发起认证。" in done.stdout and "# 已通过" in done.stdout


def test_the_report_keeps_its_columns(commands, chinese, monkeypatch, tmp_path):
    pytest.importorskip("sqlalchemy", reason="the ledger is the extra `ledger`")
    from facecert.cli import ledger
    from facecert import locale

    locale.choose()
    head = locale.shown(ledger._HEAD)
    ends = [cells(head[: one.end()]) for one in re.finditer(r"\S+", head)][1:-1]
    numbers = dict.fromkeys("opened passed failed never_finished unknown".split(), 1)
    line = ledger._LINE % dict(
        numbers, day="2026-10-01", rate="50.0%", median="1s", budget="3", bar=""
    )
    assert ends == [one.end() for one in re.finditer(r"\S+", line)][1:-1]
    assert cells(head) <= 80


def test_the_doctor_shows_verdicts_in_columns(chinese, on_a_terminal, commands):
    lines = run_cli("doctor").stdout.splitlines()
    assert {line.split()[0] for line in lines if line[0] != " "} <= {"正常", "警告", "问题"}
    assert all(re.match(r"\S\S     [a-z0-9]+ +|  +-> ", line) for line in lines), lines
    assert "加密结果与国标示例一致。" in "".join(lines) and len(lines) > 8


def test_findings_as_json_are_english(chinese, commands):
    for line in run_cli("doctor", "--json").stdout.splitlines():
        words = json.loads(line)["words"]
        assert not re.search("[\u3000-\uffff]", words), words
