"""Verifications in the admin: to look at, nothing else."""

from typing import Any

from django.contrib import admin

from .models import Verification


@admin.register(Verification)
class VerificationAdmin(admin.ModelAdmin):
    """Shows; adds, changes and deletes nothing."""

    list_display = ("outer_order_no", "state", "certify_id", "scene_id", "created_at", "decided_at")
    list_filter = ("state", "scene_id")
    search_fields = ("=outer_order_no", "=certify_id", "=request_id")
    date_hierarchy = "created_at"
    actions = None

    def has_add_permission(self, request: Any) -> bool:
        """Only ``open_verification`` makes them."""
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        """Only the service's answer changes them."""
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        """The bill is by certify_id."""
        return False
