"""The one exception that means: the user can mend this."""


class UserError(Exception):
    """Bad input, told in one sentence that names the file, the field and what was expected.

    The command line prints the sentence and exits with code 2; a library user sees an ordinary exception.
    """
