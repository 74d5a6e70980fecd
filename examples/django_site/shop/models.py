from django.db import models
from facecert.contrib.django.models import Verification


class Order(models.Model):
    """An order, of which the shop knows neither name nor number: only whether it may be sent."""

    number = models.CharField(max_length=32, primary_key=True)
    #: Random, from the session: whose order it is.
    owner = models.CharField(max_length=32)
    #: Random, from the form: the same form submitted twice is the same order.
    form_key = models.CharField(max_length=32)
    certify_url = models.TextField(blank=True, default="")
    may_be_sent = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        unique_together = [("owner", "form_key")]

    @property
    def verification(self):
        return Verification.objects.filter(outer_order_no=self.number).first()


def verification_settled(sender, verification, answer, **kwargs):
    """Receive ``verified``: the only place where an order becomes one that may be sent."""
    if verification.passed:
        Order.objects.filter(number=verification.outer_order_no).update(may_be_sent=True)
