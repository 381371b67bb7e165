"""Site Preferences and People in the admin."""

import re
from collections.abc import Sequence
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
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.views.decorators.http import require_http_methods

from preferences import (
    locks,
    token_admin,  # noqa: F401 (registers the API tokens)
    try_views,
)
from preferences.addresses import client_address, parse_ranges
from preferences.differences import difference
from preferences.forms import (
    CATEGORIES,
    EXAMPLE,
    SitePreferencesForm,
    label_of,
    options_for,
)
from preferences.history import LONG_FIELDS, HistoryPages
from preferences.models import (
    ApiToken,
    PreferenceRevision,
    SitePreferences,
    User,
    UseS3Replication,
)
from preferences.reader import canonical, read_json
from preferences.saving import (
    FIELDS,
    Conflict,
    Saved,
    as_row,
    current_row,
    lock_problems,
    merged,
    save_preferences,
    values_of,
)
from preferences.snapshot import Preferences, current_preferences
from preferences.trying import USUAL_AGE
from preferences.usage import InUse
from preferences.validation import Finding, Validated, validate

NAMES_TO_TRY = 200
MOST_WARNINGS_AS_MESSAGES = 3


@admin.register(SitePreferences)
class SitePreferencesAdmin(HistoryPages, admin.ModelAdmin):
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
        """Show the preferences, or save them when they are valid and nobody was faster.

        With ?from=12 the form holds the values of revision 12, to be corrected and saved; with
        ?add_range=203.0.113.0/24 that range as one more line of the addresses; with
        ?use_region=eu-west-1&configuration=main that region in that configuration.
        """
        if object_id != "1":
            raise Http404("There is one row of Site Preferences.")
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = current_row()
        if request.method != "POST":
            if "from" in request.GET and self.has_change_permission(request):
                revision = _revision(request.GET["from"])
                return _rendered(self, request, _form_with(revision, row), row, filled=revision)
            shown = options_for(row)
            if "add_range" in request.GET and self.has_change_permission(request):
                shown["initial"] |= _with_range(request, row, request.GET["add_range"])
            if "use_region" in request.GET and self.has_change_permission(request):
                shown["initial"] |= _with_region(request, row)
            return _rendered(self, request, SitePreferencesForm(**shown), row)
        if not self.has_change_permission(request):
            raise PermissionDenied
        form = SitePreferencesForm(request.POST, **options_for(row))
        if not form.is_valid():
            return _rendered(self, request, form, row)
        try:
            saved = save_preferences(
                form.validated.values,
                form.cleaned_data["base_version"],
                request.user,
                address=client_address(request),
                comment=form.cleaned_data["comment"],
                renames=form.renames,
            )
        except Conflict as conflict:
            form, taken = _with_theirs(form, conflict.row)
            return _rendered(self, request, form, conflict.row, conflict=conflict, taken=taken)
        except InUse as error:
            # Something has been uploaded since the form was looked at.
            form.add_error("s3_configuration", str(error))
            return _rendered(self, request, form, row)
        _report(request, saved, form.validated)
        return redirect("admin:preferences_sitepreferences_change", "1")

    def get_urls(self) -> list[URLPattern]:
        """Add the addresses of “Try before saving”."""
        views = (("preview", try_views.preview), ("test", try_views.test))
        return [
            path(
                f"{name}/",
                self.admin_site.admin_view(partial(view, model_admin=self)),
                name=f"preferences_sitepreferences_{name}",
            )
            for name, view in views
        ] + super().get_urls()


def _with_range(request: HttpRequest, row: SitePreferences, typed: str) -> dict[str, str]:
    """Return the addresses with one range more, and say so; {} for what is no range."""
    ranges, problems = parse_ranges(typed)
    if len(ranges) != 1 or problems:
        return {}
    listed = row.s3_replication_ip_addresses
    (added,) = (match.text for _, match in ranges.entries)
    if added in listed.split("\n"):
        messages.info(request, f"{added} is in the list of addresses already.")
        return {}
    messages.info(request, f"{added} was added to the addresses below. It is not saved yet.")
    return {"s3_replication_ip_addresses": f"{listed}\n{added}".lstrip("\n")}


def _with_region(request: HttpRequest, row: SitePreferences) -> dict[str, str]:
    """Return S3 Configuration with another region in one entry, and say so; {} if there is none."""
    name, region = request.GET.get("configuration", ""), request.GET["use_region"]
    configurations = read_json(row.s3_configuration).value
    if not isinstance(configurations, dict) or not isinstance(configurations.get(name), dict):
        return {}
    if not re.fullmatch(r"[a-z0-9-]{1,40}", region) or configurations[name].get("region") == region:
        return {}
    configurations[name]["region"] = region
    message = f"The region {region} was filled in for “{name}” below. It is not saved yet."
    messages.info(request, message)
    return {"s3_configuration": canonical(configurations)}


def _form_with(revision: PreferenceRevision, row: SitePreferences) -> SitePreferencesForm:
    """Return the form as if the values of `revision` had been typed into it."""
    values, _ = merged(revision.data, row)
    if not values["verify_replica_copies"]:
        del values["verify_replica_copies"]  # as a browser sends it
    data = values | {"base_version": row.version, "comment": f"Corrected from {revision}"}
    form = SitePreferencesForm(data, **options_for(row))
    form.is_valid()
    return form


