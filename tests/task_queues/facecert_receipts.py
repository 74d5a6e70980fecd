"""A Django app whose receiver writes a row for each result."""

from django.apps import AppConfig


class Receipts(AppConfig):
    """It connects the receiver."""

    name = "facecert_receipts"

    def ready(self):
        """Connect it."""
        from facecert.contrib.django.signals import verified

        verified.connect(write)


def write(verification, **kwargs):
    """Write a row, in the transaction that stores the state."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO receipts VALUES (%s)", [verification.outer_order_no])
