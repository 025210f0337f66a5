"""Names of environment variables that messages tell users of; only `tasks.shared.env` reads them."""

FEEDBACK_VARIABLE = "RETORT_FEEDBACK_URL"
