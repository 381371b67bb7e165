"""API tokens in the admin: made for anybody, shown once, listed, revoked; never removed."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import date
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers

from preferences.models import ApiToken
from preferences.token_forms import TokenForAnyoneForm
from preferences.tokens import revoke

_REVOKED = [{"changed": {"fields": ["revoked"]}}]


class StateFilter(admin.SimpleListFilter):
    """Tokens that can be used, and those that cannot any more."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """The states of ApiToken.state."""
        return [(state, state) for state in ("active", "expired", "revoked")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Keep the tokens in the chosen state."""
        expired = Q(expires_at__lte=timezone.now())
        conditions = {
            "active": Q(revoked_at=None) & (Q(expires_at=None) | ~expired),
            "expired": Q(revoked_at=None) & expired,
            "revoked": Q(revoked_at__isnull=False),
        }
        return queryset.filter(conditions.get(self.value(), Q()))


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    """All tokens, newest first."""

    list_display = ("name", "user", "beginning", "standing", "expires", "last_used")
    list_select_related = ("user",)
    list_filter = (StateFilter,)
    search_fields = ("name", "user__username", "key")
    actions = ("revoke_selected",)
    autocomplete_fields = ("user",)
    add_form_template = "admin/preferences/apitoken/add_form.html"
    change_form_template = "admin/preferences/apitoken/change_form.html"

    @admin.display(description="Token")
    def beginning(self, token: ApiToken) -> str:
        """What the token begins with: enough to find it, nothing to log in with."""
        return f"shot_{token.key}_…"

    @admin.display(description="State")
    def standing(self, token: ApiToken) -> str:
        """Whether it can be used."""
        if not token.user.is_active and token.state() == "active":
            return "person may not log in"
        return token.state()

    @admin.display(description="Expires", ordering="expires_at")
    def expires(self, token: ApiToken) -> str:
        """The day."""
        return date(token.expires_at, "j M Y") or "never"

    @admin.display(description="Last used", ordering="last_used_at")
    def last_used(self, token: ApiToken) -> str:
        """To some ten minutes."""
        return date(token.last_used_at, "j M Y H:i") or "never"

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """A token is revoked and stays in the list."""
        return False

    def get_form(
        self, request: HttpRequest, obj: ApiToken | None = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm]:
        """Ask for what makes a token; an existing one is only shown."""
        if obj is not None:
            return super().get_form(request, obj, change, **kwargs)
        form = super().get_form(request, obj, change, **kwargs | {"form": TokenForAnyoneForm})
        form.maker = request.user
        return form

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> tuple[str, ...]:
        """The form's fields for a new token, the facts of an existing one."""
        if obj is None:
            return ("user", "name", "days", "addresses")
        return (
            "user", "name", "beginning", "standing", "addresses", "expires", "last_used",
            "created", "created_by", "revoked_at",
        )  # fmt: skip

    def get_readonly_fields(
        self, request: HttpRequest, obj: ApiToken | None = None
    ) -> tuple[str, ...]:
        """Nothing of an existing token can be changed."""
        return () if obj is None else self.get_fields(request, obj)

    def save_model(
        self, request: HttpRequest, obj: ApiToken, form: ModelForm, change: bool
    ) -> None:
        """Make the token, or revoke it: the page of an existing one has no other button."""
        if change:
            revoke(obj)
        else:
            _, obj.text = form.make(request.user)

    def construct_change_message(
        self, request: HttpRequest, form: ModelForm, formsets: list | None, add: bool = False
    ) -> list[dict]:
        """Say that it was revoked."""
        if add:
            return super().construct_change_message(request, form, formsets, add)
        return _REVOKED

    def response_add(
        self, request: HttpRequest, obj: ApiToken, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the token, this once, in the answer itself (see preferences.token_pages)."""
        context = {
            **self.admin_site.each_context(request),
            "title": "API token",
            "opts": self.opts,
            "token": obj,
            "text": obj.text,
        }
        request.current_app = self.admin_site.name
        response = TemplateResponse(request, "admin/preferences/apitoken/made.html", context)
        add_never_cache_headers(response)
        return response

    def response_change(self, request: HttpRequest, obj: ApiToken) -> HttpResponse:
        """Say that it was revoked, on the list."""
        self.message_user(request, f"“{obj.name}” was revoked.", messages.SUCCESS)
        return self.response_post_save_change(request, obj)

    @admin.action(permissions=["change"], description="Revoke selected API tokens")
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Revoke the chosen tokens."""
        revoked = [token for token in queryset if revoke(token)]
        for token in revoked:
            self.log_change(request, token, _REVOKED)
        tokens = "token was" if len(revoked) == 1 else "tokens were"
        self.message_user(request, f"{len(revoked)} {tokens} revoked.", messages.SUCCESS)
