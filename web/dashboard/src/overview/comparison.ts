import type { Query } from "../api/query";
import { addDays, daysOf, startOf, yearBefore, type Day, type Span } from "../period";
import type { Comparison } from "../view";

const MINUTE = 60_000;

/** The days that `span` is compared with; null for none. */
export function comparedSpan(comparison: Comparison, span: Span | null): Span | null {
  if (comparison === "off" || !span) return null;
  if (comparison === "year") return yearBefore(span);
  const days = daysOf(span);
  return { from: addDays(span.from, -days), to: addDays(span.from, -1) };
}

type Included = NonNullable<NonNullable<Query["include"]>["comparisons"]>;

/** How to ask for the change of the headline figures. A today that is not over is compared up to the same time. */
export function comparisons(span: Span | null, then: Span | null, zone: string, today: Day, now: number): Included | undefined {
  if (!span || !then) return undefined;
  if (span.from !== today || span.to !== today) return { mode: "custom", date_range: [then.from, then.to] };
  const start = startOf(then.from, zone);
  const length = Math.max(MINUTE, Math.floor((now - startOf(today, zone)) / MINUTE) * MINUTE);
  return { mode: "custom", date_range: [new Date(start).toISOString(), new Date(start + length).toISOString()] };
}
