"""Commands about access tokens."""

from __future__ import annotations

from cyclopts import App

from portfolio_analytics.cli.shell import COMMAND_LINE, app, console, database, list_table
from portfolio_analytics.storage import steps
from portfolio_analytics.storage import tokens as store

tokens_app = App(
    name="tokens",
    help="""Create, list and revoke access tokens.

    Example: portfolio-analytics tokens create grafana --scope read --site example.com
    """,
)
app.command(tokens_app)


@tokens_app.command
def create(name: str, *, scope: list[str], site: str | None = None) -> None:
    """Create a token and show it, once.

    Example: portfolio-analytics tokens create grafana --scope read --site example.com

    Parameters
    ----------
    scope
        ingest, import, read or admin; may be given several times.
    site
        The only site that the token is for; without it, all sites.
    """
    with database() as connection:
        _, secret = steps.run(connection, store.create(name, scope, site, COMMAND_LINE))
    console.print(secret.reveal(), highlight=False, soft_wrap=True)


@tokens_app.command(name="list")
def list_tokens() -> None:
    """List the tokens; what a token is cannot be shown again.

    Example: portfolio-analytics tokens list
    """
    table = list_table("name", "scopes", "site", "created", "last used", "revoked")
    with database() as connection:
        for token in steps.run(connection, store.list_all()):
            table.add_row(
                token.name,
                ", ".join(token.scopes),
                token.site or "all",
                *(
                    f"{moment:%Y-%m-%d %H:%M}" if moment else ""
                    for moment in (token.created_at, token.last_used_at, token.revoked_at)
                ),
            )
    console.print(table)


@tokens_app.command
def revoke(name: str) -> None:
    """Revoke a token, and end the sessions that were signed in with it.

    Example: portfolio-analytics tokens revoke grafana
    """
    with database() as connection:
        steps.run(connection, store.revoke(name, COMMAND_LINE))
    console.print(f"Revoked {name}.", highlight=False)
