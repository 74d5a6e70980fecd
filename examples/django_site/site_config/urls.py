from django.urls import include, path

urlpatterns = [
    path("", include("shop.urls")),
    path("facecert/", include("facecert.contrib.django.urls")),
]

handler404 = "shop.views.not_found"
