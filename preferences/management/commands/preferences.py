"""manage.py preferences: Site Preferences on the command line."""

import getpass
import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError
from django.db import DatabaseError

from preferences import locks
from preferences.differences import as_text, differences, readable
from preferences.exchange import ExchangeError, exported, field_named, imported
from preferences.forms import label_of
from preferences.models import PreferenceRevision, PreferenceSource, SitePreferences, User
from preferences.saving import (
    FIELDS,
    Conflict,
    as_row,
    current_row,
    describe_changes,
    lock_problems,
    merged,
    restore_comment,
    save_preferences,
    values_of,
)
from preferences.snapshot import parse
from preferences.usage import (
    InUse,
    RenameRefused,
    checked,
    follow,
    moved_places,
    require_kept,
    would_move,
)
from preferences.validation import Finding, validate
from shotmedia.origin import site_origin
from shotmedia.s3.probe import check_configuration

USAGE = 2
"""Exit code: the command itself was wrong. (0: done, 1: there are problems.)"""
EPILOG = """\
A saved value took the site down? `preferences history` names the revisions, and `preferences
restore 16` brings revision 16 back, also while `manage.py check` complains.
"""


class Command(BaseCommand):
    """List, change, check, compare, restore and move Site Preferences."""

    help = "Site Preferences: list, get, set, check, history, diff, restore, export, import."
    # A saved value may be what the checks complain of; this command is the way out.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.epilog = EPILOG
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

        def action(name: str, help: str, *, saves: bool = False, as_json: bool = False) -> Any:  # noqa: A002
            made = actions.add_parser(name, help=help, description=help)
            if as_json:
                made.add_argument("--json", action="store_true", help="for programs")
            if saves:
                made.add_argument(
                    "--dry-run", action="store_true", help="show what would change, save nothing"
                )
                made.add_argument("--comment", default="", help="why; shown in History")
                made.add_argument(
                    "--user", default="", help="who; else the account that runs the command"
                )
                made.add_argument(
                    "--rename",
                    action="append",
                    default=[],
                    metavar="OLD=NEW",
                    help="configuration OLD is called NEW now: its media files go along",
                )
            return made

        action("list", "Show all preferences.", as_json=True)
        made = action("get", "Show one preference.", as_json=True)
        made.add_argument("name", help="field name or label")
        made = action("set", "Change preferences; all of them or none.", saves=True)
        made.add_argument(
            "assignments",
            nargs="+",
            metavar="NAME=VALUE",
            help="NAME is a field name or a label; VALUE is text, @FILE, or - for standard input",
        )
        made = action("check", "Validate what is saved; asks S3 only with --buckets.", as_json=True)
        made.add_argument(
            "--buckets", action="store_true", help="run the speed test's checks for each bucket"
        )
        made.add_argument(
            "--origin",
            default="",
            help="with --buckets: the site as browsers see it, such as https://media.example.com",
        )
        made = action("history", "List the revisions, the newest first.", as_json=True)
        made.add_argument("-n", type=int, default=20, metavar="COUNT", help="how many (20)")
        made = action("diff", "Compare two revisions.", as_json=True)
        made.add_argument(
            "old", type=int, nargs="?", help="a revision; else the one before the current one"
        )
        made.add_argument("new", type=int, nargs="?", help="a revision; else the current one")
        made = action("restore", "Bring a revision back, as a new one.", saves=True)
        made.add_argument("number", type=int, help="the revision")
        made = action("export", "Write all preferences as JSON.")
        made.add_argument("file", nargs="?", default="-", help="else standard output")
        made.add_argument("--revision", type=int, help="an old revision instead of the current one")
        made = action("import", "Read preferences that were exported.", saves=True)
        made.add_argument("file", help="the file, or - for standard input")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        """Run one action. Raises CommandError with exit code 1 (problems) or 2 (usage)."""
        try:
            getattr(self, f"_{action}")(options)
            self.stdout.flush()
        except BrokenPipeError:
            # Who reads it, such as `head`, has enough. Python would complain again at its exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(1) from None
        except DatabaseError as error:
            raise CommandError(
                f"The database cannot be used: {error}\nIs it there, and is it migrated "
                "(manage.py migrate)?"
            ) from error

    # --- Looking ----------------------------------------------------------------------------------

    def _list(self, options: Mapping[str, Any]) -> None:
        row = current_row()
        fixed = {field: locks.variable_of(field) for field in locks.locked()}
        if options["json"]:
            self._json({"revision": row.version, "values": values_of(row), "locked": fixed})
            return
        for field in FIELDS:
            by = f"   (set by {fixed[field]})" if field in fixed else ""
            self.stdout.write(f"{label_of(field)} [{field}]{by}")
            for line in readable(field, getattr(row, field)).split("\n"):
                self.stdout.write(f"    {line}")
        self.stdout.write(f"Revision {row.version}")

    def _get(self, options: Mapping[str, Any]) -> None:
        field = _field(options["name"])
        value = getattr(current_row(), field)
        if options["json"]:
            self._json(value)
        elif isinstance(value, bool):
            self.stdout.write(readable(field, value))
        else:
            self.stdout.write(str(value))

    def _history(self, options: Mapping[str, Any]) -> None:
        count = options["n"]
        if count < 1:
            raise CommandError("-n: give a number of 1 or more.", returncode=USAGE)
        found = list(PreferenceRevision.objects.all()[: count + 1])
        revisions = []
        for revision, older in zip(found, [*found[1:], None], strict=True):
            changes = _changes(older, revision) if older else ()
            revisions.append((revision, changes))
        if options["json"]:
            self._json([_as_json(*entry) for entry in revisions[:count]])
            return
        for revision, changes in revisions[:count]:
            when = revision.created.astimezone(UTC)
            comment = f"  “{revision.comment}”" if revision.comment else ""
            self.stdout.write(
                f"{revision.number}  {when:%Y-%m-%d %H:%M} UTC  {revision.who}  "
                f"({revision.get_source_display()}){comment}"
            )
            for change in changes:
                self.stdout.write(f"    {change}")

    def _diff(self, options: Mapping[str, Any]) -> None:
        row = current_row()
        new = row if options["new"] is None else _row_of(options["new"])
        if options["old"] is None:
            older = PreferenceRevision.objects.filter(number__lt=row.version).first()
            old = as_row(older.data, older.number) if older else row
        else:
            old = _row_of(options["old"])
        found = differences(old, new)
        if options["json"]:
            changed = {
                one.field: {"old": getattr(old, one.field), "new": getattr(new, one.field)}
                for one in found
            }
            self._json({"old": old.version, "new": new.version, "changed": changed})
            return
        self.stdout.write(f"Revision {old.version} → {new.version}")
        self.stdout.write(as_text(found) or "Nothing differs.")

    def _export(self, options: Mapping[str, Any]) -> None:
        number = options["revision"]
        row = current_row() if number is None else _row_of(number)
        text = exported(values_of(row))
        if options["file"] == "-":
            self.stdout.write(text, ending="")
            return
        try:
            Path(options["file"]).write_text(text, encoding="utf-8", newline="")
        except OSError as error:
            raise CommandError(str(error)) from None
        self.stderr.write(f"Revision {row.version} was written to {options['file']}.")

    # --- Checking ---------------------------------------------------------------------------------

    def _check(self, options: Mapping[str, Any]) -> None:
        row = current_row()
        validated = validate(values_of(row))
        fixed = locks.problems() or lock_problems(row)
        errors = [*map(_sentence, validated.errors), *map(locks.described, fixed)]
        buckets: dict[str, list[dict]] = {}
        if options["buckets"]:
            buckets = self._check_buckets(row, options)
        failed = [
            name
            for name, found in buckets.items()
            if any(finding["status"] == "fail" for finding in found)
        ]
        if options["json"]:
            warnings = [_sentence(finding) for finding in validated.warnings]
            self._json(
                {"revision": row.version, "errors": errors, "warnings": warnings}
                | ({"buckets": buckets} if options["buckets"] else {})
            )
        else:
            self._tell_warnings(validated.warnings)
            for error in errors:
                self.stderr.write(f"Error: {error}")
        if errors or failed:
            said = [f"{len(errors)} error{'' if len(errors) == 1 else 's'} in what is saved"]
            said = said if errors else []
            said += [f"{name} has checks that fail" for name in failed]
            raise CommandError(f"Revision {row.version}: {'; '.join(said)}.")
        if not options["json"]:
            self.stdout.write(f"Revision {row.version} can be used.")

    def _check_buckets(
        self, row: SitePreferences, options: Mapping[str, Any]
    ) -> dict[str, list[dict]]:
        preferences = parse(row)
        primary, replica = preferences.primary, preferences.replica
        answers: dict[str, list[dict]] = {}
        for name, config in preferences.configurations.items():
            only_read = config is replica and config is not primary
            origin = options["origin"] or site_origin()
            answers[name] = []
            if not options["json"]:
                self.stdout.write(f"{name} (bucket {config.bucket}, {config.region})")
            for finding in check_configuration(config, origin, download_only=only_read):
                answers[name].append(finding.as_dict())
                if not options["json"]:
                    fix = f" {finding.fix}" if finding.fix else ""
                    self.stdout.write(
                        f"    {finding.status:4}  {finding.title}: {finding.message}{fix}"
                    )
        return answers

    # --- Saving -----------------------------------------------------------------------------------

    def _set(self, options: Mapping[str, Any]) -> None:
        values: dict[str, Any] = {}
        for assignment in options["assignments"]:
            name, equals, text = assignment.partition("=")
            if not equals:
                raise CommandError(
                    f"“{assignment}”: write NAME=VALUE, such as s3_replication_delay=90.",
                    returncode=USAGE,
                )
            field = _field(name)
            if field in values:
                raise CommandError(f"{field} is given twice.", returncode=USAGE)
            if text == "-" or text.startswith("@"):
                text = _read(text.removeprefix("@"))
            values[field] = locks.as_typed(field, text)
        # Named one by one they are meant: skipping one would look like success.
        fixed = [field for field in values if field in locks.locked()]
        if fixed:
            raise CommandError(f"Nothing was saved: {_fixed(fixed)}. Change it there and restart.")
        self._save(values, options)

    def _import(self, options: Mapping[str, Any]) -> None:
        try:
            values = imported(_read(options["file"]))
        except ExchangeError as error:
            raise CommandError(f"{options['file']}: {error} Nothing was saved.") from None
        self._save(values, options)

    def _restore(self, options: Mapping[str, Any]) -> None:
        number = options["number"]
        values = _revision(number).data
        comment = restore_comment(number, options["comment"])
        self._save(values, {**options, "comment": comment}, restored_from=number)

    def _save(
        self,
        values: Mapping[str, Any],
        options: Mapping[str, Any],
        *,
        restored_from: int | None = None,
    ) -> None:
        comment = " ".join(options["comment"].split())
        # Bytes that are no UTF-8 come as halves of a character, which no database stores.
        if not (comment + options["user"]).isprintable():
            raise CommandError("--comment, --user: use printable characters.", returncode=USAGE)
        if len(comment) > PreferenceRevision.MAX_COMMENT:
            raise CommandError(
                f"A comment has at most {PreferenceRevision.MAX_COMMENT} characters.",
                returncode=USAGE,
            )
        renames = _renames(options["rename"])
        row = current_row()
        wanted, skipped = merged(values, row)
        validated = validate(follow(wanted, renames))
        if validated.errors:
            # Often the names are wrong because a configuration was renamed.
            errors = checked(validated, row, renames).errors
            hint = " (--rename OLD=NEW)" if len(errors) > len(validated.errors) else ""
            sentences = "\n".join(_sentence(error) for error in errors)
            raise CommandError(f"{sentences}{hint}\nNothing was saved.")
        if skipped:
            self.stderr.write(f"Skipped: {_fixed(skipped)}.")
        for notice in validated.notices:
            self.stderr.write(f"Note: {_sentence(notice)}")
        self._tell_warnings(validated.warnings)
        new = as_row(validated.values, row.version + 1)
        found = differences(row, new)
        if found:
            self.stdout.write(as_text(found))
        try:
            require_kept(row, new, renames)
        except (InUse, RenameRefused) as error:
            raise _refused(error) from None
        if options["dry_run"]:
            for sentence in would_move(renames):
                self.stdout.write(sentence)
            for warning in moved_places(row, new, renames):
                self.stderr.write(f"Warning: {warning}")
            self.stdout.write("Nothing was saved (dry run).")
            return
        user, username = _writer(options["user"])
        source = PreferenceSource.COMMAND_LINE
        if restored_from is not None:
            source = PreferenceSource.RESTORE
        try:
            saved = save_preferences(
                validated.values,
                row.version,
                user,
                username=username,
                source=source,
                comment=comment,
                restored_from=restored_from,
                renames=renames,
            )
        except InUse as error:
            raise _refused(error) from None
        except Conflict as conflict:
            raise CommandError(
                f"{conflict.who} saved revision {conflict.version}{conflict.at}, while this "
                "command ran. Nothing was saved; look at it (preferences diff) and run this again."
            ) from None
        if saved.changes:
            self.stdout.write(f"Site Preferences were saved (revision {saved.version}).")
        else:
            self.stdout.write("Nothing was changed.")
        for sentence in saved.moved:
            self.stdout.write(sentence)
        for warning in saved.warnings:
            self.stderr.write(f"Warning: {warning}")

    # --- Telling ----------------------------------------------------------------------------------

    def _tell_warnings(self, warnings: Iterable[Finding]) -> None:
        for warning in warnings:
            self.stderr.write(f"Warning: {_sentence(warning)}")

    def _json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, indent=2, ensure_ascii=False))


