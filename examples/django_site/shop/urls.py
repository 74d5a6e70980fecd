from django.urls import path

from . import views

urlpatterns = [
    path("", views.start, name="start"),
    path("orders/<slug:number>/", views.order, name="order"),
    path("orders/<slug:number>/state/", views.state, name="state"),
    path("back/<slug:number>/", views.back, name="back"),
]
