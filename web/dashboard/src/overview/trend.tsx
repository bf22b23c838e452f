import { useState } from "preact/hooks";
import { about, rangeOf, type Query, type Scope } from "../api/query";
import { useQuery } from "../api/use-query";
import { LineChart } from "../chart/line-chart";
import { download, fileName, toCsv } from "../csv";
import { formatMetric } from "../format";
import { METRIC_LABELS, unitOf } from "../metric";
import { addDays, type Span } from "../period";
import { Icon } from "../ui/icon";
import { Notice } from "../ui/notice";
import { useNavigation, type Interval } from "../view";
import { headline } from "./figures";
import { chosen } from "./headline";
import { intervalsFor, localTime, longLabel, series, shortLabel } from "./series";

interface Props {
  scope: Scope;
  span: Span | null;
  then: Span | null;
  zone: string;
  now: number;
}

/** The main chart: one metric over time, with the compared period dashed; also as a table, and as a file. */
export function Trend({ scope, span, then, zone, now }: Props) {
  const { view, go } = useNavigation();
  const [asTable, setAsTable] = useState(false);
  const intervals = intervalsFor(span);
  const interval = view.interval && intervals.includes(view.interval) ? view.interval : intervals[0];
  const metric = chosen(view.metric, headline(scope.filters));
  const question: Query = {
    ...about(scope),
    metrics: [metric],
    dimensions: [`time:${interval}`],
    include: { time_labels: true },
  };
  const { data, failure, stale, retry } = useQuery(question);
  const former = useQuery(then && { ...question, date_range: rangeOf(then) });
  if (failure && !data) return <Notice failure={failure} onRetry={retry} part />;

  const local = localTime(zone, now);
  const here = data && series(data, metric, local);
  const before = then && former.data ? series(former.data, metric, local) : null;
  const name = METRIC_LABELS[metric];
  const show = (value: number | null | undefined) => formatMetric(metric, value);
  const rows = here
    ? here.labels.map((label, index) => [longLabel(label, interval), here.values[index] ?? null, before?.values[index] ?? null] as const)
    : [];
  const save = () =>
    download(
      fileName(scope.site, metric, interval),
      toCsv([["time", metric, ...(before ? ["compared"] : [])], ...rows.map(([, value, other], i) => [here?.labels[i] ?? "", value, ...(before ? [other] : [])])]),
    );
  const zoom = (index: number) => {
    const first = here?.labels[index]?.slice(0, 10);
    if (!first || interval === "hour") return;
    const next = here?.labels[index + 1]?.slice(0, 10);
    const end = next ? addDays(next, -1) : interval === "day" ? first : (span?.to ?? local.slice(0, 10));
    go({ period: { name: "custom", from: first, to: end }, interval: null });
  };

  return (
    <div class="trend" aria-busy={stale || !data}>
      <div class="trend-tools">
        <div class="segments" role="group" aria-label="Interval">
          {intervals.length > 1 &&
            ORDER.filter((each) => intervals.includes(each)).map((each) => (
              <button key={each} type="button" aria-pressed={each === interval} onClick={() => go({ interval: each === intervals[0] ? null : each })}>
                {INTERVAL_LABELS[each]}
              </button>
            ))}
        </div>
        <button type="button" class="button bare" aria-pressed={asTable} aria-label="Show as a table" title="Show as a table" onClick={() => setAsTable(!asTable)}>
          <Icon name={asTable ? "chart" : "table"} />
        </button>
        <button type="button" class="button bare" aria-label="Save the chart as CSV" title="Save the chart as CSV" onClick={save}>
          <Icon name="download" />
        </button>
      </div>
      {!here ? (
        <div class="chart skeleton" />
      ) : asTable ? (
        <div class="chart-table" tabIndex={0} role="region" aria-label={`${name} over time`}>
          <table>
            <thead>
              <tr>
                <th scope="col">Time</th>
                <th scope="col">{name}</th>
                {before && <th scope="col">Compared</th>}
              </tr>
            </thead>
            <tbody>
              {rows.map(([label, value, other]) => (
                <tr key={label}>
                  <th scope="row">{label}</th>
                  <td>{show(value)}</td>
                  {before && <td>{show(other)}</td>}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : (
        <LineChart
          summary={`${name} by ${interval}${before ? ", with the compared period" : ""}.`}
          labels={here.labels.map((label) => shortLabel(label, interval))}
          values={here.values}
          before={before?.values ?? null}
          unfinished={isUnfinished(here.labels, interval, local)}
          unit={unitOf(metric)}
          format={(value) => formatMetric(metric, value, true)}
          onChoose={interval === "hour" ? undefined : zoom}
          tooltip={(index) => (
            <>
              <span class="when">{longLabel(here.labels[index] ?? "", interval)}</span>
              <span class="now">
                {show(here.values[index])} <small>{name.toLowerCase()}</small>
              </span>
              {before && before.labels[index] && (
                <span class="then">
                  {show(before.values[index])} <small>{longLabel(before.labels[index] ?? "", interval)}</small>
                </span>
              )}
            </>
          )}
        />
      )}
    </div>
  );
}

const ORDER: Interval[] = ["hour", "day", "week", "month"];
const INTERVAL_LABELS: Record<Interval, string> = { hour: "Hours", day: "Days", week: "Weeks", month: "Months" };

/** Whether the last bucket that has begun is not over at the local time `now`. */
function isUnfinished(labels: string[], interval: Interval, now: string): boolean {
  const last = labels.findLastIndex((label) => label <= now);
  const label = labels[last];
  if (label === undefined || last < labels.length - 1) return label !== undefined;
  if (interval === "hour") return label.slice(0, 13) === now.slice(0, 13);
  const day = label.slice(0, 10);
  const end = interval === "day" ? day : interval === "week" ? addDays(day, 6) : `${day.slice(0, 7)}-31`;
  return end >= now.slice(0, 10);
}
