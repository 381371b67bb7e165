"""History of Site Preferences in the admin: the revisions, what changed, and bringing one back."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_http_methods, require_safe

from preferences.addresses import client_address
from preferences.differences import differences, readable
from preferences.forms import CATEGORIES, RestoreForm, label_of
from preferences.locks import variable_of
from preferences.models import PreferenceRevision, PreferenceSource, SitePreferences
from preferences.saving import (
    Conflict,
    as_row,
    current_row,
    describe_changes,
    merged,
    restore_comment,
    save_preferences,
)
from preferences.usage import InUse, checked, moved_places
from preferences.validation import Finding, validate

PER_PAGE = 25
MOST_CHANGES = 6
"""Changes that the table names for one revision."""
LONG_FIELDS = ("s3_configuration", "s3_replication_ip_addresses")


class HistoryPages:
    """The pages of History, for the ModelAdmin of Site Preferences."""

    def get_urls(self) -> list[URLPattern]:
        """Add the page of a revision and the page that restores it."""
        pages = (("", self.revision_view, "revision"), ("restore/", self.restore_view, "restore"))
        return [
            path(
                f"1/history/<int:number>/{end}",
                self.admin_site.admin_view(view),
                name=f"preferences_sitepreferences_{name}",
            )
            for end, view, name in pages
        ] + super().get_urls()

    @method_decorator(require_safe)
    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict | None = None
    ) -> HttpResponse:
        """Show all revisions, the newest first, with what each changed."""
        if object_id != "1":
            raise Http404("There is one row of Site Preferences.")
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = current_row()
        revisions = PreferenceRevision.objects.all()
        paginator = Paginator(revisions, PER_PAGE)
        page = paginator.get_page(request.GET.get("p"))
        shown = list(revisions[max(page.start_index() - 1, 0) : page.end_index() + 1])
        return self._page(
            request,
            "history",
            title="History of Site Preferences",
            page=page,
            page_range=paginator.get_elided_page_range(page.number),
            rows=[
                _described(revision, older, row)
                for revision, older in zip(shown, [*shown[1:], None], strict=True)
            ][:PER_PAGE],
        )

    @method_decorator(require_safe)
    def revision_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """Show one revision: who, when and how, and how it differs from its neighbours."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        revision = _revision(number)
        older = PreferenceRevision.objects.filter(number__lt=number).first()
        newer = PreferenceRevision.objects.filter(number__gt=number).last()
        row, this = current_row(), as_row(revision.data, number)
        return self._page(
            request,
            "revision",
            title=f"Revision {number}",
            revision=revision,
            older=older,
            newer=newer,
            is_current=number == row.version,
            row=row,
            from_older=differences(as_row(older.data, older.number), this) if older else (),
            to_current=differences(this, row),
            values=[
                {
                    "label": label_of(field),
                    "value": readable(field, getattr(this, field)),
                    "long": field in LONG_FIELDS,
                }
                for _, fields in CATEGORIES
                for field in fields
            ],
            may_restore=self.has_change_permission(request) and number != row.version,
        )

    @method_decorator(require_http_methods(["GET", "HEAD", "POST"]))
    def restore_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """Show what restoring a revision would do, and do it: as a new revision."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        revision = _revision(number)
        row = current_row()
        values, skipped = merged(revision.data, row)
        validated = checked(validate(values), row)
        form = RestoreForm(request.POST if request.method == "POST" else None)
        conflict = None
        if request.method == "POST" and form.is_valid() and not validated.errors:
            try:
                saved = save_preferences(
                    validated.values,
                    form.cleaned_data["base_version"],
                    request.user,
                    source=PreferenceSource.RESTORE,
                    address=client_address(request),
                    comment=restore_comment(number, form.cleaned_data["comment"]),
                    restored_from=number,
                )
            except Conflict as error:
                conflict, row = error, error.row
                values, skipped = merged(revision.data, row)
                validated = checked(validate(values), row)
            except InUse:
                # Something has been uploaded since it was looked at.
                validated = checked(validate(values), row)
            else:
                if saved.changes:
                    text = f"Revision {number} was restored as revision {saved.version}."
                    messages.success(request, text)
                else:
                    messages.info(request, "Nothing was changed.")
                for warning in saved.warnings:
                    messages.warning(request, warning)
                if skipped:
                    messages.warning(request, f"Not restored: {_fixed(skipped)}.")
                return redirect("admin:preferences_sitepreferences_history", "1")
        restored = as_row(values if validated.errors else validated.values, row.version)
        warnings = [_labelled(finding) for finding in (*validated.warnings, *validated.notices)]
        if not validated.errors:
            warnings += moved_places(row, restored, {})
        return self._page(
            request,
            "restore",
            status=409 if conflict else 200,
            title=f"Restore revision {number}?",
            revision=revision,
            row=row,
            form=form,
            conflict=conflict,
            differences=differences(row, restored),
            fixed=_fixed(skipped),
            errors=[_labelled(finding) for finding in validated.errors],
            warnings=warnings,
        )

    def _page(
        self, request: HttpRequest, template: str, *, status: int = 200, **context: Any
    ) -> TemplateResponse:
        request.current_app = self.admin_site.name
        everywhere = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(
            request,
            f"admin/preferences/sitepreferences/{template}.html",
            everywhere | context,
            status=status,
        )


def _revision(number: int) -> PreferenceRevision:
    revision = PreferenceRevision.objects.filter(number=number).first()
    if revision is None:
        raise Http404(f"There is no revision {number}.")
    return revision


def _described(
    revision: PreferenceRevision, older: PreferenceRevision | None, row: SitePreferences
) -> dict[str, Any]:
    changes: tuple[str, ...] = ()
    if older is not None:
        changes = describe_changes(
            as_row(older.data, older.number), as_row(revision.data, revision.number)
        )
    return {
        "revision": revision,
        "is_current": revision.number == row.version,
        "changes": changes[:MOST_CHANGES],
        "more": len(changes[MOST_CHANGES:]),
    }


def _fixed(fields: tuple[str, ...]) -> str:
    return ", ".join(f"{label_of(field)} (set by {variable_of(field)})" for field in fields)


def _labelled(finding: Finding) -> str:
    return f"{label_of(finding.field)}: {finding.message}"
