import type { Answer, Value } from "../api/query";
import { formatDay } from "../format";
import { RATES, type Metric } from "../metric";
import { daysOf, type Span } from "../period";
import type { Interval } from "../view";

/** The intervals that suit a span, the usual one first. */
export function intervalsFor(span: Span | null): [Interval, ...Interval[]] {
  if (!span) return ["month", "day", "week"];
  const days = daysOf(span);
  if (days <= 2) return ["hour"];
  if (days <= 14) return ["day", "hour"];
  if (days <= 31) return ["day", "week"];
  if (days <= 100) return ["day", "week", "month"];
  return days <= 200 ? ["week", "day", "month"] : ["month", "week", "day"];
}

/** Values by label, up to `now` (the site's local time): a count that is not there is 0, a rate is nothing. */
export function series(answer: Answer, metric: Metric, now: string): { labels: string[]; values: Value[] } {
  const labels = answer.meta.time_labels ?? answer.results.map((row) => row.dimensions[0] ?? "");
  const found = new Map(answer.results.map((row) => [row.dimensions[0], row.metrics[0] ?? null]));
  const nothing = RATES.has(metric) ? null : 0;
  return { labels, values: labels.map((label) => (label > now ? null : (found.get(label) ?? nothing))) };
}

/** The local time in a zone as the labels have it: 2026-01-31 13:05:00. */
export const localTime = (zone: string, now: number) => new Date(now).toLocaleString("sv-SE", { timeZone: zone });

/** A label as it stands below the chart. */
export function shortLabel(label: string, interval: Interval): string {
  if (interval === "hour") return label.slice(11, 16);
  if (interval === "month") return formatDay(label, { month: "short", year: "numeric" });
  return formatDay(label, { day: "numeric", month: "short" });
}

/** A label in full. */
export function longLabel(label: string, interval: Interval): string {
  const day = label.slice(0, 10);
  if (interval === "hour") return `${formatDay(day, { weekday: "short", day: "numeric", month: "short" })}, ${label.slice(11, 16)}`;
  if (interval === "month") return formatDay(day, { month: "long", year: "numeric" });
  const text = formatDay(day, { weekday: "short", day: "numeric", month: "short", year: "numeric" });
  return interval === "week" ? `Week of ${text}` : text;
}
