"""A small shop whose customers prove who they are before they buy."""

import django

if django.VERSION < (3, 2):
    default_app_config = "shop.apps.ShopConfig"
