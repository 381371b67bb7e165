"""Addresses of preferences outside the admin."""

from django.urls import path, re_path

from preferences import views

app_name = "preferences"
urlpatterns = [
    path("account/", views.account, name="account"),
    # The address that admins of the original type, with or without the slash.
    re_path(r"^preferences/?$", views.site_preferences, name="site"),
]
