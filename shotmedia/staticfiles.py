"""Static files under hashed names where they were collected, under their own names elsewhere."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFilesStorage(CompressedManifestStaticFilesStorage):
    """WhiteNoise's storage that also works before `collectstatic` has run.

    Without a manifest Django would answer every page with an error; here a file that is not in
    the manifest keeps its own name, and WhiteNoise serves it through the finders.
    """

    # Without it `import "./module.js"` would keep its unhashed name (Django's documentation of
    # ManifestStaticFilesStorage).
    support_js_module_import_aggregation = True

    def stored_name(self, name: str) -> str:
        """Return the hashed name of `name`, or `name` itself when it was not collected."""
        return self.hashed_files.get(self.hash_key(self.clean_name(name))) or name
