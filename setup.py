import re
from pathlib import Path

from setuptools import setup

page = Path(__file__).with_name("README.rst").read_text(encoding="utf-8")
# A package index has the front page without the files beside it: a link there becomes its path.
setup(long_description=re.sub(r"`([^`<]+) <(?!https?:)([^>]+)>`_", r"\1 (``\2``)", page))
