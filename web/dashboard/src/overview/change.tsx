import type { Value } from "../api/query";
import { inPoints, lessIsBetter, type Metric } from "../metric";

/** From this many percent on, how many times as much it is says more. */
const MULTIPLE = 900;

/** A change against the compared period: an arrow, a figure, and whether it is good news as colour. */
export function Change({ metric, value, before }: { metric: Metric; value: Value | undefined; before: Value | undefined }) {
  if (value === null || value === undefined) return <span class="change">{"–"}</span>;
  // No percentage of nothing says anything.
  if (before === 0 && value > 0 && !inPoints(metric)) return <span class="change better">new</span>;
  const better = value === 0 ? "" : value > 0 !== lessIsBetter(metric) ? "better" : "worse";
  const times = !inPoints(metric) && value >= MULTIPLE;
  const size = (times ? 1 + value / 100 : Math.abs(value)).toLocaleString(undefined, { maximumFractionDigits: times ? 0 : 1 });
  return (
    <span class={`change ${better}`}>
      <span aria-hidden="true">{value === 0 ? "" : value > 0 ? "↑" : "↓"}</span>
      <span class="hidden">{value > 0 ? "up" : value < 0 ? "down" : "no change,"} </span>
      {size}
      {inPoints(metric) ? " pt" : times ? "×" : "%"}
    </span>
  );
}
