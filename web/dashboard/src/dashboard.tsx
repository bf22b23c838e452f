import { useEffect, useState } from "preact/hooks";
import type { Session, SiteSummary } from "./api/types";
import { RefreshContext } from "./api/use-query";
import { ShortcutHelp } from "./bar/shortcut-help";
import { useShortcuts } from "./bar/shortcuts";
import { TopBar } from "./bar/top-bar";
import { LiveView } from "./live/live-view";
import { useLive } from "./live/use-live";
import { Overview } from "./overview/overview";
import { spanOf, todayIn } from "./period";
import { Proof } from "./proof/proof";
import { Settings } from "./settings/settings";
import { Sites } from "./sites/sites";
import { read, write } from "./store";
import { useNavigation } from "./view";
import { Welcome } from "./welcome";

const REFRESH_MS = 10_000;
const CLOCK_MS = 60_000;
const SITE = "site";

interface Props {
  session: Session;
  /** Asks anew who is there and which sites they may read. */
  onSession: () => void;
  onSignOut: () => void;
}

/** One site's page, or that of all. */
export function Dashboard({ session, onSession, onSignOut }: Props) {
  const navigation = useNavigation();
  const { view } = navigation;
  const [help, setHelp] = useState(false);
  const site = siteToShow(session.sites, view.site);
  const zone = site?.time_zone ?? "UTC";
  const now = useClock();
  const today = todayIn(zone, now);
  const span = spanOf(view.period, today);
  const live = useLive(site?.name ?? null);
  const refresh = useRefresh(live.visitors === null ? null : (live.events[0]?.id ?? ""), span === null || span.to >= today);
  const many = session.sites.length > 1;
  const listed = many && view.page === "sites";
  useShortcuts(navigation, span, today, many, () => setHelp(true));
  useEffect(() => {
    // A person who comes back wants the site they looked at.
    if (site && view.site !== null) write(SITE, site.name);
    const about = listed ? "Sites" : site?.name;
    document.title = about ? `${about} · Portfolio Analytics` : "Portfolio Analytics";
  }, [site?.name, listed]);
  // A site that is not known here was added since; the list of sites shows it already.
  useEffect(() => {
    if (view.site !== null && view.site !== site?.name) onSession();
  }, [view.site]);
  // Before the first site there is nothing to listen to.
  useEffect(() => {
    if (site) return undefined;
    const timer = setInterval(onSession, 3000);
    return () => clearInterval(timer);
  }, [site === null]);

  let content;
  if (view.page === "settings" && session.admin) content = <Settings key={site?.name} session={session} site={site?.name ?? null} onSession={onSession} />;
  else if (view.page === "proof" && session.site === null) content = <Proof zone={zone} />;
  else if (!site) content = <Welcome site={null} />;
  else if (listed) content = <Sites span={span} today={today} now={now} />;
  else if (view.page === "live") content = <LiveView site={site.name} zone={zone} live={live} now={now} />;
  else content = <Overview key={site.name} site={site.name} zone={zone} span={span} now={now} />;

  return (
    <RefreshContext.Provider value={refresh}>
      <a class="skip" href="#content">
        Skip to the numbers
      </a>
      <TopBar session={session} site={site?.name ?? "No site yet"} visitors={live.visitors} connected={live.connected} onSignOut={onSignOut} onHelp={() => setHelp(true)} />
      <main id="content" tabIndex={-1}>
        {content}
      </main>
      {help && <ShortcutHelp many={many} onClose={() => setHelp(false)} />}
    </RefreshContext.Provider>
  );
}

/** The site asked for, else the one looked at last, else the first: of events without a site only when they are all. */
function siteToShow(sites: SiteSummary[], asked: string | null): SiteSummary | null {
  const named = (name: string | null) => sites.find((site) => site.name === name);
  return named(asked) ?? named(read(SITE)) ?? sites.find(({ name }) => name !== "default") ?? sites[0] ?? null;
}

/** The time, renewed every minute and when the page is looked at again. */
function useClock(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const renew = () => setNow(Date.now());
    const timer = setInterval(renew, CLOCK_MS);
    document.addEventListener("visibilitychange", renew);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", renew);
    };
  }, []);
  return now;
}

/**
 * Grows when `newest`, the last event heard of, changes: at once, then at most every ten seconds. What is heard
 * first (null before) was there when the page asked.
 */
function useRefresh(newest: string | null, wanted: boolean): number {
  const [refresh, setRefresh] = useState<{ count: number; seen: string | null; at: number }>({ count: 0, seen: null, at: 0 });
  useEffect(() => {
    if (newest === null || newest === refresh.seen) return undefined;
    if (refresh.seen === null || !wanted) {
      setRefresh((before) => ({ ...before, seen: newest }));
      return undefined;
    }
    const wait = Math.max(0, refresh.at + REFRESH_MS - Date.now());
    const timer = setTimeout(
      () => setRefresh((before) => ({ count: before.count + 1, seen: newest, at: Date.now() })),
      wait,
    );
    return () => clearTimeout(timer);
  }, [newest, refresh.seen, wanted]);
  return refresh.count;
}
