"""Who may test, and who may see what was measured."""

from django.contrib.auth.models import AnonymousUser

from preferences.models import User

Person = User | AnonymousUser


def may_test(user: Person) -> bool:
    """Whether somebody may run tests: staff who may change Site Preferences."""
    return user.is_authenticated and user.may_change_preferences()


def may_read(user: Person) -> bool:
    """Whether somebody may see results: who may test, and staff who may view them."""
    return may_test(user) or (user.is_staff and user.has_perm("speedtest.view_speedtestrun"))