def _with_theirs(
    form: SitePreferencesForm, row: SitePreferences
) -> tuple[SitePreferencesForm, list[str]]:
    """Return the form with what `row` has now in each field that its sender had left alone.

    Saving it then changes what they have changed, and takes nobody else's change back. The labels
    of these fields come along.
    """
    seen = PreferenceRevision.objects.filter(number=form.cleaned_data["base_version"]).first()
    if seen is None:
        return form, []
    before, mine = values_of(as_row(seen.data, seen.number)), form.validated.values
    theirs = values_of(row)
    taken = [field for field in FIELDS if mine[field] == before[field] != theirs[field]]
    data = form.data.copy()
    for field in taken:
        data.pop(field, None)
        if theirs[field] is not False:  # as a browser sends a box that is not ticked
            data[field] = theirs[field]
    merged_form = SitePreferencesForm(data, **options_for(row))
    merged_form.is_valid()
    return merged_form, [label_of(field) for field in taken]


def _revision(number: str) -> PreferenceRevision:
    if re.fullmatch(r"[0-9]{1,10}", number):
        revision = PreferenceRevision.objects.filter(number=number).first()
        if revision is not None:
            return revision
    raise Http404("There is no such revision.")


def _report(request: HttpRequest, saved: Saved, validated: Validated) -> None:
    if saved.changes:
        messages.success(request, f"Site Preferences were saved (revision {saved.version}).")
    else:
        messages.info(request, "Nothing was changed.")
    for sentence in saved.moved:
        messages.info(request, sentence)
    for warning in saved.warnings:
        messages.warning(request, warning)
    for notice in validated.notices:
        messages.info(request, _labelled(notice))
    for field in FIELDS:
        warnings = [warning for warning in validated.warnings if warning.field == field]
        if len(warnings) > MOST_WARNINGS_AS_MESSAGES:
            text = f"{label_of(field)}: {len(warnings)} warnings, listed below the field."
            messages.warning(request, text)
        else:
            for warning in warnings:
                messages.warning(request, _labelled(warning))


def _labelled(finding: Finding) -> str:
    label = label_of(finding.field)
    if finding.message.startswith((label, f"“{label}")):
        return finding.message
    return f"{label}: {finding.message}"


def _rendered(
    model_admin: SitePreferencesAdmin,
    request: HttpRequest,
    form: SitePreferencesForm,
    row: SitePreferences,
    *,
    conflict: Conflict | None = None,
    taken: Sequence[str] = (),
    filled: PreferenceRevision | None = None,
) -> HttpResponse:
    may_change = model_admin.has_change_permission(request)
    validated = form.validated if form.is_bound else validate(values_of(row))
    bad_locks = locks.problems() or lock_problems(row)
    findings = validated or Validated({}, (), (), ())
    context = {
        **model_admin.admin_site.each_context(request),
        "title": "Site Preferences",
        "subtitle": None,
        "opts": model_admin.opts,
        "form": form,
        "last_changed": _last_changed(row),
        "conflict": conflict,
        "taken": taken,
        "filled": filled,
        "bad_locks": [locks.described(problem) for problem in bad_locks],
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
    differs = conflict is not None and theirs != mine
    return {
        "bound": bound,
        "name": name,
        "warnings": [w.message for w in findings.warnings if w.field == name],
        "theirs": _readable(theirs) if differs else None,
        "difference": difference(name, theirs, mine) if differs else None,
        "readable": _readable(theirs),
        "long": name in LONG_FIELDS,
        "variable": locks.variable_of(name) if form.fields[name].disabled else "",
    }


def _readable(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) if value != "" else "empty"


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
    for name in (*FIELDS, "comment"):
        places = {error.message: error for error in findings.errors_of(name)}
        for message in form.errors.get(name, ()):
            place = places.get(message)
            summary.append(
                {
                    "field": form[name],
                    "label": form[name].label,
                    "message": message,
                    "line": place.line if place else 0,
                    "column": place.column if place else 0,
                }
            )
    return summary


def _last_changed(row: SitePreferences) -> str:
    if row.changed_at is None:
        return "Never changed; defaults in use"
    revision = PreferenceRevision.objects.filter(number=row.version).first()
    by = f" by {revision.who}" if revision else ""
    comment = f" — “{revision.comment}”" if revision and revision.comment else ""
    when = row.changed_at.astimezone(UTC)
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
        preferences = current_preferences()
        description = "" if preferences.replica else _no_effect(request, preferences)
        options = {"fields": ("use_s3_replication",), "description": description}
        return [*fieldsets[:2], ("Media replication", options), *fieldsets[2:]]

    def get_changelist_formset(self, request: HttpRequest, **kwargs: Any) -> type[BaseModelFormSet]:
        """Let the list save what was changed on it, and not what others changed meanwhile.

        Each row is sent; without the value that was shown, Django takes a row that somebody else
        has changed since for a change back.
        """
        formset = super().get_changelist_formset(request, **kwargs)
        field = formset.form.base_fields["use_s3_replication"]
        field.show_hidden_initial = True
        # The list has no <label>; the column's head is not read out with a select.
        field.widget.attrs["aria-label"] = field.label
        return formset

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple:
        """Let a person's API tokens go with them: nobody may delete tokens by themselves."""
        found, counts, lacking, protected = super().get_deleted_objects(objs, request)
        return found, counts, set(lacking) - {ApiToken._meta.verbose_name}, protected

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


def _no_effect(request: HttpRequest, preferences: Preferences) -> str:
    text = "Has no effect now: S3 Bucket for Replication is empty."
    if preferences.replica_name:
        text = "Has no effect now: S3 Bucket for Replication names a configuration without use."
    if not request.user.may_see_preferences():
        return text
    return format_html(
        '{} <a href="{}">Site Preferences</a>',
        text,
        reverse("admin:preferences_sitepreferences_change", args=["1"]),
    )
