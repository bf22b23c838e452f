import type { Metric } from "./metric";

const LOCALE = navigator.language || "en";
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat(LOCALE, { notation: "compact", maximumFractionDigits: 1 });
const tenths = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 1 });
const fine = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 2 });
const countries = new Intl.DisplayNames([LOCALE, "en"], { type: "region", fallback: "code" });

export const NOTHING = "–";

/** A count in full: 12,408. */
export const formatCount = (value: number) => whole.format(value);

/** Seconds as 1h 02m, 3m 05s or 12s. */
export function formatDuration(seconds: number): string {
  const total = Math.round(seconds);
  const two = (n: number) => String(n).padStart(2, "0");
  if (total >= 3600) return `${Math.floor(total / 3600)}h ${two(Math.floor((total % 3600) / 60))}m`;
  return total >= 60 ? `${Math.floor(total / 60)}m ${two(total % 60)}s` : `${total}s`;
}

/** Milliseconds as 840 ms or 1.2 s. */
export function formatLatency(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return NOTHING;
  return ms < 1000 ? `${whole.format(ms)} ms` : `${fine.format(Math.round(ms / 100) / 10)} s`;
}

/** A metric's value as people read it; `short` may round a count to 12.4K. */
export function formatMetric(metric: Metric, value: number | null | undefined, short = false): string {
  if (value === null || value === undefined) return NOTHING;
  switch (metric) {
    case "bounce_rate":
    case "scroll_depth":
      return `${whole.format(value)}%`;
    case "percentage":
      return `${(value >= 9.95 ? whole : tenths).format(value)}%`;
    case "conversion_rate":
    case "group_conversion_rate":
      return `${fine.format(value)}%`;
    case "views_per_visit":
      return fine.format(value);
    case "visit_duration":
    case "time_on_page":
      return formatDuration(value);
    default:
      return short && Math.abs(value) >= 10_000 ? compact.format(value) : whole.format(value);
  }
}

/** A country's name by its ISO 3166 code. */
export function countryName(code: string): string {
  try {
    return countries.of(code) ?? code;
  } catch {
    return code;
  }
}

/** The time of day in a zone, to the second. */
export const formatClock = (time: string | number, zone: string) =>
  new Date(time).toLocaleTimeString(LOCALE, { timeZone: zone, hourCycle: "h23", hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** Hours and minutes in a zone. */
export const formatMinute = (time: string | number, zone: string) =>
  new Date(time).toLocaleTimeString(LOCALE, { timeZone: zone, hourCycle: "h23", hour: "2-digit", minute: "2-digit" });

/** A calendar date (2026-01-31), whatever the zone of whoever looks. */
export const formatDay = (day: string, options: Intl.DateTimeFormatOptions) =>
  new Date(`${day}T00:00:00Z`).toLocaleDateString(LOCALE, { ...options, timeZone: "UTC" });

/** The date of an instant in full. */
export const formatDate = (time: string) => new Date(time).toLocaleDateString(LOCALE, { dateStyle: "medium" });
