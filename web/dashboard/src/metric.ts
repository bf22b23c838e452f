import type { Unit } from "./chart/scale";

/** The metrics that the dashboard shows, by their names in the query language. */
export type Metric =
  | "visitors"
  | "visits"
  | "pageviews"
  | "events"
  | "views_per_visit"
  | "bounce_rate"
  | "visit_duration"
  | "time_on_page"
  | "scroll_depth"
  | "percentage"
  | "conversion_rate"
  | "group_conversion_rate";

export const METRIC_LABELS: Record<Metric, string> = {
  visitors: "Visitors",
  visits: "Visits",
  pageviews: "Page views",
  events: "Events",
  views_per_visit: "Views per visit",
  bounce_rate: "Bounce rate",
  visit_duration: "Visit duration",
  time_on_page: "Time on page",
  scroll_depth: "Scroll depth",
  percentage: "Share",
  conversion_rate: "Conversion rate",
  group_conversion_rate: "Conversion rate",
};

/** Metrics that cannot be added up over time: without a value there is no point in the chart, not a zero. */
export const RATES: ReadonlySet<Metric> = new Set([
  "views_per_visit",
  "bounce_rate",
  "visit_duration",
  "time_on_page",
  "scroll_depth",
  "percentage",
  "conversion_rate",
  "group_conversion_rate",
]);

/** What the axis of a chart of it counts. Rates that are shown as whole percents have no finer marks. */
export function unitOf(metric: Metric): Unit {
  if (metric === "visit_duration" || metric === "time_on_page") return "seconds";
  return metric === "views_per_visit" || metric.endsWith("conversion_rate") ? "rate" : "whole";
}

/** Whether less of it is better. */
export const lessIsBetter = (metric: Metric) => metric === "bounce_rate";

/** Whether a change of it is a difference in points, not in percent. */
export const inPoints = (metric: Metric) => /rate|scroll_depth|percentage/.test(metric);
