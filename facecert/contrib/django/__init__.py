"""facecert in a Django site: a model, a callback view, a signal, system checks. Django 2.2 and up.

In settings: ``INSTALLED_APPS += ["facecert.contrib.django"]`` and the dict ``FACECERT`` (see
``conf``); in the URLconf: ``path("facecert/", include("facecert.contrib.django.urls"))``. Then
``models.open_verification`` opens one, and ``signals.verified`` says once what became of it.
"""

import django

if django.VERSION < (3, 2):
    default_app_config = "facecert.contrib.django.apps.FacecertConfig"
