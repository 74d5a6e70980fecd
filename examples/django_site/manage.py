"""python examples/django_site/manage.py demo: the shop, with a sandbox instead of Alibaba Cloud."""

import os
import pathlib
import sys

if __name__ == "__main__":
    # So that it also runs from a checkout where facecert is not installed.
    sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent.parent))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_config.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
