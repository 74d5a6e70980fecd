"""Django app: a model, a callback view, a signal, system checks. See examples/django_site."""

from functools import partial

import django
from django.utils.translation import pgettext_lazy

#: Marks a text of the admin or of a check. Its context keeps it apart from the site's own texts.
_ = partial(pgettext_lazy, "facecert")

if django.VERSION < (3, 2):
    default_app_config = "facecert.contrib.django.apps.FacecertConfig"
