from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "shop"

    def ready(self):
        from facecert.contrib.django.signals import verified

        from .models import verification_settled

        verified.connect(verification_settled, dispatch_uid="shop")
