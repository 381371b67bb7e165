"""The form that makes an API token, on /account/tokens/, in the admin and on the command line."""

import logging
from datetime import timedelta

from django import forms
from django.utils import timezone

from preferences import addresses
from preferences.models import ApiToken, User
from preferences.tokens import may_make_for, new_secret
from preferences.validation import limited

logger = logging.getLogger(__name__)

LONGEST_DAYS = 3650


class TokenForm(forms.ModelForm):
    """A new token of `instance.user`."""

    days = forms.IntegerField(
        label="Expires after",
        required=False,
        min_value=1,
        max_value=LONGEST_DAYS,
        initial=365,
        help_text="Days. Empty: never.",
    )

    class Meta:
        model = ApiToken
        fields = ("name", "days", "addresses")
        widgets = {
            "addresses": forms.Textarea(
                attrs={"rows": 3, "class": "code", "spellcheck": "false", "autocomplete": "off"}
            )
        }

    def clean_name(self) -> str:
        """Refuse what a list cannot show."""
        name = self.cleaned_data["name"]
        if not name.isprintable():
            raise forms.ValidationError("Use printable characters only.")
        return name

    def clean_addresses(self) -> str:
        """Read the addresses as those of Site Preferences are read."""
        text = addresses.without_invisible(self.cleaned_data["addresses"])
        _, problems = addresses.parse_ranges(text)
        errors = [problem.message for problem in problems if not problem.correction]
        if errors:
            raise forms.ValidationError(limited(errors, str))
        return addresses.corrected(text, problems).strip()

    def clean(self) -> dict:
        """Refuse a name that another good token of the person has: names tell tokens apart."""
        cleaned = super().clean()
        user = cleaned.get("user") or self.instance.user
        same = ApiToken.objects.filter(user=user, name=cleaned.get("name"), revoked_at=None)
        if same.exists():
            self.add_error(
                "name",
                f"{user.get_username()} has a token of this name. Revoke it, or take another name.",
            )
        return cleaned

    def make(self, made_by: User | None) -> tuple[ApiToken, str]:
        """Save the token; return it and its text, which is shown once."""
        token = self.save(commit=False)
        token.created_by = made_by
        days = self.cleaned_data["days"]
        token.expires_at = timezone.now() + timedelta(days=days) if days else None
        text = new_secret(token)
        token.save()
        logger.info("API token made", extra={"token": token.key, "user": token.user_id})
        return token, text


class TokenForAnyoneForm(TokenForm):
    """A new token of a person that is chosen in the form, by `maker`."""

    maker: User
    """Set by the admin (ModelAdmin.get_form)."""

    class Meta(TokenForm.Meta):
        fields = ("user", *TokenForm.Meta.fields)

    def clean_user(self) -> User:
        """Refuse people who may do more than the maker, and who may not log in."""
        user = self.cleaned_data["user"]
        if not may_make_for(self.maker, user):
            raise forms.ValidationError(
                f"{user.get_username()} may do more than you: a token of theirs is for them to "
                "make, or for a superuser."
            )
        if not user.is_active:
            raise forms.ValidationError(f"{user.get_username()} may not log in.")
        return user

    def clean(self) -> dict:
        """Look for the name only when there is a person."""
        return super().clean() if "user" in self.cleaned_data else self.cleaned_data