def _renames(given: Iterable[str]) -> dict[str, str]:
    renames = {}
    for one in given:
        old, _, new = one.partition("=")
        if not old or not new:
            raise CommandError(
                f"“{one}”: write OLD=NEW, such as main=studio-main.", returncode=USAGE
            )
        renames[old] = new
    return renames


def _refused(error: InUse | RenameRefused) -> CommandError:
    hint = " (--rename OLD=NEW)" if isinstance(error, InUse) else ""
    return CommandError(f"{error}{hint}\nNothing was saved.")


def _sentence(finding: Finding) -> str:
    label = label_of(finding.field)
    return finding.message if finding.message.startswith(label) else f"{label}: {finding.message}"


def _fixed(fields: Iterable[str]) -> str:
    return ", ".join(
        f"{label_of(field)} is set by the environment variable {locks.variable_of(field)}"
        for field in fields
    )


def _field(name: str) -> str:
    try:
        return field_named(name)
    except ExchangeError as error:
        raise CommandError(str(error), returncode=USAGE) from None


def _read(name: str) -> str:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return data.decode("utf-8")
    except OSError as error:
        raise CommandError(str(error), returncode=USAGE) from None
    except UnicodeDecodeError:
        raise CommandError(f"{name}: this is not text in UTF-8.") from None


def _revision(number: int) -> PreferenceRevision:
    revision = PreferenceRevision.objects.filter(number=number).first()
    if revision is None:
        raise CommandError(f"There is no revision {number}; `preferences history` names them.")
    return revision


def _row_of(number: int) -> SitePreferences:
    return as_row(_revision(number).data, number)


def _changes(older: PreferenceRevision, revision: PreferenceRevision) -> tuple[str, ...]:
    return describe_changes(
        as_row(older.data, older.number), as_row(revision.data, revision.number)
    )


def _as_json(revision: PreferenceRevision, changes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "number": revision.number,
        "created": revision.created.astimezone(UTC).isoformat(),
        "who": revision.who,
        "source": revision.source,
        "address": revision.address,
        "comment": revision.comment,
        "restored_from": revision.restored_from,
        "changes": list(changes),
    }


def _writer(name: str) -> tuple[User | None, str]:
    """Return the site's user of this name, else the name by itself."""
    if not name:
        try:
            name = getpass.getuser()
        except (KeyError, OSError):  # an account without a name, as in many containers
            name = ""
    user = User.objects.filter(username=name).first() if name else None
    return user, name[:150]
