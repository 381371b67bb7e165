"""/admin/speedtest/invitations/: make links for artists, see what became of them, revoke them."""

from datetime import timedelta
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from preferences.snapshot import Preferences, current_preferences
from speedtest.invitations import path_of, why_dead
from speedtest.models import SpeedTestInvitation
from speedtest.views import for_admins

LISTED = 100
"""Links that are good for nothing any more; those that may still be used are all listed."""
MOST_RUNS = 200


class InvitationForm(forms.Form):
    """A new link."""

    note = forms.CharField(
        max_length=80,
        label="For whom",
        help_text="Such as “Anna, home office”: stands for the person in the results.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    configuration = forms.ChoiceField()
    days = forms.TypedChoiceField(
        coerce=int,
        choices=[(1, "1 day"), (7, "7 days"), (30, "30 days")],
        initial=7,
        label="Good for",
    )
    max_runs = forms.IntegerField(
        min_value=1, max_value=MOST_RUNS, initial=20, label="Tests at most"
    )

    def __init__(self, preferences: Preferences, *args: object) -> None:
        super().__init__(*args, label_suffix="")
        names = list(preferences.configurations)
        self.fields["configuration"].choices = [(name, name) for name in names]
        if preferences.primary:
            self.fields["configuration"].initial = preferences.primary.name


@for_admins
@require_http_methods(["GET", "HEAD", "POST"])
def listing(request: HttpRequest) -> HttpResponse:
    """The links, newest first, and a form for another one."""
    preferences, now = current_preferences(), timezone.now()
    form = InvitationForm(preferences, *([request.POST] if request.method == "POST" else []))
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        made = SpeedTestInvitation.objects.create(
            configuration=given["configuration"],
            place=preferences.configurations[given["configuration"]].fingerprint,
            note=given["note"],
            made_by=request.user,
            created_at=now,
            expires_at=now + timedelta(days=given["days"]),
            max_runs=given["max_runs"],
        )
        messages.success(request, f"The link for “{made.note}” is at the top of the list. Copy it.")
        return redirect("speedtest:invitations")
    invitations = SpeedTestInvitation.objects.select_related("made_by").annotate(used=Count("runs"))
    # Django leaves a model's own order out where it counts.
    invitations = invitations.order_by("-created_at")
    usable = Q(revoked_at=None, expires_at__gt=now)
    listed = [*invitations.filter(usable), *invitations.exclude(usable)[:LISTED]]
    context = {
        **admin.site.each_context(request),
        "title": "Send a speed test",
        "form": form,
        "possible": bool(preferences.configurations),
        "invitations": [
            {
                "row": one,
                "made_by": one.made_by.get_username() if one.made_by else "(removed)",
                "used": one.used,
                "dead": why_dead(one, preferences, now, one.used),
                "link": request.build_absolute_uri(path_of(one)),
            }
            for one in sorted(listed, key=lambda one: one.created_at, reverse=True)
        ],
    }
    return render(request, "speedtest/invitations.html", context)


@for_admins
@require_POST
def revoke(request: HttpRequest, invitation_id: UUID) -> HttpResponse:
    """Withdraw a link at once; of any admin's."""
    invitation = get_object_or_404(SpeedTestInvitation, pk=invitation_id)
    SpeedTestInvitation.objects.filter(pk=invitation.pk, revoked_at=None).update(
        revoked_at=timezone.now()
    )
    messages.success(request, f"The link for “{invitation.note}” works no more.")
    return redirect("speedtest:invitations")
