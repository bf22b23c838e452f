import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { formatFilter, parseFilter, type Filter } from "./filter";
import { METRIC_LABELS, type Metric } from "./metric";
import { PERIOD_NAMES, type Period, type PeriodName } from "./period";

export type PageName = "sites" | "overview" | "live" | "proof" | "settings";
export type Comparison = "off" | "previous" | "year";
export type SiteOrder = `${"" | "-"}${"visitors" | "visits" | "pageviews" | "name"}`;
export type Interval = "hour" | "day" | "week" | "month";

/** What the page shows. All of it stands in the address, so that the back button and a copied link work. */
export interface View {
  page: PageName;
  site: string | null;
  period: Period;
  comparison: Comparison;
  metric: Metric;
  /** Null: what suits the period. */
  interval: Interval | null;
  filters: Filter[];
  /** The chosen tab by panel. */
  tabs: Record<string, string>;
  /** The panel whose details are open. */
  details: string | null;
  /** Of the list of sites: what their names hold, how they are sorted, how many come before. */
  search: string;
  order: SiteOrder;
  offset: number;
}

const PAGES: PageName[] = ["sites", "overview", "live", "proof", "settings"];
const COMPARISONS: Comparison[] = ["off", "previous", "year"];
export const INTERVALS: Interval[] = ["hour", "day", "week", "month"];
const ORDERS: SiteOrder[] = ["visitors", "-visitors", "visits", "-visits", "pageviews", "-pageviews", "name", "-name"];
const USUAL_ORDER: SiteOrder = "-visitors";
const DAY = /^\d{4}-\d\d-\d\d$/;
const TAB = "tab.";

const oneOf = <T extends string>(values: readonly T[], text: string | null): T | undefined =>
  values.find((value) => value === text);

/** The view that an address asks for; what cannot be understood is as if it were not there. */
export function parseView(search: string): View {
  const query = new URLSearchParams(search);
  const tabs: Record<string, string> = {};
  for (const [name, value] of query) if (name.startsWith(TAB)) tabs[name.slice(TAB.length)] = value;
  const metric = query.get("metric");
  return {
    page: oneOf(PAGES, query.get("view")) ?? "overview",
    site: query.get("site"),
    period: parsePeriod(query),
    comparison: oneOf(COMPARISONS, query.get("compare")) ?? "previous",
    metric: metric && Object.hasOwn(METRIC_LABELS, metric) ? (metric as Metric) : "visitors",
    interval: oneOf(INTERVALS, query.get("interval")) ?? null,
    filters: query.getAll("f").flatMap((text) => parseFilter(text) ?? []),
    tabs,
    details: query.get("details"),
    search: query.get("search") ?? "",
    order: oneOf(ORDERS, query.get("order")) ?? USUAL_ORDER,
    offset: Number(/^\d{1,6}$/.exec(query.get("offset") ?? "")?.[0] ?? 0),
  };
}

function parsePeriod(query: URLSearchParams): Period {
  const name = query.get("period");
  const [from, to] = [query.get("from") ?? "", query.get("to") ?? ""];
  if (name === "custom") {
    const valid = DAY.test(from) && DAY.test(to) && from <= to && Date.parse(from) > 0 && Date.parse(to) > 0;
    return valid ? { name, from, to } : { name: "30d" };
  }
  return { name: name && PERIOD_NAMES.has(name) ? (name as PeriodName) : "30d" };
}

/** The address of a view, without what is as usual. A public link keeps its secret. */
export function formatView(view: View): string {
  const query = new URLSearchParams();
  const share = new URLSearchParams(location.search).get("share");
  if (share !== null) query.set("share", share);
  if (view.site !== null) query.set("site", view.site);
  if (view.page !== "overview") query.set("view", view.page);
  if (view.period.name !== "30d") query.set("period", view.period.name);
  if (view.period.name === "custom") {
    query.set("from", view.period.from ?? "");
    query.set("to", view.period.to ?? "");
  }
  if (view.comparison !== "previous") query.set("compare", view.comparison);
  if (view.metric !== "visitors") query.set("metric", view.metric);
  if (view.interval) query.set("interval", view.interval);
  for (const filter of view.filters) query.append("f", formatFilter(filter));
  for (const [panel, tab] of Object.entries(view.tabs)) query.set(TAB + panel, tab);
  if (view.details !== null) query.set("details", view.details);
  if (view.page === "sites") {
    if (view.search) query.set("search", view.search);
    if (view.order !== USUAL_ORDER) query.set("order", view.order);
    if (view.offset) query.set("offset", String(view.offset));
  }
  const text = query.toString().replace(/%2F/g, "/").replace(/%3A/g, ":").replace(/%2C/g, ",");
  return text ? `?${text}` : location.pathname;
}

export interface Navigation {
  view: View;
  /** Show something else: a step that the back button takes back, unless `replace`. */
  go: (change: Partial<View>, replace?: boolean) => void;
}

export const NavigationContext = createContext<Navigation>({ view: parseView(""), go: () => undefined });
export const useNavigation = () => useContext(NavigationContext);
