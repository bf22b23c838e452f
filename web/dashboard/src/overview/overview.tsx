import { about, rangeOf, type Scope } from "../api/query";
import { useQuery } from "../api/use-query";
import { Filters } from "../bar/filters";
import { PeriodPicker } from "../bar/period-picker";
import { DEVICES, EVENTS, LOCATIONS, PAGES, SOURCES } from "../panels/catalogue";
import { Panel } from "../panels/panel";
import { todayIn, type Span } from "../period";
import { useNavigation, type Comparison } from "../view";
import { Welcome } from "../welcome";
import { comparedSpan } from "./comparison";
import { Headline } from "./headline";
import { Trend } from "./trend";

interface Props {
  site: string;
  zone: string;
  span: Span | null;
  now: number;
}

/** The numbers of one site over a period. */
export function Overview({ site, zone, span, now }: Props) {
  const { view, go } = useNavigation();
  const scope: Scope = { site, range: rangeOf(span), filters: view.filters };
  const then = comparedSpan(view.comparison, span);
  // An empty site shows how to fill it: whether it is empty does not depend on the period.
  const ever = useQuery({ ...about({ site, range: "all", filters: [] }), metrics: ["events"] });
  const isEmpty = ever.data !== null && !ever.data.results[0]?.metrics[0];
  if (isEmpty) return <Welcome site={site} />;
  const props = { scope, span, then, zone, now };
  return (
    <>
      <div class="tools">
        <Filters scope={scope} />
        <div class="tools-end">
          <select
            class="field"
            aria-label="Compare with"
            value={view.comparison}
            disabled={span === null}
            onChange={(event) => go({ comparison: event.currentTarget.value as Comparison })}
          >
            <option value="off">No comparison</option>
            <option value="previous">vs previous period</option>
            <option value="year">vs year before</option>
          </select>
          <PeriodPicker span={span} today={todayIn(zone, now)} />
        </div>
      </div>
      <section class="card main-card" aria-label="Over time">
        <Headline {...props} />
        <Trend {...props} />
      </section>
      <div class="panels">
        <Panel kind={PAGES} scope={scope} />
        <Panel kind={SOURCES} scope={scope} />
        <Panel kind={LOCATIONS} scope={scope} />
        <Panel kind={DEVICES} scope={scope} />
        <Panel kind={EVENTS} scope={scope} class="whole" />
      </div>
    </>
  );
}
