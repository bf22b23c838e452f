import { byEvent, type Filter } from "../filter";
import type { Metric } from "../metric";

/** The six headline figures. Where filters pick single events, some figures of whole visits make room. */
export function headline(filters: Filter[]): Metric[] {
  if (filters.some((filter) => filter.dimension === "event:goal")) {
    return ["visitors", "conversion_rate", "events", "visits", "bounce_rate", "visit_duration"];
  }
  if (filters.some((filter) => filter.dimension === "event:page")) {
    return ["visitors", "visits", "pageviews", "bounce_rate", "time_on_page", "scroll_depth"];
  }
  if (byEvent(filters)) return ["visitors", "visits", "pageviews", "events", "bounce_rate", "visit_duration"];
  return ["visitors", "visits", "pageviews", "views_per_visit", "bounce_rate", "visit_duration"];
}

/** What a panel's row shows besides visitors. */
export const beside = (filters: Filter[]): Metric =>
  filters.some((filter) => filter.dimension === "event:goal") ? "group_conversion_rate" : "percentage";
