"""The commands, and nothing else: each file holds those of one subject."""

from __future__ import annotations

import sys

from portfolio_analytics.cli import data, proof, serve, sites, tokens
from portfolio_analytics.cli.shell import app, fail
from portfolio_analytics.shared.errors import AnalyticsError, SettingsError

__all__ = ["app", "data", "main", "proof", "serve", "sites", "tokens"]


def main() -> None:
    """Entry point of the command line."""
    try:
        app()
    except SettingsError as error:
        fail("The settings cannot be used:", *(f"  {problem}" for problem in error.problems), status=2)
    except AnalyticsError as error:
        fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
