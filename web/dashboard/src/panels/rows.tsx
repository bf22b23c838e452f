import type { Row } from "../api/query";
import { dimensionLabel, valueLabel } from "../dimension";
import { formatMetric } from "../format";
import { METRIC_LABELS, type Metric } from "../metric";

interface Props {
  dimension: string;
  metrics: Metric[];
  rows: Row[];
  onChoose: (value: string) => void;
  sort?: { metric: Metric; descending: boolean; onSort: (metric: Metric) => void };
}

/** Values with bars behind them; a click on one filters by it. */
export function Rows({ dimension, metrics, rows, onChoose, sort }: Props) {
  const most = Math.max(1, ...rows.map((row) => row.metrics[0] ?? 0));
  const title = dimensionLabel(dimension);
  return (
    <table class="rows">
      <thead>
        <tr>
          <th scope="col">{title}</th>
          {metrics.map((metric) => (
            <th
              key={metric}
              scope="col"
              class={metric}
              aria-sort={sort?.metric === metric ? (sort.descending ? "descending" : "ascending") : undefined}
            >
              {sort ? (
                <button type="button" onClick={() => sort.onSort(metric)}>
                  {METRIC_LABELS[metric]}
                  <span aria-hidden="true">{sort.metric === metric ? (sort.descending ? " ↓" : " ↑") : ""}</span>
                </button>
              ) : (
                METRIC_LABELS[metric]
              )}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => {
          const value = row.dimensions[0] ?? "";
          const label = valueLabel(dimension, value);
          return (
            <tr key={value}>
              <th scope="row">
                <span class="bar" style={{ width: `${((row.metrics[0] ?? 0) / most) * 100}%` }} />
                <button type="button" title={`${label}: show only this`} onClick={() => onChoose(value)}>
                  {label}
                </button>
              </th>
              {metrics.map((metric, index) => (
                <td key={metric} class={metric}>
                  {formatMetric(metric, row.metrics[index], true)}
                </td>
              ))}
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
