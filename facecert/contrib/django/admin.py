"""The read-only admin of verifications."""

from typing import Any, Optional

import django
from django.conf import settings
from django.contrib import admin
from django.db import connections

from .models import Verification


@admin.register(Verification)
class VerificationAdmin(admin.ModelAdmin):
    """Shows verifications. Nothing can be added, changed or deleted."""

    list_display = (
        "outer_order_no", "state", "told", "certify_id", "scene_id", "created_at", "decided_at"
    )
    list_filter = ("state", "scene_id")
    search_fields = ("=outer_order_no", "=certify_id", "=request_id")
    date_hierarchy: Optional[str] = "created_at"
    actions = None
    readonly_fields = tuple(field.name for field in Verification._meta.fields)

    def has_add_permission(self, request: Any) -> bool:
        """Return False, because only ``open_verification`` makes verifications."""
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        """Return False, because only the service's response changes a verification.

        Django before 2.1 has no view permission: there, the change permission allows reading.
        """
        if django.VERSION < (2, 1) and request.method in ("GET", "HEAD"):
            return bool(super().has_change_permission(request, obj))
        return False

    def changelist_view(self, request: Any, extra_context: Any = None) -> Any:
        """Show the list, without the bar of dates where MySQL's time zone tables are empty."""
        connection = connections[self.get_queryset(request).db]
        if settings.USE_TZ and connection.vendor == "mysql":
            with connection.cursor() as cursor:
                zones = ["UTC", settings.TIME_ZONE]
                cursor.execute("select convert_tz('2026-01-01 00:00:00', %s, %s)", zones)
                if cursor.fetchone()[0] is None:
                    self.date_hierarchy = None
        return super().changelist_view(request, extra_context)

    def change_view(
        self, request: Any, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        """Show one verification, without the buttons that Django before 2.1 shows to readers."""
        no_buttons = {"show_save": False, "show_save_and_continue": False}
        context = dict(extra_context or {}, **no_buttons)
        return super().change_view(request, object_id, form_url, context)

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        """Return False, because the bill is by certify_id."""
        return False
