import type { Filter } from "../filter";
import { onlyValue } from "../filter";
import type { Metric } from "../metric";

/** One way to break the visitors down. */
export interface Tab {
  id: string;
  label: string;
  dimension: string;
  /** The metrics of the details, after visitors. */
  more: Metric[];
}

export interface PanelKind {
  id: string;
  title: string;
  tabs: Tab[];
}

const VISITS: Metric[] = ["visits", "pageviews", "bounce_rate", "visit_duration"];
const visits = (id: string, label: string, dimension: string): Tab => ({ id, label, dimension: `visit:${dimension}`, more: VISITS });

export const PAGES: PanelKind = {
  id: "pages",
  title: "Pages",
  tabs: [
    { id: "top", label: "Top", dimension: "event:page", more: ["pageviews", "bounce_rate", "time_on_page", "scroll_depth"] },
    visits("entry", "Entry", "entry_page"),
    visits("exit", "Exit", "exit_page"),
  ],
};

export const SOURCES: PanelKind = {
  id: "sources",
  title: "Sources",
  tabs: [
    visits("channels", "Channels", "channel"),
    visits("sources", "Sources", "source"),
    visits("referrers", "Referrers", "referrer"),
    visits("campaigns", "Campaigns", "utm_campaign"),
  ],
};

/** What campaigns are told by. */
export const CAMPAIGN_TABS: Tab[] = [
  visits("utm_campaign", "Campaign", "utm_campaign"),
  visits("utm_source", "Source", "utm_source"),
  visits("utm_medium", "Medium", "utm_medium"),
  visits("utm_term", "Term", "utm_term"),
  visits("utm_content", "Content", "utm_content"),
];

export const LOCATIONS: PanelKind = {
  id: "locations",
  title: "Locations",
  tabs: [
    visits("map", "Map", "country"),
    visits("countries", "Countries", "country"),
    visits("regions", "Regions", "region"),
    visits("cities", "Cities", "city"),
  ],
};

export const DEVICES: PanelKind = {
  id: "devices",
  title: "Devices",
  tabs: [
    visits("browsers", "Browsers", "browser"),
    visits("os", "Systems", "os"),
    visits("types", "Types", "device"),
    visits("screens", "Screens", "screen"),
  ],
};

export const EVENTS: PanelKind = {
  id: "events",
  title: "Events",
  tabs: [
    { id: "events", label: "Events", dimension: "event:name", more: ["events", "percentage"] },
    { id: "goals", label: "Goals", dimension: "event:goal", more: ["events", "conversion_rate"] },
    { id: "properties", label: "Properties", dimension: "event:props:", more: ["events", "percentage"] },
    // By no dimension at all: the panel has something else to show.
    { id: "funnels", label: "Funnels", dimension: "", more: [] },
  ],
};

/** The tab that lies below a tab once its dimension is filtered to one value: browsers give way to versions. */
export function drilled(tab: Tab, filters: Filter[]): Tab {
  if (tab.dimension === "visit:browser" && onlyValue(filters, tab.dimension)) return visits(tab.id, "Versions", "browser_version");
  if (tab.dimension === "visit:os" && onlyValue(filters, tab.dimension)) return visits(tab.id, "Versions", "os_version");
  return tab;
}

/** Where a panel goes when a row of a tab was chosen. */
export const NEXT_TAB: Record<string, string> = { "visit:country": "regions", "visit:region": "cities" };
