"""`manage.py token create|list|revoke`: API tokens on the command line."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from preferences.models import ApiToken, User
from preferences.token_forms import TokenForm
from preferences.tokens import revoke


class Command(BaseCommand):
    help = (
        "Make, list and revoke API tokens. Exit codes: 0 done, 1 refused, 2 called in a wrong way."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the three actions."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        create = actions.add_parser("create", help="make a token; prints it once, on stdout")
        create.add_argument("user", help="user name of the person that the token logs in")
        create.add_argument("name", help="what uses the token, such as the script and its machine")
        life = create.add_mutually_exclusive_group()
        life.add_argument("--days", type=int, default=365, help="days of its life (default: 365)")
        life.add_argument("--never-expires", action="store_true")
        create.add_argument(
            "--address",
            action="append",
            default=[],
            metavar="RANGE",
            help="an address or CIDR range that may use it; may be repeated (default: all)",
        )
        listing = actions.add_parser("list", help="list tokens, newest first")
        listing.add_argument("--user", help="only those of this person")
        listing.add_argument("--json", action="store_true", dest="as_json", help="one JSON array")
        revoking = actions.add_parser("revoke", help="revoke a token for good")
        revoking.add_argument("key", help="the token, or its beginning as listed: shot_<key>")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        """Do one action; CommandError (exit code 1) with a sentence when it is refused."""
        {"create": self._create, "list": self._list, "revoke": self._revoke}[action](**options)

    def _create(
        self, user: str, name: str, days: int, never_expires: bool, address: list[str], **_: Any
    ) -> None:
        person = self._person(user)
        if not person.is_active:
            raise CommandError(f"{user} may not log in, so a token would open nothing.")
        given = {
            "name": name,
            "days": "" if never_expires else days,
            "addresses": "\n".join(address),
        }
        form = TokenForm(given, instance=ApiToken(user=person))
        if not form.is_valid():
            raise CommandError(
                "\n".join(
                    f"{field}: {message}"
                    for field, messages in form.errors.items()
                    for message in messages
                )
            )
        _, text = form.make(None)
        self.stdout.write(text)
        self.stderr.write("This is the only time the token is shown.")

    def _list(self, user: str | None, as_json: bool, **_: Any) -> None:
        tokens = ApiToken.objects.select_related("user")
        if user:
            tokens = tokens.filter(user=self._person(user))
        rows = [
            {
                "token": f"shot_{token.key}",
                "user": token.user.get_username(),
                "name": token.name,
                "state": token.state(),
                "created": _time(token.created),
                "expires": _time(token.expires_at),
                "last_used": _time(token.last_used_at),
                "addresses": token.addresses.split(),
            }
            for token in tokens
        ]
        if as_json:
            self.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False))
            return
        for row in rows:
            self.stdout.write(
                f"{row['token']}  {row['state']:<7}  {row['user']}  “{row['name']}”  "
                f"expires {row['expires'] or 'never'}  last used {row['last_used'] or 'never'}"
            )

    def _revoke(self, key: str, **_: Any) -> None:
        wanted = key.removeprefix("shot_").partition("_")[0]
        token = ApiToken.objects.filter(key=wanted).first()
        if token is None:
            raise CommandError("There is no such token; `manage.py token list` shows all.")
        done = revoke(token)
        self.stdout.write(f"{token} {'was revoked' if done else 'had been revoked before'}.")

    def _person(self, username: str) -> User:
        person = User.objects.filter(username=username).first()
        if person is None:
            raise CommandError(f"There is no user named “{username}”.")
        return person


def _time(when: Any) -> str | None:
    return None if when is None else when.isoformat(timespec="seconds")
