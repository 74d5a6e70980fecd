"""The table of verifications."""

from typing import Any, List

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    """Creates it."""

    initial = True

    dependencies: List[Any] = []

    operations = [
        migrations.CreateModel(
            name="Verification",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("outer_order_no", models.CharField(max_length=32, unique=True)),
                (
                    "certify_id",
                    models.CharField(blank=True, db_index=True, default="", max_length=64),
                ),
                ("scene_id", models.CharField(max_length=32)),
                ("request_id", models.CharField(blank=True, default="", max_length=64)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("sent", "sent"),
                            ("opened", "opened"),
                            ("refused", "refused"),
                            ("unknown", "unknown"),
                            ("passed", "passed"),
                            ("failed", "failed"),
                        ],
                        default="sent",
                        max_length=8,
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("expires_at", models.DateTimeField()),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={"ordering": ["-created_at"]},
        ),
    ]
