"""Site Preferences and People in the admin."""

from collections.abc import Callable
from datetime import UTC
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.forms import BaseModelFormSet, ModelForm
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.views.decorators.http import require_http_methods

from preferences import revision_views, try_views
from preferences.addresses import client_address, parse_ranges
from preferences.fields import FIELDS, label_of, to_text
from preferences.forms import CATEGORIES, EXAMPLE, SitePreferencesForm
from preferences.history import difference, values_at
from preferences.locks import locked_fields, locked_message
from preferences.models import (
    PreferenceRevision,
    PreferenceSource,
    SitePreferences,
    User,
    UseS3Replication,
)
from preferences.reports import report
from preferences.saving import Conflict, read_row, save_preferences, values_of
from preferences.snapshot import current_preferences
from preferences.trying import USUAL_AGE
from preferences.usage import InUse
from preferences.validation import Validated, validate

NAMES_TO_TRY = 200


@admin.register(SitePreferences)
class SitePreferencesAdmin(admin.ModelAdmin):
    """The one page of Site Preferences; saving goes through `save_preferences`."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """There is one row, made by a migration."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """The row stays."""
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict | None = None
    ) -> HttpResponse:
        """Go to the one row."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return redirect("admin:preferences_sitepreferences_change", "1")

    @method_decorator(require_http_methods(["GET", "HEAD", "POST"]))
    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict | None = None,
    ) -> HttpResponse:
        """Show the preferences, or save them when they are valid and nobody was faster."""
        if object_id != "1":
            raise Http404("There is one row of Site Preferences.")
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = read_row()
        if request.method != "POST":
            values, note = prefilled(request.GET, values_of(row))
            return _rendered(self, request, SitePreferencesForm.of(row, values), note=note)
        if not self.has_change_permission(request):
            raise PermissionDenied
        form = SitePreferencesForm.of(row, data=request.POST)
        if not form.is_valid():
            return _rendered(self, request, form)
        try:
            saved = save_preferences(
                form.validated.values,
                form.cleaned_data["base_version"],
                request.user,
                source=PreferenceSource.PAGE,
                address=client_address(request),
                comment=form.cleaned_data["comment"],
                renames=form.renames,
            )
        except Conflict as conflict:
            return _rendered(self, request, form, conflict)
        except InUse as error:
            # Something has been uploaded since the form was looked at.
            form.add_error("s3_configuration", str(error))
            return _rendered(self, request, form)
        report(request, saved, form.validated)
        return redirect("admin:preferences_sitepreferences_change", "1")

    def get_urls(self) -> list[URLPattern]:
        """Add the pages of the revisions and of “Try before saving” to Django's own addresses."""
        name = "preferences_sitepreferences"

        def page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
            return self.admin_site.admin_view(partial(view, model_admin=self))

        return [
            path("revisions/<int:number>/", page(revision_views.revision), name=f"{name}_revision"),
            path(
                "revisions/<int:number>/restore/",
                page(revision_views.restore_revision),
                name=f"{name}_restore",
            ),
            path("preview/", page(try_views.preview), name=f"{name}_preview"),
            path("test/", page(try_views.test), name=f"{name}_test"),
            *super().get_urls(),
        ]

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict | None = None
    ) -> HttpResponse:
        """List the revisions."""
        if object_id != "1":
            raise Http404("There is one row of Site Preferences.")
        return revision_views.history(request, model_admin=self)


