"""Sites, their goals, funnels and public links over HTTP."""

from __future__ import annotations

from starlette.responses import Response

from portfolio_analytics.admin.call import Call
from portfolio_analytics.admin.messages import (
    Done,
    FunnelList,
    GoalList,
    LinkList,
    MadeLink,
    NewLink,
    NewName,
    NewSite,
    SiteList,
    SiteSummary,
)
from portfolio_analytics.shared.http import answer
from portfolio_analytics.storage import funnels, goals, public_links, sites
from portfolio_analytics.storage.funnels import Funnel
from portfolio_analytics.storage.goals import Goal
from portfolio_analytics.storage.sites import SiteChange


async def visible_sites(call: Call) -> list[SiteSummary]:
    """The sites that the caller may read."""
    found = await call.do(sites.list_all())
    return [SiteSummary(site.name, site.time_zone) for site in found if call.principal.may("read", site.name)]


async def list_sites(call: Call) -> Response:
    """The sites that the caller may read."""
    return answer(SiteList(await visible_sites(call)))


async def add_site(call: Call) -> Response:
    """Add a site."""
    wanted = await call.body(NewSite)
    return answer(await call.do(sites.add(wanted.name, wanted.time_zone, call.actor)), 201)


async def get_site(call: Call) -> Response:
    """One site's settings."""
    return answer(await call.do(sites.find(call.site)))


async def change_site(call: Call) -> Response:
    """Change a site's settings."""
    wanted = await call.body(SiteChange)
    return answer(await call.do(sites.change(call.site, wanted, call.actor)))


async def rename_site(call: Call) -> Response:
    """Call a site differently."""
    wanted = await call.body(NewName)
    return answer(await call.do(sites.rename(call.site, wanted.name, call.actor)))


async def reset_site(call: Call) -> Response:
    """Forget all that was counted for a site."""
    return answer(await call.do(sites.reset(call.site, call.actor)))


async def delete_site(call: Call) -> Response:
    """End a site."""
    await call.do(sites.delete(call.site, call.actor))
    return answer(Done())


async def list_goals(call: Call) -> Response:
    """A site's goals."""
    return answer(GoalList(await call.do(goals.list_all(call.site))))


async def add_goal(call: Call) -> Response:
    """Add a goal."""
    wanted = await call.body(Goal)
    return answer(await call.do(goals.create(call.site, wanted, call.actor)), 201)


async def delete_goal(call: Call) -> Response:
    """End a goal."""
    await call.do(goals.delete(call.site, call.name, call.actor))
    return answer(Done())


async def list_funnels(call: Call) -> Response:
    """A site's funnels."""
    return answer(FunnelList(await call.do(funnels.list_all(call.site))))


async def add_funnel(call: Call) -> Response:
    """Add a funnel."""
    wanted = await call.body(Funnel)
    return answer(await call.do(funnels.create(call.site, wanted, call.actor)), 201)


async def change_funnel(call: Call) -> Response:
    """Put another funnel in place of one."""
    wanted = await call.body(Funnel)
    return answer(await call.do(funnels.change(call.site, call.name, wanted, call.actor)))


async def delete_funnel(call: Call) -> Response:
    """End a funnel."""
    await call.do(funnels.delete(call.site, call.name, call.actor))
    return answer(Done())


async def list_links(call: Call) -> Response:
    """A site's public links."""
    return answer(LinkList(await call.do(public_links.list_all(call.site))))


async def add_link(call: Call) -> Response:
    """Make a public link."""
    wanted = await call.body(NewLink)
    link, secret = await call.do(public_links.create(call.site, wanted.name, call.actor))
    made = MadeLink(link, secret.reveal(), f"/dashboard?share={secret.reveal()}")
    return answer(made, 201, {"Cache-Control": "no-store"})


async def revoke_link(call: Call) -> Response:
    """End a public link."""
    await call.do(public_links.revoke(call.site, call.name, call.actor))
    return answer(Done())
