"""Pages of the revisions of Site Preferences: the list, one revision, restoring it."""

from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.views.decorators.http import require_http_methods, require_safe

from preferences.addresses import client_address
from preferences.fields import label_of
from preferences.history import differences, plan_restoration, restore, values_at
from preferences.locks import locked_message
from preferences.models import PreferenceRevision, PreferenceSource
from preferences.reports import report
from preferences.saving import (
    Conflict,
    as_row,
    describe_changes,
    read_row,
    values_of,
)

PAGE_SIZE = 25
TEMPLATES = "admin/preferences/sitepreferences"


@require_safe
def history(request: HttpRequest, *, model_admin: ModelAdmin) -> HttpResponse:
    """List the revisions, newest first; `?before=` is the number that the page starts below."""
    _let_in(model_admin, request)
    revisions = PreferenceRevision.objects.all()
    before = request.GET.get("before", "")
    if before.isdecimal() and len(before) < 10:
        revisions = revisions.filter(number__lt=int(before))
    found = list(revisions[: PAGE_SIZE + 1])
    shown = found[:PAGE_SIZE]
    return _page(
        model_admin,
        request,
        "history",
        "History of Site Preferences",
        revisions=[_described(*pair) for pair in zip_longest(shown, found[1:])][: len(shown)],
        older=shown[-1].number if len(found) > PAGE_SIZE else None,
        is_first_page=not before,
    )


@require_safe
def revision(request: HttpRequest, number: int, *, model_admin: ModelAdmin) -> HttpResponse:
    """Show one revision: what it changed, and how it differs from the values in force."""
    _let_in(model_admin, request)
    found = _find(number)
    previous = PreferenceRevision.objects.filter(number__lt=number).first()
    row = read_row()
    return _page(
        model_admin,
        request,
        "revision",
        f"Revision {number}",
        revision=_described(found, previous),
        previous=previous,
        changed=differences(values_at(previous), values_at(found)) if previous else [],
        is_current=number == row.version,
        current=row.version,
        to_current=differences(values_at(found), values_of(row)),
        may_change=model_admin.has_change_permission(request),
        values=[(label_of(field), str(value)) for field, value in values_at(found).items()],
    )


@require_http_methods(["GET", "HEAD", "POST"])
def restore_revision(request: HttpRequest, number: int, *, model_admin: ModelAdmin) -> HttpResponse:
    """Show what restoring a revision would change, and restore it when that is sent."""
    _let_in(model_admin, request)
    if not model_admin.has_change_permission(request):
        raise PermissionDenied
    _find(number)
    plan = plan_restoration(number)
    conflict = None
    if request.method == "POST" and not plan.validated.errors:
        try:
            if request.POST.get("version") != str(plan.row.version):
                raise Conflict(plan.row)
            saved = restore(
                plan,
                request.user,
                address=client_address(request),
                comment=request.POST.get("comment", "").strip(),
            )
        except Conflict as error:
            plan, conflict = plan_restoration(number), error
        else:
            report(request, saved, plan.validated)
            for field in plan.skipped:
                messages.warning(request, f"{label_of(field)} was kept. {locked_message(field)}")
            return redirect("admin:preferences_sitepreferences_change", "1")
    return _page(
        model_admin,
        request,
        "restore",
        f"Restore revision {number}",
        status=409 if conflict else 200,
        revision=_described(plan.revision),
        plan=plan,
        skipped=[(label_of(field), locked_message(field)) for field in plan.skipped],
        who=conflict.who if conflict else "",
        comment=request.POST.get("comment", f"Restored revision {number}"),
    )


def _let_in(model_admin: ModelAdmin, request: HttpRequest) -> None:
    if not model_admin.has_view_permission(request):
        raise PermissionDenied


def _find(number: int) -> PreferenceRevision:
    found = PreferenceRevision.objects.filter(number=min(number, 2**31 - 1)).first()
    if found is None:
        raise Http404(f"There is no revision {number}.")
    return found


def _described(
    revision: PreferenceRevision, previous: PreferenceRevision | None = None
) -> dict[str, Any]:
    """Return a revision for a template, with what it changed in words since `previous`."""
    how = revision.get_source_display()
    if revision.source == PreferenceSource.RESTORE:
        how = f"{how} of {revision.restored_from}"
    return {
        "number": revision.number,
        "when": when(revision.created),
        "iso": revision.created.isoformat(),
        "who": revision.who,
        "how": how,
        "address": revision.address,
        "comment": revision.comment,
        "changes": describe_changes(
            as_row(previous.data, previous.number), as_row(revision.data, revision.number)
        )
        if previous
        else (),
    }


def when(moment: datetime) -> str:
    """Return a time in words, in UTC."""
    moment = moment.astimezone(UTC)
    return f"{moment.day} {moment:%b %Y %H:%M} UTC"


def _page(
    model_admin: ModelAdmin,
    request: HttpRequest,
    template: str,
    title: str,
    *,
    status: int = 200,
    **context: Any,
) -> HttpResponse:
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(
        request,
        f"{TEMPLATES}/{template}.html",
        {
            **model_admin.admin_site.each_context(request),
            "title": title,
            "subtitle": None,
            "opts": model_admin.opts,
            **context,
        },
        status=status,
    )