def prefilled(query: QueryDict, values: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the values that the page starts with, and a sentence when they are not the saved ones.

    `?from=12` fills in the values of revision 12, `?add_range=203.0.113.0/24` adds a range to the
    addresses; nothing is saved. Both are ignored where they mean nothing.
    """
    number, added = query.get("from", ""), query.get("add_range", "")
    if number.isdecimal() and len(number) < 10:
        revision = PreferenceRevision.objects.filter(number=int(number)).first()
        if revision is not None:
            return values_at(revision), f"These are the values of revision {number}, not saved yet."
    ranges, problems = parse_ranges(added)
    if len(ranges) == 1 and not problems:
        listed = values["s3_replication_ip_addresses"].rstrip("\n")
        lines = [line.strip() for line in listed.split("\n")]
        if added in lines:
            return values, f"{added} is listed already."
        text = f"{listed}\n{added}" if listed else added
        note = f"{added} has been added to IP Adresses for S3 replication below, not saved yet."
        return values | {"s3_replication_ip_addresses": text}, note
    return values, ""


def _rendered(
    model_admin: SitePreferencesAdmin,
    request: HttpRequest,
    form: SitePreferencesForm,
    conflict: Conflict | None = None,
    note: str = "",
) -> HttpResponse:
    row = conflict.row if conflict else read_row()
    may_change = model_admin.has_change_permission(request)
    if form.is_bound:
        validated = form.validated
    else:
        validated = validate({field: getattr(row, field) for field in FIELDS})
    findings = validated or Validated({}, (), (), ())
    context = {
        **model_admin.admin_site.each_context(request),
        "title": "Site Preferences",
        "subtitle": None,
        "opts": model_admin.opts,
        "form": form,
        "last_changed": _last_changed(row),
        "note": note,
        "conflict": conflict,
        "may_change": may_change,
        "categories": [
            (name, [_field(form, field, row, findings, conflict) for field in fields])
            for name, fields in CATEGORIES
        ],
        "errors": _summary(form, findings),
        "stored_errors": [] if form.is_bound else findings.errors,
        "example": EXAMPLE,
        "try_users": _names_to_try(request),
        "try_address": client_address(request),
        "try_age": USUAL_AGE,
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(
        request,
        "admin/preferences/sitepreferences/change_form.html",
        context,
        status=409 if conflict else 200,
    )


def _names_to_try(request: HttpRequest) -> list[str]:
    """Return the names that “Which bucket?” offers, to who may see the people."""
    if not request.user.has_perm("preferences.view_user"):
        return []
    people = User.objects.filter(is_active=True).order_by("username")
    return list(people.values_list("username", flat=True)[:NAMES_TO_TRY])


def _field(
    form: SitePreferencesForm,
    name: str,
    row: SitePreferences,
    findings: Validated,
    conflict: Conflict | None,
) -> dict:
    bound = form[name]
    theirs = getattr(row, name)
    mine = findings.values.get(name)
    is_long = name in ("s3_configuration", "s3_replication_ip_addresses")
    differs = conflict is not None and name in findings.values and theirs != mine
    return {
        "bound": bound,
        "name": name,
        "warnings": [w.message for w in findings.warnings if w.field == name],
        "theirs": _readable(theirs) if differs else None,
        "difference": difference(name, theirs, mine) if differs and is_long else None,
        "locked": locked_message(name) if name in locked_fields() else "",
        "readable": _readable(theirs),
        "long": is_long,
    }


def _readable(value: object) -> str:
    return to_text(value) or "empty"


def _summary(form: SitePreferencesForm, findings: Validated) -> list[dict]:
    """Return the errors of a form that was sent, each with the field it links to."""
    if not form.is_bound:
        return []
    summary = [
        {"field": None, "label": "", "message": message, "line": 0, "column": 0}
        for message in form.non_field_errors()
    ]
    if "base_version" in form.errors:
        message = "The page was incomplete. Copy what you typed, reload it and try again."
        summary.append({"field": None, "label": "", "message": message, "line": 0, "column": 0})
    for name in FIELDS:
        places = {error.message: error for error in findings.errors_of(name)}
        for message in form.errors.get(name, ()):
            place = places.get(message)
            summary.append(
                {
                    "field": form[name],
                    "label": label_of(name),
                    "message": message,
                    "line": place.line if place else 0,
                    "column": place.column if place else 0,
                }
            )
    return summary


def _last_changed(row: SitePreferences) -> str:
    if row.changed_at is None:
        return "Never changed; defaults in use"
    by = f" by {row.changed_by.get_username()}" if row.changed_by else ""
    when = row.changed_at.astimezone(UTC)
    latest = PreferenceRevision.objects.filter(number=row.version).first()
    comment = f" — “{latest.comment}”" if latest and latest.comment else ""
    return f"Last changed{by}, {when.day} {when:%b %Y %H:%M} UTC{comment} — revision {row.version}"


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    """People: Django's pages with `Use S3 Replication` as field, column, filter and actions."""

    list_display = (
        "username",
        "use_s3_replication",
        "email",
        "first_name",
        "last_name",
        "is_staff",
    )
    list_editable = ("use_s3_replication",)
    list_filter = ("use_s3_replication", *DjangoUserAdmin.list_filter)
    list_per_page = 50
    actions = ("set_no", "set_yes", "set_auto")
    add_fieldsets = (
        *DjangoUserAdmin.add_fieldsets,
        ("Media replication", {"fields": ("use_s3_replication",)}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> list:
        """Put “Media replication” right after Personal info."""
        fieldsets = list(super().get_fieldsets(request, obj))
        if obj is None:
            return fieldsets
        description = "" if current_preferences().replica else _no_effect(request)
        options = {"fields": ("use_s3_replication",), "description": description}
        return [*fieldsets[:2], ("Media replication", options), *fieldsets[2:]]

    def get_changelist_formset(self, request: HttpRequest, **kwargs: Any) -> type[BaseModelFormSet]:
        """Let the list save what was changed on it, and not what others changed meanwhile.

        Each row is sent; without the value that was shown, Django takes a row that somebody else
        has changed since for a change back.
        """
        formset = super().get_changelist_formset(request, **kwargs)
        formset.form.base_fields["use_s3_replication"].show_hidden_initial = True
        return formset

    def construct_change_message(
        self, request: HttpRequest, form: ModelForm, formsets: list | None, add: bool = False
    ) -> list[dict]:
        """Name the old and the new value, on a person's page and in the list alike."""
        message = super().construct_change_message(request, form, formsets, add)
        if add or "use_s3_replication" not in form.changed_data:
            return message
        changed = message[0]["changed"]["fields"]
        old, new = form.initial["use_s3_replication"], form.cleaned_data["use_s3_replication"]
        changed[changed.index("Use S3 Replication")] = _change(old, new)
        return message

    @admin.action(permissions=["change"], description="Set Use S3 Replication to no")
    def set_no(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Set the chosen people to no."""
        self._set(request, queryset, UseS3Replication.NO)

    @admin.action(permissions=["change"], description="Set Use S3 Replication to yes")
    def set_yes(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Set the chosen people to yes."""
        self._set(request, queryset, UseS3Replication.YES)

    @admin.action(permissions=["change"], description="Set Use S3 Replication to auto")
    def set_auto(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Set the chosen people to auto."""
        self._set(request, queryset, UseS3Replication.AUTO)

    def _set(self, request: HttpRequest, queryset: QuerySet, value: UseS3Replication) -> None:
        with transaction.atomic():
            chosen = list(queryset.order_by("pk"))
            changed = [user for user in chosen if user.use_s3_replication != value]
            User.objects.filter(pk__in=[user.pk for user in changed]).update(
                use_s3_replication=value
            )
            for old in UseS3Replication.values:
                users = [user for user in changed if user.use_s3_replication == old]
                if users:
                    LogEntry.objects.log_actions(
                        request.user.pk,
                        users,
                        CHANGE,
                        [{"changed": {"fields": [_change(old, value)]}}],
                    )
        people = "person" if len(changed) == 1 else "people"
        same = len(chosen) - len(changed)
        also = f" {same} had it already." if same else ""
        self.message_user(
            request,
            f"Use S3 Replication was set to {value} for {len(changed)} {people}.{also}",
            messages.SUCCESS if changed else messages.INFO,
        )


def _change(old: str, new: str) -> str:
    return f"Use S3 Replication: {old} → {new}"


def _no_effect(request: HttpRequest) -> str:
    text = "Has no effect now: S3 Bucket for Replication is empty."
    if current_preferences().replica_name:
        text = "Has no effect now: S3 Bucket for Replication names a configuration without use."
    if not request.user.may_see_preferences():
        return text
    return format_html(
        '{} <a href="{}">Site Preferences</a>',
        text,
        reverse("admin:preferences_sitepreferences_change", args=["1"]),
    )
