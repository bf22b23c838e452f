import { formatDay } from "./format";

/** A calendar date such as 2026-01-31. */
export type Day = string;

/** What the page is about: a span counted back from today, all there is, or two dates. */
export type PeriodName =
  | "day"
  | "yesterday"
  | "7d"
  | "28d"
  | "30d"
  | "91d"
  | "month"
  | "last_month"
  | "year"
  | "12mo"
  | "all"
  | "custom";

export interface Period {
  name: PeriodName;
  /** Both dates are included; only with `custom`. */
  from?: Day;
  to?: Day;
}

export interface Choice {
  name: PeriodName;
  label: string;
  /** The key that chooses it. */
  key: string;
}

export const CHOICES: Choice[][] = [
  [
    { name: "day", label: "Today", key: "D" },
    { name: "yesterday", label: "Yesterday", key: "E" },
  ],
  [
    { name: "7d", label: "Last 7 days", key: "W" },
    { name: "28d", label: "Last 28 days", key: "F" },
    { name: "30d", label: "Last 30 days", key: "T" },
    { name: "91d", label: "Last 91 days", key: "N" },
  ],
  [
    { name: "month", label: "Month to date", key: "M" },
    { name: "last_month", label: "Last month", key: "P" },
    { name: "year", label: "Year to date", key: "Y" },
    { name: "12mo", label: "Last 12 months", key: "L" },
  ],
  [{ name: "all", label: "All time", key: "A" }],
];

export const PERIOD_NAMES: ReadonlySet<string> = new Set([...CHOICES.flat().map((choice) => choice.name), "custom"]);

/** First and last day; null for all time, whose beginning the server knows. */
export interface Span {
  from: Day;
  to: Day;
}

const MS_OF_DAY = 86_400_000;
const toMs = (day: Day) => Date.parse(`${day}T00:00:00Z`);
const toDay = (ms: number): Day => new Date(ms).toISOString().slice(0, 10);

/** `day` plus `count` days. */
export const addDays = (day: Day, count: number): Day => toDay(toMs(day) + count * MS_OF_DAY);

/** How many days a span has. */
export const daysOf = ({ from, to }: Span) => Math.round((toMs(to) - toMs(from)) / MS_OF_DAY) + 1;

/** The first day of the month `count` months after that of `day`. */
function monthStart(day: Day, count: number): Day {
  const [year = 0, month = 1] = day.split("-").map(Number);
  return toDay(Date.UTC(year, month - 1 + count, 1));
}

/** Today's date in a time zone. */
export const todayIn = (zone: string, now: number = Date.now()): Day =>
  new Intl.DateTimeFormat("en-CA", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" }).format(now);

/** The days that a period means. */
export function spanOf(period: Period, today: Day): Span | null {
  switch (period.name) {
    case "day":
      return { from: today, to: today };
    case "yesterday":
      return { from: addDays(today, -1), to: addDays(today, -1) };
    case "month":
      return { from: monthStart(today, 0), to: today };
    case "last_month":
      return { from: monthStart(today, -1), to: addDays(monthStart(today, 0), -1) };
    case "year":
      return { from: `${today.slice(0, 4)}-01-01`, to: today };
    case "12mo":
      return { from: monthStart(today, -11), to: today };
    case "all":
      return null;
    case "custom":
      return { from: period.from ?? today, to: period.to ?? today };
    default:
      return { from: addDays(today, 1 - Number.parseInt(period.name, 10)), to: today };
  }
}

/** What the API calls a period: a word where each site's own calendar says what it means, else two dates. */
export const rangeText = ({ name }: Period, span: Span | null): string =>
  span && ["yesterday", "last_month", "custom"].includes(name) ? `${span.from},${span.to}` : name;

/** All days of the months from that of `first` to that of `last`. */
export const monthSpan = (first: Day, last: Day): Span => ({ from: monthStart(first, 0), to: addDays(monthStart(last, 1), -1) });

/** The span before (-1) or after (1) a span: the next month for whole months, and so on. */
export function neighbour(span: Span, direction: 1 | -1): Span {
  if (span.from === monthStart(span.from, 0)) {
    const isMonth = span.to.slice(0, 7) === span.from.slice(0, 7) && daysOf(span) > 1;
    const isYear = span.from.endsWith("-01-01") && span.to.slice(0, 4) === span.from.slice(0, 4);
    const months = isYear && span.to.slice(5, 7) !== "01" ? 12 : isMonth ? 1 : 0;
    if (months) {
      const from = monthStart(span.from, direction * months);
      return { from, to: addDays(monthStart(from, months), -1) };
    }
  }
  const days = daysOf(span);
  return { from: addDays(span.from, direction * days), to: addDays(span.to, direction * days) };
}

/** The same span in the year before. */
export function yearBefore({ from, to }: Span): Span {
  const back = (day: Day) => {
    const year = Number(day.slice(0, 4)) - 1;
    return `${year}${day.slice(4) === "-02-29" ? "-02-28" : day.slice(4)}`;
  };
  return { from: back(from), to: back(to) };
}

/** A span as people read it: 3 Nov – 9 Nov 2026. */
export function spanLabel({ from, to }: Span): string {
  if (from === to) return formatDay(from, { weekday: "short", day: "numeric", month: "short", year: "numeric" });
  if (from === monthStart(from, 0) && to === addDays(monthStart(from, 1), -1)) {
    return formatDay(from, { month: "long", year: "numeric" });
  }
  const sameYear = from.slice(0, 4) === to.slice(0, 4);
  const first = formatDay(from, { day: "numeric", month: "short", ...(sameYear ? {} : { year: "numeric" }) });
  return `${first} – ${formatDay(to, { day: "numeric", month: "short", year: "numeric" })}`;
}

/** What a period is called. */
export function periodLabel(period: Period): string {
  if (period.name === "custom") return spanLabel({ from: period.from ?? "", to: period.to ?? "" });
  return CHOICES.flat().find((choice) => choice.name === period.name)?.label ?? "";
}

/** How far a zone's clock is ahead of UTC at an instant, in milliseconds. */
function offsetOf(zone: string, instant: number): number {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  }).formatToParts(instant);
  const part = (type: string) => Number(parts.find((found) => found.type === type)?.value);
  const local = Date.UTC(part("year"), part("month") - 1, part("day"), part("hour"), part("minute"), part("second"));
  return local - Math.floor(instant / 1000) * 1000;
}

/** The instant at which a day begins in a zone, in Unix milliseconds. */
export function startOf(day: Day, zone: string): number {
  const guess = toMs(day) - offsetOf(zone, toMs(day));
  return toMs(day) - offsetOf(zone, guess);
}
