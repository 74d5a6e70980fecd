import logging
import pathlib
import re
import secrets
import signal
import sys
import tempfile

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connections


def without_query(record):
    """Keep callback tokens out of the access log."""
    record.args = tuple(
        re.sub(r"\?\S*", "", part) if isinstance(part, str) else part for part in record.args or ()
    )
    return True


class Command(BaseCommand):
    help = "Run the shop on this machine, with a sandbox instead of Alibaba Cloud."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *args, **options):
        from facecert.sandbox import Sandbox

        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the folder goes
        with tempfile.TemporaryDirectory() as folder, Sandbox() as sandbox:
            connections.databases["default"]["NAME"] = str(pathlib.Path(folder) / "demo.sqlite3")
            settings.FACECERT.update(
                SCENE_ID=sandbox.scene_id,
                ENDPOINT=sandbox.endpoint,
                ACCESS_KEY=(sandbox.access_key_id, sandbox.access_key_secret),
                CALLBACK_SECRET=secrets.token_urlsafe(),
                PUBLIC_URL="http://127.0.0.1:%d" % options["port"],
            )
            call_command("migrate", verbosity=0)
            self.stdout.write("小店   http://127.0.0.1:%d/" % options["port"])
            self.stdout.write("沙箱   %s/   Ctrl-C 结束" % sandbox.endpoint)
            self.stdout.flush()
            logging.getLogger("django.server").addFilter(without_query)
            call_command("runserver", "127.0.0.1:%d" % options["port"], use_reloader=False)
