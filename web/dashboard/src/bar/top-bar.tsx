import { useState } from "preact/hooks";
import { isShared } from "../api/client";
import type { Session } from "../api/types";
import { formatCount } from "../format";
import { applyTheme, storedTheme, THEMES, type Theme } from "../theme";
import { Icon, type IconName } from "../ui/icon";
import { ViewLink } from "../ui/view-link";
import { useNavigation, type PageName } from "../view";
import { SiteSwitcher } from "./site-switcher";

const THEME_ICONS: Record<Theme, IconName> = { auto: "auto", light: "sun", dark: "moon" };
const THEME_LABELS: Record<Theme, string> = { auto: "as the system", light: "light", dark: "dark" };

interface Props {
  session: Session;
  site: string;
  visitors: number | null;
  /** Whether `visitors` are those of now; else of when the server was last heard. */
  connected: boolean;
  onSignOut: () => void;
  onHelp: () => void;
}

/** Which site, who is there now, and the ways to the other views. */
export function TopBar({ session, site, visitors, connected, onSignOut, onHelp }: Props) {
  const { view } = useNavigation();
  const [theme, setTheme] = useState(storedTheme());
  const many = session.sites.length > 1;
  const pages: [PageName, string][] = [
    ...(many ? ([["sites", "Sites"]] satisfies [PageName, string][]) : []),
    ["overview", "Overview"],
    ["live", "Live"],
  ];
  if (!isShared && session.site === null) pages.push(["proof", "Proof"]);
  if (session.admin) pages.push(["settings", "Settings"]);
  const nextTheme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] as Theme;
  return (
    <header class="top-bar">
      <span class="brand" aria-hidden="true">
        <Icon name="brand" />
      </span>
      {many ? <SiteSwitcher sites={session.sites} site={site} /> : <h1 class="site-name">{site}</h1>}
      {many && <h1 class="hidden">{view.page === "sites" ? "All sites" : site}</h1>}
      <ViewLink class={`now ${visitors && connected ? "someone" : ""}`} change={{ page: "live" }}>
        <span class="dot" aria-hidden="true" />
        <span>
          <strong>{visitors === null ? "–" : formatCount(visitors)}</strong> <span class="soft">{visitors === 1 ? "visitor" : "visitors"} now</span>
        </span>
      </ViewLink>
      <nav aria-label="Views">
        {pages.map(([page, label]) => (
          <ViewLink key={page} change={{ page, details: null }} current={view.page === page}>
            {label}
          </ViewLink>
        ))}
      </nav>
      <div class="bar-end">
        <button type="button" class="button bare wide-only" aria-label="Keyboard shortcuts" title="Keyboard shortcuts (?)" onClick={onHelp}>
          <Icon name="keyboard" />
        </button>
        <button
          type="button"
          class="button bare"
          aria-label={`Theme: ${THEME_LABELS[theme]}. Change to ${THEME_LABELS[nextTheme]}`}
          title={`Theme: ${THEME_LABELS[theme]}`}
          onClick={() => {
            applyTheme(nextTheme);
            setTheme(nextTheme);
          }}
        >
          <Icon name={THEME_ICONS[theme]} />
        </button>
        {!isShared && (
          <button type="button" class="button bare" aria-label="Sign out" title={`Sign out ${session.name}`} onClick={onSignOut}>
            <Icon name="out" />
          </button>
        )}
      </div>
    </header>
  );
}
