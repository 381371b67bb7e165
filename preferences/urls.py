"""Addresses of preferences outside the admin."""

from django.urls import path, re_path

from preferences import token_pages, views

app_name = "preferences"
urlpatterns = [
    path("account/", views.account, name="account"),
    path("account/password/", views.OwnPasswordView.as_view(), name="password"),
    path("account/tokens/", token_pages.own_tokens, name="tokens"),
    path(
        "account/tokens/<int:token_id>/revoke",
        token_pages.revoke_own_token,
        name="revoke-token",
    ),
    # The address that admins of the original type, with or without the slash.
    re_path(r"^preferences/?$", views.site_preferences, name="site"),
]
