"""Pages of preferences outside the admin."""

from django import forms
from django.contrib import messages
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from preferences.addresses import client_address
from preferences.models import User, UseS3Replication
from preferences.saving import log_change
from preferences.snapshot import Preferences, current_preferences

CHOICES = (
    (
        UseS3Replication.NO,
        "Your downloads always come from the main bucket, never from the replica.",
    ),
    (
        UseS3Replication.YES,
        "Your downloads come from the replica as soon as a file is old enough to have arrived "
        "there, wherever you sit.",
    ),
    (
        UseS3Replication.AUTO,
        "As yes, but only while your address is in the studio's list of addresses near the "
        "replica; elsewhere as no. Right for people who travel or work from home.",
    ),
)
"""The values of `Use S3 Replication` in words for the person who chooses."""


class AccountForm(forms.ModelForm):
    """A person's own `Use S3 Replication`."""

    class Meta:
        model = User
        fields = ("use_s3_replication",)
        widgets = {"use_s3_replication": forms.RadioSelect}
        error_messages = {
            "use_s3_replication": {
                "invalid_choice": "“%(value)s” is not a choice. Choose no, yes or auto.",
                "required": "Choose no, yes or auto.",
            }
        }


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """Show and save a person's own `Use S3 Replication`, with what it does from where they are."""
    before = request.user.use_s3_replication
    form = AccountForm(request.POST if request.method == "POST" else None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        after = form.cleaned_data["use_s3_replication"]
        if after == before:
            messages.info(request, "Nothing was changed.")
        else:
            User.objects.filter(pk=request.user.pk).update(use_s3_replication=after)
            log_change(request.user, request.user, (f"Use S3 Replication: {before} → {after}",))
            messages.success(request, f"Use S3 Replication is now {after}.")
        return redirect("preferences:account")
    preferences = current_preferences()
    address = client_address(request)
    match = preferences.ranges.find(address)
    chosen = form["use_s3_replication"].value()
    context = {
        "section": "account",
        "form": form,
        "choices": [(value, words, value == chosen) for value, words in CHOICES],
        "address": address,
        "match": match,
        "effect": effect(preferences, before, address, listed=match is not None),
    }
    return render(request, "preferences/account.html", context)


def effect(preferences: Preferences, choice: str, address: str, *, listed: bool) -> str:
    """Return what `choice` means for a person at `address` now, as a sentence."""
    if preferences.replica is None:
        return "This site has no replica at the moment, so the choice has no effect now."
    replica, delay = preferences.replica.name, preferences.delay
    from_replica = (
        f"files older than {delay} s come from the replica {replica} when their copy is there"
    )
    if choice == UseS3Replication.YES:
        return f"As you have chosen yes, {from_replica}."
    if choice == UseS3Replication.AUTO and listed:
        return f"As you have chosen auto and {address} is listed, {from_replica}."
    if choice == UseS3Replication.AUTO:
        return f"As you have chosen auto and {address} is not listed, the main bucket is used."
    return "As you have chosen no, the main bucket is used."


class OwnPasswordView(PasswordChangeView):
    """A person's own password; every other session of theirs ends, API tokens don't."""

    template_name = "preferences/password.html"
    success_url = reverse_lazy("preferences:account")
    extra_context = {"section": "account"}

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        """Save the new password and say so."""
        response = super().form_valid(form)
        log_change(self.request.user, self.request.user, ("Password",))
        messages.success(self.request, "Your password is changed.")
        return response


@require_safe
def site_preferences(request: HttpRequest) -> HttpResponse:
    """Send a person who may see Site Preferences to their page."""
    if not request.user.may_see_preferences():
        raise PermissionDenied
    return redirect("admin:preferences_sitepreferences_change", "1")
