"""The form of the Site Preferences page."""

import json
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from django import forms

from preferences import locks
from preferences.models import PreferenceRevision, SitePreferences
from preferences.reader import read_json
from preferences.saving import FIELDS, values_of
from preferences.snapshot import parse
from preferences.usage import Left, follow, left_behind, names_in, suggestion, with_errors
from preferences.validation import Validated, validate

EXAMPLE = json.dumps(
    {
        "main": {
            "region": "us-east-1",
            "bucket": "studio-media",
            "prefix": "media",
            "aws_role_arn": "arn:aws:iam::111122223333:role/media",
            "s3_interface_vpc_endpoint_dns_name": "",
        },
        "sydney": {
            "region": "ap-southeast-2",
            "bucket": "studio-media-sydney",
            "prefix": "media",
            "aws_role_arn": "arn:aws:iam::111122223333:role/media",
            "s3_interface_vpc_endpoint_dns_name": "",
        },
    },
    indent=4,
)

CATEGORIES = (
    (
        "Isolation",
        (
            "s3_configuration",
            "s3_bucket_for_replication",
            "s3_replication_delay",
            "s3_replication_ip_addresses",
        ),
    ),
    ("Advanced", ("storage_location", "verify_replica_copies")),
)


def label_of(field: str) -> str:
    """Return the product's label of a field of Site Preferences."""
    return str(SitePreferences._meta.get_field(field).verbose_name)


def _text_area(rows: int) -> forms.Textarea:
    return forms.Textarea(
        attrs={
            "rows": rows,
            "class": "code",
            "spellcheck": "false",
            "autocapitalize": "off",
            "autocomplete": "off",
        }
    )


def _name_input() -> forms.TextInput:
    return forms.TextInput(
        attrs={"list": "configuration-names", "spellcheck": "false", "autocomplete": "off"}
    )


def _comment(max_length: int = PreferenceRevision.MAX_COMMENT) -> forms.CharField:
    return forms.CharField(
        label="Comment",
        required=False,
        max_length=max_length,
        # The browser would cut what is pasted; the message says what is wrong instead.
        widget=forms.TextInput(attrs={"autocomplete": "off", "maxlength": None}),
        help_text="Optional. Why this change? Shown in History.",
        error_messages={"max_length": f"A comment has at most {max_length} characters."},
    )


class RestoreForm(forms.Form):
    """What goes with restoring a revision."""

    base_version = forms.IntegerField(widget=forms.HiddenInput)
    # The comment is kept behind "Restored revision 12: ".
    comment = _comment(PreferenceRevision.MAX_COMMENT - 40)


class SitePreferencesForm(forms.Form):
    """Site Preferences as typed; everything is text, so that nothing typed is lost.

    Fields named in `locked` are fixed by the environment: they are shown with their initial value
    and nothing that is sent changes them.
    """

    base_version = forms.IntegerField(widget=forms.HiddenInput)
    s3_configuration = forms.CharField(
        label=label_of("s3_configuration"),
        required=False,
        strip=False,
        widget=_text_area(16),
        help_text=(
            "Named bucket configurations, as a JSON object. Each has “region” and “bucket”, and "
            "may have “prefix”, “aws_role_arn” and “s3_interface_vpc_endpoint_dns_name”. "
            "A comma after the last entry is allowed."
        ),
    )
    s3_bucket_for_replication = forms.CharField(
        label=label_of("s3_bucket_for_replication"),
        required=False,
        strip=False,
        widget=_name_input(),
        help_text=(
            "Name of the configuration above that holds the replica. Empty turns replication off."
        ),
    )
    s3_replication_delay = forms.CharField(
        label=label_of("s3_replication_delay"),
        required=False,
        strip=False,
        widget=forms.TextInput(
            attrs={"inputmode": "numeric", "class": "short", "autocomplete": "off"}
        ),
        help_text="How long after an upload the replica may be used. Default: 60.",
    )
    s3_replication_ip_addresses = forms.CharField(
        label=label_of("s3_replication_ip_addresses"),
        required=False,
        strip=False,
        widget=_text_area(6),
        help_text=(
            "Addresses and CIDR ranges for users set to auto, one per line. IPv4 or IPv6, such as "
            "10.20.0.0/16."
        ),
    )
    storage_location = forms.CharField(
        label=label_of("storage_location"),
        required=False,
        strip=False,
        widget=_name_input(),
        help_text=(
            "Name of the configuration that new media is uploaded to: the main bucket. Media that "
            "exists stays where it was uploaded to."
        ),
    )
    verify_replica_copies = forms.BooleanField(
        label=label_of("verify_replica_copies"),
        required=False,
        help_text=(
            "Ask the replica whether a file has arrived before sending anyone there. Off: the "
            "delay alone decides. Default: on."
        ),
    )

    comment = _comment()

    validated: Validated | None = None
    renames: Mapping[str, str] = MappingProxyType({})
    """Old names of configurations and the new ones, as chosen on the page."""
    left: Sequence[Left] = ()
    """What depends on configurations that are gone from the form."""

    def __init__(
        self, *args: Any, row: SitePreferences, locked: Collection[str] = (), **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._row = row
        for field in locked:
            self.fields[field].disabled = True

    def clean(self) -> dict:
        """Validate the values together, as every writer of preferences does."""
        cleaned = super().clean()
        if not all(field in cleaned for field in FIELDS):
            return cleaned
        self.renames = self._renames(cleaned["s3_configuration"])
        values = follow({field: cleaned[field] for field in FIELDS}, self.renames)
        validated = validate(values)
        if not validated.errors_of("s3_configuration"):
            typed = validated.values["s3_configuration"]
            self.left = left_behind(self._row.s3_configuration, typed)
        self.validated = with_errors(
            validated, [left for left in self.left if left.name not in self.renames]
        )
        for error in self.validated.errors:
            self.add_error(error.field, error.message)
        return cleaned

    def _renames(self, typed: str) -> dict[str, str]:
        """Return the renames chosen on the page that still are some: old gone, new there."""
        after, prefix = read_json(typed).value, "rename:"
        if not isinstance(after, dict):
            return {}
        chosen = {
            key.removeprefix(prefix): self.data[key] for key in self.data if key.startswith(prefix)
        }
        before = names_in(self._row.s3_configuration)
        return {
            old: new
            for old, new in chosen.items()
            if old in before and old not in after and new in after
        }

    def rename_choices(self) -> list[dict[str, Any]]:
        """Return what the page asks: for each configuration left behind, where it may have gone."""
        if not self.left:
            return []
        typed = SitePreferences(s3_configuration=self.validated.values["s3_configuration"])
        choices = parse(typed).configurations
        return [
            {
                "left": left,
                "chosen": self.renames.get(left.name) or suggestion(left, self._row, choices),
                "choices": [(c.name, f"bucket {c.bucket}, {c.region}") for c in choices.values()],
            }
            for left in self.left
        ]

    def names(self) -> list[str]:
        """Return the names of the configurations in the form, [] while they can't be read."""
        value = read_json(self["s3_configuration"].value() or "").value
        return [name for name in value if name.isprintable()] if isinstance(value, dict) else []


def options_for(row: SitePreferences) -> dict[str, Any]:
    """Return what a SitePreferencesForm needs of `row`: its values, and what is fixed.

    What the environment fixes keeps the row's value, whatever is sent.
    """
    return {
        "initial": {"base_version": row.version} | values_of(row),
        "locked": locks.locked().keys(),
        "row": row,
    }
