import { address, get } from "../api/client";
import type { Portfolio } from "../api/types";
import { useFound } from "../api/use-query";
import { PeriodPicker } from "../bar/period-picker";
import { formatCount } from "../format";
import { rangeText, type Day, type Span } from "../period";
import { Icon } from "../ui/icon";
import { Notice } from "../ui/notice";
import { useBeat } from "../ui/use-beat";
import { useSettled } from "../ui/use-settled";
import { useNavigation } from "../view";
import { SiteTable } from "./site-table";

const RENEW_MS = 10_000;
const PAGE = 50;

interface Props {
  span: Span | null;
  today: Day;
  now: number;
}

/** All sites that one may read, side by side. */
export function Sites({ span, today, now }: Props) {
  const { view, go } = useNavigation();
  const search = useSettled(view.search);
  const question = address("/api/stats/sites", {
    date_range: rangeText(view.period, span),
    search,
    order: view.order,
    limit: String(PAGE),
    offset: String(view.offset),
  });
  const { data, failure, stale, retry } = useFound(question, useBeat(RENEW_MS), (signal) => get<Portfolio>(question, signal));
  // A day that is not over has no equal, and all time nothing before it.
  const unfinished = span !== null && span.from === today && span.to === today;
  const compared = view.comparison !== "off" && span !== null && !unfinished;
  const turn = (offset: number) => {
    go({ offset });
    scrollTo(0, 0);
  };
  const total = data?.meta.total_rows ?? 0;
  const last = view.offset + (data?.results.length ?? 0);
  const warning = data?.meta.metric_warnings?.["visitors"]?.warning;
  return (
    <>
      <div class="tools">
        <input
          class="field search"
          type="search"
          placeholder="Search sites"
          aria-label="Search sites"
          value={view.search}
          onInput={(event) => go({ search: event.currentTarget.value, offset: 0 }, true)}
        />
        <span class="soft" role="status">
          {data && `${formatCount(total)} ${total === 1 ? "site" : "sites"}`}
        </span>
        <div class="tools-end">
          <PeriodPicker span={span} today={today} />
        </div>
      </div>
      {failure && <Notice failure={failure} onRetry={retry} />}
      {(data || !failure) && (
        <section class="card sites" aria-labelledby="sites-title" aria-busy={stale || !data}>
          <h2 class="hidden" id="sites-title">
            Sites
          </h2>
          {!data ? (
            <Skeleton />
          ) : data.results.length === 0 ? (
            <p class="nothing">{total > 0 ? "There are no more sites." : "No site has this in its name."}</p>
          ) : (
            <SiteTable sites={data.results} compared={compared} warned={warning !== undefined} now={now} />
          )}
          {(total > PAGE || view.offset > 0) && (
            <footer>
              <span class="soft">{last > view.offset && `${formatCount(view.offset + 1)} – ${formatCount(last)} of ${formatCount(total)}`}</span>
              <button type="button" class="button" disabled={view.offset === 0} onClick={() => turn(Math.max(0, view.offset - PAGE))}>
                <Icon name="left" /> Previous
              </button>
              <button type="button" class="button" disabled={last >= total} onClick={() => turn(view.offset + PAGE)}>
                Next <Icon name="right" />
              </button>
            </footer>
          )}
          {warning && <p class="footnote">* {warning}</p>}
          {unfinished && view.comparison !== "off" && <p class="footnote">Today is not over, so it is not compared.</p>}
        </section>
      )}
    </>
  );
}

const Skeleton = () => (
  <div class="skeletons" aria-hidden="true">
    {Array.from({ length: 8 }, (_, index) => (
      <span key={index} class="skeleton" />
    ))}
  </div>
);
