"""Commands about sites."""

from __future__ import annotations

from cyclopts import App

from portfolio_analytics.cli.shell import COMMAND_LINE, app, console, database, fail, list_table
from portfolio_analytics.storage import sites as store
from portfolio_analytics.storage import steps

sites_app = App(
    name="sites",
    help="""Add, list, change and delete sites.

    Example: portfolio-analytics sites add example.com --time-zone Europe/Berlin
    """,
)
app.command(sites_app)


@sites_app.command(name="list")
def list_sites() -> None:
    """List the sites.

    Example: portfolio-analytics sites list
    """
    table = list_table(
        "name", "time zone", "host names", "excluded addresses", "excluded paths", "former names"
    )
    with database() as connection:
        for site in steps.run(connection, store.list_all()):
            table.add_row(
                site.name + (" (rebuild wanted)" if site.rebuild_wanted else ""),
                site.time_zone,
                *(
                    ", ".join(values)
                    for values in (
                        site.host_names,
                        site.excluded_addresses,
                        site.excluded_paths,
                        site.aliases,
                    )
                ),
            )
    console.print(table)


@sites_app.command
def add(name: str, *, time_zone: str = "UTC") -> None:
    """Add a site.

    Example: portfolio-analytics sites add example.com --time-zone Europe/Berlin
    """
    with database() as connection:
        steps.run(connection, store.add(name, time_zone, COMMAND_LINE))
    console.print(f"Added {name}.", highlight=False)


@sites_app.command
def rename(name: str, new_name: str) -> None:
    """Rename a site; what still comes under the old name is counted under the new one.

    Example: portfolio-analytics sites rename old.example.com example.com
    """
    with database() as connection:
        steps.run(connection, store.rename(name, new_name, COMMAND_LINE))
    console.print(f"{name} is {new_name} now.", highlight=False)


@sites_app.command(name="set")
def set_site(
    name: str,
    *,
    time_zone: str | None = None,
    host_names: list[str] | None = None,
    excluded_addresses: list[str] | None = None,
    excluded_paths: list[str] | None = None,
) -> None:
    """Change a site's settings; what is not named stays as it is.

    Example: portfolio-analytics sites set example.com --excluded-addresses 203.0.113.0/24

    Parameters
    ----------
    time_zone
        Days are this zone's days. After a change run `rebuild`.
    host_names
        Only pages of these hosts may send events.
    excluded_addresses
        Addresses or networks whose events are ignored.
    excluded_paths
        Pages whose events are ignored; * stands for any run of characters.
    """
    wanted = store.SiteChange(time_zone, host_names, excluded_addresses, excluded_paths)
    with database() as connection:
        site = steps.run(connection, store.change(name, wanted, COMMAND_LINE))
    console.print(f"Changed {site.name}.", highlight=False)
    if site.rebuild_wanted:
        console.print("Run `portfolio-analytics rebuild`, so that past days are of the new time zone too.")


@sites_app.command
def reset(name: str, *, yes: bool = False) -> None:
    """Delete all of a site's events and numbers, and keep the site.

    Example: portfolio-analytics sites reset example.com --yes
    """
    _confirm(f"All numbers of {name} will be gone.", yes)
    with database() as connection:
        steps.run(connection, store.reset(name, COMMAND_LINE))
    console.print(f"{name} begins anew.", highlight=False)


@sites_app.command
def delete(name: str, *, yes: bool = False) -> None:
    """Delete a site with all of its events, numbers and settings.

    Example: portfolio-analytics sites delete example.com --yes
    """
    _confirm(f"{name} and all of its numbers will be gone.", yes)
    with database() as connection:
        steps.run(connection, store.delete(name, COMMAND_LINE))
    console.print(f"Deleted {name}.", highlight=False)


def _confirm(warning: str, yes: bool) -> None:
    if not yes:
        fail(warning, "If that is what you want, add --yes.", status=2)
