"""The table of verifications."""

from typing import Any, List

from django.db import migrations, models
from django.utils import timezone


STATES = ("sent", "opened", "refused", "unknown", "passed", "failed")


class Migration(migrations.Migration):
    """Creates it."""

    initial = True

    dependencies: List[Any] = []

    operations = [
        migrations.CreateModel(
            name="Verification",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("outer_order_no", models.CharField("order number", max_length=32, unique=True)),
                (
                    "certify_id",
                    models.CharField(blank=True, db_index=True, default="", max_length=64),
                ),
                ("scene_id", models.CharField("scene id", max_length=32)),
                (
                    "request_id",
                    models.CharField("request id", blank=True, default="", max_length=64),
                ),
                (
                    "state",
                    models.CharField(
                        "state", choices=list(zip(STATES, STATES)), default="sent", max_length=8
                    ),
                ),
                ("created_at", models.DateTimeField("created at", default=timezone.now)),
                ("expires_at", models.DateTimeField("expires at")),
                ("decided_at", models.DateTimeField("decided at", blank=True, null=True)),
            ],
            options={
                "ordering": ["-created_at"],
                "verbose_name": "verification", "verbose_name_plural": "verifications",
            },
        ),
    ]
