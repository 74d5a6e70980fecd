"""Django app: a model, a callback view, a signal, system checks. See examples/django_site."""

import django

if django.VERSION < (3, 2):
    default_app_config = "facecert.contrib.django.apps.FacecertConfig"
