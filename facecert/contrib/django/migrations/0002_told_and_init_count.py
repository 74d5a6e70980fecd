"""The state that receivers were told, one verification for each certify_id, and the daily count."""

import logging
from typing import Any

from django.db import migrations, models


def convert(apps: Any, schema_editor: Any) -> None:
    """Store a missing certify_id as NULL; the receivers know every final state already."""
    Verification = apps.get_model("facecert", "Verification")
    rows = Verification.objects.using(schema_editor.connection.alias)
    rows.filter(certify_id="").update(certify_id=None)
    rows.filter(state__in=("passed", "failed")).update(told=models.F("state"))
    known = rows.exclude(certify_id=None).order_by().values_list("certify_id")
    several = known.annotate(count=models.Count("pk")).filter(count__gt=1)
    for certify_id in [found[0] for found in several]:
        # The id came with the response to init, which has a request id. Only a callback that named
        # another order's verification could add it to a second row, whose own response was lost.
        holders = list(rows.filter(certify_id=certify_id).order_by("created_at", "pk"))
        owner, *others = sorted(holders, key=lambda row: not row.request_id)
        for row in others:
            logging.getLogger(__name__).warning(
                "outer_order_no %s (%s) lost its certify_id, which belongs to outer_order_no %s.",
                row.outer_order_no, row.state, owner.outer_order_no
            )
            rows.filter(pk=row.pk).update(certify_id=None)


def compare_exactly(apps: Any, schema_editor: Any) -> None:
    """Make MySQL distinguish order numbers and ids that differ only in case.

    Explicitly utf8mb4, because the database's own charset may be latin1 or gbk.
    """
    if schema_editor.connection.vendor != "mysql":
        return
    modify = "alter table facecert_verification modify %s character set utf8mb4 collate utf8mb4_bin"
    schema_editor.execute(modify % "outer_order_no varchar(32)" + " not null")
    schema_editor.execute(modify % "certify_id varchar(64)" + " null")


class Migration(migrations.Migration):
    """Converts the rows between two changes of the column."""

    dependencies = [("facecert", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="InitCount",
            fields=[
                ("day", models.DateField(primary_key=True, serialize=False)),
                ("inits", models.PositiveIntegerField(default=0)),
            ],
        ),
        migrations.AddField(
            model_name="verification",
            name="told",
            field=models.CharField(
                "told state", blank=True, default="", max_length=8,
                choices=[("passed", "passed"), ("failed", "failed")],
            ),
        ),
        migrations.AlterField(
            model_name="verification",
            name="certify_id",
            field=models.CharField(blank=True, db_index=True, max_length=64, null=True),
        ),
        migrations.RunPython(
            convert, migrations.RunPython.noop, hints={"model_name": "verification"}
        ),
        migrations.AlterField(
            model_name="verification",
            name="certify_id",
            field=models.CharField("certify_id", blank=True, max_length=64, null=True, unique=True),
        ),
        migrations.RunPython(
            compare_exactly, migrations.RunPython.noop, atomic=False,
            hints={"model_name": "verification"},
        ),
    ]
