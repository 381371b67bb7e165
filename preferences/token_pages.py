"""/account/tokens/: a person's own API tokens."""

from django.contrib import messages
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from preferences.models import ApiToken
from preferences.token_forms import TokenForm
from preferences.tokens import revoke


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def own_tokens(request: HttpRequest) -> HttpResponse:
    """List a person's tokens, or make one.

    The new token is in the answer to the form itself, which no cache keeps: a redirect would have
    to store it somewhere on its way to the next page.
    """
    form = TokenForm(
        request.POST if request.method == "POST" else None, instance=ApiToken(user=request.user)
    )
    if request.method == "POST" and form.is_valid():
        token, text = form.make(request.user)
        _log(request, token, ADDITION, "")
        context = {"section": "account", "token": token, "text": text}
        return render(request, "preferences/token_made.html", context)
    now = timezone.now()
    tokens = [(token, token.state(now)) for token in request.user.api_tokens.all()]
    context = {"section": "account", "form": form, "tokens": tokens}
    return render(request, "preferences/tokens.html", context)


@require_POST
def revoke_own_token(request: HttpRequest, token_id: int) -> HttpResponse:
    """Revoke one of a person's tokens."""
    token = get_object_or_404(ApiToken, pk=token_id, user=request.user)
    if revoke(token):
        _log(request, token, CHANGE, [{"changed": {"fields": ["revoked"]}}])
        messages.success(request, f"“{token.name}” was revoked; it opens nothing any more.")
    else:
        messages.info(request, f"“{token.name}” was revoked before.")
    return redirect("preferences:tokens")


def _log(request: HttpRequest, token: ApiToken, flag: int, message: str | list) -> None:
    LogEntry.objects.log_actions(request.user.pk, [token], flag, message, single_object=True)
