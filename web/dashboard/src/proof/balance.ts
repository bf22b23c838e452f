import type { LedgerMinute } from "../api/types";

export interface Totals {
  accepted: number;
  counted: number;
  duplicate: number;
  rejected: number;
  inFlight: number;
  unattested: number;
}

/** All reasons together. */
export const sumOf = (counts: Record<string, number>) => Object.values(counts).reduce((sum, count) => sum + count, 0);

/** The terms of the equation over several minutes: accepted = counted + duplicate + rejected + in flight. */
export function totals(minutes: LedgerMinute[]): Totals {
  const sum = (term: (minute: LedgerMinute) => number) => minutes.reduce((all, minute) => all + term(minute), 0);
  return {
    accepted: sum((minute) => minute.accepted),
    counted: sum((minute) => minute.counted),
    duplicate: sum((minute) => minute.duplicate),
    rejected: sum((minute) => sumOf(minute.rejected)),
    inFlight: sum((minute) => minute.in_flight),
    unattested: sum((minute) => minute.unattested),
  };
}

const MINUTE = 60_000;

/** The last `count` minutes up to `now` (Unix milliseconds): those in which nothing happened are filled in. */
export function everyMinute(minutes: LedgerMinute[], count: number, now: number): LedgerMinute[] {
  const found = new Map(minutes.map((minute) => [Date.parse(minute.minute), minute]));
  const last = Math.floor(now / MINUTE) * MINUTE;
  return Array.from({ length: count }, (_, index) => {
    const at = last - (count - 1 - index) * MINUTE;
    return found.get(at) ?? emptyMinute(new Date(at).toISOString());
  });
}

const emptyMinute = (minute: string): LedgerMinute => ({
  minute,
  accepted: 0,
  counted: 0,
  duplicate: 0,
  rejected: {},
  in_flight: 0,
  refused: {},
  ignored: {},
  unattested: 0,
  latency_ms: { p50: null, p95: null, p99: null },
});
