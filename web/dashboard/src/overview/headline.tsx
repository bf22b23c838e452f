import { about, type Scope } from "../api/query";
import { useQuery } from "../api/use-query";
import { formatMetric } from "../format";
import { METRIC_LABELS, type Metric } from "../metric";
import { daysOf, todayIn, type Span } from "../period";
import { Notice } from "../ui/notice";
import { useNavigation } from "../view";
import { Change } from "./change";
import { comparisons } from "./comparison";
import { Elsewhere } from "./elsewhere";
import { headline } from "./figures";

interface Props {
  scope: Scope;
  span: Span | null;
  then: Span | null;
  zone: string;
  now: number;
}

/** The headline figures with their change; each chooses what the chart shows. */
export function Headline({ scope, span, then, zone, now }: Props) {
  const { view, go } = useNavigation();
  const metrics = headline(scope.filters);
  const compared = comparisons(span, then, zone, todayIn(zone, now), now);
  const { data, failure, stale, retry } = useQuery({ ...about(scope), metrics, ...(compared ? { include: { comparisons: compared } } : {}) });
  if (failure && !data) return <Notice failure={failure} onRetry={retry} />;
  const row = data?.results[0];
  const warnings = span && daysOf(span) === 1 ? {} : (data?.meta.metric_warnings ?? {});
  const warned = (metric: Metric) => warnings[metric] !== undefined;
  const valueOf = (metric: Metric) => row?.metrics[metrics.indexOf(metric)];
  const isMore = Number(valueOf("visitors")) > Number(valueOf("visits"));
  const notes = [...new Set(Object.values(warnings).map(({ warning }) => warning))];
  return (
    <>
    {failure && <Notice failure={failure} onRetry={retry} />}
    <div class="figures" aria-busy={stale || !data} role="group" aria-label="Headline figures: choose one for the chart">
      {metrics.map((metric, index) => (
        <button key={metric} type="button" class="figure" aria-pressed={chosen(view.metric, metrics) === metric} onClick={() => go({ metric })}>
          <span class="figure-name">
            {METRIC_LABELS[metric]}
            {warned(metric) && " *"}
          </span>
          <strong class={data ? "" : "skeleton"}>{data ? formatMetric(metric, row?.metrics[index], true) : "0000"}</strong>
          {then && data && <Change metric={metric} value={row?.comparison?.change[index]} before={row?.comparison?.metrics[index]} />}
        </button>
      ))}
    </div>
    {data && row?.metrics[0] === 0 && span && scope.filters.length === 0 && <Elsewhere site={scope.site} />}
    {notes.map((note) => (
      <p key={note} class="footnote">
        * {note}
      </p>
    ))}
    {isMore && <p class="footnote">More visitors than visits: a visit over midnight counts on the day it began, its visitor on both.</p>}
    </>
  );
}

/** The metric of the chart: the one asked for, unless filters have taken it away. */
export const chosen = (asked: Metric, metrics: Metric[]): Metric => (metrics.includes(asked) ? asked : "visitors");
