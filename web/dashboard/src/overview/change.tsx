import { inPoints, lessIsBetter, type Metric } from "../metric";

/** A change against the compared period: an arrow, a figure, and whether it is good news as colour. */
export function Change({ metric, value }: { metric: Metric; value: number | null | undefined }) {
  if (value === null || value === undefined) return <span class="change">{"–"}</span>;
  const better = value === 0 ? "" : value > 0 !== lessIsBetter(metric) ? "better" : "worse";
  const size = Math.abs(value).toLocaleString(undefined, { maximumFractionDigits: 1 });
  return (
    <span class={`change ${better}`}>
      <span aria-hidden="true">{value === 0 ? "" : value > 0 ? "↑" : "↓"}</span>
      <span class="hidden">{value > 0 ? "up" : value < 0 ? "down" : "no change,"} </span>
      {size}
      {inPoints(metric) ? " pt" : "%"}
    </span>
  );
}
