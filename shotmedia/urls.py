"""Addresses of the site."""

from django.contrib import admin
from django.urls import include, path

from preferences.api import api
from shotmedia import views

urlpatterns = [
    path("login/", views.LoginView.as_view(), name="login"),
    path("logout/", views.LogoutView.as_view(), name="logout"),
    path("readyz", views.readyz),
    path("metrics", views.metrics),
    path("api/", api.urls),
    path("", include("media.urls")),
    path("", include("preferences.urls")),
    # Before the admin, whose catch-all would answer 404 (and redirects to a trailing slash).
    path("", include("speedtest.urls")),
    path("admin/", admin.site.urls),
]

handler400 = views.bad_request
handler403 = views.not_allowed
handler404 = views.not_found
handler500 = views.server_error
